# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests with stock guests: what the programs of tests/guest must find.

Each function of CLUSTERS boots one cluster and tests on it what it can, for
booting takes longer than most tests.  A host that is killed stays dead, so
deaths come last; the kills of all clusters make up the KILLS of a run.  Set
CXLF_TEST_SEED to the seed that a run printed to have the same moments again.
"""

import contextlib
import os
import random
import signal
import time

from . import agent, build, cluster, failtest, hotplugtest, libtest, \
    listtest, machine, movetest, onlinetest, programs, qmp, realtest, \
    regiontest, stress, telemetrytest, tiertest, traffic, ui

KILLS = 5
WORDS = 24                              # of the spinlock's record
UPSTREAM_INCREMENTS = 30000
STRESS_MINUTES = 1
BULK_OFFSET = 64 << 20                  # beyond the payload of messages
# No page of BULK may become one of lines, so what is decided for accesses
# to BULK can be told from what HOT's need.
QUOTA_NONE = "precise-quota=0"
# HOT is never mapped, so every access to it is counted.
TRAPPED = "hot-map-after=0"
# Pages of BULK are tracked by lines only where the directory is finite.
FINITE = tiertest.FINITE
# Where pages stay whole an access is native: with fewer a host would have
# ended before the next one begins.  MOVES is how often pages must go from
# host to host in the longest of these runs.
NATIVE = 2000000
NATIVE_LONG = 5 * NATIVE
NATIVE_LITMUS = 4 * NATIVE
NATIVE_ENTRIES = NATIVE // 4
MOVES = 40


def _grown(options, growth):
    """Options with --count so many times as large."""
    options = list(options)
    if growth > 1:
        at = options.index("--count") + 1
        options[at] *= growth
    return options


class Bench:
    """One cluster under test, with its programs and the tally."""

    def __init__(self, tally, label, binary, rng, **config):
        self.tally = tally
        self.label = label
        self.rng = rng
        self.one = cluster.Cluster(f"test-{os.getpid()}-{label}")
        self.programs = programs.Programs()
        self.config = machine.Config(name=self.one.name, binary=binary,
                                     **config)
        self.hosts = list(range(self.config.hosts))
        self.smp = self.config.smp
        self.total = {host: 0 for host in self.hosts}
        self.killed = 0

    def __enter__(self):
        ui.note(f"cluster {self.label}: {self.config.hosts} hosts, smp "
                f"{self.smp}, leaves {self.config.leaves}")
        self.one.up(self.config)
        if self.config.device == "fabric":
            self.start = self.one.counters()
        return self

    def __exit__(self, *_):
        self.one.give_up()

    @contextlib.contextmanager
    def test(self, name):
        """One test: it appends what is wrong to the list that it gets."""
        wrong = []
        try:
            yield wrong
        except ui.UserError as error:
            wrong.append(str(error))
        self.tally.add(f"{self.label}/{name}", not wrong, "; ".join(wrong))

    def program(self, name, program, *options, known=None, hosts=None,
                bulk=False, moves=0):
        """A test that runs one program.

        known: the accesses that each rank makes at least to HOT; a list of
        them if they differ.
        HOT's programs must move the counters by that, BULK's must move
        pages and make no callback for an access.
        moves: how often at least.  Where accesses are native that depends on
        how the hosts' CPUs take turns, so --count grows until it is reached.
        """
        hosts = self.hosts if hosts is None else hosts
        if bulk:
            options += ("--dev", "/dev/cxlf/bulk", "--offset", BULK_OFFSET)
        with self.test(name + (" in BULK" if bulk else "")) as wrong:
            before = self.one.counters()
            for growth in (1, 4, 16):
                done = self.programs.run(self.one, hosts, program,
                                         *_grown(options, growth))
                after = self.one.counters()
                for host, (status, result) in zip(hosts, done):
                    if status:
                        wrong.append(f"host {host}: status {status}, "
                                     f"{result}")
                gain = traffic.gained(before, after)
                moved = sum(gain[host]["page-revoked"] for host in hosts)
                if wrong or moved >= moves:
                    break
            if bulk:
                wrong += self.bulk_traffic(gain, hosts)
                if moved < moves:
                    wrong.append(f"pages moved {moved} times, and not "
                                 f"{moves}")
            else:
                if not isinstance(known, (list, tuple)):
                    known = [known or 0] * len(hosts)
                if len(hosts) == 1:
                    known = [0]         # it may have all that it uses
                known = dict(zip(hosts, known))
                wrong += traffic.check_traffic(before, after, known)
                for host in hosts:
                    self.total[host] += known[host]

    def whole_pages(self):
        """Whether no page of BULK becomes one of lines."""
        return QUOTA_NONE in self.config.eca_options or \
            FINITE not in self.config.fabric_options

    def bulk_traffic(self, gain, hosts):
        """What is wrong with the counters of hosts that share BULK."""
        if not self.whole_pages():
            # A page that is fought over becomes one of lines.
            return traffic.check_used(gain, hosts)
        return traffic.check_pages(gain, hosts)

    def alone(self, host=0):
        """One host alone, at rest: nothing at all may be counted."""
        for device, passes in (("/dev/cxlf/bulk", 2), ("/dev/cxlf/hot", 6)):
            if device.endswith("hot") and \
                    TRAPPED in self.config.eca_options:
                continue
            with self.test(f"{device} at rest counts nothing") as wrong:
                for number in range(passes):
                    if number == passes - 1:
                        before = self.one.counters()
                    wrong += regiontest.pattern(
                        self, host, "--write", "--seed", number + 1,
                        devices=[device])
                    wrong += regiontest.pattern(
                        self, host, "--seed", number + 1, devices=[device])
                wrong += traffic.check_still(traffic.gained(
                    before, self.one.counters()), self.hosts)


# What the programs test

def counters(bench, count, bulk=False):
    """Locked operations of each width, and torn pairs."""
    native = bulk and bench.whole_pages()
    for width in (1, 2, 4, 8, 16):
        if native:
            count = NATIVE_LONG if width == 8 else NATIVE
        bench.program(f"counter of {width} bytes", "counter", "--width",
                      width, "--count", count, "--threads", bench.smp,
                      known=traffic.PER_ATOMIC * count * bench.smp,
                      bulk=bulk, moves=MOVES * (count == NATIVE_LONG))
    bench.program("torn16", "torn16", "--count",
                  NATIVE if native else count, bulk=bulk)


def misaligned(bench):
    with bench.test("misaligned locked operations are counted") as wrong:
        before = bench.one.counters()
        done = bench.programs.run(bench.one, bench.hosts, "misaligned",
                                  "--count", 100)
        gain = traffic.gained(before, bench.one.counters())
        wrong += [f"host {host}: {result}" for host, (status, result)
                  in enumerate(done) if status]
        wrong += [f"host {host} counted {gain[host]['atomic-misaligned']} of "
                  "100" for host in bench.hosts
                  if gain[host]["atomic-misaligned"] < 100]


def litmus(bench, count, bulk=False):
    """The memory model: between hosts as between CPUs of one.

    In `sb` the hosts take turns; in the others each goes its own way.
    """
    free = NATIVE_LITMUS if bulk and bench.whole_pages() else count
    # Hosts beyond two keep company, but for false sharing.
    company = [0] * (bench.config.hosts - 2)
    for test, options, known in (
            ("sb", (), [2 * count] * 2 + company),
            ("sb-fence", (), [2 * count] * 2 + company),
            # The reader may find all but the last flags overwritten.
            ("mp", (), [2 * count, 2, *company]),
            # How many increments fall between the stores is open.
            ("rmw-store", (), [2, count, *company]),
            ("false-sharing", ("--width", 1), 2 * count),
            ("false-sharing", ("--width", 4), 2 * count),
            ("false-sharing", ("--width", 8), 2 * count)):
        name = " ".join([f"litmus {test}", *map(str, options[1:])])
        bench.program(name, "litmus", "--test", test, "--count",
                      count if test.startswith("sb") else free,
                      *options, known=known, bulk=bulk)


def locks(bench, count, bulk=False):
    """A lock around plain words, and a load that is mixed."""
    # Of an entry: exchange, checks, increments, release.
    entry = traffic.PER_ATOMIC + 4 * WORDS + 1
    if bulk and bench.whole_pages():
        count = NATIVE_ENTRIES // (bench.smp * len(bench.hosts))
    bench.program("spinlock", "spinlock", "--count", count, "--threads",
                  bench.smp, known=entry * count * bench.smp, bulk=bulk)
    bench.program("mixed load", "hammer", "--seconds", 2, "--meet", 1,
                  "--threads", bench.smp, known=1000, bulk=bulk)


def messages(bench, count):
    """Payload with flags, and both in either memory."""
    seed = bench.rng.randrange(1 << 30)
    options = ("--count", count, "--seed", seed)
    # Of a message: size, sum and flag are stored, or loaded.
    bench.program("messages with flags in HOT", "message", *options,
                  known=count * 6)
    bench.program("messages with flags", "message", *options, bulk=True)
    bench.program("messages all in HOT", "message", "--count", 5, "--seed",
                  seed, "--payload", "/dev/cxlf/hot", "--max-bytes", 4096,
                  known=5 * 6)


def patterns(bench):
    """What a host writes the next one finds, all around."""
    with bench.test("words of each host are found by the next") as wrong:
        before = bench.one.counters()
        for host, after in zip(bench.hosts, bench.hosts[1:] + [0]):
            seed = ("--seed", host + 21)
            wrong += regiontest.pattern(bench, host, "--write", *seed)
            wrong += regiontest.pattern(bench, after, *seed)
        gain = traffic.gained(before, bench.one.counters())
        wrong += traffic.check_used(gain, bench.hosts)


def no_avx(bench):
    """A CPU with AVX promises whole loads of 16 bytes; HOT has none."""
    with bench.test("the guests' CPUs have no AVX") as wrong:
        done = bench.one.run_all({host: ["cat", "/proc/cpuinfo"]
                                  for host in bench.hosts})
        for host, (status, out, _) in done.items():
            flags = [word for line in out.decode().splitlines()
                     if line.startswith("flags") for word in line.split()]
            found = {word for word in flags if word.startswith("avx")}
            if status or "cx16" not in flags or found:
                wrong.append(f"host {host}: status {status}, "
                             f"{' '.join(sorted(found))}")


def all_traffic(bench):
    """Everything that the cluster did since it was booted."""
    with bench.test("traffic of all programs") as wrong:
        after = bench.one.counters()
        wrong += traffic.check_traffic(bench.start, after, bench.total)
        gains = traffic.gained(bench.start, after)
        never = ["refusal", "machine-check"]
        # A page of BULK that became one of lines is trapped.
        if bench.whole_pages():
            never.append("bulk-trapped")
        for host, gain in gains.items():
            wrong += [f"host {host}: {name} grew by {gain[name]}"
                      for name in never if gain.get(name, 0)]
            if host in bench.hosts and not gain.get("atomic", 0):
                wrong.append(f"host {host} counted no atomic operation")


def sharing(bench, count):
    """Each program on HOT and on BULK; `count` scales them."""
    # Chance decides whether a loss happens: on cxl-type3, 9 of 10 runs of
    # 20,000 lost increments (5 widths, smp 1 and 2), and 6 of 10 of a
    # quarter of it.  So a pass of one width alone is weak evidence.
    for bulk in (False, True):
        counters(bench, count, bulk)
        # An iteration in BULK takes some transfers of a page.
        litmus(bench, count // (8 if bulk else 2), bulk)
        locks(bench, count // 20, bulk)
    messages(bench, 20)
    patterns(bench)


# Deaths

def kill_some(bench, victims):
    """Kill hosts one after the other while all are under load."""
    one, rng = bench.one, bench.rng
    left = list(bench.hosts)
    jobs = bench.programs.hammer(one, left, 0, bench.smp)
    for _ in range(victims):
        victim = left.pop(rng.randrange(len(left)))
        goal = rng.randrange(500, 20000)
        with bench.test(f"host {victim} killed under load is reported dead") \
                as wrong, ui.Step(f"killing host {victim}") as step:
            goals = dict.fromkeys(left, 200)
            programs.await_load(one, {**goals, victim: goal}, step)
            pid = one.kill(victim)
            if not programs.await_death(one, victim, step):
                wrong.append(f"the owner did not report host {victim} (pid "
                             f"{pid}) within 10 s")
            # The others go on: each makes more rounds after the death.
            # One alone soon has mapped all that it uses, and counts nothing.
            if len(left) > 1:
                programs.await_load(one, dict.fromkeys(left, 2000), step)
    bench.killed += victims
    with bench.test("the survivors' checks pass") as wrong:
        for host in left:
            one.agent(host).kill(jobs[host].pid)
        outcomes = agent.wait_all([jobs[host] for host in left], 30)
        for host, outcome in zip(left, outcomes):
            status, result = programs.parse(outcome)
            if status:
                wrong.append(f"host {host}: status {status}, {result}")
    bench.program("counter of the survivors", "counter", "--count", 1000,
                  "--threads", bench.smp, hosts=left,
                  known=traffic.PER_ATOMIC * 1000 * bench.smp)
    bench.hosts = left


def kill_owner(bench):
    """The owner dies: the fabric is lost, and the guests are not."""
    one = bench.one
    with bench.test("the owner's death is reported by every host") as wrong:
        owner = one.process("owner")
        owner.signal(signal.SIGKILL)
        if not owner.wait(10):
            raise ui.UserError("the owner did not end within 10 s")
        limit = time.monotonic() + 10
        waiting = set(bench.hosts)
        while waiting and time.monotonic() < limit:
            for host in sorted(waiting):
                known = qmp.fabric(one.place(f"host{host}.qmp"))
                if known["state"] == "lost":
                    waiting.discard(host)
            time.sleep(0.02)
        wrong += [f"host {host} did not report it within 10 s"
                  for host in sorted(waiting)]
    with bench.test("the guests survive the owner's death") as wrong:
        done = one.run_all({host: ["cat", "/proc/uptime"]
                            for host in bench.hosts}, 30)
        wrong += [f"host {host}: {outcome}" for host, outcome in done.items()
                  if outcome[0] or not one.alive(f"host{host}")]


# Clusters

def everything(bench):
    sharing(bench, 20000)
    misaligned(bench)
    no_avx(bench)
    all_traffic(bench)
    bench.alone()
    regiontest.run(bench)
    kill_some(bench, 1)


def four(bench):
    sharing(bench, 2000)
    all_traffic(bench)
    kill_some(bench, KILLS - 2)


def four_wide(bench):
    sharing(bench, 1000)
    all_traffic(bench)


def real(bench):
    """Programs that were not written here; and the table of what they did."""
    outcomes = []
    runs = realtest.Programs(bench.one, bench.hosts)
    for memory in realtest.DEVICES:
        for outcome in runs.run(memory):
            outcomes.append(outcome)
            bench.tally.add(f"{bench.label}/{outcome.name} on {memory}",
                            not outcome.wrong, "; ".join(outcome.wrong))
    print(realtest.table(outcomes), flush=True)


def other_kernel(bench):
    with bench.test("the kernel is a 7.x") as wrong:
        release = bench.one.state()["kernel"]
        if not release.startswith("7."):
            wrong.append(release)
    bench.program("counter", "counter", "--count", 10000,
                  known=traffic.PER_ATOMIC * 10000)
    all_traffic(bench)
    kill_owner(bench)


def bypass(bench):
    """HOT mapped around the directory: data alone would not show it."""
    with bench.test("traffic around the directory is caught") as wrong:
        before = bench.one.counters()
        done = bench.programs.run(bench.one, bench.hosts, "counter",
                                  "--count", 10000)
        if any("error" in result for _, result in done):
            wrong.append(f"the program did not run: {done}")
        known = dict.fromkeys(bench.hosts, traffic.PER_ATOMIC * 10000)
        faults = traffic.check_traffic(before, bench.one.counters(), known)
        if not any("its agent counted" in fault for fault in faults):
            wrong.append(f"only these faults were seen: {faults}")


def upstream(bench):
    """The proof that the counter can lose increments."""
    with bench.test("cxl-type3 loses increments") as wrong:
        expected, found, errors = bench.programs.count_until_lost(
            bench.one, bench.hosts, UPSTREAM_INCREMENTS, bench.smp)
        wrong += errors
        if not errors and found >= expected:
            wrong.append(f"{found} of {expected} were found")


def short_stress(bench):
    """Hosts die, come back, and find what was confirmed."""
    with bench.test(f"{STRESS_MINUTES} minutes of deaths and births") \
            as wrong:
        report = {}
        run = stress.Stress(
            bench.one, len(bench.hosts), bench.rng, STRESS_MINUTES, report,
            between=10)
        wrong += run.run()
        counts = report["counts"]
        ui.note(f"{len(report['kills'])} kills, {counts['restarts']} "
                f"restarts, {counts['slots checked']:,} slots checked")
        if not report["kills"] or not counts["restarts"]:
            wrong.append("no host died and came back")
    for memory in stress.MEMORIES:
        with bench.test(f"a wrong slot of {memory} is noticed") as wrong:
            if not run.notices(memory):
                wrong.append("not by every host")


CLUSTERS = (
    ("smp1", everything, {"eca_options": QUOTA_NONE}),
    ("smp2", everything, {"smp": 2, "leaves": 2, "eca_options": TRAPPED}),
    ("four", four, {"hosts": 4, "fabric_options": FINITE}),
    ("four2", four_wide, {"hosts": 4, "smp": 2, "leaves": 2,
                         "eca_options": f"{QUOTA_NONE},{TRAPPED}"}),
    ("real", real, {"packages": realtest.PACKAGES,
                    "eca_options": QUOTA_NONE}),
    ("online", onlinetest.run, {"packages": onlinetest.PACKAGES,
                                "online": [onlinetest.HOST]}),
    ("stress", short_stress, {"hosts": 3}),
    ("poison", failtest.poisoned, {
        "hosts": 3, "fabric_options": failtest.POISON}),
    ("held", failtest.held_up, {"hosts": 3}),
    *hotplugtest.CLUSTERS,
    *tiertest.CLUSTERS,
    *telemetrytest.CLUSTERS,
    *libtest.CLUSTERS,
    *movetest.CLUSTERS,
    *listtest.CLUSTERS,
    ("linux7", other_kernel, {"kernel": ["7"]}),
    ("bypass", bypass, {"gfam_options": "x-hot-bypass=on"}),
    ("type3", upstream, {"device": "type3"}),
)


def run(tally, binary=None, only=()):
    """Boot all clusters, or those that are named, one after the other."""
    binary = binary or build.emulator()
    seed = int(os.environ.get("CXLF_TEST_SEED", 0)) or \
        random.randrange(1, 1 << 31)
    ui.note(f"CXLF_TEST_SEED={seed} gives the same moments of death again")
    killed = 0
    for label, function, config in CLUSTERS:
        if only and label not in only:
            continue
        start = time.monotonic()
        bench = Bench(tally, label, binary, random.Random(f"{seed} {label}"),
                      **config)
        try:
            with bench:
                function(bench)
        except ui.UserError as error:
            tally.add(f"{label}/cluster", False, str(error))
        killed += bench.killed
        ui.note(f"cluster {label}: {time.monotonic() - start:.0f} s")
    if not only:
        tally.add(f"{KILLS} hosts were killed under load", killed == KILLS,
                  f"{killed} were")
