# SPDX-License-Identifier: GPL-2.0-or-later
"""The simulator: single runs, many seeds, the large run, and its test stage.

The simulator is tests/sim/cxlf-sim, linked with the core that QEMU has.
"""

import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile

from . import build, cli, qemu, simplot, topology, ui

PROGRAM = os.path.join("tests", "sim", "cxlf-sim")
MUTATIONS = os.path.join(qemu.TOP, "tests", "sim", "mutations.txt")
CHUNK = 100
TIMEOUT = 1800
# So many seeds reach every cell of the table.
SEEDS = 10000
SHORT = 200
BREAKS = ("skip-zap", "early-answer", "no-log", "no-snoop", "no-writeback",
          "no-death", "early-snoop", "no-quiescence",
          "no-poison-list")
# Cells of the table that no run can reach, and why: none.
UNREACHABLE = {}
LARGE = ("--hosts", "4095", "--leaves", "64", "--spines", "8", "--shards",
         "4", "--gfams", "4", "--hot-pages", "8192", "--bulk-pages", "4096",
         "--line-entries", "256", "--tiers", "--ops", "20000000",
         "--crash-hosts", "60", "--crash-leaves", "6", "--partition", "200",
         "--drop", "0.001", "--dup", "0.001", "--delay", "0.01", "--split",
         "0.02", "--evict", "0.01", "--demote", "0.001", "--policy",
         "poisoned", "--check-every", "20000000")


def program():
    """Build the simulator if it is out of date; returns its path."""
    build.setup()
    ui.run(["ninja", "-C", build.BUILD, PROGRAM], env=build.environment())
    return os.path.join(build.BUILD, PROGRAM)


def run(arguments, timeout=TIMEOUT):
    """(exit status, stdout, stderr) of the simulator."""
    argv = [os.path.join(build.BUILD, PROGRAM), *arguments]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=timeout)
    except subprocess.TimeoutExpired as late:
        raise ui.UserError(f"'{' '.join(argv)}' did not end within "
                           f"{timeout} s") from late
    return done.returncode, done.stdout, done.stderr


def report_of(arguments):
    """The report of one run, as it would be written by --json."""
    status, out, err = run([*arguments, "--quiet", "--json", "-"])
    if status:
        raise ui.UserError(f"cxlf-sim {' '.join(arguments)}:\n{err}")
    return json.loads(out)


# Many seeds

def _chunk(first, count, arguments):
    with tempfile.TemporaryDirectory(prefix="cxlf-sim-") as folder:
        path = os.path.join(folder, "coverage.json")
        status, out, err = run(["--seeds", f"{first}:{count}", "--quiet",
                                "--coverage", path, *arguments])
        found = re.search(r"(\d+) seeds, (\d+) events, .* (\d+) failed", out)
        if not found or status > 1:
            raise ui.UserError(f"cxlf-sim ended with status {status}:\n"
                               + (err or out)[-2000:])
        with open(path) as text:
            return int(found.group(2)), int(found.group(3)), err, \
                json.load(text)


def run_seeds(first, count, arguments, jobs):
    """Run seeds in parallel; returns (events, failed, errors, coverage).

    Coverage is (defined cells, {cell: how often}).
    """
    starts = range(first, first + count, CHUNK)
    events = failed = done = 0
    errors, hits, defined = [], {}, set()
    with ui.Step(f"simulating {count} seeds") as step, \
            concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        chunks = [pool.submit(_chunk, start,
                              min(CHUNK, first + count - start), arguments)
                  for start in starts]
        try:
            for future in concurrent.futures.as_completed(chunks):
                more, bad, err, coverage = future.result()
                events += more
                failed += bad
                done += 1
                if bad:
                    errors.append(err)
                defined |= {tuple(cell) for cell in coverage["defined"]}
                for _, state, relation, event, times in coverage["coverage"]:
                    cell = (state, relation, event)
                    hits[cell] = hits.get(cell, 0) + times
                step.tick(f"{min(done * CHUNK, count)} of {count} seeds, "
                          f"{failed} failed, {events / 1e6:.1f} million "
                          "events")
        finally:
            pool.shutdown(cancel_futures=True)
    return events, failed, errors, (sorted(defined), hits)


def unreached(coverage):
    """Defined cells that were not reached and have no reason not to be."""
    defined, hits = coverage
    return [cell for cell in defined
            if cell not in hits and cell not in UNREACHABLE]


def check_seeds(report, count, first=1, jobs=None):
    """Run random seeds; report(name, ok, why, details) them and coverage.

    The cells of the table are all reached by some 10,000 seeds, not by few.
    """
    events, failed, errors, coverage = run_seeds(
        first, count, ("--random",), jobs or os.cpu_count() or 1)
    report(f"simulator, {count} seeds", not failed, "\n".join(errors),
           f"{events:,} events, seeds {first} to {first + count - 1}")
    defined, hits = coverage
    missed = unreached(coverage)
    reached = len([cell for cell in defined if cell in hits])
    text = f"{reached} of {len(defined)} defined cells"
    if missed:
        text += ", not reached: " + "; ".join(", ".join(c) for c in missed)
    for cell, why in UNREACHABLE.items():
        text += f"; never {', '.join(cell)}: {why}"
    report("simulator, table coverage", count < SEEDS or not missed, text,
           text)


# Errors that are put in

def mutations():
    """[(corruption, what it breaks)]"""
    with open(MUTATIONS) as text:
        return [tuple(line.strip().split(" ", 1)) for line in text
                if line.strip() and not line.startswith("#")]


def _caught(arguments):
    """The property that an error breaks, or "", and what is wrong else."""
    status, _, err = run(["--random", "--seeds", f"1:{SHORT}", "--stop",
                          "--quiet", *arguments])
    broken = re.search(r"^broken property: ([^:]*)", err, re.M)
    if status != 1 or not broken:
        return "", "nothing was noticed"
    again = re.search(r"^rerun: scripts/simulate (.*)$", err, re.M)
    if not again:
        return "", "no line says how to run it again"
    status, _, second = run(again.group(1).split() + ["--quiet"])
    if status != 1 or f"broken property: {broken.group(1)}" not in second:
        return "", f"'{again.group(0)}' does not show it again"
    return broken.group(1), ""


def check_mutations(report):
    """Each error must be noticed, and again when it is run again."""
    found = [(f"agents: {name}", ("--break", name)) for name in BREAKS]
    found += [(f"{why} ({cell})", ("--mutate", cell))
              for cell, why in mutations()]
    with ui.Step(f"simulating {len(found)} errors") as step:
        for number, (name, arguments) in enumerate(found, 1):
            step.tick(f"{number} of {len(found)}: {name}")
            broken, why = _caught(arguments)
            report(f"simulator, {name}", bool(broken), why,
                   f"caught by {broken}")


def check_determinism(report):
    """One seed gives one report, another seed another."""
    wrong = []
    for seed in range(1, 9):
        arguments = ("--random", "--seed", str(seed))
        first, second = report_of(arguments), report_of(arguments)
        other = report_of(("--random", "--seed", str(seed + 1000)))
        for one in (first, second, other):
            del one["wall"]
        if first != second:
            wrong.append(f"seed {seed} gives two reports")
        if first["latency-ns"] == other["latency-ns"]:
            wrong.append(f"seeds {seed} and {seed + 1000} give one report")
    report("simulator, determinism", not wrong, "; ".join(wrong),
           "8 seeds twice")


def check_options(report):
    """Bad values get an error that names the option and what it accepts."""
    wrong = []
    for arguments, says in (
            (("--hosts", "5000"), "--hosts 5000: must be a whole number "
             "from 2 to 4095"),
            (("--drop", "2"), "--drop 2: must be a number from 0 to 1"),
            (("--workload", "x"), "--workload x: must be one of lock, "),
            (("--grain", "100"), "--grain must be a power of two"),
            (("--mutate", "x"), "--mutate x: must be STATE,"),
            (("--ops",), "--ops : must be a whole number"),
            (("--nothing",), "'--nothing' is no option")):
        status, _, err = run(arguments)
        if not status or says not in err:
            wrong.append(f"{' '.join(arguments)}: {err.strip()}")
    report("simulator, bad options", not wrong, "; ".join(wrong), "7 of them")


def stage(tally):
    """The short form, for the regression suite."""
    def report(name, ok, why, _):
        tally.add(f"protocol/{name}", ok, why)

    program()
    check_determinism(report)
    check_options(report)
    check_topologies(report)
    check_seeds(report, SHORT)
    check_mutations(report)


# Topologies

def blob_of(source):
    """A topology's source as a blob, which stays there to run it again."""
    place = os.path.join(build.BUILD, "topologies")
    os.makedirs(place, exist_ok=True)
    name = os.path.splitext(os.path.basename(source))[0]
    blob = os.path.join(place, name + ".dtb")
    topology.compiled(source, blob)
    return blob


def check_topologies(report):
    """Runs and crawls on the links of topology files."""
    wrong = []
    # {source: PIDs, switches, devices, hosts}
    for name, found in (("leaf-spine", (12, 6, 2, 4)),
                        ("pooled", (6, 1, 1, 4)),
                        ("large", (560, 40, 8, 512))):
        blob = blob_of(os.path.join(topology.FOLDER, name + ".dts"))
        status, out, err = run(["--topology", blob, "--crawl"])
        says = "crawled {} PIDs, of {} switches, {} devices and {} hosts" \
            .format(*found)
        if status or says not in out:
            wrong.append(f"{name}: {out}{err} is not '{says}'")
        done = report_of(["--topology", blob, "--ops", "20000",
                          "--partition", "10", "--crash-hosts", "2"])
        links = [done["host-links"]]
        if found[1] > 1:            # some between switches
            links.append(done["leaf-links"])
        if done["broken"] or not all(link["messages"] for link in links):
            wrong.append(f"{name}: broken {done['broken']}, links {links}")
        status, _, err = run(["--topology", blob, "--hosts", "9"])
        if not status or "--hosts and --topology exclude" not in err:
            wrong.append(f"{name} and --hosts: {err}")
    # As many PIDs as there can be, and one more.
    most = ("--crawl", "--leaves", "64", "--spines", "16", "--gfams", "5")
    status, out, err = run([*most, "--hosts", "4010"])
    if status or "crawled 4095 PIDs" not in out:
        wrong.append(f"4,095 PIDs: {out}{err}")
    status, _, err = run([*most, "--hosts", "4011"])
    if not status or "more components than 4,095 PIDs" not in err:
        wrong.append(f"4,096 PIDs: {err}")
    report("simulator, topologies", not wrong, "; ".join(wrong),
           "3 files and 4,095 PIDs")


# The command

def _parser():
    parser = argparse.ArgumentParser(
        description="Simulate hosts, switches and agents around the shipping "
        "protocol core, and check every value that a host reads.",
        epilog="All other options are the simulator's own; --options lists "
        "them.  The same seed and options give the same run.",
        allow_abbrev=False)
    parser.add_argument("--options", action="store_true",
                        help="list the simulator's options")
    parser.add_argument("--seeds", metavar="FIRST:COUNT",
                        help="many random runs; prints which cells of the "
                        "protocol table were not reached")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1,
                        metavar="N", help="runs at a time (default: one for "
                        "each processor)")
    parser.add_argument("--topology", metavar="FILE",
                        help="a topology's source or blob: hosts, switches, "
                        "links, routes and directory are as it says")
    parser.add_argument("--crawl", action="store_true",
                        help="find all PIDs by a Fabric Manager's commands, "
                        "and print how long that took; no accesses")
    parser.add_argument("--large", action="store_true",
                        help="4,095 hosts and 64 leaves, with faults; other "
                        "options change what they name")
    parser.add_argument("--sweep", metavar="FOLDER",
                        help="8 to 4,095 hosts with each grain; writes "
                        "a table, simulation-hosts.svg and "
                        "simulation-grain.svg there")
    parser.add_argument("--json", metavar="FILE",
                        help="write the run's report there")
    parser.add_argument("--plot", metavar="FILE",
                        help="draw the run's latencies there, as SVG")
    parser.add_argument("--report", metavar="FILE",
                        help="write the run's figures there, as Markdown")
    return parser


def _seeds(args, rest):
    found = re.fullmatch(r"(\d+):(\d+)", args.seeds)
    if not found or not int(found.group(2)):
        raise ui.UserError(f"--seeds {args.seeds}: must be FIRST:COUNT, for "
                           "instance 1:10000")
    if args.jobs < 1:
        raise ui.UserError(f"--jobs {args.jobs}: must be 1 or more")
    report = ui.Verdicts()
    first, count = int(found.group(1)), int(found.group(2))
    if rest:
        events, bad, errors, coverage = run_seeds(
            first, count, rest, args.jobs)
        report(f"{count} seeds", not bad, "\n".join(errors),
               f"{events:,} events; {len(unreached(coverage))} cells not "
               "reached")
    else:
        check_seeds(report, count, first, args.jobs)
    return 1 if report.failed else 0


def _one(args, rest):
    """One run; its progress is the simulator's own."""
    path = program()
    arguments = [*(LARGE if args.large else ()), *rest]
    with tempfile.TemporaryDirectory(prefix="cxlf-sim-") as folder:
        result = args.json or os.path.join(folder, "report.json")
        proc = subprocess.Popen([path, *arguments, "--json", result],
                                stdin=subprocess.DEVNULL)
        try:
            status = proc.wait()
        except BaseException:
            proc.terminate()
            proc.wait()
            raise
        if status:
            return status
        with open(result) as text:
            report = json.load(text)
    if args.plot:
        simplot.latencies(report, args.plot)
    text = simplot.describe(report)
    if args.report:
        with open(args.report, "w") as out:
            out.write(text)
    print(text, end="")
    return 0


def main():
    """Run the simulator as the command line says."""
    cli.interruptible()
    args, rest = _parser().parse_known_args()
    if args.options:
        program()
        print(run(["--help"])[1], end="")
        return 0
    if args.topology:
        for name in ("seeds", "sweep", "large"):
            if getattr(args, name):
                raise ui.UserError(f"--{name} and --topology exclude each "
                                   "other")
        rest += ["--topology", blob_of(args.topology)]
    if args.crawl:
        program()
        status, out, err = run([*rest, "--crawl"])
        print(out, end="")
        print(err, end="", file=sys.stderr)
        return status
    if args.seeds:
        program()
        return _seeds(args, rest)
    if args.sweep:
        program()
        return simplot.sweep(args.sweep, rest, report_of)
    return _one(args, rest)
