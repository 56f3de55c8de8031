# SPDX-License-Identifier: GPL-2.0-or-later
"""Timelines and live figures of stock guests: do they tell what happened?

A page of BULK and a line of HOT go from guest to guest (pingpong.c), and a
host is killed; what the timeline says of them must be in an order in which
it can have happened.
"""

import io
import json
import os
import re
import subprocess
import time

from . import programs, qemu, qmp, timeline, trace, tracetest, ui

TURNS = 300                     # of each host
# Of all turns; a page that is wanted again at once may stay for two.
MOVED = TURNS
SMALL = 1 << 20
LOAD_SECONDS = 60               # it is ended when the test has what it needs
LOGGED_AT, LOGGED = 64 << 20, 1 << 20   # of BULK, that nobody else uses


def recorded(bench, work, wrong, **options):
    """([events], names, document) of what work() did."""
    with trace.Recorder(bench.one, **options) as recorder:
        recorder.poll()
        work()
        recorder.poll()
        recorder.end()
        wrong += [f"{source.name} did not turn its events off"
                  for source in recorder.failed]
        merged = timeline.Merged(recorder.logs())
        events = list(merged)
        data = io.StringIO()
        timeline.write(recorder.logs(), recorder.vcpus, None, data, {})
    if merged.garbage:
        wrong.append(f"{merged.garbage} lines are no events")
    document = json.loads(data.getvalue())
    wrong += tracetest.check_chrome(document)[:5]
    return events, recorder.names, document


def check_page(events, dpa):
    """What cannot be, of one page; how often it went to another host.

    A host that is given it to write must be the only one that has it.
    """
    wrong, held, moves, last = [], {}, 0, None
    for event in events:
        if event.name != "eca_run" or not \
                event.get("dpa") <= dpa < event.get("dpa") + event.get("size"):
            continue
        what = timeline.RUNS[event.get("what")]
        others = {source for source, how in held.items()
                  if source != event.source and
                  (event.get("writable") or how == "owned")}
        if what in ("map", "unprotect") and others:
            wrong.append(f"{event.source} was given {event.text} while "
                         f"{others} had it")
        if what == "zap":
            held.pop(event.source, None)
        else:
            held[event.source] = "owned" if event.get("writable") else \
                "shared"
        if held.get(event.source) == "owned" and event.source != last:
            moves += last is not None
            last = event.source
    return wrong, moves


def check_lines(events):
    """What cannot be, of lines; how many were taken from another host."""
    wrong, taken = [], 0
    for event in events:
        if event.name != "eca_line":
            continue
        said = re.search(r"(\w+): (\w+) to (\w+),", event.text)
        host = 1 << int(event.source[4:])
        snooped = event.get("snooped")
        if said[3] in ("E", "M") and event.get("holders") != host:
            wrong.append(f"{event.text}: not by this host alone")
        if said[2] in ("E", "M") and said[1] != "Evict" and \
                (said[3] == "S" or said[2] == said[3]) and not snooped:
            wrong.append(f"{event.text}: taken from nobody")
        if snooped & host:
            wrong.append(f"{event.text}: taken from itself")
        taken += said[3] in ("E", "M") and snooped != 0
    return wrong, taken


def spans(document, name):
    """The durations of that name, in microseconds."""
    begun, lengths = {}, []
    for event in document["traceEvents"]:
        if event["name"] == name and event["ph"] == "b":
            begun[event["id"]] = event["ts"]
        elif event["name"] == name and event["ph"] == "e":
            lengths.append(event["ts"] - begun.pop(event["id"]))
    return lengths


def moving(bench):
    with bench.test("a timeline of a page and lines that move") as wrong:
        def work():
            done = bench.programs.run(bench.one, bench.hosts, "pingpong",
                                      "--count", TURNS)
            wrong.extend(f"host {host}: {result}" for host, (status, result)
                         in enumerate(done) if status)
        events, names, document = recorded(bench, work, wrong)
        faults, moves = check_page(events, bench.config.hot)
        wrong += faults[:5]
        if moves < MOVED:
            wrong.append(f"the page moved {moves} times, and not {MOVED}")
        requests = spans(document, "request owned")
        if len(requests) < moves or max(requests, default=0) <= 0:
            wrong.append(f"{len(requests)} requests for {moves} moves")
        arrows = sum(event["ph"] == "f" for event in document["traceEvents"])
        # A snoop, and the answer that it is over.
        if arrows < moves:
            wrong.append(f"{arrows} arrows for {moves} moves")
        if "eca_line" not in names:
            wrong.append("this emulator does not trace lines")
        faults, taken = check_lines(events)
        wrong += faults[:5]
        if taken < MOVED:
            wrong.append(f"lines were taken {taken} times, and not {MOVED}")
        ui.note(f"{len(events):,} events, {moves} moves of the page, "
                f"{taken} of lines, {arrows} arrows")


def nothing_left(bench):
    with bench.test("nothing is traced after a timeline") as wrong:
        for name in ["owner"] + [f"host{host}" for host in bench.hosts]:
            for pattern in trace.PATTERNS:
                on = [event["name"] for event in qmp.call(
                    bench.one.place(name + ".qmp"), "trace-event-get-state",
                    name=pattern) if event["state"] == "enabled"]
                if on:
                    wrong.append(f"{name}: {on} are on")
            text = bench.one.tail(name + ".log", 1000)
            if "eca_" in text:
                wrong.append(f"{name}.log has events: {text[:200]}")
        if os.path.exists(bench.one.place("trace")):
            wrong.append("the folder of events is still there")


def load(bench):
    """Jobs that use HOT in all guests, until they are ended."""
    jobs = bench.programs.hammer(bench.one, bench.hosts, LOAD_SECONDS,
                                 bench.smp)
    with ui.Step("waiting for the load") as step:
        programs.await_load(bench.one, dict.fromkeys(bench.hosts, 1000), step)
    return jobs


def end(bench, jobs):
    for host, job in jobs.items():
        if bench.one.alive(f"host{host}"):
            bench.one.agent(host).kill(job.pid)


def limited(bench):
    with bench.test("a timeline ends at its limit") as wrong:
        jobs = load(bench)
        try:
            with trace.Recorder(bench.one, patterns=["eca_access"],
                                limit=SMALL) as recorder:
                limit = time.monotonic() + 20
                while recorder.poll() and time.monotonic() < limit:
                    time.sleep(trace.POLL_SECONDS)
                recorder.end()
                size = recorder.size()
                if not recorder.full or not \
                        SMALL <= size < SMALL + trace.OVERSHOOT:
                    wrong.append(f"{size} bytes, full: {recorder.full}")
        finally:
            end(bench, jobs)


def live(bench):
    with bench.test("top shows all hosts, leaves, links and what is hot") \
            as wrong:
        jobs = load(bench)
        try:
            # The emulators count what is hot from the first question on.
            done = subprocess.run(
                [os.path.join(qemu.TOP, "scripts", "cxl-cluster"), "top",
                 "--name", bench.one.name, "--once", "--json"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, timeout=60)
        finally:
            end(bench, jobs)
        if done.returncode:
            raise ui.UserError(done.stderr.decode())
        found = json.loads(done.stdout)
        for host in found["hosts"]:
            if host["state"] != "up" or \
                    not host["rates"]["hits"] + host["rates"]["misses"]:
                wrong.append(f"host {host['host']}: {host}")
        if len(found["hosts"]) != len(bench.hosts):
            wrong.append(f"{len(found['hosts'])} hosts")
        if not any(leaf.get("lines") for leaf in found["leaves"]):
            wrong.append(f"no line is in use: {found['leaves']}")
        if not any(link["rates"]["accesses"] for link in found["links"]):
            wrong.append(f"no link is used: {found['links']}")
        asked = {user["host"] for device in found["devices"]
                 for user in device["users"]}
        if asked != set(bench.hosts):
            wrong.append(f"devices are asked by hosts {sorted(asked)}")
        used = {host for unit in found["hot-lines"]
                for host in unit["hosts"]}
        if used != {str(host) for host in bench.hosts}:
            wrong.append(f"what is hot is so for hosts {sorted(used)}")


def _logs(bench, wrong):
    """{host: what cxl-cluster log says}, which must agree."""
    done = subprocess.run(
        [os.path.join(qemu.TOP, "scripts", "cxl-cluster"), "log", "--name",
         bench.one.name, "--verify", "--json"], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    found = {log["host"]: log for log in
             map(json.loads, done.stdout.decode().splitlines())}
    if done.returncode or set(found) != set(bench.hosts):
        wrong.append(f"exit status {done.returncode}, logs {found}, "
                     f"{done.stderr.decode()}")
    return found


def logged(bench):
    """What a guest writes is in its host's log, under load, too."""
    with bench.test("ownership logs") as wrong:
        writer, reader = bench.hosts[:2]
        # The area begins with a control page, which pattern does not use.
        first = bench.one.config.hot + LOGGED_AT + 4096
        jobs = load(bench)
        try:
            for host, more in ((writer, ["--write"]), (reader, [])):
                (status, result), = bench.programs.run(
                    bench.one, [host], "pattern", "--dev", "/dev/cxlf/bulk",
                    "--offset", LOGGED_AT, "--bytes", LOGGED, *more)
                found = _logs(bench, wrong)
                if status:
                    wrong.append(f"pattern in host {host}: {result}")
                # More may have come with its block.
                size = sum(
                    max(0, min(r["dpa"] + r["length"], first + LOGGED) -
                        max(r["dpa"], first))
                    for r in found.get(host, {}).get("ranges", ()))
                if size != LOGGED:
                    wrong.append(f"host {host} has {size} bytes of {LOGGED} "
                                 "in its log")
        finally:
            end(bench, jobs)


def _property(bench, name, path):
    with qmp.Monitor(bench.one.place(name + ".qmp")) as monitor:
        return monitor.call("qom-get", path=path, property="counters")


def properties(bench):
    with bench.test("counters are QOM properties") as wrong:
        limit = time.monotonic() + 10
        while True:
            # The load may still be ending: what counts is one quiet moment.
            known = bench.one.counters()
            pairs = [(_property(bench, f"host{host}",
                                "/machine/peripheral/eca0"), known[host])
                     for host in bench.hosts]
            pairs.append((_property(bench, "owner", "/objects/fabric0"), {
                name: sum(known[host][name] for host in known)
                for name in known[bench.hosts[0]]}))
            if all(one == other for one, other in pairs):
                break
            if time.monotonic() > limit:
                wrong += [f"{one}, not {other}" for one, other in pairs
                          if one != other]
                break


def dying(bench):
    with bench.test("a timeline of a host that dies") as wrong:
        victim = bench.hosts[-1]

        def work():
            jobs = load(bench)
            bench.one.kill(victim)
            if not programs.await_death(bench.one, victim):
                wrong.append("the owner did not report it")
            end(bench, jobs)

        events, _, document = recorded(bench, work, wrong)
        lengths = spans(document, "recovery")
        if len(lengths) != 1 or lengths[0] <= 0:
            wrong.append(f"recoveries took {lengths}")
        dead = [event.get("host") for event in events
                if event.name == "cxl_fabric_host_dead"]
        if dead != [victim]:
            wrong.append(f"hosts {dead} died, and not {victim}")
        # What it did is still there, and ends before it is recovered.
        its = [event.time for event in events
               if event.source == f"host{victim}"]
        over = [event.time for event in events
                if event.name == "cxl_fabric_host" and
                timeline.HOST_STATES[event.get("state")] == "recovering"]
        if not its or not over or its[-1] > over[0]:
            wrong.append(f"host {victim} made {len(its)} events")
        bench.hosts = bench.hosts[:-1]


def run(bench):
    moving(bench)
    nothing_left(bench)
    limited(bench)
    live(bench)
    logged(bench)
    properties(bench)
    dying(bench)
    nothing_left(bench)


# Without guests: the checks themselves

def _run_event(number, host, what, writable, dpa=0):
    return timeline.parse(
        b"1@1700000000.%06d:eca_run host %d what %d writable %d gfam 0 dpa "
        b"0x%x size 0x1000" % (number, host, timeline.RUNS.index(what),
                               writable, dpa), f"host{host}")


def _line_event(host, text):
    return timeline.parse(
        b"1@1700000000.000000:eca_line host %d gfam 0 dpa 0x40 %s"
        % (host, text), f"host{host}")


def impossible():
    """Timelines that cannot be are noticed, and others are not."""
    wrong = []
    good = [(0, "map", True), (0, "zap", False), (1, "map", True),
            (1, "protect", False), (0, "map", False), (1, "zap", False),
            (0, "unprotect", True)]
    events = [_run_event(number, *step) for number, step in enumerate(good)]
    if check_page(events, 0) != ([], 2):
        wrong.append(f"a page that moves: {check_page(events, 0)}")
    for lost in (1, 3, 5):
        if not check_page(events[:lost] + events[lost + 1:], 0)[0]:
            wrong.append(f"'{good[lost]}' is not missed")
    if check_page([_run_event(0, host, "map", True, 0x1000 * host)
                   for host in (0, 1)], 0) != ([], 0):
        wrong.append("two pages are taken for one")
    for host, text, fine, taken in (
            (0, b"Store: I to M, holders 0x1 snooped 0x0", True, 0),
            (1, b"Load: M to S, holders 0x3 snooped 0x1", True, 0),
            (0, b"Store: S to M, holders 0x1 snooped 0x2", True, 1),
            (1, b"Own: M to E, holders 0x2 snooped 0x1", True, 1),
            (1, b"Evict: M to I, holders 0x0 snooped 0x0", True, 0),
            (1, b"Store: M to M, holders 0x2 snooped 0x0", False, 0),
            (1, b"Load: E to S, holders 0x3 snooped 0x0", False, 0),
            (1, b"Store: S to M, holders 0x3 snooped 0x1", False, 1),
            (1, b"Store: S to M, holders 0x2 snooped 0x3", False, 1)):
        faults, moved = check_lines([_line_event(host, text)])
        if bool(faults) == fine or moved != taken:
            wrong.append(f"{text.decode()}: {faults}, {moved} taken")
    return wrong


TESTS = (
    ("timelines that cannot be", impossible),
)
CLUSTERS = (
    ("telemetry", run, {}),
)
