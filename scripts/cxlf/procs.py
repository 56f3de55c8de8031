# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes that outlive their launcher, and are never confused.

A process is known by pid, start time and boot, noted in a file by the child
itself before it becomes the emulator: so there is no moment at which a
launcher that is killed leaves one unknown, and a recycled pid is never
signalled.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time

LOOK_MS = 200


def _boot():
    with open("/proc/sys/kernel/random/boot_id") as text:
        return text.read().strip()


def _start_time(pid):
    """When a process started, in ticks since boot; None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as text:
            fields = text.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[0] in "ZX":
        return None
    return int(fields[19])


def note_self(path):
    """Write down who this process is (a child does it before exec)."""
    pid = os.getpid()
    text = json.dumps({"pid": pid, "start": _start_time(pid),
                       "boot": _boot()})
    with open(path + ".part", "w") as out:
        out.write(text)
    os.rename(path + ".part", path)


def spawn(argv, path, log, **kwargs):
    """Start a process of its own session, noted in the file `path`."""
    with open(log, "ab") as out:
        return subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True, preexec_fn=lambda: note_self(path),
            **kwargs)


class Known:
    """A process that a file of `spawn` names."""

    def __init__(self, path):
        self.path = path
        self.name = os.path.basename(path)
        with open(path) as text:
            about = json.load(text)
        self.pid = about["pid"]
        self.fd = None
        if about["boot"] != _boot():
            return
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        # The descriptor first, then the look: what it names cannot change.
        if _start_time(self.pid) == about["start"]:
            self.fd = fd
        else:
            os.close(fd)

    def __del__(self):
        if getattr(self, "fd", None) is not None:
            os.close(self.fd)

    def _ended(self, milliseconds):
        # Not select(): it knows no descriptor above 1023.
        look = select.poll()
        look.register(self.fd, select.POLLIN)
        return bool(look.poll(milliseconds))

    def alive(self):
        return self.fd is not None and not self._ended(0)

    def signal(self, number):
        if self.alive():
            signal.pidfd_send_signal(self.fd, number)

    def wait(self, seconds):
        """True if it has ended within `seconds`."""
        if self.fd is None:
            return True
        ended = self._ended(int(seconds * 1000))
        _reap(self.pid)
        return ended


def _reap(pid):
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def known(folder):
    """The processes noted in a folder, whether they live or not."""
    found = []
    if os.path.isdir(folder):
        for name in sorted(os.listdir(folder)):
            if not name.endswith(".part"):
                try:
                    found.append(Known(os.path.join(folder, name)))
                except (FileNotFoundError, ValueError):
                    pass
    return found


def end_all(folder, patience=3):
    """End the processes noted in a folder; returns how many lived."""
    living = [proc for proc in known(folder) if proc.alive()]
    for proc in living:
        proc.signal(signal.SIGTERM)
    limit = time.monotonic() + patience
    for proc in living:
        if not proc.wait(max(0, limit - time.monotonic())):
            proc.signal(signal.SIGKILL)
            proc.wait(10)
    return len(living)


def _watch(pipe, clean, look):
    """The watchdog: wait for the word, and clean up if it never comes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    ready = select.poll()
    ready.register(pipe, select.POLLIN)
    while look and not ready.poll(LOOK_MS):
        look()
    if os.read(pipe, 1) == b"":
        clean()


class Watchdog:
    """Calls clean() if this process dies before `release()`.

    Meanwhile it calls look(), if there is one, a few times a second, also
    while this process is stopped.  Both run in a process of their own, which
    keeps open of this one's descriptors those in `keep`.
    """

    def __init__(self, clean, look=None, keep=()):
        reader, self.writer = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.setsid()
                os.close(self.writer)
                null = os.open(os.devnull, os.O_RDWR)
                for fd in (0, 1, 2):
                    os.dup2(null, fd)
                for fd in map(int, os.listdir("/proc/self/fd")):
                    if fd > 2 and fd != reader and fd not in keep:
                        try:
                            os.close(fd)
                        except OSError:
                            pass
                _watch(reader, clean, look)
                status = 0
            finally:
                os._exit(status)
        os.close(reader)

    def release(self):
        """No cleaning is needed: the launcher has done its work."""
        if self.writer is not None:
            os.write(self.writer, b"k")
            os.close(self.writer)
            self.writer = None
            os.waitpid(self.pid, 0)

    def hand_over(self):
        """The watchdog is to clean now; this process may end meanwhile."""
        if self.writer is not None:
            os.close(self.writer)
            self.writer = None
