# SPDX-License-Identifier: GPL-2.0-or-later
"""Transitions per second of the core's directory, and their instructions;
and routes, changes of tables, commands and crawls of a Fabric Manager.

Rounds go through all cases in turn, so what else the machine does hits all
alike; a figure is the median of its rounds, and a ratio the median of the
rounds' ratios, which bench-route makes by itself.  Instructions are callgrind's, the same on every machine.
"""

import json
import os
import re
import statistics
import subprocess
import tempfile

from . import build, debian, ui

PROGRAM = os.path.join("tests", "bench", "bench-core")
ROUTES = os.path.join("tests", "bench", "bench-route")
OPERATIONS = 2000000
COUNTED = 50000
# Two threads on different shards against one: (case, threads, shards) pairs.
SCALING = ((("write-hit", 2, 8), ("write-hit", 1, 8)),
           (("miss-evict", 2, 8), ("miss-evict", 1, 8)))
SCALING_AIM = 1.8
RATE_AIM = 20


def _run(operations, case=None):
    """[{"case", "threads", "shards", "operations", "ns", ...}]"""
    argv = [os.path.join(build.BUILD, PROGRAM), str(operations)]
    text = subprocess.run(argv + ([str(case)] if case is not None else []),
                          check=True, stdout=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, text=True).stdout
    return [json.loads(line) for line in text.splitlines()]


def _key(sample):
    return sample["case"], sample["threads"], sample["shards"]


def _collected(operations, case):
    """Instructions of the whole program, from callgrind."""
    with tempfile.TemporaryDirectory(prefix="cxlf-core-") as folder:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind",
             f"--callgrind-out-file={folder}/out",
             os.path.join(build.BUILD, PROGRAM), str(operations), str(case)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
    found = re.search(r"Collected : (\d+)", done.stdout)
    if not found:
        raise ui.UserError("callgrind counted nothing:\n" + done.stdout[-800:])
    return int(found.group(1))


def instructions(case):
    """Instructions of a transition: what more transitions cost more."""
    more = _collected(2 * COUNTED, case) - _collected(COUNTED, case)
    return more / COUNTED


def routes():
    """[{"case", "ns", "loads", "directory-hits"}], in order."""
    with ui.Step("timing routes"):
        text = subprocess.run([os.path.join(build.BUILD, ROUTES)],
                              check=True, stdout=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, text=True).stdout
    # What all are compared with comes last.
    return [json.loads(line) for line in reversed(text.splitlines())]


def measure(rounds):
    """The report: cases with medians, and ratios of rounds."""
    debian.install(["valgrind"])
    build.setup()
    ui.run(["ninja", "-C", build.BUILD, PROGRAM, ROUTES],
           env=build.environment())
    rates = []
    with ui.Step("timing the core") as step:
        for number in range(rounds):
            step.tick(f"round {number + 1} of {rounds}")
            rates.append({_key(s): s["million-per-second"]
                          for s in _run(OPERATIONS)})
    cases = []
    with ui.Step("counting instructions") as step:
        for number, key in enumerate(rates[0]):
            step.tick("{}, {} threads".format(*key))
            values = [r[key] for r in rates]
            cases.append({
                "case": key[0], "threads": key[1], "shards": key[2],
                "million-per-second": statistics.median(values),
                "best": max(values),
                # Threads wait for each other, and callgrind counts that.
                "instructions": round(instructions(number))
                if key[1] == 1 else None})
    ratios = [{"of": list(a), "to": list(b),
               "ratio": round(statistics.median(r[a] / r[b] for r in rates),
                              2)} for a, b in SCALING]
    return {"rounds": rounds, "load": os.getloadavg()[0], "cases": cases,
            "ratios": ratios, "routes": routes()}


def show(report):
    print(f"{'case':20} {'threads':>7} {'shards':>6} {'M/s':>7} {'best':>7} "
          f"{'instructions':>12}")
    for c in report["cases"]:
        counted = c["instructions"] if c["instructions"] is not None else "-"
        print(f"{c['case']:20} {c['threads']:7} {c['shards']:6} "
              f"{c['million-per-second']:7.1f} {c['best']:7.1f} "
              f"{counted:>12}")
    for r in report["ratios"]:
        print(f"{r['of'][0]}: {r['of'][1]} threads on different shards "
              f"against {r['to'][1]}: {r['ratio']:.2f} "
              f"(aim {SCALING_AIM})")
    print(f"\n{'routes':24} {'ns':>10} {'plain loads':>12} "
          f"{'directory hits':>15}")
    for c in report["routes"]:
        print(f"{c['case']:24} {c['ns']:10.1f} {c['loads']:12.2f} "
              f"{c['directory-hits']:15.2f}")
    print(f"\naim of one thread without contention: {RATE_AIM} M/s")


def run(rounds, path):
    """scripts/bench --core; returns the exit status."""
    report = measure(rounds)
    show(report)
    if path:
        with open(path, "w") as out:
            json.dump(report, out, indent=1)
    return 0
