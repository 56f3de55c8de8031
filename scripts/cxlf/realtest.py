# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that were not written here, on memory that guests share.

memtester and fio come as Debian packages (PACKAGES; `--with` of the
launcher).  Every run is judged twice: by the program, and by the counters,
since a result that never used the protocol proves nothing.
"""

import json
import os
import random
import time
from dataclasses import dataclass, field

from . import cli, cluster, programs, traffic, ui

PACKAGES = ["memtester", "fio"]
AREA = 128 << 20                        # of memtester
PIECE = 2 << 20                         # a dax device is mapped in these
PAGE = 4096
DEVICES = {"BULK": "/dev/cxlf/bulk", "HOT": "/dev/cxlf/hot"}
# Tests of memtester on HOT, where an access takes 20 times as long: random
# values and exclusive or.  (Its test of addresses is always made.)
HOT_MASK = 3
MIB = 1 << 20
# Pieces of a longer run.
LONG = {"BULK": 8, "HOT": 2}
# No page of BULK may become one of lines: its accesses are to need nothing.
WHOLE_PAGES = "precise-quota=0"


@dataclass
class Outcome:
    """One run: what it was, what is wrong, and what it cost."""
    name: str
    memory: str
    wrong: list = field(default_factory=list)
    seconds: float = 0
    gain: dict = field(default_factory=dict)


def finished(said):
    """What is wrong with memtester's output."""
    return None if "Done." in said else "memtester did not finish"


def moved(**wanted):
    """A check that fio read and wrote so many bytes."""
    def check(said):
        try:
            job = json.loads(said[said.index("{"):])["jobs"][0]
        except (ValueError, LookupError):
            return f"fio printed no result: {said[-200:]}"
        return ", ".join(f"fio made {job[way]['io_bytes']:,} bytes of {way} "
                         f"and not {count:,}" for way, count in wanted.items()
                         if job[way]["io_bytes"] != count)
    return check


class Programs:
    """The runs, on a cluster of two hosts or more with PACKAGES."""

    def __init__(self, one, hosts, pieces=1):
        self.one = one
        self.hosts = list(hosts)[:2]
        self.pieces = pieces
        self.nonce = random.randrange(1, 1 << 31)

    # The programs' command lines

    def memtester(self, memory, slot):
        """Its own part of the area: the slot'th."""
        size = self.pieces * PIECE
        mask = ["env", f"MEMTESTER_TEST_MASK={HOT_MASK}"] \
            if memory == "HOT" else []
        return [*mask, "memtester", "-d", DEVICES[memory], "-p",
                hex(AREA + slot * size), f"{size // MIB}M", "1"]

    def fio(self, memory, pattern, *options):
        """One job of fio in blocks of a page.

        From the beginning of the device: what its mmap engine maps does
        not begin at --offset (3.39).
        """
        verify = ("--verify=crc32c",) if pattern is None else (
            "--verify=pattern", f"--verify_pattern=0x{pattern:08x}%o")
        return ["fio", "--name=shared", f"--filename={DEVICES[memory]}",
                "--ioengine=mmap", f"--bs={PAGE}",
                f"--size={self.pieces * PIECE}",
                "--verify_state_save=0", "--output-format=json", *verify,
                *options]

    def halves(self, memory, way, pattern, swapped, *options):
        """{host: argv} of both hosts, for every second page each.

        The even pages are taken upwards, the odd ones downwards, and there
        fio ends before the last one.
        """
        half = self.pieces * PIECE // 2 - PAGE
        return {host: self.fio(memory, pattern, f"--rw={way}:{step}",
                               f"--io_size={half}", *options)
                for host, step in zip(self.hosts[::-1 if swapped else 1],
                                      (PAGE, -3 * PAGE))}

    # Running and judging

    def execute(self, name, memory, commands, check, crosses=True,
                each=True):
        """Run {host: argv}, all at once; returns the Outcome.

        check(output) says what is wrong with what a program printed;
        `crosses`: the hosts use what others have used before; `each` of
        them, or some.
        """
        result = Outcome(name, memory)
        before = self.one.counters()
        start = time.monotonic()
        with ui.Step(f"{name} on {memory}") as step:
            done = self.one.run_all(commands, 300, step)
        result.seconds = time.monotonic() - start
        result.gain = traffic.gained(before, self.one.counters())
        for host, (status, out, err) in done.items():
            said = out.replace(b"\b", b"").decode(errors="replace")
            fault = check(said)
            if status:
                fault = (f"'{' '.join(commands[host])}' ended with status "
                         f"{status}: " + err.decode(errors="replace")[-300:])
            if fault:
                result.wrong.append(f"host {host}: {fault}")
        if memory == "HOT":
            result.wrong += traffic.check_used(result.gain, commands)
        else:
            result.wrong += traffic.check_pages(result.gain, commands,
                                                crosses, each)
        return result

    def spoil(self, memory, host):
        """Another content from another host, so that none can be left."""
        self.nonce += 1
        done = self.one.run_all({host: [
            "pattern", "--dev", DEVICES[memory], "--write", "--seed",
            str(self.nonce), "--bytes",
            str(self.pieces * PIECE - PAGE)]}, 120)
        if done[host][0]:
            raise ui.UserError(f"host {host}: {programs.parse(done[host])}")

    def run(self, memory):
        """All runs on one memory, as they come."""
        first, second = self.hosts
        whole = self.pieces * PIECE
        half, size = whole // 2 - PAGE, f"--io_size={whole}"
        for turn, (a, b) in enumerate(((0, 1), (1, 0))):
            yield self.execute(
                "memtester" + (", areas swapped" if turn else ""), memory,
                {first: self.memtester(memory, a),
                 second: self.memtester(memory, b)}, finished,
                crosses=bool(turn))
        self.spoil(memory, second)
        yield self.execute("fio writes, crc32c", memory, {
            first: self.fio(memory, None, "--rw=write", size,
                            "--do_verify=0")}, moved(write=whole))
        yield self.execute("fio in the other host verifies", memory, {
            second: self.fio(memory, None, "--rw=read", size)},
            moved(read=whole))
        self.nonce += 1
        pattern = self.nonce
        yield self.execute(
            "fio, each every second page", memory,
            self.halves(memory, "write", pattern, False, "--do_verify=1"),
            moved(read=half, write=half))
        yield self.execute(
            "fio verifies the other's pages", memory,
            self.halves(memory, "read", pattern, True), moved(read=half),
            # Who came last may have all pages: blocks bring neighbours.
            each=False)
        yield self.caught(memory, pattern)

    def caught(self, memory, pattern):
        """One word that another host changes must fail the verification.

        It is in the second of the even pages, which were good before.
        """
        first, second = self.hosts
        result = Outcome("fio finds one wrong word", memory)
        done = self.one.run_all({second: [
            "pattern", "--dev", DEVICES[memory], "--write", "--offset",
            str(PAGE), "--bytes", "8"]}, 60)[second]
        if done[0]:
            result.wrong.append(str(programs.parse(done)))
        start = time.monotonic()
        status = self.one.run_all({first: self.fio(
            memory, pattern, f"--rw=read:{PAGE}",
            f"--io_size={2 * PAGE}")}, 120)[first][0]
        result.seconds = time.monotonic() - start
        if not status:
            result.wrong.append("fio did not see it")
        return result


SHOWN = ("page-fault", "page-mapped", "page-revoked", "message", "doorbell")


def table(outcomes):
    """Rows for people: a line for each run, counters of all hosts."""
    rows = [["run", "memory", "result", "s", *SHOWN, "accesses decided",
             "bisnp-sent"]]
    for item in outcomes:
        total = {}
        for counters in item.gain.values():
            for name, count in counters.items():
                total[name] = total.get(name, 0) + count
        rows.append([item.name, item.memory,
                     "FAILED" if item.wrong else "ok",
                     f"{item.seconds:.1f}",
                     *(f"{total.get(name, 0):,}" for name in SHOWN),
                     f"{traffic.accesses(total):,}",
                     f"{total.get('bisnp-sent', 0):,}"])
    return ui.table(rows)


class Runs:
    """All runs for `scripts/bench --programs`."""

    def __init__(self, args, binary):
        self.args = args
        self.binary = binary
        self.one = cluster.Cluster(f"programs-{os.getpid()}")
        self.report = {"runs": []}

    def go(self):
        """On BULK, then on HOT; True if nothing was wrong."""
        outcomes = []
        try:
            self.one.up(cli.config_of(
                self.args, name=self.one.name, binary=self.binary, hosts=2,
                packages=PACKAGES, eca_options=WHOLE_PAGES))
            for memory in DEVICES:
                runs = Programs(self.one, [0, 1], LONG[memory])
                outcomes += runs.run(memory)
        finally:
            self.one.give_up()
        print("\n" + table(outcomes), flush=True)
        for item in outcomes:
            self.report["runs"].append(vars(item))
            for fault in item.wrong:
                print(f"FAIL  {item.name} on {item.memory}: {fault}")
        self.report["ok"] = not any(item.wrong for item in outcomes)
        return self.report["ok"]
