# SPDX-License-Identifier: GPL-2.0-or-later
"""The demonstration: stock guests share one coherent memory, in figures."""

import argparse
import os
import time

from . import agent, build, cli, cluster, guest, machine, programs, \
    traffic, ui

INCREMENTS = 50000
ENTRIES = 1000
MESSAGES = 40


class Demo:
    """The clusters, the checks, and their figures."""

    def __init__(self, args, binary):
        self.args = args
        self.hosts = args.hosts
        self.binary = binary
        self.programs = programs.Programs()
        self.checks = []
        self.report = {"hosts": args.hosts, "smp": args.smp,
                       "leaves": args.leaves, "checks": self.checks}
        # Names of this process, so that two demonstrations do not meet.
        self.ours = cluster.Cluster(f"demo-{os.getpid()}")
        self.stock = cluster.Cluster(f"demo-{os.getpid()}-type3")

    def check(self, name, ok, text, **figures):
        """Note and show the outcome of one check."""
        self.checks.append({"check": name, "ok": bool(ok), "text": text,
                            **figures})
        print(f"{'PASS' if ok else 'FAIL'}  {name}: {text}", flush=True)
        return ok

    # Booting

    def boot(self):
        """Both clusters at once; the one for comparison is always two."""
        # First, so that fetching packages does not count as time to boot.
        guest.image(self.args.kernel, self.args.modules)
        self.ours.start(cli.config_of(
            self.args, name=self.ours.name, binary=self.binary))
        self.stock.start(cli.config_of(
            self.args, name=self.stock.name, binary=self.binary, hosts=2,
            leaves=1, device="type3"))
        limit = time.monotonic() + 120 + 45 * self.hosts
        with ui.Step(f"booting {self.hosts} guests on the fabric and 2 on "
                     "upstream's cxl-type3") as step:
            while not all([self.ours.poll(), self.stock.poll()]):
                step.tick(self.ours.describe() + "; upstream "
                          + self.stock.describe())
                if time.monotonic() > limit:
                    raise ui.UserError(
                        "not all guests became ready: "
                        + self.ours.describe() + "; upstream "
                        + self.stock.describe())
                time.sleep(0.05)
        state = self.ours.state()
        self.report["kernel"] = state["kernel"]
        self.report["boot-seconds"] = state["seconds"]
        self.check("boot", True, f"{self.hosts} guests with Linux "
                   f"{state['kernel']} ready in {state['seconds']:.1f} s, "
                   "regions made by cxl and checked",
                   seconds=state["seconds"])

    # What is shown

    def upstream(self):
        """The same counter where no directory keeps the hosts apart."""
        expected, found, errors = self.programs.count_until_lost(
            self.stock, [0, 1], INCREMENTS, self.args.smp)
        self.stock.down()
        if errors:
            return self.check("upstream", False, errors[0])
        lost = expected - found
        return self.check(
            "upstream", lost > 0, f"cxl-type3 counted {found:,} of "
            f"{expected:,} increments ({100 * lost / expected:.1f} % lost)",
            expected=expected, found=found)

    def counter(self):
        """The counter, and the proof that it crossed the fabric."""
        hosts = list(range(self.hosts))
        before = self.ours.counters()
        exact, expected, found, errors = self.programs.count(
            self.ours, hosts, INCREMENTS, self.args.smp)
        after = self.ours.counters()
        self.check("counter", exact and not errors,
                   errors[0] if errors else f"{found:,} of {expected:,} "
                   f"lock xadd increments from {self.hosts} hosts",
                   expected=expected, found=found)
        known = traffic.PER_ATOMIC * INCREMENTS * self.args.smp
        wrong = traffic.check_traffic(before, after,
                                      {host: known for host in hosts})
        gain = traffic.gained(before, after)
        seen = [traffic.accesses(gain.get(host, {})) for host in hosts]
        self.check("traffic", not wrong, "; ".join(wrong) or
                   f"each host's agent decided at least {min(seen):,} "
                   f"accesses (at least {known:,} were made), and every "
                   "back-invalidate that was sent was received",
                   known=known, counted=seen)

    def spinlock(self):
        done = self.programs.run(
            self.ours, list(range(self.hosts)), "spinlock",
            "--count", ENTRIES, "--threads", self.args.smp)
        result = done[0][1]
        ok = all(status == 0 for status, _ in done)
        self.check("spinlock", ok, result.get("error") or
                   f"{result['found']:,} of {result['expected']:,} entries, "
                   f"{result['broken-entries']} saw a broken record",
                   **{key: result.get(key) for key in
                      ("expected", "found", "broken-entries")})

    def messages(self):
        done = self.programs.run(
            self.ours, list(range(self.hosts)), "message",
            "--count", MESSAGES, "--seed", self.programs.nonce)
        ok = all(status == 0 for status, _ in done)
        errors = [r["error"] for _, r in done if "error" in r]
        volume = sum(r.get("bytes", 0) for _, r in done)
        self.check("messages", ok, errors[0] if errors else
                   f"{MESSAGES * self.hosts} messages through BULK, from "
                   f"each host to the next, {volume:,} bytes, "
                   f"{done[0][1]['wrong']} checks of sums and words failed",
                   bytes=volume)

    def kill_one(self):
        """A host dies under load; the others and the owner go on."""
        victim = self.hosts - 1
        others = list(range(victim))
        threads = max(1, min(self.args.smp, 64 // self.hosts))
        jobs = self.programs.hammer(self.ours, range(self.hosts), 6, threads)
        with ui.Step("killing a host under load") as step:
            programs.await_load(self.ours, dict.fromkeys(jobs, 1000), step)
            pid = self.ours.kill(victim)
            died = time.monotonic()
            reported = programs.await_death(self.ours, victim, step)
            took = time.monotonic() - died
            results = [programs.parse(outcome) for outcome in agent.wait_all(
                [jobs[host] for host in others], 60, step)]
        self.check("death", reported, f"the owner reported host {victim} "
                   f"(pid {pid}, SIGKILL) dead after {took:.2f} s"
                   if reported else f"the owner did not report host {victim}"
                   " dead within 10 s", seconds=round(took, 3))
        if not others:
            return
        ok = all(status == 0 for status, _ in results)
        rounds = sum(r.get("rounds", 0) for _, r in results)
        wrong = [r.get("error") or f"{r['errors']} errors"
                 for status, r in results if status]
        self.check("survivors", ok, wrong[0] if wrong else
                   f"hosts that went on: {len(others)}, with {rounds:,} rounds "
                   "of checks, none failed", rounds=rounds)
        exact, expected, found, errors = self.programs.count(
            self.ours, others, INCREMENTS // 5, self.args.smp)
        self.check("counter after death", exact and not errors,
                   errors[0] if errors else
                   f"{found:,} of {expected:,} increments",
                   expected=expected, found=found)

    # All of it

    def table(self, before, after):
        """The counters of the demonstration, before and after."""
        hosts = sorted(after)[:self.hosts]
        rows = [["counter"] + [f"host {h} {when}" for h in hosts
                               for when in ("before", "after")]]
        for name in cli.COUNTERS:
            rows.append([name] + [f"{side.get(h, {}).get(name, 0):,}"
                                  for h in hosts for side in (before, after)])
        print("\nWhat crossed the fabric:\n" + ui.table(rows) + "\n",
              flush=True)
        self.report["counters"] = {"before": before, "after": after}

    def side_by_side(self):
        by = {check["check"]: check for check in self.checks}
        rows = [["the same counter program", "expected", "found", "lost"]]
        for title, name in (("this fabric", "counter"),
                            ("upstream cxl-type3", "upstream")):
            expected = by[name].get("expected", 0)
            found = by[name].get("found", 0)
            lost = 100 * (expected - found) / expected if expected else 0
            rows.append([title, f"{expected:,}", f"{found:,}",
                         f"{lost:.1f} %"])
        print("\n" + ui.table(rows), flush=True)

    def go(self):
        """Everything, in order; True if all checks passed."""
        start = time.monotonic()
        try:
            self.boot()
            self.upstream()
            before = self.ours.counters()
            self.counter()
            self.spinlock()
            self.messages()
            after = self.ours.counters()
            self.kill_one()
        finally:
            try:
                self.ours.give_up()
            finally:
                self.stock.give_up()
        self.side_by_side()
        self.table(before, after)
        took = time.monotonic() - start
        ok = all(check["ok"] for check in self.checks)
        self.report.update(ok=ok, seconds=round(took, 1))
        print(f"{'all' if ok else 'NOT all'} {len(self.checks)} checks "
              f"passed, in {took:.0f} s", flush=True)
        return ok


def _parser():
    parser = argparse.ArgumentParser(
        prog="demo", description="Installs what is missing, builds the "
        "emulator, boots stock guests and shows that they share one "
        "coherent memory. Exits with 1 if any check fails.")
    cli.add_cluster_options(parser)
    parser.add_argument("--json", metavar="FILE", help="write the checks, "
                        "figures and counters there")
    parser.add_argument("--qemu", metavar="BINARY", help="use this emulator "
                        "instead of building it")
    return parser


def main():
    """Run the demonstration; returns the exit status."""
    cli.interruptible()
    args = _parser().parse_args()
    if args.hosts < 2:
        raise ui.UserError(f"--hosts {args.hosts}: accepts 2 and more, so "
                           "that there is someone to share with")
    machine.Config(hosts=args.hosts, smp=args.smp, leaves=args.leaves,
                   binary="/bin/true").check()
    binary = args.qemu or build.everything()
    return cli.run_reported(Demo(args, binary), args.json)
