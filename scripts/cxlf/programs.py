# SPDX-License-Identifier: GPL-2.0-or-later
"""The programs of tests/guest, run in a cluster's guests and understood.

The demonstration and the tests run the same programs and read the same one
line of JSON, and they wait for a load and for a reported death alike.
"""

import json
import random
import time

from . import agent, traffic, ui

ATTEMPTS = 3


def parse(outcome):
    """(status, result) of a program's (status, stdout, stderr).

    The result is the program's JSON, or a dictionary with its "error".
    """
    status, out, err = outcome
    try:
        result = json.loads(out.decode().strip().splitlines()[-1])
    except (ValueError, IndexError):
        result = {"error": err.decode(errors="replace").strip()
                  or "no output"}
    return status, result


class Programs:
    """Runs programs, each with a number that its memory has not seen."""

    def __init__(self):
        self.nonce = random.randrange(1, 1 << 31)

    def commands(self, hosts, program, *options):
        """{host: argv} of one more run, in which the hosts are ranks 0..."""
        self.nonce += 1
        return {
            host: [program, "--host", str(rank), "--hosts", str(len(hosts)),
                   "--run", str(self.nonce), *map(str, options)]
            for rank, host in enumerate(hosts)}

    def run(self, one, hosts, program, *options, timeout=120):
        """Run a program in guests as ranks 0..; [(status, result)]."""
        commands = self.commands(hosts, program, *options)
        with ui.Step(f"{program} in {len(hosts)} guests "
                     f"({one.config.device})") as step:
            done = one.run_all(commands, timeout, step)
        return [parse(done[host]) for host in hosts]

    def count(self, one, hosts, increments, threads):
        """(all exact, expected, found, [error]) of the counter program."""
        done = self.run(one, hosts, "counter", "--count", increments,
                        "--threads", threads)
        errors = [result["error"] for _, result in done if "error" in result]
        if errors:
            return False, 0, 0, errors
        exact = all(status == 0 for status, _ in done)
        return exact, done[0][1]["expected"], done[0][1]["found"], []

    def count_until_lost(self, one, hosts, increments, threads):
        """(expected, found, [error]) of a counter that can lose.

        What is lost depends on how two threads meet, so a run without a
        loss is repeated with twice the increments, a few times.
        """
        for _ in range(ATTEMPTS):
            _, expected, found, errors = self.count(one, hosts, increments,
                                                    threads)
            if errors or found < expected:
                break
            increments *= 2
        return expected, found, errors

    def hammer(self, one, hosts, seconds, threads):
        """Start the load for tests that kill; {host: job}."""
        commands = self.commands(hosts, "hammer", "--seconds", seconds,
                                 "--threads", threads)
        return {host: agent.Job(one.agent(host), argv)
                for host, argv in commands.items()}


def await_load(one, goals, step):
    """Wait until the agent of each host in {host: accesses} decided those."""
    start = one.counters()
    limit = time.monotonic() + 20
    while True:
        gain = traffic.gained(start, one.counters())
        idle = [host for host, goal in goals.items()
                if traffic.accesses(gain.get(host, {})) < goal]
        if not idle:
            return
        step.tick(f"waiting for the load of hosts {idle}")
        if time.monotonic() > limit:
            raise ui.UserError(f"hosts {idle} put too little load on the "
                               "fabric within 20 s")
        time.sleep(0.02)


def deaths(one, host):
    """(how often hosts of that number died, its state)."""
    for item in one.fabric()["hosts"]:
        if item["host"] == host:
            return item["deaths"], item["state"]
    return 0, "unknown"


def await_death(one, host, step=None, before=0):
    """True once the owner reports that the host died; False after 10 s.

    `before`: the deaths that were known already.
    """
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        count, state = deaths(one, host)
        if count > before and state != "up":
            return True
        if step is not None:
            step.tick("waiting for the owner to report the death")
        time.sleep(0.02)
    return False
