# SPDX-License-Identifier: GPL-2.0-or-later
"""The exhaustive checker of the shipping core, and errors seeded in its table.

The checker is tests/check/check-pages, linked with the core that QEMU has.
"""

import dataclasses
import os
import re
import subprocess

from . import build, qemu, ui

CHECKER = os.path.join("tests", "check", "check-pages")
MUTATIONS = os.path.join(qemu.TOP, "tests", "check", "mutations.txt")
TIMEOUT = 900
SMALL = ("--hosts", "2")
LARGER = ("--hosts", "3", "--no-recall")


@dataclasses.dataclass
class Run:
    """A configuration of the checker."""
    name: str
    arguments: tuple
    short: bool = True


RUNS = (
    Run("2 hosts, 1 page, 1 crash, recall", SMALL),
    Run("3 hosts, 1 page, 1 crash", LARGER),
    Run("3 hosts, 1 page, 1 crash, recall",
        ("--hosts", "3", "--limit", "12000000"), False),
)


def check(arguments):
    """(broken property or "", the checker's summary lines)."""
    path = os.path.join(build.BUILD, CHECKER)
    try:
        done = subprocess.run([path, *arguments], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired as late:
        raise ui.UserError(f"check-pages {' '.join(arguments)} did not end "
                           f"within {TIMEOUT} s") from late
    found = re.search(r"broken property: (.*)", done.stdout)
    broken = found.group(1) if found else ""
    if done.returncode and not broken:
        broken = done.stderr.strip() or done.stdout.strip() or "no result"
    return broken, re.findall(r"^# (?:pages|table coverage): (.*)$",
                              done.stdout, re.M), done.stderr


def check_runs(report, short):
    """Run the checker; report(name, ok, why, details) each."""
    for run in RUNS:
        if short and not run.short:
            continue
        with ui.Step(f"exploring the core: {run.name}"):
            broken, lines, trace = check(run.arguments)
        report("core, " + run.name, not broken,
               f"{broken}\n{trace}" if broken else "", "; ".join(lines))


def mutations():
    """[(corruption, what it breaks)]"""
    with open(MUTATIONS) as text:
        return [tuple(line.strip().split(" ", 1)) for line in text
                if line.strip() and not line.startswith("#")]


def check_mutations(report):
    """Each corrupted cell must break a property."""
    found = mutations()
    with ui.Step(f"exploring {len(found)} corrupted tables") as step:
        for number, (cell, why) in enumerate(found, 1):
            step.tick(f"{number} of {len(found)}: {why}")
            broken, _, _ = check((*SMALL, "--mutate", cell))
            if not broken:
                broken, _, _ = check((*LARGER, "--mutate", cell))
            report(f"core, {why} ({cell})", bool(broken),
                   "" if broken else "no property was broken",
                   f"caught by {broken}")
