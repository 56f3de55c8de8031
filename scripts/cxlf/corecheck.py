# SPDX-License-Identifier: GPL-2.0-or-later
"""The exhaustive checker of the shipping core, and errors seeded in it.

The checker is tests/check/check-core, linked with the core that QEMU has.
"""

import dataclasses
import os
import re
import subprocess

from . import build, qemu, ui

CHECKER = os.path.join("tests", "check", "check-core")
SOURCE = os.path.join(qemu.TOP, "tests", "check")
TIMEOUT = 900


@dataclasses.dataclass
class Run:
    """A configuration of the checker."""
    name: str
    arguments: str
    short: bool = True


@dataclasses.dataclass
class Result:
    """What the checker said; `broken` names a property, or is empty."""
    broken: str
    summary: str
    trace: str
    cells: dict


ALL_PAGES = "recall,evict,store,reset,clear,stray"
ALL_LINES = "line-own,line-evict,line-recall,line-clear,reset"
TIERS = "--tiers --lines 1 --with any-time,recall,promote"
FINITE = "--pages 0 --ways 2"
THREADS = f"{FINITE} --hosts 4 --lines 1 --with threads"
RUNS = (
    Run("pages: 2 hosts, mailboxes, all events, 1 crash",
        f"--with {ALL_PAGES},double"),
    Run("pages: 2 hosts, mailboxes, 2 crashes, rejoin",
        "--crashes 2 --with recall,evict,store,double,rejoin"),
    Run("pages: 3 hosts, all events, 1 crash",
        f"--hosts 3 --with any-time,split,{ALL_PAGES}"),
    Run("pages: 3 hosts, all events, 1 crash that loses data",
        f"--hosts 3 --with any-time,split,loss,{ALL_PAGES}"),
    Run("pages: 2 hosts x 2 pages, full logs, 1 crash",
        "--pages 2 --with any-time,full-log,recall,evict"),
    Run("leaf fails: 2 hosts, mailboxes, 1 crash, rejoin",
        "--failures 1 --with recall,evict,store,double,reset,rejoin"),
    Run("leaf fails: 2 hosts, logs that contradict each other, 1 crash",
        "--failures 1 --with any-time,recall,evict,bad-log,stray"),
    Run("leaf fails: 2 hosts x 1 page x 2 classes, no accesses, 1 crash",
        "--failures 1 --tiers --lines 1 --with "
        "any-time,recall,promote,evict,store,stray,no-access"),
    Run("leaf fails: 2 hosts, 1 crash that loses data, rejoin",
        "--failures 1 --with any-time,recall,evict,store,clear,stray,loss,"
        "rejoin"),
    Run("leaf fails: 2 hosts x 2 lines, 1 crash that loses data",
        "--failures 1 --pages 0 --lines 2 --with stray,loss"),
    Run("leaf fails: 2 hosts x 1 page x 2 classes, no accesses, 1 crash that "
        "loses data",
        "--failures 1 --tiers --lines 1 --with "
        "any-time,recall,promote,store,loss,no-access"),
    Run("leaf fails: 2 hosts x 1 page x 2 classes, 1 crash that loses data",
        f"--failures 1 {TIERS},store,line-clear,loss", False),
    Run("two classes: 3 hosts x 1 page, no accesses, 1 crash",
        "--hosts 3 --tiers --lines 1 --with "
        "any-time,recall,promote,evict,no-access"),
    Run("two classes: 2 hosts x 1 page, 1 crash",
        f"{TIERS},split,clear,stray"),
    Run("two classes: 2 hosts x 1 page, all events, 1 crash that loses data",
        f"{TIERS},evict,reset,clear,line-clear,stray,split,loss"),
    Run("lines: 3 hosts x 2 lines, all events, 1 crash",
        f"--pages 0 --hosts 3 --lines 2 --with stray,{ALL_LINES}"),
    Run("lines: 2 hosts x 2 lines, all events, 1 crash that loses data",
        f"--pages 0 --lines 2 --with stray,split,loss,{ALL_LINES}"),
    Run("finite: 2 hosts x 2 lines x 2 ways, all events, 1 crash",
        f"{FINITE} --lines 2 --with split,{ALL_LINES}"),
    Run("finite: 2 hosts x 3 lines x 2 ways, 1 crash that loses data",
        f"{FINITE} --lines 3 --with split,loss"),
    Run("finite: 3 hosts x 2 lines x 2 ways, stores, 1 crash, rejoin",
        f"{FINITE} --hosts 3 --lines 2 --with no-load,split,rejoin"),
    Run("finite: 3 hosts, one of 2 threads, x 1 line x 2 ways, stores, 1 "
        "crash",
        f"{THREADS},no-load", False),
    Run("finite: 2 hosts, one of 2 threads, x 2 lines x 2 ways, 1 crash",
        f"{FINITE} --hosts 3 --lines 2 --with threads", False),
    Run("pages: 3 hosts, mailboxes, recall, 1 crash",
        "--hosts 3 --with recall,store", False),
    Run("pages: 3 hosts x 2 pages, full logs, 1 crash",
        "--hosts 3 --pages 2 --with any-time,full-log,evict", False),
    Run("pages: 4 hosts, 2 crashes, rejoin",
        "--hosts 4 --crashes 2 --with any-time,split,recall,evict,rejoin",
        False),
    Run("leaf fails: 3 hosts, all events, 1 crash",
        f"--hosts 3 --failures 1 --with any-time,{ALL_PAGES}", False),
    Run("leaf fails twice: 2 hosts, mailboxes, 2 crashes, rejoin",
        "--failures 2 --crashes 2 --with recall,evict,store,double,rejoin",
        False),
    Run("leaf fails: 2 hosts x 1 page x 2 classes, 1 crash",
        f"--failures 1 {TIERS},evict", False),
    Run("two classes: 2 hosts x 1 page, mailboxes, 1 crash",
        "--tiers --lines 1 --with recall,promote", False),
    Run("two classes: 2 hosts x 1 page x 2 lines, 1 crash that loses data",
        "--tiers --lines 2 --with any-time,recall,promote,store,line-clear,"
        "split,loss", False),
    Run("two classes: 2 hosts x 1 page x 2 lines x 2 ways, writes, 1 crash",
        "--tiers --lines 2 --ways 2 --with any-time,recall,promote,no-load",
        False),
    Run("two classes: 2 hosts x 1 page, an advance in steps, 1 crash",
        f"{TIERS},evict,reset,clear,store,split,slow-advance", False),
    Run("finite: 3 hosts x 2 lines x 2 ways, 1 crash",
        f"{FINITE} --hosts 3 --lines 2", False),
    Run("finite: 3 hosts x 3 lines x 2 ways, stores, 1 crash",
        f"{FINITE} --hosts 3 --lines 3 --with no-load", False),
    Run("finite: 2 hosts x 3 lines x 3 ways, stores, 1 crash",
        "--pages 0 --ways 3 --lines 3 --with no-load", False),
    Run("finite: 2 hosts x 3 lines x 2 ways, all events, an advance in "
        "steps, 1 crash that loses data",
        f"{FINITE} --lines 3 --with split,loss,slow-advance,{ALL_LINES}",
        False),
)

# Where errors are seeded: the words of tests/check/mutations.txt
SEEDED = {
    "pages": "--with recall,evict,store",
    "pages3": "--hosts 3 --with any-time,store",
    "loss": "--with recall,evict,store,stray,loss",
    "leaf": "--failures 1 --with recall,evict,store",
    "leaf-loss": "--failures 1 --with any-time,store,loss",
    "leaf-tiers": "--failures 1 --tiers --lines 1 --with "
                  "any-time,recall,promote,store,no-access",
    "tiers": TIERS,
    "tiers-loss": f"{TIERS},store,loss",
    "lines": "--pages 0 --lines 2 --ways 2",
    "threads": f"{THREADS},no-load",
    "lines-loss": "--pages 0 --lines 2 --ways 2 --with loss",
}


def check(arguments):
    """Run the checker once."""
    path = os.path.join(build.BUILD, CHECKER)
    try:
        done = subprocess.run([path, *arguments.split(), "--cells"],
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired as late:
        raise ui.UserError(f"check-core {arguments} did not end within "
                           f"{TIMEOUT} s") from late
    found = re.search(r"broken property: (.*)", done.stdout)
    broken = found.group(1) if found else ""
    if done.returncode and not broken:
        broken = done.stderr.strip() or done.stdout.strip() or "no result"
    found = re.search(r"^# run: (\d.*)$", done.stdout, re.M)
    return Result(broken, found.group(1) if found else "", done.stderr, {
        word: set(re.findall(rf"^{word} (.*)$", done.stdout, re.M))
        for word in ("defined", "reached")})


def lines_of(name):
    """Lines of a file of tests/check, without comments."""
    with open(os.path.join(SOURCE, name)) as text:
        return [line.strip() for line in text
                if line.strip() and not line.startswith("#")]


def check_coverage(report, defined, reached):
    """Each cell of the table is executed, or listed with a reason."""
    reasons = dict(line.split(" ", 1) for line in lines_of("unreached.txt"))
    wrong = [f"{cell}: is not reached, and tests/check/unreached.txt does "
             "not say why" for cell in sorted(defined - reached)
             if cell not in reasons]
    wrong += [f"{cell}: is in tests/check/unreached.txt, and is "
              + ("reached" if cell in reached else "not defined")
              for cell in reasons
              if cell in reached or cell not in defined]
    figures = ", ".join(
        f"{len([cell for cell in reached if cell.startswith(unit)])} of "
        f"{len([cell for cell in defined if cell.startswith(unit)])} cells "
        f"of {unit}s reached" for unit in ("line", "page"))
    listed = "; ".join(f"{cell} is not: {why}"
                       for cell, why in reasons.items())
    report("core, coverage of the table", not wrong, "\n".join(wrong),
           f"{figures}; {listed}" if listed else figures)


def check_runs(report, short):
    """Run the checker; report(name, ok, why, details) each."""
    defined, reached = set(), set()
    runs = [run for run in RUNS if run.short or not short]
    with ui.Step(f"exploring the core in {len(runs)} configurations") as step:
        for number, run in enumerate(runs, 1):
            step.tick(f"{number} of {len(runs)}: {run.name}")
            result = check(run.arguments)
            defined |= result.cells["defined"]
            reached |= result.cells["reached"]
            why = f"{result.broken}\n{result.trace}" if result.broken else ""
            report("core, " + run.name, not why, why, result.summary)
    check_coverage(report, defined, reached)


def check_mutations(report):
    """Each seeded error must break a property."""
    found = [line.split(" ", 2) for line in lines_of("mutations.txt")]
    with ui.Step(f"exploring the core with {len(found)} errors") as step:
        for number, (where, what, why) in enumerate(found, 1):
            step.tick(f"{number} of {len(found)}: {why}")
            option = "--mutate" if "," in what else "--break"
            result = check(f"{SEEDED[where]} {option} {what}")
            report(f"core, {why} ({what})", bool(result.broken),
                   "" if result.broken else "no property was broken",
                   f"caught by {result.broken}; {result.summary}")
