# SPDX-License-Identifier: GPL-2.0-or-later
"""A page of BULK that hosts contend for is tracked by lines, while they do.

Two guests write different lines of one page (tests/guest/falseshare.c).  As
a page it goes back and forth; by lines nothing moves.  Who decides is the
agents' own policy, or a daemon in a guest (tests/guest/tierd.c).
"""

import time

from . import agent, programs, traffic, ui

# A finite directory of lines is what pages of BULK can have lines in.
FINITE = "line-entries=65536"
# The daemon alone decides, for one page at a time.
BY_DAEMON = "promote-after=0,hot-map-after=0,precise-quota=1"
OFFSET = 128 << 20                      # where no other program works
SECONDS = 3
DAEMON_SECONDS = 20
COLD = 40                               # epochs of 0.1 s
# Of each host, a second: a page that goes back and forth, and one that does
# not; the programs' rendezvous moves a page as well.
BUSY, STILL = 20, 10
# Changes of the class of one page, which become rarer and rarer.
CHANGES = 60
NAMES = ("page-revoked", "message", "bulk-trapped", "promotion",
         "promotion-refused", "demotion")


def share(bench, hosts, wrong, *options, seconds=SECONDS):
    """Run falseshare; ({host: gain of its counters}, writes of each)."""
    before = bench.one.counters()
    done = bench.programs.run(
        bench.one, hosts, "falseshare", "--dev", "/dev/cxlf/bulk",
        "--offset", OFFSET, "--seconds", seconds, *options)
    gain = traffic.gained(before, bench.one.counters())
    wrong += [f"host {host}: status {status}, {result}"
              for host, (status, result) in zip(hosts, done) if status]
    writes = [result.get("writes", 0) for _, result in done]
    ui.note("; ".join(
        f"host {host}: {count:,} writes, " + ", ".join(
            f"{name} {gain[host].get(name, 0):,}" for name in NAMES)
        for host, count in zip(hosts, writes)))
    return gain, writes


def moved(gain, host, seconds=SECONDS):
    """How often the host lost a page, in a second."""
    return gain[host].get("page-revoked", 0) / seconds


def check_still(bench, wrong):
    """One more run: the page stays, and lines are counted."""
    gain, writes = share(bench, bench.hosts, wrong)
    for host, count in zip(bench.hosts, writes):
        if moved(gain, host) > STILL:
            wrong.append(f"host {host} lost pages {moved(gain, host):.0f} "
                         "times a second")
        # It reads and writes a line each time.
        if gain[host].get("bulk-trapped", 0) < count:
            wrong.append(f"host {host} made {count} writes, and its agent "
                         f"counted {gain[host].get('bulk-trapped', 0)}")
        if not gain[host].get("write-hit", 0):
            wrong.append(f"host {host} hit no line")


def automatic(bench):
    """The agents' policy: promote-after, and hot-map-after."""
    start = bench.one.counters()
    with bench.test("hosts that contend for a page get its lines") as wrong:
        share(bench, bench.hosts, wrong)
        check_still(bench, wrong)
        gain = traffic.gained(start, bench.one.counters())
        changes = sum(gain[host].get("promotion", 0) for host in bench.hosts)
        if not 1 <= changes <= CHANGES:
            wrong.append(f"{changes} promotions")
    with bench.test("a page that one host uses is its page again") as wrong:
        before = bench.one.counters()
        for _ in range(10):
            # Its quiet time has grown, up to 10 s.
            gain, writes = share(bench, [0], wrong)
            if wrong or gain[0].get("bulk-trapped", 0) < writes[0] // 10:
                break
        else:
            wrong.append("its accesses are still callbacks")
        gain = traffic.gained(before, bench.one.counters())
        if not gain[0].get("demotion", 0):
            wrong.append("no demotion was counted")


class Daemon:
    """tierd in a guest, for so many seconds."""

    def __init__(self, bench, host, seconds, *options):
        self.job = agent.Job(bench.one.agent(host), [
            "tierd", "--seconds", str(seconds), *map(str, options)])
        self.limit = time.monotonic() + seconds + 60

    def result(self):
        """What it says at its end; UserError if there is none."""
        while self.job.poll() is None:
            if time.monotonic() > self.limit:
                raise ui.UserError("tierd does not end")
            time.sleep(0.1)
        status, result = programs.parse(self.job.result)
        if status:
            raise ui.UserError(f"tierd: status {status}, {result}")
        ui.note("tierd: " + ", ".join(
            f"{name} {value}" for name, value in result.items()
            if name not in ("program", "host", "hosts", "ok")))
        return result


def by_daemon(bench):
    """A daemon decides by the hot list, and keeps to its host's quota."""
    with bench.test("a page of two hosts goes back and forth") as wrong:
        gain, _ = share(bench, bench.hosts, wrong)
        wrong += [f"host {host} lost it {moved(gain, host):.0f} times a "
                  "second" for host in bench.hosts
                  if moved(gain, host) < BUSY]
    with bench.test("the daemon promotes it, and demotes it") as wrong:
        daemon = Daemon(bench, 0, DAEMON_SECONDS, "--cold", COLD)
        share(bench, bench.hosts, wrong)
        check_still(bench, wrong)
        result = daemon.result()
        if result["commands"] != "yes":
            raise ui.UserError("the agent has no commands for pages")
        for name in ("listed", "promoted", "demoted"):
            if not result[name]:
                wrong.append(f"tierd: {name} 0")
    with bench.test("the daemon is refused what is beyond the quota") \
            as wrong:
        # On a busy machine pages may change so often that each has room.
        for _ in range(programs.ATTEMPTS):
            before = bench.one.counters()
            daemon = Daemon(bench, 0, 2 * SECONDS)
            share(bench, bench.hosts, wrong, "--pages", 4,
                  seconds=2 * SECONDS)
            result = daemon.result()
            gain = traffic.gained(before, bench.one.counters())
            if result["refused"]:
                break
        if not result["refused"]:
            wrong.append("tierd was refused nothing")
        if not gain[0].get("promotion-refused", 0):
            wrong.append("host 0 counted no refusal")


CLUSTERS = (
    ("tiers", automatic, {"fabric_options": FINITE}),
    ("tierd", by_daemon, {"fabric_options": FINITE,
                          "eca_options": BY_DAEMON}),
)
