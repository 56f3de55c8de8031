# SPDX-License-Identifier: GPL-2.0-or-later
"""What ownership costs to pass from one guest to another.

Two guests write a block in turn (tests/guest/pingpong.c).  In the same
rounds a program without guests passes a block between two processes by bare
userfaultfd (tests/bench/bench-uffd.c): what the kernel alone takes.
"""

import json
import os
import subprocess

from . import cli, cluster, debian, guest, programs, qemu, traffic, ui
from .figures import figures, spread

SOURCE = os.path.join(qemu.TOP, "tests", "bench", "bench-uffd.c")
CFLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread")
BULK, HOT = "/dev/cxlf/bulk", "/dev/cxlf/hot"
PAGE, BLOCK, LINE = 4096, 2 << 20, 64
# No page may become one of lines: what is passed is to be a page.
WHOLE_PAGES = "precise-quota=0"
COUNTED = ("page-fault", "page-mapped", "page-revoked", "message", "doorbell",
           "view-flush")
# Key, title, options of pingpong, turns of each host, what it must move.
CASES = (
    ("page", "BULK page, 4 KiB",
     ("--block", BULK, "--bytes", PAGE), 1000, "page-fault"),
    ("touched", "BULK block, 2 MiB, a word of each page",
     ("--block", BULK, "--bytes", BLOCK, "--block-offset", 4 << 20), 50,
     "page-fault"),
    ("filled", "BULK block, 2 MiB, all words",
     ("--block", BULK, "--bytes", BLOCK, "--block-offset", 8 << 20,
      "--fill"), 30, "page-fault"),
    ("polled", "BULK page that the next host polls",
     ("--block", BULK, "--bytes", PAGE, "--block-offset", 12 << 20,
      "--inside"), 500, "page-fault"),
    ("line", "HOT line that the next host polls",
     ("--block", HOT, "--bytes", LINE, "--block-offset", 1 << 20,
      "--inside"), 2000, "bisnp-sent"),
)
BARE = (("page", PAGE, 2000), ("filled", BLOCK, 50))
ROUNDS = 9


def switches(pid):
    """Context switches of all threads of a process, so far."""
    total = 0
    folder = f"/proc/{pid}/task"
    for task in os.listdir(folder):
        try:
            with open(os.path.join(folder, task, "status")) as text:
                total += sum(int(line.split()[1]) for line in text
                             if "ctxt_switches" in line)
        except FileNotFoundError:
            continue                    # a thread that has ended
    return total


def bare_program():
    """The path of bench-uffd, which is compiled."""
    debian.install(("gcc", "libc6-dev"))
    path = os.path.join(debian.cache_dir("bench"), "bench-uffd")
    ui.run(["gcc", *CFLAGS, SOURCE, "-o", path + ".part"])
    os.rename(path + ".part", path)
    return path


class Transfers:
    """The pair of guests, the samples, and the verdicts."""

    def __init__(self, args, binary):
        self.args = args
        self.binary = binary
        self.rounds = min(args.rounds, ROUNDS)
        self.one = cluster.Cluster(f"transfer-{os.getpid()}")
        self.programs = programs.Programs()
        self.samples = {}       # (case, what): [value]
        self.gates = []
        self.report = {"rounds": self.rounds, "gates": self.gates}

    def note(self, case, **values):
        for name, value in values.items():
            self.samples.setdefault((case, name), []).append(value)

    def pass_block(self, key, options, count, must):
        """One measurement between the two guests."""
        pids = [self.one.process(f"host{host}").pid for host in (0, 1)]
        before = self.one.counters()
        switched = sum(map(switches, pids))
        done = self.programs.run(self.one, [0, 1], "pingpong", *options,
                                 "--count", count)
        switched = sum(map(switches, pids)) - switched
        gain = traffic.gained(before, self.one.counters())
        for host, (status, result) in enumerate(done):
            if status:
                raise ui.UserError(f"pingpong in host {host}: {result}")
        results = [result for _, result in done]
        transfers = 2 * count
        total = {name: sum(gain[host].get(name, 0) for host in gain)
                 for name in (*COUNTED, *traffic.ACCESSES, "bisnp-sent")}
        self.note(
            key, ns=max(r["ns"] for r in results) / transfers,
            first=sum(r["first-access-ns"]["median"] for r in results) / 2,
            block=sum(r["block-ns"]["median"] for r in results) / 2,
            switches=switched / transfers,
            **{name: total[name] / transfers for name in COUNTED},
            accesses=traffic.accesses(total) / transfers)
        # The first turn may find it at home already.
        if total[must] < transfers - 2:
            self.gates.append({
                "gate": key, "ok": False, "text": f"{total[must]:,} "
                f"{must} in {transfers:,} transfers"})

    def bare(self, program, key, length, count):
        """One measurement without guests."""
        done = subprocess.run([program, str(length), str(count)],
                              stdout=subprocess.PIPE, timeout=120)
        if done.returncode:
            raise ui.UserError("bench-uffd failed; is userfaultfd allowed?")
        result = json.loads(done.stdout)
        if result["wrong"]:
            raise ui.UserError(f"bench-uffd: {result}")
        self.note("bare " + key, ns=result["ns"] / result["transfers"],
                  first=result["first-access-ns"]["median"],
                  block=result["block-ns"]["median"],
                  switches=result["context-switches"] / result["transfers"])

    def value(self, key, name):
        return spread(self.samples[key, name])

    def show(self):
        """The table, and the ratios to the bare round trip."""
        table = [["from one guest to the other", "first access, us",
                  "block, us", "a turn, us", "GB/s", "switches", *COUNTED]]
        length = {"page": PAGE, "touched": BLOCK, "filled": BLOCK}
        titles = [(key, title) for key, title, *_ in CASES]
        titles += [("bare page", "bare userfaultfd, 4 KiB"),
                   ("bare filled", "bare userfaultfd, 2 MiB, all words")]
        for key, title in titles:
            row = [title]
            for name in ("first", "block", "ns"):
                middle, low, high = self.value(key, name)
                row.append(f"{middle / 1000:.1f} [{low / 1000:.1f} "
                           f"{high / 1000:.1f}]")
            size = length.get(key.replace("bare ", ""))
            row.append(f"{size / self.value(key, 'block')[0]:.2f}"
                       if size else "")
            row.append(f"{self.value(key, 'switches')[0]:.1f}")
            row += [f"{self.value(key, name)[0]:.2f}"
                    if (key, name) in self.samples else ""
                    for name in COUNTED]
            table.append(row)
        print(f"\n{self.rounds} rounds, medians [quartiles]; switches and "
              "counters for each transfer\n\n" + ui.table(table))
        ratios = {}
        for key, length, _ in BARE:
            pairs = zip(self.samples[key, "block"],
                        self.samples["bare " + key, "block"])
            ratios[key] = figures([a / b for a, b in pairs])
            print(f"{dict(titles)[key]}: {ratios[key]['median']:.2f} "
                  f"[{ratios[key]['q1']:.2f} {ratios[key]['q3']:.2f}] of the "
                  "bare round trip's time")
        self.report.update(ratios=ratios, figures={
            f"{key} {name}": figures(values)
            for (key, name), values in self.samples.items()})

    def go(self):
        """Everything, in order; True if each transfer was one."""
        program = bare_program()
        guest.image(self.args.kernel, self.args.modules)
        try:
            self.one.up(cli.config_of(
                self.args, name=self.one.name, binary=self.binary, hosts=2,
                eca_options=WHOLE_PAGES))
            for number in range(self.rounds):
                ui.note(f"round {number + 1} of {self.rounds}")
                for key, _, options, count, must in CASES:
                    self.pass_block(key, options, count, must)
                for key, length, count in BARE:
                    self.bare(program, key, length, count)
        finally:
            self.one.give_up()
        self.show()
        if not self.gates:
            self.gates.append({"gate": "transfers", "ok": True, "text":
                               "each turn moved what it was to move"})
        for gate in self.gates:
            print(f"{'PASS' if gate['ok'] else 'FAIL'}  {gate['gate']}: "
                  f"{gate['text']}")
        self.report["ok"] = all(gate["ok"] for gate in self.gates)
        return self.report["ok"]
