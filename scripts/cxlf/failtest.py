# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts that die or stand still with pages and lines that others want.

With on-death=poison what a dead host had modified is lost: its users get
SIGBUS, the device's list names it, and it is usable again once it has been
cleared.  A host that only stands still is waited for, by a vCPU that sleeps
in its page fault; QEMU must be able to do all that it does meanwhile.
"""

import json
import signal
import time

from . import agent, programs, qmp, regiontest, softtest, traffic, ui

POISON = "on-death=poison"
AREA = 40 << 20                         # of what a dead host had modified
DATA = AREA + 4096                      # behind the programs' control page
NEIGHBOUR = 44 << 20
# Memory: (device, bytes that are written): pages of BULK, lines of HOT.
MEMORIES = {"BULK": ("/dev/cxlf/bulk", 8192), "HOT": ("/dev/cxlf/hot", 256)}
RECOVERY = 1.0                          # seconds from a kill to its event
ANSWER = 30                             # seconds, of a monitor

# The media errors as the stock kernel and tools show them.
LIST = r"""
mountpoint -q /sys/kernel/tracing || mount -t tracefs t /sys/kernel/tracing
cxl list -M -L
"""

# $1: a DPA, $2: behind the last.  One command clears one line.
CLEAR = r"""
mountpoint -q /sys/kernel/debug || mount -t debugfs d /sys/kernel/debug
at=$1
while [ "$at" -lt "$2" ]; do
    echo "$at" >/sys/kernel/debug/cxl/mem0/clear_poison || exit 1
    at=$((at + 64))
done
"""


def pattern(bench, host, seed, write=False):
    """Write the words of a seed to both memories, or find them."""
    options = ["--seed", str(seed)] + (["--write"] if write else [])
    wrong = []
    for device, size in MEMORIES.values():
        done = bench.one.run_all({host: [
            "pattern", "--dev", device, "--offset", str(AREA), "--bytes",
            str(size), *options]}, 60)[host]
        status, result = programs.parse(done)
        if status:
            wrong.append(f"host {host}: {device}: {result}")
    return wrong


def base(bench, memory):
    """The DPA at which a memory begins."""
    return bench.config.hot if memory == "BULK" else 0


def media_errors(bench, host):
    """[(first DPA, DPA behind)] of what the guest's tools list."""
    found = json.loads(regiontest.script(bench, host, LIST))
    return sorted((item["offset"], item["offset"] + item["length"])
                  for memdev in found
                  for item in memdev.get("media_errors", ()))


def kill(bench, victim, wrong):
    """Kill a host; what the owner's event says of it."""
    one = bench.one
    with qmp.Monitor(one.place("owner.qmp")) as monitor:
        died = time.time()
        one.kill(victim)
        event = monitor.event("X_CXL_FABRIC_HOST_DEAD")
    stamp = event["timestamp"]
    seconds = stamp["seconds"] + stamp["microseconds"] / 1e6 - died
    if event["data"]["host"] != victim:
        wrong.append(f"the event was of host {event['data']['host']}")
    if seconds > RECOVERY:
        wrong.append(f"recovery took {seconds:.2f} s")
    return event["data"]


def sigbus_argv(memory, at, host):
    """What another host writes may be lost with it: a neighbour for each."""
    return ["sigbus", "--dev", MEMORIES[memory][0], "--at", str(at),
            "--neighbour", str(NEIGHBOUR + (host << 20))]


# What a dead host had modified

def poison(bench, victim, hosts):
    """A host is killed; all of what it had modified, and only that, fails."""
    with bench.test(f"host {victim}'s death is over within a second, and "
                    "poisons") as wrong:
        wrong += pattern(bench, victim, 31, write=True)
        said = kill(bench, victim, wrong)
        if not 0 < said["modified"] <= said["poisoned"]:
            wrong.append(f"the event: {said}")
    for memory, (_, size) in MEMORIES.items():
        for at in (DATA, DATA + size - 8):
            with bench.test(f"SIGBUS at {at - DATA} of lost {memory}") \
                    as wrong:
                before = bench.one.counters()
                commands = {host: sigbus_argv(memory, at, host)
                            for host in hosts}
                for host, done in bench.one.run_all(commands, 60).items():
                    status, result = programs.parse(done)
                    if status:
                        wrong.append(f"host {host}: {status}, {result}")
                gain = traffic.gained(before, bench.one.counters())
                wrong += [f"host {host} counted no machine check"
                          for host in hosts
                          if not gain[host]["machine-check"]]
    with bench.test("the guests list what was lost") as wrong:
        for host in hosts:
            found = media_errors(bench, host)
            for memory, (_, size) in MEMORIES.items():
                first = base(bench, memory) + DATA
                if not any(low <= first and first + size <= high
                           for low, high in found):
                    wrong.append(f"host {host}: {memory} is not in {found}")


def clear(bench, host, hosts):
    """One guest clears all that is listed, and all use it again."""
    with bench.test("poison is cleared by the stock kernel's means") \
            as wrong, ui.Step(f"host {host} clears poison"):
        for first, end in media_errors(bench, host):
            regiontest.script(bench, host, CLEAR, first, end)
        for other in hosts:
            left = media_errors(bench, other)
            if left:
                wrong.append(f"host {other} still lists {left}")
    with bench.test("what was cleared is memory again") as wrong:
        for seed, (writer, reader) in enumerate(
                zip(hosts, hosts[1:] + hosts[:1]), 32):
            wrong += pattern(bench, writer, seed, write=True)
            wrong += pattern(bench, reader, seed)


def poison_of_a_sleeper(bench, victim, host):
    """A vCPU sleeps for a page of a host that then dies."""
    with bench.test("a vCPU that sleeps for lost BULK is woken by SIGBUS") \
            as wrong, Held(bench, victim) as held:
        wrong += pattern(bench, victim, 41, write=True)
        held.stop()
        job = held.touch(host, sigbus_argv("BULK", DATA, host))
        kill(bench, victim, wrong)
        status, result = programs.parse(agent.wait_all([job], 60)[0])
        if status:
            wrong.append(f"host {host}: {status}, {result}")


def poisoned(bench):
    """Deaths with on-death=poison: one at rest, one that is waited for."""
    poison(bench, 1, [0, 2])
    clear(bench, 0, [0, 2])
    poison_of_a_sleeper(bench, 2, 0)
    clear(bench, 0, [0])
    with bench.test("the guest lived through all of it") as wrong:
        wrong += [] if bench.one.alive("host0") else ["it did not"]
        regiontest.script(bench, 0, "cat /proc/uptime")


# A host that stands still

class Held:
    """One host's process, stopped by SIGSTOP for a while."""

    def __init__(self, bench, host):
        self.bench = bench
        self.process = bench.one.process(f"host{host}")
        self.stopped = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.resume()

    def stop(self):
        self.process.signal(signal.SIGSTOP)
        self.stopped = True

    def resume(self):
        if self.stopped:
            self.process.signal(signal.SIGCONT)
            self.stopped = False

    def touch(self, host, argv):
        """Start a program that will wait for a page; a job, not polled.

        The guest cannot answer while its one vCPU sleeps, so the program
        begins after guest-exec has been answered.
        """
        before = self.bench.one.counters()
        job = agent.Job(self.bench.one.agent(host), [
            "sh", "-c", 'usleep 700000; exec "$@"', "sh", *argv])
        limit = time.monotonic() + 20
        while traffic.gained(before, self.bench.one.counters())[host][
                "page-fault"] < 1:
            if time.monotonic() > limit:
                raise ui.UserError(f"host {host} did not fault within 20 s")
            time.sleep(0.02)
        time.sleep(0.3)
        return job


def pages(seed, *options):
    """The command line for the pages of BULK alone."""
    device, size = MEMORIES["BULK"]
    return ["pattern", "--dev", device, "--offset", str(AREA), "--bytes",
            str(size), "--seed", str(seed), *options]


def own(bench, host, seed, wrong):
    """Make these pages that host's."""
    done = bench.one.run_all({host: pages(seed, "--write")}, 60)[host]
    if done[0]:
        wrong.append(f"host {host}: {programs.parse(done)}")


def monitor_of(bench, host):
    return qmp.Monitor(bench.one.place(f"host{host}.qmp"), ANSWER)


def expect_status(monitor, want, wrong):
    found = monitor.call("query-status")["status"]
    if found != want:
        wrong.append(f"its state is '{found}', not '{want}'")


def stop_and_go(bench, held, wrong):
    """stop, cont and snapshots while the vCPU sleeps; then its data."""
    own(bench, 1, 51, wrong)
    held.stop()
    job = held.touch(0, pages(51))
    with monitor_of(bench, 0) as monitor:
        for _ in range(3):
            monitor.call("stop")
            expect_status(monitor, "paused", wrong)
            monitor.call("cont")
            expect_status(monitor, "running", wrong)
        said = monitor.call("human-monitor-command",
                            **{"command-line": "savevm held"})
        if "Error" not in said:
            wrong.append(f"savevm was not refused: {said!r}")
        expect_status(monitor, "running", wrong)
        # It is stopped when the page comes, and goes on afterwards.
        monitor.call("stop")
        held.resume()
        time.sleep(0.2)
        monitor.call("cont")
    status, result = programs.parse(agent.wait_all([job], 60)[0])
    if status:
        wrong.append(f"host 0's program: {status}, {result}")


def reset(bench, held, wrong):
    """system_reset while the vCPU sleeps; the guest boots again."""
    own(bench, 1, 52, wrong)
    held.stop()
    held.touch(0, pages(52))
    with monitor_of(bench, 0) as monitor:
        # The launcher's QEMU would end instead.
        monitor.call("set-action", reboot="reset")
        monitor.call("system_reset")
        monitor.event("RESET")
        expect_status(monitor, "running", wrong)
    held.resume()
    bench.one.ready.discard(0)
    bench.one.wait_again(0)
    done = bench.one.run_all({0: pages(52)}, 60)[0]
    if done[0]:
        wrong.append(f"host 0 after its reset: {programs.parse(done)}")


def leave(bench, held, wrong):
    """quit while the vCPU sleeps ends the process, and it has left."""
    own(bench, 1, 53, wrong)
    held.stop()
    held.touch(0, pages(53, "--write"))
    before = programs.deaths(bench.one, 0)[0]
    with monitor_of(bench, 0) as monitor:
        monitor.call("quit")
    if not bench.one.process("host0").wait(ANSWER):
        wrong.append(f"host 0 did not end within {ANSWER} s of quit")
    if programs.deaths(bench.one, 0)[0] != before:
        wrong.append("its end was counted as a death")
    held.resume()
    done = bench.one.run_all({1: pages(53)}, 60)[1]
    if done[0]:
        wrong.append(f"host 1 afterwards: {programs.parse(done)}")


def kept(bench, victim):
    """With on-death=keep what a dead host had written is there."""
    with bench.test("with on-death=keep a dead host's words stay") as wrong:
        wrong += pattern(bench, victim, 61, write=True)
        said = kill(bench, victim, wrong)
        if said["poisoned"]:
            wrong.append(f"the event: {said}")
        for host in (0, 1):
            wrong += pattern(bench, host, 61)
            if media_errors(bench, host):
                wrong.append(f"host {host} lists media errors")


def held_up(bench):
    """A default cluster of three; host 1 stands still while 0 waits."""
    softtest.run(bench)
    kept(bench, 2)
    for name, body in (("stop, cont and savevm", stop_and_go),
                       ("system_reset", reset), ("quit", leave)):
        with bench.test(f"{name} while a vCPU sleeps for a page") as wrong, \
                Held(bench, 1) as held:
            body(bench, held, wrong)
