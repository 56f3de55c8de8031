# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts are killed and started again at random while they share memory.

The script keeps a journal: every slot of BULK and HOT that a guest has
confirmed to have written, with the seed of its words.  Guests check what
others wrote and write anew, all the time; a host may be killed in the middle
of that, and what it had not confirmed is not known then.  What was confirmed
must be there whoever wrote it, and whether it is alive or dead
(`on-death=keep`).  In the end every guest checks all of it.
"""

import argparse
import collections
import os
import random
import time

from . import agent, build, cli, cluster, machine, programs, traffic, ui

SLOTS = 1024
# Memory: (device, bytes of a slot, slots written at a time).
MEMORIES = {"BULK": ("/dev/cxlf/bulk", 16384, 24),
            "HOT": ("/dev/cxlf/hot", 1024, 24)}
OFFSET = 32 << 20
HAMMER_OFFSET = 160 << 20
ADDS = 500
BATCH_LIMIT = 120
# Seconds between kills on average, and until a dead host is started again.
BETWEEN, REST = 25, 5
BOOT_LIMIT = 300
# What one command line holds, with a good margin.
LISTED = 256
MAX_FAULTS = 20


class Journal:
    """What is known of one memory's slots."""

    def __init__(self):
        self.seeds = {}                 # slot: seed that was confirmed
        self.busy = set()               # slots that a guest works on
        self.writers = {}               # slot: host of the seed
        self.sure = self.unsure = 0     # increments of the counter

    def idle(self):
        return [slot for slot in range(SLOTS) if slot not in self.busy]

    def known(self):
        return [slot for slot in self.idle() if slot in self.seeds]


class Batch:
    """One run of the program journal in one guest."""

    def __init__(self, memory, check, write, adds, job):
        self.memory = memory
        self.check, self.write, self.adds = check, write, adds
        self.job = job
        self.limit = time.monotonic() + BATCH_LIMIT


class Host:
    """One host: up, dead or booting; and what it does."""

    def __init__(self, number):
        self.number = number
        self.state = "up"
        self.since = time.monotonic()
        self.wait = 0                   # seconds until it starts again
        self.batch = None
        self.hammer = None


class Stress:
    """The run."""

    def __init__(self, one, hosts, rng, minutes, report, between=BETWEEN):
        self.one = one
        self.rng = rng
        self.hosts = [Host(number) for number in range(hosts)]
        self.programs = programs.Programs()
        self.journals = {name: Journal() for name in MEMORIES}
        self.counts = collections.Counter()
        self.faults = []
        self.kills = []
        self.report = report
        self.between = between
        self.start = time.monotonic()
        self.end = self.start + 60 * minutes
        self.next_kill = self.start + self.pause()

    def pause(self):
        """Seconds until the next kill."""
        return self.between * self.rng.uniform(0.2, 1.8)

    def fault(self, text):
        self.faults.append(f"after {time.monotonic() - self.start:.0f} s: "
                           + text)
        ui.note("FAULT " + self.faults[-1])

    # Batches

    def argv(self, memory, check, write, adds):
        """The program's command line for lists of (slot, seed)."""
        device, size, _ = MEMORIES[memory]
        argv = ["journal", "--dev", device, "--offset", str(OFFSET),
                "--slots", str(SLOTS), "--slot-bytes", str(size)]
        for option, items in (("--check", check), ("--write", write)):
            if items:
                argv += [option, ",".join(f"{slot}:{seed}"
                                          for slot, seed in items)]
        return argv + (["--adds", str(adds)] if adds else [])

    def begin(self, host):
        """Give a host something to check and to write."""
        memory = self.rng.choice(list(MEMORIES))
        journal, size = self.journals[memory], MEMORIES[memory][2]
        known, idle = journal.known(), journal.idle()
        check = [(slot, journal.seeds[slot]) for slot in
                 self.rng.sample(known, min(len(known), 2 * size))]
        write = [(slot, self.rng.randrange(1, 1 << 62)) for slot in
                 self.rng.sample(idle, min(len(idle), size))]
        adds = self.rng.randrange(ADDS)
        job = agent.Job(self.one.agent(host.number),
                        self.argv(memory, check, write, adds))
        # Only now: what was not started has changed nothing.
        host.batch = Batch(memory, check, write, adds, job)
        journal.busy.update(slot for slot, _ in check + write)

    def lost(self, host):
        """A batch did not end well: what it wrote is not known."""
        batch, host.batch = host.batch, None
        if batch is None:
            return
        journal = self.journals[batch.memory]
        journal.unsure += batch.adds
        for slot, _ in batch.write:
            journal.seeds.pop(slot, None)
        journal.busy.difference_update(
            slot for slot, _ in batch.check + batch.write)
        self.counts["slots left unknown"] += len(batch.write)

    def finish(self, host, outcome):
        """A batch ended: believe what it confirms."""
        batch = host.batch
        journal = self.journals[batch.memory]
        status, result = programs.parse(outcome)
        if status:
            self.fault(f"host {host.number}: {batch.memory}: status "
                       f"{status}, {result}; its slot was written by host "
                       f"{journal.writers.get(result.get('slot'))}")
            self.lost(host)
            return
        for slot, seed in batch.write:
            journal.seeds[slot] = seed
            journal.writers[slot] = host.number
        journal.sure += batch.adds
        size = MEMORIES[batch.memory][1]
        self.counts["batches"] += 1
        self.counts["slots checked"] += len(batch.check)
        self.counts["slots written"] += len(batch.write)
        self.counts["bytes checked"] += len(batch.check) * size
        journal.busy.difference_update(
            slot for slot, _ in batch.check + batch.write)
        host.batch = None

    def load(self, host):
        """A load that contends for lines and pages, until it is ended."""
        device = self.rng.choice(list(MEMORIES.values()))[0]
        host.hammer = agent.Job(self.one.agent(host.number), [
            "hammer", "--host", str(host.number), "--hosts",
            str(len(self.hosts)), "--seconds", "0", "--dev", device,
            "--offset", str(HAMMER_OFFSET)])
        # It is not asked before it is told to end.
        host.hammer.next = float("inf")

    # Deaths and births

    def kill(self):
        """SIGKILL one host, up or booting; at least one other stays up."""
        self.next_kill = time.monotonic() + self.pause()
        up = [host for host in self.hosts if host.state == "up"]
        living = [host for host in self.hosts if host.state != "dead" and
                  (host.state == "booting" or len(up) > 1)]
        if not living:
            return
        host = self.rng.choice(living)
        before = programs.deaths(self.one, host.number)[0]
        died = time.monotonic()
        self.kills.append({
            "host": host.number, "pid": self.one.kill(host.number),
            "state": host.state, "in-batch": host.batch is not None,
            "after": round(died - self.start, 2)})
        # One that was booting may not have joined yet.
        if host.state == "up" and not programs.await_death(
                self.one, host.number, before=before):
            self.fault(f"host {host.number}'s death was not reported "
                       "within 10 s")
        self.kills[-1]["seconds"] = round(time.monotonic() - died, 3)
        self.lost(host)
        host.hammer = None
        host.state, host.since = "dead", time.monotonic()
        host.wait = self.rng.uniform(0, REST)

    def step_host(self, host):
        """One look at one host."""
        if host.state == "dead":
            if time.monotonic() - host.since >= host.wait:
                self.one.start_again(host.number)
                host.state, host.since = "booting", time.monotonic()
        elif host.state == "booting":
            if self.one.poll_host(host.number):
                host.state = "up"
                self.counts["restarts"] += 1
                self.counts["seconds booting"] += \
                    time.monotonic() - host.since
            elif time.monotonic() - host.since > BOOT_LIMIT:
                raise ui.UserError(f"host {host.number} did not come up "
                                   f"again within {BOOT_LIMIT} s")
        elif not self.one.alive(f"host{host.number}"):
            raise ui.UserError(
                f"host {host.number} ended by itself:\n"
                + self.one.tail(f"host{host.number}.log"))
        else:
            if host.hammer is None:
                self.load(host)
            if host.batch is None:
                self.begin(host)
            outcome = host.batch.job.poll()
            if outcome is not None:
                self.finish(host, outcome)
            elif time.monotonic() > host.batch.limit:
                raise ui.UserError(f"host {host.number} did not end a batch "
                                   f"within {BATCH_LIMIT} s")

    # The end

    def settle(self, step):
        """No more deaths: all hosts come up, and end what they do."""
        limit = time.monotonic() + BOOT_LIMIT + BATCH_LIMIT
        while any(host.state != "up" or host.batch for host in self.hosts):
            for host in self.hosts:
                if host.state != "up":
                    self.step_host(host)
                elif host.batch:
                    outcome = host.batch.job.poll()
                    if outcome is not None:
                        self.finish(host, outcome)
            step.tick("the last batches and boots")
            if time.monotonic() > limit:
                raise ui.UserError("the hosts did not come to rest")
            time.sleep(0.02)
        loads = [host for host in self.hosts if host.hammer]
        for host in loads:
            host.hammer.agent.kill(host.hammer.pid)
            host.hammer.next = 0
        for host, outcome in zip(loads, agent.wait_all(
                [host.hammer for host in loads], 60, step)):
            status, result = programs.parse(outcome)
            if status:
                self.fault(f"host {host.number}'s load: {status}, {result}")
            self.counts["rounds of load"] += result.get("rounds", 0)

    def check_memory(self, name, step):
        """Every host checks all that was confirmed; what is wrong."""
        wrong, journal = [], self.journals[name]
        known = sorted(journal.seeds.items())
        parts = [known[at:at + LISTED]
                 for at in range(0, len(known), LISTED)] or [[]]
        for host in self.hosts:
            for part in parts:
                done = self.one.run_all({host.number: self.argv(
                    name, part, [], 0)}, BATCH_LIMIT, step)[host.number]
                status, result = programs.parse(done)
                if status:
                    wrong.append(f"in the end host {host.number}: {name}: "
                                 f"{result}")
                self.counts["slots checked in the end"] += len(part)
        low, high = journal.sure, journal.sure + journal.unsure
        found = result.get("counter", -1)
        if not low <= found <= high:
            wrong.append(f"{name}'s counter is {found}, not {low} to {high}")
        self.report.setdefault("counters-of-programs", {})[name] = {
            "confirmed": low, "at-most": high, "found": found}
        return wrong

    def notices(self, memory):
        """Whether every host sees one slot that is not as confirmed."""
        slot = min(self.journals[memory].seeds)
        self.one.run_all({0: self.argv(memory, [], [(slot, 1)], 0)})
        with ui.Step(f"a wrong slot of {memory}") as step:
            found = self.check_memory(memory, step)
        return len(found) == len(self.hosts) and \
            all(f"'slot': {slot}," in text for text in found)

    def describe(self):
        left = max(0, self.end - time.monotonic())
        return (f"{left / 60:.1f} min left, {len(self.kills)} kills, "
                f"{self.counts['restarts']} restarts, "
                f"{self.counts['slots checked']:,} slots checked, "
                f"{len(self.faults)} faults; "
                + " ".join(f"{host.number}:{host.state}"
                           for host in self.hosts))

    def run(self):
        """All of it; returns what was wrong."""
        before = self.one.counters()
        with ui.Step(f"{len(self.hosts)} hosts under stress") as step:
            while time.monotonic() < self.end and \
                    len(self.faults) < MAX_FAULTS:
                for host in self.hosts:
                    self.step_host(host)
                if time.monotonic() >= self.next_kill:
                    self.kill()
                step.tick(self.describe())
                time.sleep(0.01)
            self.settle(step)
            for name in MEMORIES:
                for text in self.check_memory(name, step):
                    self.fault(text)
        gain = traffic.gained(before, self.one.counters())
        numbers = [host.number for host in self.hosts]
        self.faults += traffic.check_used(gain, numbers)
        self.faults += traffic.check_crossed(gain, numbers)
        self.faults += [f"host {host}: {name} grew by {counters[name]}"
                        for host, counters in gain.items()
                        for name in ("refusal", "machine-check")
                        if counters.get(name, 0)]
        self.report.update(
            counts=dict(self.counts), kills=self.kills, faults=self.faults,
            slots={name: len(journal.seeds)
                   for name, journal in self.journals.items()},
            counters=gain, seconds=round(time.monotonic() - self.start, 1))
        return self.faults


class Command:
    """The run for people."""

    def __init__(self, args, binary):
        self.args = args
        self.binary = binary
        self.seed = args.seed or random.randrange(1, 1 << 31)
        self.report = {"seed": self.seed, "hosts": args.hosts,
                       "minutes": args.minutes, "between": args.between,
                       "smp": args.smp}

    def end(self, one, well):
        """End the cluster, or leave it to be looked at."""
        if well or not self.args.keep or not one.mine:
            one.give_up()
            return
        one.release()
        ui.note(f"cluster '{one.name}' is left as it is, for 'cxl-cluster "
                f"status --name {one.name}'; end it with 'down'")

    def go(self):
        """Boot, run, tell; True if nothing was wrong."""
        ui.note(f"--seed {self.seed} gives the same choices again")
        one = cluster.Cluster(f"stress-{os.getpid()}")
        well = False
        try:
            one.up(cli.config_of(self.args, name=one.name,
                                 binary=self.binary))
            faults = Stress(one, self.args.hosts, random.Random(self.seed),
                            self.args.minutes, self.report,
                            self.args.between).run()
            well = not faults
        except KeyboardInterrupt:
            well = True                 # and nobody wants to look at it
            raise
        finally:
            self.end(one, well)
        rows = [["", ""]]
        rows += [[name, f"{count:,.0f}"]
                 for name, count in self.report["counts"].items()]
        rows += [["kills", len(self.report["kills"])]]
        rows += [[f"slots of {name} that are known", f"{count:,}"]
                 for name, count in self.report["slots"].items()]
        for name, item in self.report["counters-of-programs"].items():
            rows.append([f"increments in {name}", f"{item['found']:,} of "
                         f"{item['confirmed']:,} to {item['at-most']:,}"])
        print(ui.table(rows[1:]))
        for fault in faults:
            print("FAIL  " + fault)
        print(f"{'NOT all' if faults else 'all'} that was confirmed is "
              f"there, after {self.report['seconds']:.0f} s", flush=True)
        self.report["ok"] = not faults
        return not faults


def main():
    """Run the stress test; returns the exit status."""
    cli.interruptible()
    parser = argparse.ArgumentParser(
        prog="stress", description="Kills hosts and starts them again at "
        "random while stock guests write, check and contend for shared "
        "memory; in the end all that a guest confirmed must be there. Exits "
        "with 1 if it is not.")
    cli.add_cluster_options(parser)
    parser.set_defaults(hosts=4)
    parser.add_argument("--minutes", type=float, default=60, metavar="N",
                        help="how long, without boots and the last check "
                        "(default 60)")
    parser.add_argument("--between", type=float, default=BETWEEN,
                        metavar="SECONDS", help="from kill to kill on "
                        f"average (default {BETWEEN})")
    parser.add_argument("--seed", type=int, default=0, metavar="N",
                        help="of all choices (default: a random one)")
    parser.add_argument("--keep", action="store_true",
                        help="if something is wrong, leave the cluster as it "
                        "is, to be looked at")
    parser.add_argument("--eca-options", default="", metavar="TEXT",
                        help="as in cxl-cluster")
    parser.add_argument("--json", metavar="FILE", help="write a report there")
    parser.add_argument("--qemu", metavar="BINARY", help="use this emulator "
                        "instead of building it")
    args = parser.parse_args()
    if args.hosts < 2:
        raise ui.UserError(f"--hosts {args.hosts}: accepts 2 and more")
    for name in ("minutes", "between"):
        if not 0 < getattr(args, name) <= 10000:
            raise ui.UserError(f"--{name} {getattr(args, name):g}: accepts "
                               "up to 10000")
    machine.Config(hosts=args.hosts, smp=args.smp, leaves=args.leaves,
                   binary="/bin/true").check()
    binary = args.qemu or build.everything()
    return cli.run_reported(Command(args, binary), args.json)
