# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmark: shared memory, what it is compared with, and the gates.

All figures come from one run.  A round times every configuration once, in
the guests themselves, one guest at a time; so what else the machine does
hits all alike, and a ratio is the median of the rounds' ratios.
"""

import argparse
import json
import os
import random
import time

from . import (agent, build, cli, cluster, corebench, echobench, exitbench,
               guest, machine, queuebench, realtest, traffic, transferbench,
               ui)
from .figures import figures, spread

OPS = ("load", "store", "xadd", "memcpy-read", "memcpy-write")
HOT_GATE = 0.6
GATED = ("load", "store")
AIM = (0.9, 1.15)
MIN_ROUNDS = 15
# A round takes turns in slices, and counts the fastest of a configuration's:
# what else the machine does can only add to a time.
SLICES = 5
HUGE = 2 << 20
HUGE_PAGES = 8
# The contended word lies far from the timed area, whose lines stay ours.
APART = 64 << 20
IVSHMEM = ("-object", "memory-backend-memfd,id=peer,size=4M,share=on",
           "-device", "ivshmem-plain,id=ivshmem0,bus=pcie.0,memdev=peer")
DAX_HOT = "/dev/cxlf/hot"
# Keys of samples, the guest program's names for them, and ours.
MEMORY = (("ram", "ram"), ("bulk", "/dev/cxlf/bulk"), ("ram4k", "ram4k"),
          ("ivshmem", "ivshmem"), ("mapped", DAX_HOT))
# The cluster whose HOT stays trapped, for what an access costs then.
TRAPPED = "hot-map-after=0"
WARM_UPS = 20
TITLES = {"ram": "guest RAM, 2 MiB pages", "ram4k": "guest RAM, 4 KiB pages",
          "bulk": "BULK", "ivshmem": "ivshmem", "hot": "HOT, trapped",
          "mapped": "HOT of one host",
          "type3": "cxl-type3, switch"}
PAIRS = (("bulk", "ram"), ("mapped", "ram"), ("bulk", "ivshmem"),
         ("ivshmem", "ram4k"), ("hot", "type3"))


class Bench:
    """Two clusters, the samples of each round, and the verdicts."""

    def __init__(self, args, binary):
        self.args = args
        self.binary = binary
        self.nonce = random.randrange(1, 1 << 31)
        self.ns = {}            # (configuration, operation): [ns]
        self.pages = {}         # configuration: bytes of a page
        self.timed = {}         # configuration: accesses and copies, timed
        self.faults = {}        # configuration: faults while timed
        self.moved = {}         # counter: gain in the rounds of BULK
        self.hot = {"made": 0, "counted": 0, "short-rounds": 0}
        self.rates = {"alone": [], "both": [], "host 0": [], "host 1": []}
        self.crossed = {}       # counter: gain while two guests contend
        self.contended_ops = 0
        self.lost = 0
        self.gates = []
        self.report = {"rounds": args.rounds, "ms": args.ms,
                       "smp": args.smp, "gates": self.gates}
        # Names of this process, so that two runs do not meet.
        self.ours = cluster.Cluster(f"bench-{os.getpid()}")
        self.trapped = cluster.Cluster(f"bench-{os.getpid()}-trapped")
        self.stock = cluster.Cluster(f"bench-{os.getpid()}-type3")

    # Guests

    def boot(self):
        """The pairs, one after the other: each has the machine alone."""
        guest.image(self.args.kernel, self.args.modules)
        seconds = {}
        for one, device, options in (
                (self.ours, "fabric", ""), (self.stock, "type3", ""),
                (self.trapped, "fabric", TRAPPED)):
            one.up(cli.config_of(
                self.args, name=one.name, binary=self.binary, hosts=2,
                device=device, extra=list(IVSHMEM), eca_options=options,
                leaves=self.args.leaves if device == "fabric" else 1))
            seconds.setdefault(device, one.state()["seconds"])
            self.execute(one, {host: ["sysctl", "-w",
                                      f"vm.nr_hugepages={HUGE_PAGES}"]
                               for host in range(2)}, 0)
        self.report["kernel"] = self.ours.state()["kernel"]
        self.report["boot-seconds"] = seconds

    def execute(self, one, commands, expected, step=None):
        """Run {host: argv}; {host: stdout}.

        The guests are not asked before the `expected` seconds are over: the
        answer would take time of the CPU that is being timed.
        """
        jobs = [agent.Job(one.agent(host), argv)
                for host, argv in commands.items()]
        first = time.monotonic() + expected
        for job in jobs:
            job.next = max(job.next, first)
        output = {}
        done = agent.wait_all(jobs, 60 + 10 * expected, step)
        for host, (status, out, err) in zip(commands, done):
            # 1 is a check of the program itself, which its JSON reports.
            if status not in (0, 1) or not out.strip():
                raise ui.UserError(
                    f"'{' '.join(commands[host])}' in host {host} of "
                    f"'{one.name}' ended with status {status}: "
                    + (err.decode(errors="replace").strip() or "no output"))
            output[host] = out.decode()
        return output

    def bench(self, one, hosts, options, length, step):
        """Run the guest program in hosts; [its JSON]."""
        self.nonce += 1
        commands = {host: ["bench", "--host", str(rank), "--hosts",
                           str(len(hosts)), "--run", str(self.nonce),
                           *options]
                    for rank, host in enumerate(hosts)}
        # What is timed, as much again by half to find the speed, the start.
        done = self.execute(one, commands, 1.4 * length + 0.15, step)
        return [json.loads(done[host].strip().splitlines()[-1])
                for host in hosts]

    # One round

    def warm_up(self):
        """Until guest 0 owns what it will be timed on."""
        for _ in range(WARM_UPS):
            before = self.ours.counters()
            self.bench(self.ours, [0], ["--ms", "20", "--devs", ",".join(
                name for _, name in MEMORY)], 0.5, None)
            if not any(traffic.gained(before, self.ours.counters())[0]
                       .values()):
                return
        # The gates will say so, too.
        ui.note(f"the counters did not come to rest in {WARM_UPS} runs")

    def compare(self, one, devices, step):
        """Time all operations on [(configuration, device)] of guest 0."""
        ops = self.args.ops
        length = self.args.ms / 1000 * len(devices) * len(ops)
        done = self.bench(one, [0], [
            "--ops", ",".join(ops), "--rounds", str(SLICES),
            "--ms", str(self.args.ms // SLICES),
            "--devs", ",".join(name for _, name in devices)], length, step)
        made = 0
        for key, name in devices:
            result = done[0]["results"][name]
            self.pages[key] = result["page"]
            for op in ops:
                item = result[op]
                self.ns.setdefault((key, op), []).append(
                    min(item["ns"]))
                self.faults[key] = self.faults.get(key, 0) + item["faults"]
                self.timed[key] = self.timed.get(key, 0) + item["timed"]
                made += item["made"] * (traffic.PER_ATOMIC if op == "xadd"
                                        else 1)
        return made

    def gain(self, before, one=None):
        """{host: {counter: gain}} since `before`."""
        return traffic.gained(before, (one or self.ours).counters())

    def contend(self, step):
        """Increments of one word: of one guest alone, then of both."""
        options = ["--contend", "--dev", DAX_HOT, "--offset", str(APART),
                   "--ms", str(self.args.ms)]
        length = self.args.ms / 1000
        for hosts in ([0], [0, 1]):
            before = self.trapped.counters()
            done = self.bench(self.trapped, hosts, options, length, step)
            rates = [item["ops"] / item["ns"] * 1e9 for item in done]
            self.lost += done[0]["expected"] - done[0]["found"]
            if len(hosts) == 1:
                self.rates["alone"].append(rates[0])
                continue
            self.rates["both"].append(sum(rates))
            self.rates["host 0"].append(rates[0])
            self.rates["host 1"].append(rates[1])
            self.contended_ops += sum(item["ops"] for item in done)
            for counters in self.gain(before, self.trapped).values():
                for name, count in counters.items():
                    self.crossed[name] = self.crossed.get(name, 0) + count

    def round(self, number, step):
        """Every configuration once, in an order that alternates."""
        memory = list(MEMORY if number % 2 else reversed(MEMORY))
        before = self.ours.counters()
        self.compare(self.ours, memory, step)
        for counters in self.gain(before).values():
            for name, count in counters.items():
                self.moved[name] = self.moved.get(name, 0) + count
        before = self.trapped.counters()
        made = self.compare(self.trapped, [("hot", DAX_HOT)], step)
        seen = traffic.accesses(self.gain(before, self.trapped).get(0, {}))
        self.hot["made"] += made
        self.hot["counted"] += seen
        self.hot["short-rounds"] += seen < made
        self.compare(self.stock, [("type3", DAX_HOT)], step)
        self.contend(step)

    # Verdicts

    def gate(self, name, ok, text):
        self.gates.append({"gate": name, "ok": bool(ok), "text": text})

    def judge(self, rows):
        """The hard gates; a miss of any makes the exit status 1."""
        mine = ["bulk", "mapped"]
        name = "BULK and HOT"
        timed = sum(self.timed[key] for key in mine)
        moved = {k: v for k, v in self.moved.items() if v}
        self.gate(f"{name} callbacks", not moved, "the fabric counted " + (
            ", ".join(f"{v:,} {k}" for k, v in moved.items()) or "nothing")
            + f" in {timed:,} timed accesses and copies")
        faults = sum(self.faults[key] for key in mine)
        self.gate(f"{name} faults", faults == 0, f"{faults:,} page faults "
                  "of the guest in the same")
        sizes = {self.pages[key] for key in (*mine, "ram")}
        self.gate(f"{name} pages", sizes == {HUGE}, "these and guest RAM "
                  "are mapped in pages of " + " and ".join(
                      f"{size >> 10} KiB" for size in sorted(sizes)))
        for row in rows:
            if row["gate"] is not None:
                ratio = row["ratio"]["median"]
                self.gate(f"HOT {row['op']}", ratio <= row["gate"],
                          f"{ratio:.2f} of cxl-type3's time, at most "
                          f"{row['gate']}")
        hot = self.hot
        self.gate("HOT counted", not hot["short-rounds"],
                  f"the agent decided {hot['counted']:,} accesses of at "
                  f"least {hot['made']:,}, too few in "
                  f"{hot['short-rounds']} rounds")
        sent = self.crossed.get("bisnp-sent", 0)
        self.gate("HOT contended", not self.lost and sent > 0,
                  f"{self.lost:,} increments lost, {sent:,} back-invalidates "
                  f"in {self.contended_ops:,} increments of two guests")

    def rows(self):
        """A row for each pair of configurations and each operation."""
        rows = []
        for key, peer in PAIRS:
            for op in self.args.ops:
                mine, other = self.ns[key, op], self.ns[peer, op]
                ratio = figures([a / b for a, b in zip(mine, other)])
                row = {"what": key, "against": peer, "op": op,
                       "unit": "ns per byte" if op.startswith("memcpy")
                       else "ns", "time": figures(mine),
                       "peer-time": figures(other), "ratio": ratio,
                       "aim": None, "met": None, "gate": None}
                if peer == "ram":
                    row["aim"] = AIM
                    row["met"] = AIM[0] <= ratio["median"] <= AIM[1]
                elif key == "hot" and op in GATED:
                    row["gate"] = HOT_GATE
                    row["met"] = ratio["median"] <= HOT_GATE
                rows.append(row)
        return rows

    # What people see

    @staticmethod
    def show_time(op, time_):
        """ns of an access, or MB/s of a copy, with the quartiles."""
        values = [time_[key] for key in ("median", "q1", "q3")]
        if op.startswith("memcpy"):
            middle, high, low = (1000 / value for value in values)
            unit = "MB/s"
        else:
            (middle, low, high), unit = values, "ns"
        digits = 0 if middle >= 100 else 1
        return (f"{middle:,.{digits}f} {unit} [{low:,.{digits}f} "
                f"{high:,.{digits}f}]")

    @staticmethod
    def verdict(row):
        if row["gate"] is not None:
            return f"{'PASS' if row['met'] else 'FAIL'}: gate " \
                   f"{row['gate']}"
        if row["aim"] is not None:
            return f"{'pass' if row['met'] else 'MISS'}: aim " \
                   f"{row['aim'][0]}..{row['aim'][1]}"
        return ""

    def show(self, rows):
        table = [["access", "median [quartiles]", "against",
                  "median [quartiles]", "time ratio [quartiles]", ""]]
        for row in rows:
            ratio = row["ratio"]
            table.append([
                f"{TITLES[row['what']]} {row['op']}",
                self.show_time(row["op"], row["time"]),
                TITLES[row["against"]],
                self.show_time(row["op"], row["peer-time"]),
                f"{ratio['median']:.2f} [{ratio['q1']:.2f} "
                f"{ratio['q3']:.2f}]", self.verdict(row)])
        print(f"\n{self.args.rounds} rounds of {self.args.ms} ms each, Linux "
              f"{self.report['kernel']}\n\n" + ui.table(table))

    def show_contended(self):
        """The rates, and what an increment cost in messages."""
        rates = self.rates
        shares = [a / b for a, b in zip(rates["both"], rates["alone"])]
        self.report["contended"] = {
            **{key: figures(values) for key, values in rates.items()},
            "both to alone": figures(shares), "increments":
            self.contended_ops, "counters": self.crossed}
        table = [["contended HOT xadd", "a second [quartiles]"]]
        for title, key in (("one guest alone", "alone"),
                           ("two guests together", "both"),
                           ("  of which host 0", "host 0"),
                           ("  of which host 1", "host 1")):
            middle, low, high = spread(rates[key])
            table.append([title,
                          f"{middle:,.0f} [{low:,.0f} {high:,.0f}]"])
        middle, low, high = spread(shares)
        table.append(["two to one alone",
                      f"{middle:.2f} [{low:.2f} {high:.2f}]"])
        for name in ("bisnp-sent", "atomic-retry", "retry"):
            each = self.crossed.get(name, 0) / self.contended_ops
            table.append([f"{name} for each increment of the two",
                          f"{each:.3f}"])
        print("\n" + ui.table(table))

    def show_boot(self):
        seconds = self.report["boot-seconds"]
        ratio = seconds["fabric"] / seconds["type3"]
        print(f"\nup to ready, two guests: {seconds['fabric']:.1f} s; with "
              f"cxl-type3 {seconds['type3']:.1f} s; ratio {ratio:.2f}")

    # All of it

    def go(self):
        """Everything, in order; True if all gates are met."""
        start = time.monotonic()
        rounds = self.args.rounds
        try:
            self.boot()
            self.warm_up()
            with ui.Step(f"{rounds} rounds") as step:
                for number in range(rounds):
                    step.tick(f"round {number + 1} of {rounds}")
                    self.round(number, None)
            load = os.getloadavg()[0]
        finally:
            cluster.give_up(self.ours, self.trapped, self.stock)
        rows = self.rows()
        self.judge(rows)
        self.show(rows)
        self.show_contended()
        self.show_boot()
        took = time.monotonic() - start
        ok = all(gate["ok"] for gate in self.gates)
        self.report.update(
            ok=ok, seconds=round(took, 1), load=load, rows=rows,
            pages=self.pages, faults=self.faults, timed=self.timed,
            hot=self.hot,
            moved=self.moved, samples={
                f"{key} {op}": values
                for (key, op), values in self.ns.items()})
        print()
        for gate in self.gates:
            print(f"{'PASS' if gate['ok'] else 'FAIL'}  {gate['gate']}: "
                  f"{gate['text']}")
        if load > 1.5:
            # One guest is busy at a time, and sometimes two.
            ui.note(f"the load was {load:.1f}: something else was busy, and "
                    "the figures show it")
        if rounds < MIN_ROUNDS:
            ui.note(f"{rounds} rounds are for a try; measure with "
                    f"{MIN_ROUNDS} or more")
        print(f"{'all' if ok else 'NOT all'} {len(self.gates)} gates are "
              f"met, in {took:.0f} s", flush=True)
        return ok


def _parser():
    parser = argparse.ArgumentParser(
        prog="bench", description="Times accesses to shared memory from "
        "stock guests and compares them with guest RAM, ivshmem and "
        "upstream's cxl-type3 behind a switch, all in one run. Exits with 1 "
        "if a gate is missed.")
    parser.add_argument("--rounds", type=int, default=MIN_ROUNDS,
                        metavar="N", help="measurements of everything, in "
                        f"turn (default {MIN_ROUNDS})")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--core", action="store_true",
                         help="instead, time the protocol core alone, "
                         "without guests, and count its instructions")
    instead.add_argument("--transfer", action="store_true",
                         help="instead, time what a page, a block and a line "
                         "take from one guest to another, beside a bare "
                         "userfaultfd")
    instead.add_argument("--echo", action="store_true",
                         help="instead, time messages between two guests by "
                         "libeca's queue pair, beside TCP over virtio-net")
    instead.add_argument("--queue", action="store_true",
                         help="instead, time the agent's queue: a command's "
                         "round trip beside a device's interrupt, and "
                         "acquiring 1 GiB beside faulting it in")
    instead.add_argument("--exits", action="store_true",
                         help="instead, count the accesses to devices that "
                         "a guest makes until it is ready")
    instead.add_argument("--programs", action="store_true",
                         help="instead, run memtester and fio in two guests "
                         "and show what the fabric counted")
    parser.add_argument("--ms", type=int, default=100, metavar="N",
                        help="length of a measurement, 20 to 1000 ms "
                        "(default 100)")
    parser.add_argument("--smp", type=int, default=1, metavar="N",
                        help="CPUs of each guest (default 1: one guest is "
                        "busy at a time, or two that contend)")
    parser.add_argument("--leaves", type=int, default=1, metavar="N",
                        help="leaf switches, 1 to 64 (default 1)")
    parser.add_argument("--kernel", nargs="+", metavar="KERNEL",
                        help="as in cxl-cluster")
    parser.add_argument("--modules", metavar="DIR", help="as in cxl-cluster")
    parser.add_argument("--gfam-options", default="", metavar="TEXT",
                        help="as in cxl-cluster; x-hot-bypass=on shows that "
                        "the gates notice")
    parser.add_argument("--json", metavar="FILE", help="write all figures "
                        "and samples there")
    parser.add_argument("--qemu", metavar="BINARY", help="use this emulator "
                        "instead of building it")
    return parser


def main():
    """Run the benchmark; returns the exit status."""
    cli.interruptible()
    args = _parser().parse_args()
    args.ops = OPS
    if not 1 <= args.rounds <= 1000:
        raise ui.UserError(f"--rounds {args.rounds}: accepts 1 to 1000")
    if args.core:
        return corebench.run(args.rounds, args.json)
    if not 20 <= args.ms <= 1000:
        raise ui.UserError(f"--ms {args.ms}: accepts 20 to 1000")
    machine.Config(smp=args.smp, leaves=args.leaves,
                   binary="/bin/true").check()
    binary = args.qemu or build.everything()
    kinds = {"transfer": transferbench.Transfers, "exits": exitbench.Exits,
             "echo": echobench.Echoes, "queue": queuebench.Queues,
             "programs": realtest.Runs}
    for name, kind in kinds.items():
        if getattr(args, name):
            return cli.run_reported(kind(args, binary), args.json)
    return cli.run_reported(Bench(args, binary), args.json)
