# SPDX-License-Identifier: GPL-2.0-or-later
"""Fuzzing: each libFuzzer target, run past its plateau.

Targets in tests/fuzz are programs of their own with the core.  Those in
tests/fuzz/qemu are targets of QEMU's fuzzer, which is an emulator: what is
there, and QEMU's generic device fuzzer with each of our configurations.

A target is at its plateau when libFuzzer has found no new edge for a given
number of executions, of one process or of several at a time, and of runs one
after another; what a process does to load what was found before it is none.
An edge is new when no process before has found it with the same program, by
loading either: in an emulator some hang on how its threads meet, so that an
input does not always take them.  There, too, those count alone that are in the
code that reads what a guest writes: what the agent's thread does hangs on
time, and has checks of its own.  Features (ft) are edges with how often they
were taken, in powers of two; they are told apart, since they grow for very
long.
ASan and UBSan are on in all of them, and end a target at the first fault.

Inputs that take hours to find are kept with the sources, as few as take the
same edges: tests/fuzz/corpus/TARGET.zip.  Where nothing was found yet a target
begins with them.
"""

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
import zipfile
from concurrent import futures
from dataclasses import asdict, dataclass, field

from . import build, cli, debian, qemu, ui

SOURCES = os.path.join(qemu.TOP, "tests", "fuzz")
EMULATED = os.path.join(SOURCES, "qemu")
KEPT = os.path.join(SOURCES, "corpus")
GENERIC = "generic-fuzz-"
PLACE = build.BUILD + "-fuzz"
PAST = 1000000
TIME = 300


@dataclass(frozen=True)
class Kind:
    """What differs between kinds of targets."""
    # Inputs are lists of small operations; longer ones repeat the same.
    length: int
    timeout: int                # seconds for one input
    short_runs: int             # in the regression suite
    options: tuple = ()
    about: str = ""             # sources in which new edges count


CORE = Kind(128, 10, 100000)
# Its patience with the device is a minute.  The emulator has so many features
# that libFuzzer would be busy with their frequencies.  It keeps memory to its
# end, so that libFuzzer would run inputs twice to look for leaks, and count it.
MODEL = Kind(256, 120, 20000, ("-entropic=0", "-rss_limit_mb=4096",
                               "-reload=0", "-report_slow_units=600",
                               "-detect_leaks=0"),
             r"hw/dpu-eca/(dpu-eca|eca-(commands|dma|events|manager|"
             r"messages|modes|queue|range|ring))\.[ch]")
# Each input costs a reset of the machine.
DEVICE = Kind(512, 120, 500, MODEL.options)
STATUS = re.compile(r"#(\d+)\s+(\w+)\s+cov: (\d+) ft: (\d+)")
TABLE = re.compile(r"INFO: Loaded 1 PC tables .*\[0x([0-9a-f]+),")
NEW_EDGE = re.compile(r"\s*NEW_PC: 0x([0-9a-f]+) in (.*)")


@dataclass
class Result:
    """What came of a target."""
    target: str
    executions: int = 0
    earlier: int = 0            # executions of runs before, if none found one
    last_edge: int = 0          # the execution that found one that counts
    newest: str = ""            # the function and place of that one
    elsewhere: int = 0          # new edges that do not count
    last_feature: int = 0       # or a new feature
    edges: int = 0
    features: int = 0
    seconds: float = 0
    plateau: bool = False
    finding: str = ""           # the input, or why there is none
    output: list = field(default_factory=list)

    def past(self):
        return self.earlier + self.executions - self.last_edge

    def rate(self):
        return round(self.executions / self.seconds) if self.seconds else 0


def core_targets():
    """Targets of the core: those that have a source."""
    return sorted(name[:-2] for name in os.listdir(SOURCES)
                  if name.startswith("fuzz-") and name.endswith(".c"))


def emulated_targets():
    """Targets of the emulator: sources, and generic configurations."""
    with open(os.path.join(EMULATED, "generic-configs.h")) as text:
        configs = re.findall(r'\.name = "(\S+)"', text.read())
    return sorted(name[:-2] for name in os.listdir(EMULATED)
                  if name.endswith(".c")) + [GENERIC + name
                                             for name in sorted(configs)]


def targets():
    """Names of all targets."""
    return core_targets() + emulated_targets()


def kind_of(target):
    """What its runs need."""
    if target not in emulated_targets():
        return CORE
    return DEVICE if target.startswith(GENERIC) else MODEL


def command(target):
    """The target's program, as the beginning of a command line."""
    if kind_of(target) is CORE:
        return [os.path.join(PLACE, "tests", "fuzz", target)]
    return [os.path.join(build.SANITIZED, "out", qemu.FUZZER),
            f"--fuzz-target={target}"]


def prepare(names):
    """Build what the targets need."""
    core = [name for name in names if kind_of(name) is CORE]
    if core:
        prepare_core(core)
    if len(core) < len(names):
        qemu.make(build.SANITIZED, sanitize=True)


def prepare_core(names):
    """Build targets of the core."""
    debian.install([*qemu.SANITIZE_PACKAGES])
    build.setup(PLACE, "-Dfuzz=true", "-Demulator=false", compiler="clang")
    with ui.Step("building the fuzz targets") as step:
        ui.run(["ninja", "-C", PLACE,
                *(os.path.join("tests", "fuzz", name) for name in names)],
               step, env=build.environment())


def environment(kind):
    """Of a target's process: the emulator leaves memory to its end, as QEMU
    does."""
    return dict(os.environ) if kind is CORE else \
        dict(os.environ, **build.SANITIZER_ENV)


def corpus_of(target):
    """Where what is found for it is."""
    return os.path.join(PLACE, "corpus", target)


def edges_of(target):
    """The file of the edges that were found."""
    return os.path.join(PLACE, "edges", target)


def kept(target):
    """Where a target's kept inputs are, if there are any."""
    return os.path.join(KEPT, target + ".zip")


def begin_corpus(target, folder):
    """Make the folder of what is found, with what is kept."""
    if os.path.isdir(folder):
        return
    os.makedirs(folder)
    if os.path.exists(kept(target)):
        with zipfile.ZipFile(kept(target)) as archive:
            archive.extractall(folder)


def copy_units(corpus, to):
    """Copy what is there of the inputs: a fuzzer that runs replaces them."""
    os.mkdir(to)
    for name in os.listdir(corpus):
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(os.path.join(corpus, name), to)
    return to


def keep(target):
    """Keep the fewest inputs that take all edges that were found."""
    kind = kind_of(target)
    found = corpus_of(target)
    begin_corpus(target, found)
    with tempfile.TemporaryDirectory() as few, \
            tempfile.TemporaryDirectory() as place, \
            ui.Step(f"choosing inputs of {target}") as step:
        copy = copy_units(found, os.path.join(place, "copy"))
        ui.run([*command(target), *kind.options, "-merge=1",
                "-use_counters=0", f"-timeout={kind.timeout}", few, copy],
               step, cwd=PLACE, env=environment(kind))
        os.makedirs(KEPT, exist_ok=True)
        with zipfile.ZipFile(kept(target), "w") as archive:
            for name in sorted(os.listdir(few)):
                with open(os.path.join(few, name), "rb") as unit:
                    # Without its date, so that the same make the same.
                    archive.writestr(zipfile.ZipInfo(name), unit.read())
        return len(os.listdir(few))


class Edges:
    """Those that were ever found with a program, in a file, and how many
    executions there have been since the last one that counts."""

    def __init__(self, target):
        self.path = edges_of(target)
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        with open(command(target)[0], "rb") as program:
            self.program = hashlib.sha256(program.read()).hexdigest()
        self.known = set()
        self.past = 0
        if os.path.exists(self.path):
            with open(self.path) as text:
                first, *known = text.read().split("\n")
            program, _, past = first.partition(" ")
            if program == self.program and past:
                self.past = int(past)
                self.known = set(map(int, filter(None, known)))

    def find(self, edge):
        """Whether that edge is new."""
        new = edge not in self.known
        self.known.add(edge)
        return new

    def save(self):
        with open(self.path, "w") as out:
            out.write("\n".join([f"{self.program} {self.past}",
                                 *map(str, sorted(self.known))]) + "\n")


class Process:
    """One process of libFuzzer, which adds what it sees to its Fuzzer."""

    def __init__(self, fuzzer, argv):
        self.fuzzer = fuzzer
        self.table = 0          # where it has its table of edges
        self.loaded = None      # executions that were no new inputs
        self.counted = 0        # those that were, as far as told
        self.new_edge = False   # since the last line of the status
        self.units = 0
        self.proc = subprocess.Popen(
            argv, cwd=PLACE, stdin=subprocess.DEVNULL, env=fuzzer.env,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            errors="replace")

    def _count(self, number):
        """It has executed `number`, with what it has loaded."""
        if self.loaded is not None:
            new = max(0, number - self.loaded - self.counted)
            self.counted += new
            self.fuzzer.result.executions += new

    def _see(self, line):
        """A line of libFuzzer's output."""
        result = self.fuzzer.result
        edge = NEW_EDGE.match(line)
        if edge:
            if self.fuzzer.edges.find(int(edge.group(1), 16) - self.table):
                counts = re.search(self.fuzzer.kind.about, edge.group(2))
                if counts:
                    self.new_edge = True
                    result.newest = edge.group(2)
                else:
                    result.elsewhere += 1
            return
        total = re.match(r"stat::number_of_executed_units: (\d+)", line)
        if total:
            self.units = int(total.group(1))
            self._count(self.units)
        found = STATUS.match(line)
        if not found:
            table = TABLE.match(line)
            if table:
                self.table = int(table.group(1), 16)
            result.output = result.output[-59:] + [line.rstrip()]
            artifact = re.search(r"Test unit written to (\S+)", line)
            if artifact:
                result.finding = artifact.group(1)
            return
        number, what, edges, features = found.groups()
        if what == "INITED":
            self.loaded = int(number)
        self._count(int(number))
        result.edges = max(result.edges, int(edges))
        if self.new_edge:
            self.new_edge = False
            result.last_edge = result.executions
            result.earlier = 0
        if int(features) > result.features:
            result.features = int(features)
            result.last_feature = result.executions

    def watch(self):
        """Read what it says until it ends."""
        try:
            for line in self.proc.stderr:
                with self.fuzzer.lock:
                    self._see(line)
            return self.proc.wait()
        finally:
            self.stop()

    def stop(self):
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()


class Loading(Process):
    """
    One that runs what was found before, for the edges that it takes.

    libFuzzer tells none while it loads, but does for inputs that appear in its
    folder later.  It looks there each second, if the folder's time has changed
    by then, which is told in seconds.
    """

    def __init__(self, fuzzer, place):
        self.found = os.path.join(place, "found")
        self.folder = os.path.join(place, "folder")
        os.mkdir(self.folder)
        copy_units(fuzzer.corpus, self.found)
        super().__init__(fuzzer, [
            *command(fuzzer.result.target), *fuzzer.kind.options, "-reload=1",
            f"-max_len={fuzzer.kind.length}",
            f"-timeout={fuzzer.kind.timeout}", "-print_pcs=1",
            f"-artifact_prefix={fuzzer.artifacts}", self.folder])

    def _see(self, line):
        edge = NEW_EDGE.match(line)
        if edge:
            self.fuzzer.edges.find(int(edge.group(1), 16) - self.table)
            return
        found = STATUS.match(line)
        if not found:
            super()._see(line)
        elif found.group(2) == "INITED":
            time.sleep(2)
            for name in [*os.listdir(self.found), ""]:
                os.utime(os.path.join(self.found, name))
            os.rename(self.found, os.path.join(self.folder, "found"))
        elif found.group(2) == "RELOAD":
            self.units = int(found.group(1))
            self.stop()


class Fuzzer:
    """One target: rounds of libFuzzer, each on what the last has found."""

    def __init__(self, target, past, limit, seed, corpus=True, processes=1):
        self.result = Result(target)
        self.kind = kind_of(target)
        self.env = environment(self.kind)
        self.past = past
        self.limit = limit
        self.seed = seed
        self.processes = processes
        self.running = []
        self.lock = threading.Lock()    # of the result and of the edges
        self.ended = False
        self.edges = Edges(target)
        findings = os.path.join(PLACE, "findings")
        self.artifacts = os.path.join(findings, target + "-")
        self.corpus = corpus_of(target) if corpus else ""
        os.makedirs(findings, exist_ok=True)
        if corpus:
            if self.edges.past < past:      # or another plateau is sought
                self.result.earlier = self.edges.past
            begin_corpus(target, self.corpus)

    def _command(self, runs, seconds):
        """The next process of this target."""
        # libFuzzer counts what it loads, with one or two inputs of its own.
        runs += len(os.listdir(self.corpus)) + 2 if self.corpus else 0
        argv = [*command(self.result.target), *self.kind.options,
                f"-runs={runs}", f"-max_len={self.kind.length}",
                f"-seed={self.seed}", f"-timeout={self.kind.timeout}",
                "-print_final_stats=1", "-print_pcs=1",
                f"-artifact_prefix={self.artifacts}"]
        self.seed += 1
        if seconds:
            argv += [f"-max_total_time={max(1, round(seconds))}"]
        return [*argv, self.corpus] if self.corpus else argv

    def load(self):
        """Learn what edges the corpus takes; False if that has failed."""
        # What the core does hangs on its input alone.
        if self.kind is CORE or not os.listdir(self.corpus):
            return True
        with tempfile.TemporaryDirectory(dir=PLACE) as place:
            self.running = [Loading(self, place)]
            if self.ended:
                self.stop()
            status = self.running[0].watch()
        if not self.running[0].units and not self.ended:
            self.result.finding = self.result.finding or \
                f"it ended with status {status} while it was loading"
        self.edges.save()
        return not self.result.finding

    def _round(self, runs, seconds):
        """Run libFuzzer in each process once; False if one has failed."""
        share = -(-runs // self.processes)
        failed = 0
        self.running = []
        with futures.ThreadPoolExecutor(self.processes) as pool:
            try:
                for _ in range(self.processes):
                    self.running.append(
                        Process(self, self._command(share, seconds)))
                if self.ended:
                    self.stop()
                watched = [pool.submit(one.watch) for one in self.running]
                for job in futures.as_completed(watched):
                    status = job.result()
                    if status and not failed:
                        failed = status
                        self.stop()     # a finding ends all of them
            finally:
                self.stop()
                if self.corpus:
                    self.edges.past = self.result.past()
                    self.edges.save()
        if not self.ended and not self.result.finding:
            if failed:
                self.result.finding = f"it ended with status {failed}"
            elif not all(one.units for one in self.running):
                # As QEMU's fuzzer does when it does not know the target.
                self.result.finding = "it ended without any execution"
        return not self.result.finding

    def stop(self):
        for one in self.running:
            one.stop()

    def end(self):
        """End it from another thread."""
        self.ended = True
        self.stop()

    def run(self):
        """Fuzz until the plateau, a finding or the end of the time."""
        start = time.monotonic()
        result = self.result
        loaded = self.load()
        while loaded and not self.ended:
            left = self.limit - (time.monotonic() - start)
            if result.past() >= self.past:
                result.plateau = True
                break
            if left < 1 or not self._round(self.past - result.past(), left):
                break
        result.seconds = time.monotonic() - start
        return result

    def run_short(self):
        """A fixed number of executions, from nothing."""
        start = time.monotonic()
        self._round(self.kind.short_runs, 0)
        self.result.seconds = time.monotonic() - start
        return self.result


def _verdict(result):
    if result.finding:
        return f"FINDING: {result.finding}"
    return "plateau" if result.plateau else "no plateau yet"


def table(results):
    """The results as columns."""
    return ui.table([
        ["target", "cov", "last new at", "past it", "elsewhere", "ft",
         "last new at", "exec/s", "seconds", ""],
        *([r.target, r.edges, f"{r.last_edge:,}", f"{r.past():,}",
           r.elsewhere, r.features, f"{r.last_feature:,}", f"{r.rate():,}",
           f"{r.seconds:.0f}", _verdict(r)] for r in results)])


def _together(fuzzers, jobs):
    """Run fuzzers, some at a time; their results in order."""
    with ui.Step(f"fuzzing {len(fuzzers)} targets, {jobs} at a time") as step:
        with futures.ThreadPoolExecutor(jobs) as pool:
            try:
                work = [pool.submit(one.run) for one in fuzzers]
                while not all(job.done() for job in work):
                    futures.wait(work, 2)
                    step.tick("; ".join(
                        f"{one.result.target} {one.result.executions:,} "
                        f"cov {one.result.edges} "
                        f"(new at {one.result.last_edge:,}) "
                        f"ft {one.result.features}"
                        for one, job in zip(fuzzers, work)
                        if one.result.executions and not job.done()))
                return [job.result() for job in work]
            except BaseException:
                for one in fuzzers:
                    one.end()
                raise


def stage(tally):
    """The short form, for the regression suite."""
    names = targets()
    prepare(names)
    for name in names:
        with ui.Step(f"fuzzing with {name}"):
            result = Fuzzer(name, 0, 0, 1, corpus=False).run_short()
        tally.add(f"fuzz/{name}", not result.finding,
                  "\n".join([result.finding, *result.output[-25:]]))


def main():
    """Fuzz until the plateaus; print the figures."""
    cli.interruptible()
    known = targets()
    parser = argparse.ArgumentParser(
        description="Run each fuzz target until it has found no new edge "
        "for a number of executions, with ASan and UBSan. The status is 0 if "
        "all have come that far without a finding.",
        epilog=f"Targets: {', '.join(known)}. What is found is kept in "
        "build-fuzz/corpus, and inputs that fail in build-fuzz/findings.  To "
        "run one again: build-fuzz/tests/fuzz/TARGET INPUT for fuzz-*, and "
        f"build-asan/qemu/out/{qemu.FUZZER} --fuzz-target=TARGET INPUT for "
        "the others, which are an emulator.")
    parser.add_argument("target", nargs="*",
                        help="fuzz these only (default: all)")
    parser.add_argument("--past", type=int, default=PAST, metavar="N",
                        help="executions without a new edge that make a "
                        f"plateau (default {PAST:,})")
    parser.add_argument("--time", type=float, default=TIME, metavar="SECONDS",
                        help=f"limit for each target (default {TIME})")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(),
                        metavar="N", help="targets at a time (default: one "
                        "for each processor)")
    parser.add_argument("--processes", type=int, default=1, metavar="N",
                        help="processes for each target, which share what "
                        "they find (default 1)")
    parser.add_argument("--seed", type=int, default=1, metavar="N",
                        help="of the first process; the next ones count up "
                        "(default 1)")
    parser.add_argument("--fresh", action="store_true",
                        help="forget what earlier runs have found, so that "
                        "the figures are of this run alone")
    parser.add_argument("--keep", action="store_true",
                        help="instead of fuzzing, keep the fewest inputs that "
                        "take all edges found so far, in tests/fuzz/corpus; "
                        "later runs begin with them")
    parser.add_argument("--json", metavar="FILE",
                        help="write the figures there, too")
    args = parser.parse_args()
    for name in args.target:
        if name not in known:
            parser.error(f"'{name}' is no target; there are "
                         + ", ".join(known))
    for name in ("past", "time", "jobs", "processes"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1")
    names = args.target or known
    prepare(names)
    if args.keep:
        for name in names:
            print(f"{name}: {keep(name)} inputs in {kept(name)}")
        return 0
    if args.fresh:
        for name in names:
            shutil.rmtree(corpus_of(name), ignore_errors=True)
            os.makedirs(corpus_of(name))
            with contextlib.suppress(FileNotFoundError):
                os.remove(edges_of(name))
    results = _together([Fuzzer(name, args.past, args.time, args.seed,
                                processes=args.processes)
                         for name in names], args.jobs)
    print(table(results))
    for result in results:
        if result.finding:
            print(f"\n{result.target}: {result.finding}\n"
                  + "\n".join(result.output[-40:]))
        elif not result.plateau:
            print(f"{result.target}: {result.past():,} of {args.past:,} "
                  "executions past the last new edge"
                  f"{result.newest and ', in ' + result.newest}; run it "
                  "again to go on, or with a longer --time")
    if args.json:
        with open(args.json, "w") as out:
            json.dump([{**asdict(result), "past": result.past(),
                        "rate": result.rate()} for result in results], out,
                      indent=1)
            out.write("\n")
    return 0 if all(result.plateau and not result.finding
                    for result in results) else 1
