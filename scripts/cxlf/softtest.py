# SPDX-License-Identifier: GPL-2.0-or-later
"""BULK that is coherent by software, as guests see it.

The program softlitmus counts weak results: those that private copies allow.
In coherent mode there are none; in software mode they are seen unless the
program both flushes and invalidates, and what it forgets is reported.
"""

import time

from . import agent, qmp, traffic, ui

OFFSET = 112 << 20                      # where no other program works
COUNT = 200
TESTS = ("mp", "mp-line", "sb", "update", "one-line", "two-lines")
# Here the writer overwrites what is being read: that is reported, rightly.
RACES = ("mp-line",)
# What is forgotten here must be reported.
FORGETTERS = (("mp", "none"), ("mp", "flush"), ("mp", "invalidate"),
              ("update", "flush"))


def set_mode(one, mode, timeout=20):
    """Change the mode of all BULK; UserError if it does not happen."""
    qmp.call(one.place("owner.qmp"), "x-cxl-fabric-set-bulk-mode", mode=mode)
    limit = time.monotonic() + timeout
    while True:
        fabric = one.fabric()
        if set(fabric["bulk-mode"]) == {mode} and \
                not fabric["bulk-mode-changing"]:
            return
        if time.monotonic() > limit:
            raise ui.UserError(f"BULK is not in {mode} mode after {timeout} "
                               f"s: {fabric['bulk-mode']}")
        time.sleep(0.01)


def litmus(bench, test, sync, software):
    """Run one; (its weak results, its conflicts, what is wrong)."""
    before = bench.one.counters()
    done = bench.programs.run(
        bench.one, bench.hosts[:2], "softlitmus", "--test", test, "--sync",
        sync, "--count", COUNT, "--bulk-offset", OFFSET)
    gain = traffic.gained(before, bench.one.counters())
    wrong = [f"host {host}: status {status}, {result}"
             for host, (status, result) in enumerate(done) if status]
    if wrong:
        return 0, 0, wrong
    for host, (_, result) in enumerate(done):
        if result["software"] != int(software):
            wrong.append(f"host {host} was in another mode")
        if software and not gain[host]["copy-in"]:
            wrong.append(f"host {host} made no copies")
        if not software and gain[host]["copy-in"]:
            wrong.append(f"host {host} made copies in coherent mode")
    return (done[0][1]["weak"],
            sum(result["conflicts"] for _, result in done), wrong)


def coherent(bench):
    """Without flushes and invalidates, nothing is weak."""
    for test in TESTS:
        with bench.test(f"softlitmus {test} in coherent mode") as wrong:
            weak, conflicts, wrong[:] = litmus(bench, test, "none", False)
            if weak or conflicts:
                wrong.append(f"{weak} weak results, {conflicts} conflicts")


def software(bench):
    """Weak results without one of both, and none with both."""
    for test in TESTS:
        for sync in ("none", "flush", "invalidate", "both"):
            with bench.test(f"softlitmus {test}, sync {sync}") as wrong:
                weak, conflicts, wrong[:] = litmus(bench, test, sync, True)
                if sync == "both" and (weak or (conflicts and
                                                test not in RACES)):
                    wrong.append(f"{weak} weak results, {conflicts} "
                                 "conflicts")
                if sync == "none" and not weak:
                    wrong.append("no weak result was seen")
                if (test, sync) in FORGETTERS and not conflicts:
                    wrong.append("what was forgotten was not reported")
                if (test, sync) in FORGETTERS and not weak:
                    wrong.append("what was forgotten made no difference")


def change_under_load(bench):
    """The mode changes while guests count in BULK, one host at a time."""
    one = bench.one
    with bench.test("the mode changes under load") as wrong:
        commands = bench.programs.commands(
            bench.hosts[:1], "counter", "--count", 60000000, "--threads",
            bench.smp, "--dev", "/dev/cxlf/bulk", "--offset", OFFSET)
        jobs = {host: agent.Job(one.agent(host), argv)
                for host, argv in commands.items()}
        changes = 0
        while any(not job.poll() for job in jobs.values()):
            set_mode(one, ("software", "coherent")[changes % 2])
            changes += 1
            time.sleep(0.05)
        for host, job in jobs.items():
            status, out, err = job.result
            if status:
                wrong.append(f"host {host}: status {status}, {out} {err}")
        if changes < 3:
            wrong.append(f"only {changes} changes happened meanwhile")


def run(bench):
    """All of it, in a cluster of two hosts or more with page ownership."""
    with ui.Step("software-coherent BULK"):
        coherent(bench)
        change_under_load(bench)
        set_mode(bench.one, "software")
        software(bench)
        set_mode(bench.one, "coherent")
    with bench.test("BULK is coherent again") as wrong:
        weak, conflicts, wrong[:] = litmus(bench, "mp", "none", False)
        if weak or conflicts:
            wrong.append(f"{weak} weak results, {conflicts} conflicts")
