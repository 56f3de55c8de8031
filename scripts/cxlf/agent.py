# SPDX-License-Identifier: GPL-2.0-or-later
"""The QEMU guest agent of one guest, over its UNIX socket.

Each request connects, synchronises and hangs up again, under a file lock,
so that several commands can run in one guest at a time.
"""

import base64
import fcntl
import json
import random
import socket
import time

from . import ui


# Seconds until a request to synchronise is made once more.
SYNC_AGAIN = 3


class AgentError(ui.UserError):
    """The guest agent does not answer, or refuses."""


class Agent:
    """Requests to one guest's agent."""

    def __init__(self, path, name):
        self.path = path
        self.name = name

    def call(self, command, timeout=30, **arguments):
        """One request; returns what the agent returns."""
        limit = time.monotonic() + timeout
        with open(self.path + ".lock", "w") as lock:
            self._lock(lock, limit)
            with socket.socket(socket.AF_UNIX) as link:
                try:
                    link.connect(self.path)
                    return self._exchange(link, limit, command, arguments)
                except (ConnectionError, FileNotFoundError) as error:
                    raise AgentError(f"{self.name} is not running "
                                     f"({error})") from error
                except TimeoutError as error:
                    raise AgentError(
                        f"{self.name}: the guest agent did not answer "
                        f"{command} within {timeout} s") from error

    def _lock(self, lock, limit):
        while True:
            try:
                return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > limit:
                    raise AgentError(f"{self.name}: the agent is busy with "
                                     "another request") from None
                time.sleep(0.005)

    def _synchronise(self, link, limit):
        """Wait until the agent hears this connection; the request's token.

        While it opens its port again, after the connection before this one
        has ended, what is sent to it may be lost.
        """
        token = random.getrandbits(31)
        data = b""
        while True:
            # 0xff makes the agent drop what it holds of an earlier request.
            self._send(link, "guest-sync-delimited", {"id": token}, b"\xff")
            again = min(time.monotonic() + SYNC_AGAIN, limit)
            try:
                while True:
                    data, answer = self._receive(link, again, data)
                    if answer.get("return") == token:
                        return token, data
            except TimeoutError:
                if again == limit:
                    raise

    def _exchange(self, link, limit, command, arguments):
        token, data = self._synchronise(link, limit)
        self._send(link, command, arguments, token=token)
        answer = {}
        while answer.get("id") != token:
            # What was asked twice to synchronise may be answered twice.
            data, answer = self._receive(link, limit, data)
        if "error" in answer:
            raise AgentError(f"{self.name}: {command}: "
                             + answer["error"].get("desc", "refused"))
        return answer["return"]

    @staticmethod
    def _send(link, command, arguments, before=b"", token=None):
        request = {"execute": command, "arguments": arguments}
        if token is not None:
            request["id"] = token
        link.sendall(before + json.dumps(request).encode() + b"\n")

    @staticmethod
    def _receive(link, limit, data):
        while b"\n" not in data:
            link.settimeout(max(0.001, limit - time.monotonic()))
            more = link.recv(1 << 16)
            if not more:
                raise ConnectionResetError("it hung up")
            data += more
        line, _, rest = data.partition(b"\n")
        text = line.rpartition(b"\xff")[2]
        try:
            return rest, json.loads(text)
        except ValueError:
            return rest, {}

    def ping(self, timeout=2):
        """True if the agent answers."""
        try:
            self.call("guest-ping", timeout)
            return True
        except AgentError:
            return False

    def start(self, argv):
        """Start a command; returns its pid in the guest."""
        return self.call(
            "guest-exec", path="/usr/bin/env",
            arg=["PATH=/usr/lib/cxlf:/usr/sbin:/usr/bin", "HOME=/root",
                 *argv], **{"capture-output": True})["pid"]

    def poll(self, pid):
        """None while it runs, else (status, stdout, stderr) as bytes."""
        state = self.call("guest-exec-status", pid=pid)
        if not state["exited"]:
            return None
        status = 128 + state["signal"] if "signal" in state \
            else state.get("exitcode", 0)
        return (status, base64.b64decode(state.get("out-data", "")),
                base64.b64decode(state.get("err-data", "")))

    def kill(self, pid):
        """End a command that was started here."""
        self.call("guest-exec", path="/usr/bin/kill", arg=[str(pid)])


class Job:
    """A command in a guest, polled without blocking."""

    def __init__(self, agent, argv):
        self.agent = agent
        self.argv = argv
        self.pid = agent.start(argv)
        self.result = None
        self.pause = 0.02
        self.next = time.monotonic() + self.pause

    def poll(self):
        """The result as (status, stdout, stderr), or None."""
        if self.result is None and time.monotonic() >= self.next:
            self.result = self.agent.poll(self.pid)
            self.pause = min(self.pause * 1.5, 0.3)
            self.next = time.monotonic() + self.pause
        return self.result


def wait_all(jobs, timeout, step=None):
    """Wait for all jobs; a job's end in an error leaves the others be."""
    limit = time.monotonic() + timeout
    while True:
        left = [job for job in jobs if job.poll() is None]
        if not left:
            return [job.result for job in jobs]
        if time.monotonic() > limit:
            raise AgentError(
                f"'{' '.join(left[0].argv)}' in {left[0].agent.name} did "
                f"not end within {timeout} s")
        if step is not None:
            step.tick(f"{left[0].argv[0]}: {len(left)} of {len(jobs)} "
                      "guests still run")
        time.sleep(0.01)
