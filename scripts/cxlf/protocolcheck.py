# SPDX-License-Identifier: GPL-2.0-or-later
"""The models of the protocol in tests/model, each run exhaustively by spin.

scripts/check-protocol runs the checker of the core, these, and the simulator.

The models are written from docs/protocol.md and docs/protocol-messages.md
and share no line with the code.  A mutation is one line of a model changed
for the worse; it must be caught by a property that its file names.
"""

import argparse
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass

from . import build, cli, corecheck, debian, qemu, simulate, ui

MODELS = os.path.join(qemu.TOP, "tests", "model")
MUTATIONS = os.path.join(MODELS, "mutations")
# Limits of one search: MiB, steps of a path, seconds.
MEMORY = 3500
DEPTH = 5000000
TIMEOUT = 3600

PAGES = "single_writer covered legal_entry defined_cell no_orphan recovery"
VALUES = f"data_value {PAGES}"
DRAINED = "responses_flow quiescence"
LINES = "single_writer data_value covered legal_entry recovery"
LEAF = "single_writer covered legal_entry defined_cell no_conflict no_orphan " \
    "recovery"


@dataclass
class Run:
    """One search: a model, its options, and what it shows."""
    name: str
    model: str
    options: str
    properties: str
    short: bool = True
    bitstate: bool = False


RUNS = (
    Run("lines, 2 hosts x 1 line, 1 crash", "lines.pml", "-DHOSTS=2", LINES),
    Run("pages, 2 hosts, mailboxes, values, 1 crash", "pages.pml",
        "-DHOSTS=2 -DMAILBOX -DDATA", VALUES),
    Run("pages, 2 hosts, mailboxes, 2 crashes, rejoin", "pages.pml",
        "-DHOSTS=2 -DMAILBOX -DCRASHES=2 -DREJOIN", PAGES),
    Run("pages, 3 hosts, values, 1 crash", "pages.pml", "-DHOSTS=3 -DDATA",
        VALUES),
    Run("pages, 3 hosts, 2 crashes, rejoin", "pages.pml",
        "-DHOSTS=3 -DCRASHES=2 -DREJOIN", PAGES),
    Run("pages, 3 hosts, 1 crash, drained", "pages.pml",
        "-DHOSTS=3 -DDRAIN", f"{PAGES} {DRAINED}"),
    Run("pages, 2 hosts x 2 classes, 2 lines, 1 crash", "pages.pml",
        "-DHOSTS=2 -DLINES=2", f"{PAGES} lines_or_page"),
    Run("pages, 2 hosts x 2 classes, 2 lines, 1 crash, drained", "pages.pml",
        "-DHOSTS=2 -DLINES=2 -DDRAIN", f"{PAGES} lines_or_page {DRAINED}"),
    Run("pages, 3 hosts x 2 classes, 1 line, 1 crash", "pages.pml",
        "-DHOSTS=3 -DLINES=1", f"{PAGES} lines_or_page"),
    Run("insert, 2 hosts, one tag, 1 crash, ends", "insert.pml",
        "-DHOSTS=2 -DOPS=2", "quiescence"),
    Run("insert, 3 hosts, one tag, 1 crash", "insert.pml", "-DHOSTS=3",
        "one_entry recovery"),
    Run("insert, 3 hosts, two tags, 1 crash", "insert.pml",
        "-DHOSTS=3 -DT2=2", "one_entry recovery"),
    Run("insert, 3 hosts, three tags, 1 crash", "insert.pml",
        "-DHOSTS=3 -DT1=2 -DT2=3", "one_entry recovery"),
    Run("insert, 3 hosts, two tags, ends", "insert.pml",
        "-DHOSTS=3 -DT2=2 -DOPS=1 -DCRASHES=0", "quiescence"),
    Run("leaf, 2 hosts, values, poison, 1 failure, 1 crash, rejoin",
        "leaf.pml", "-DHOSTS=2 -DDATA -DLOSS -DREJOIN",
        f"{LEAF} data_value poison"),
    Run("leaf, 2 hosts, 1 failure, 1 crash, drained", "leaf.pml",
        "-DHOSTS=2 -DDRAIN", f"{LEAF} {DRAINED}"),
    Run("reuse, 2 threads, freed entry, 1 crash, drained", "reuse.pml",
        "-DTHREADS=2 -DEPOCHS=4 -DDRAIN", "no_looker quiescence"),
    Run("reuse, 2 threads, demotion, 1 crash, drained", "reuse.pml",
        "-DTHREADS=2 -DEPOCHS=4 -DDRAIN -DDEMOTE", "no_looker quiescence"),
    Run("lines, 2 hosts x 2 lines, 1 crash", "lines.pml",
        "-DHOSTS=2 -DLINES=2", LINES, short=False),
    Run("lines, 3 hosts x 1 line, 1 crash", "lines.pml", "-DHOSTS=3", LINES,
        short=False),
    Run("pages, 3 hosts, mailboxes, 1 crash", "pages.pml",
        "-DHOSTS=3 -DMAILBOX", PAGES, short=False),
    Run("pages, 4 hosts, 2 crashes, rejoin", "pages.pml",
        "-DHOSTS=4 -DCRASHES=2 -DREJOIN", PAGES, short=False),
    Run("pages, 3 hosts x 2 classes, 2 lines, 2 crashes, rejoin",
        "pages.pml", "-DHOSTS=3 -DLINES=2 -DCRASHES=2 -DREJOIN",
        f"{PAGES} lines_or_page", short=False),
    Run("pages, 3 hosts x 2 classes, 1 line, 1 crash, drained", "pages.pml",
        "-DHOSTS=3 -DLINES=1 -DDRAIN", f"{PAGES} lines_or_page {DRAINED}",
        short=False),
    Run("leaf, 2 hosts, 1 failure, 2 crashes, rejoin", "leaf.pml",
        "-DHOSTS=2 -DCRASHES=2 -DREJOIN", LEAF, short=False),
    Run("leaf, 2 hosts, poison, 2 failures, 1 crash, rejoin", "leaf.pml",
        "-DHOSTS=2 -DFAILS=2 -DLOSS -DREJOIN", f"{LEAF} poison",
        short=False),
    Run("leaf, 3 hosts, 1 failure", "leaf.pml", "-DHOSTS=3 -DCRASHES=0",
        LEAF, short=False),
    Run("reuse, 3 threads, freed entry, 1 crash", "reuse.pml",
        "-DTHREADS=3 -DEPOCHS=6", "no_looker", short=False),
    Run("reuse, 3 threads, demotion, 1 crash", "reuse.pml",
        "-DTHREADS=3 -DEPOCHS=6 -DDEMOTE", "no_looker", short=False),
    Run("insert, 3 hosts, 3 ways, one tag, 1 crash", "insert.pml",
        "-DHOSTS=3 -DWAYS=3", "one_entry recovery", short=False),
    Run("insert, 3 hosts, one tag, 1 crash, ends", "insert.pml",
        "-DHOSTS=3 -DOPS=1", "quiescence", short=False),
    Run("insert, 3 hosts, two tags, 1 crash, ends", "insert.pml",
        "-DHOSTS=3 -DT2=2 -DOPS=1", "quiescence", short=False),
    Run("insert, 3 hosts, three tags, 1 crash, ends", "insert.pml",
        "-DHOSTS=3 -DT1=2 -DT2=3 -DOPS=1", "quiescence", short=False),
)


@dataclass
class Result:
    """What a search found; `broken` names a property, or is empty."""
    states: int
    depth: int
    seconds: float
    broken: str
    trace: str = ""


def _trace(options, folder):
    """The end of the path to an error, as spin tells it."""
    done = subprocess.run(
        ["spin", *options, "-t", "-p", "-g", "m.pml"], cwd=folder,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace")
    return "\n".join(done.stdout.splitlines()[-60:])


def search(text, options, bitstate=False):
    """Search a model's states, all of them unless `bitstate`."""
    options = options.split()
    ends = any(option.startswith("-DOPS=") for option in options)
    with tempfile.TemporaryDirectory(prefix="cxlf-model-") as folder:
        with open(os.path.join(folder, "m.pml"), "w") as out:
            out.write(text)
        ui.run(["spin", *options, "-a", "m.pml"], cwd=folder)
        flags = ["-DNFAIR=5"] if ends else ["-DSAFETY"]
        ui.run(["gcc", "-O1", "-w", f"-DMEMLIM={MEMORY}",
                "-DBITSTATE" if bitstate else "-DCOLLAPSE", *flags,
                "-o", "pan", "pan.c"], cwd=folder)
        try:
            done = subprocess.run(
                ["./pan", f"-m{DEPTH}", *(["-a", "-f"] if ends else []),
                 *(["-w31"] if bitstate else ["-w22"])],
                cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT)
        except subprocess.TimeoutExpired as late:
            raise ui.UserError(f"a model with {' '.join(options)} was not "
                               f"searched within {TIMEOUT} s") from late
        out = done.stdout
        numbers = [re.search(pattern, out) for pattern in (
            r"([0-9.e+]+) states, stored", r"depth reached (\d+)",
            r"elapsed time ([0-9.e+-]+)", r"errors: (\d+)")]
        if not all(numbers):
            raise ui.UserError("pan ended without a result:\n" + out[-2000:])
        states, depth, seconds, errors = (float(n.group(1)) for n in numbers)
        broken = ""
        if errors:
            found = re.search(r"assertion violated (\w+)", out)
            broken = found.group(1) if found else "quiescence" \
                if "acceptance cycle" in out else "deadlock"
        elif "too small" in out or "not completed" in out:
            broken = "the search was not completed"
        return Result(int(states), int(depth), seconds, broken,
                      _trace(options, folder) if errors else "")


def model(name):
    with open(os.path.join(MODELS, name)) as text:
        return text.read()


def mutations():
    """[(name, fields)] of the files in tests/model/mutations."""
    found = []
    for name in sorted(os.listdir(MUTATIONS)):
        fields = {}
        with open(os.path.join(MUTATIONS, name)) as text:
            for line in text:
                key, colon, value = line.rstrip("\n").partition(": ")
                if colon and not line.startswith("#"):
                    fields[key] = value
        if set(fields) != {"model", "options", "caught-by", "old", "new"}:
            raise ui.UserError(f"{name}: not the fields of a mutation")
        found.append((os.path.splitext(name)[0], fields))
    return found


def mutate(name, fields):
    """The model with one line changed."""
    text = model(fields["model"])
    if text.count(fields["old"]) != 1:
        raise ui.UserError(f"mutation {name}: its line is "
                           f"{text.count(fields['old'])} times in "
                           f"{fields['model']}, and must be there once")
    return text.replace(fields["old"], fields["new"])


def check_runs(report, short):
    """Run the models; report(name, ok, why, details) each."""
    runs = [run for run in RUNS if run.short or not short]
    with ui.Step(f"searching {len(runs)} models") as step:
        for number, run in enumerate(runs, 1):
            step.tick(f"{number} of {len(runs)}: {run.name}")
            result = search(model(run.model), run.options, run.bitstate)
            why = f"{result.broken}\n{result.trace}" if result.broken else ""
            report(run.name, not why, why,
                   f"{result.states:10,} states, depth {result.depth:7,}, "
                   f"{result.seconds:5.1f} s: {run.properties}"
                   + (" (bitstate: not all)" if run.bitstate else ""))


def check_mutations(report):
    """Each mutation must be caught, and by a property that it names."""
    found = mutations()
    with ui.Step(f"searching {len(found)} mutations") as step:
        for number, (name, fields) in enumerate(found, 1):
            step.tick(f"{number} of {len(found)}: {name}")
            result = search(mutate(name, fields), fields["options"])
            ok = result.broken in fields["caught-by"].split()
            report(name, ok, "" if ok else
                   f"{result.broken or 'nothing'} was found, not "
                   f"{fields['caught-by']}",
                   f"caught by {result.broken} in {result.depth} steps")


def stage(tally):
    """The short form, for the regression suite."""
    def report(name, ok, why, _):
        tally.add(f"protocol/{name}", ok, why)

    def report_mutation(name, ok, why, _):
        tally.add(f"protocol/mutation {name}", ok, why)

    debian.install(["spin", "gcc"])
    corecheck.check_runs(report, short=True)
    corecheck.check_mutations(report_mutation)
    check_runs(report, short=True)
    check_mutations(report_mutation)


def main():
    """Run all models, and the mutations where they are asked for."""
    cli.interruptible()
    parser = argparse.ArgumentParser(
        description="Explore every state of small configurations of the "
        "shipping core, and of the independent models in tests/model with "
        f"spin; then simulate {simulate.SEEDS:,} random fabrics. Print states, depth, "
        "time, the properties that hold, and which cells of the protocol "
        "table were reached.")
    parser.add_argument("--short", action="store_true",
                        help="only what the regression suite runs: a minute "
                        "or two, not twenty")
    parser.add_argument("--mutations", action="store_true",
                        help="instead, show that each error that is seeded "
                        "in the core (tests/check/mutations.txt), in the "
                        "models (tests/model/mutations) and in the simulator "
                        "(tests/sim/mutations.txt) is caught")
    args = parser.parse_args()
    debian.install(["spin", "gcc"])
    build.setup()
    ui.run(["ninja", "-C", build.BUILD, corecheck.CHECKER],
           env=build.environment())
    report = ui.Verdicts()
    if args.mutations:
        corecheck.check_mutations(report)
        check_mutations(report)
        simulate.check_mutations(report)
    else:
        corecheck.check_runs(report, args.short)
        check_runs(report, args.short)
        simulate.check_seeds(report, simulate.SHORT if args.short
                             else simulate.SEEDS)
    for name in report.failed:
        print(f"failed: {name}")
    return 1 if report.failed else 0
