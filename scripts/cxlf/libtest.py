# SPDX-License-Identifier: GPL-2.0-or-later
"""libeca in guests: a guest dies inside each primitive, the others recover.

The program is that of the host's tests (tests/libeca/eca-test.c).  Here its
victim stops at a step, and this script kills that guest's QEMU; a survivor's
agent says through HOST_LIFE that the host is gone.
"""

import json
import random

from . import agent, manuals, programs, qmp, regiontest, ui

DEVICE = "/dev/cxlf/hot"
OFFSET = 192 << 20                      # where no other program works
TIMEOUT = 120                           # of a case, in seconds
COUNT = 2000                            # increments of the example
PROCESS_CASES = ("spin", "ticket")      # survivors need not know when
NAMED = "hot"                           # the device, as a class


def eca(bench, host, *words, device=NAMED):
    """Run the tool in a guest; its output."""
    status, out, err = bench.one.run_all({host: [
        "eca", "--device", device, *map(str, words)]}, 60)[host]
    if status:
        raise ui.UserError(f"eca {' '.join(map(str, words))} in host {host}: "
                           f"status {status}, {err.decode().strip()}")
    return out.decode()


def part(bench, case, number, hosts, *options):
    """The command line of one guest's part of a case."""
    return ["eca-test", "--case", case, "--run", str(number), "--device",
            DEVICE, "--offset", str(OFFSET), "--survivors",
            str(len(hosts)), *map(str, options)]


def await_stop(bench, number, host):
    """Until the victim has come to its step."""
    status, _, err = bench.one.run_all({host: [
        "eca-test", "--stopped", "--run", str(number), "--device", DEVICE,
        "--offset", str(OFFSET)]}, TIMEOUT)[host]
    if status:
        raise ui.UserError(err.decode().strip())


def judge(jobs, wrong):
    """What the survivors found; somebody may have to notice the death."""
    noticed, must = 0, False
    for rank, outcome in enumerate(agent.wait_all(jobs, TIMEOUT)):
        status, result = programs.parse(outcome)
        if status:
            wrong.append(f"rank {rank}: status {status}, {result}")
        else:
            noticed += result["noticed"]
            must = must or result["must-notice"]
    if must and not noticed and not wrong:
        wrong.append("nobody noticed the death")


def start(bench, case, number, ranks, victim):
    """The survivors' jobs and the victim's, which has stopped inside."""
    jobs = [agent.Job(bench.one.agent(host), part(
        bench, case, number, ranks, "--role", "survivor", "--rank", rank))
        for rank, host in enumerate(ranks)]
    job = agent.Job(bench.one.agent(victim), part(
        bench, case, number, ranks, "--role", "victim"))
    await_stop(bench, number, ranks[0])
    return jobs, job


def kill_process(bench, case, number):
    """The same in one guest: a process dies, and its host lives."""
    with bench.test(f"a process dies inside: {case}") as wrong, \
            ui.Step(f"a process dies inside: {case}"):
        jobs, victim = start(bench, case, number, [0, 0], 0)
        bench.one.agent(0).kill(victim.pid)
        judge(jobs, wrong)


def kill_inside(bench, case, number, victim, hosts):
    """One case: the victim stops inside, is killed, and hosts recover."""
    one = bench.one
    # A pair has two ends, and somebody must take the dead one's: with two
    # guests the survivor is both.
    ranks = hosts if len(hosts) > 1 else hosts * 2
    with bench.test(f"a guest dies inside: {case}") as wrong, \
            ui.Step(f"host {victim} dies inside: {case}"):
        before = programs.deaths(one, victim)[0]
        jobs, _ = start(bench, case, number, ranks, victim)
        one.kill(victim)
        if not programs.await_death(one, victim, before=before):
            wrong.append("the owner did not report the death within 10 s")
        judge(jobs, wrong)


def cases(bench):
    """Their names, as the program has them."""
    return regiontest.script(bench, 0, "eca-test --list").split()


def documents(bench):
    """The tool and the examples, as the documents show them."""
    last = bench.hosts[-1]
    with bench.test("the tool: regions, and who is alive") as wrong:
        for host in bench.hosts:
            info = json.loads(eca(bench, host, "--json", "info"))
            alive = [item["host"] for item in info["alive"]]
            if info["host"] != host or not info["up"] or \
                    alive != bench.hosts:
                wrong.append(f"host {host}: {info}")
            found = {item["class"]: item["bytes"] for item in json.loads(
                eca(bench, host, "--json", "regions"))}
            want = {"hot": bench.config.hot, "bulk": bench.config.bulk}
            if found != want:
                wrong.append(f"host {host}: {found}, not {want}")
    with bench.test("the commands of eca(1)"):
        for host, block in zip((last, 0), manuals.blocks("eca.1")):
            said = regiontest.script(bench, host, "set -e\n" + block)
            ui.note(said.replace("\0", "").strip())
    with bench.test("the tool: an object from one guest to another") as wrong:
        eca(bench, 0, "--bytes", "16M", "arena", "create")
        eca(bench, 0, "alloc", "greeting", "64")
        regiontest.script(bench, 0, "echo hello | eca put greeting")
        if eca(bench, last, "cat", "greeting").rstrip("\0") != "hello\n":
            wrong.append("it is not what was put")
        names = [item["name"] for item in json.loads(
            eca(bench, last, "--json", "arena", "list"))]
        if names != ["greeting"]:
            wrong.append(f"it lists {names}")
        eca(bench, last, "free", "greeting")
        if json.loads(eca(bench, 0, "--json", "arena", "check"))["objects"]:
            wrong.append("it is there after it was freed")
    with bench.test("the example: a counter of all guests") as wrong:
        done = bench.one.run_all({host: ["eca-counter", NAMED, str(COUNT)]
                                  for host in bench.hosts}, 120)
        wrong += [f"host {host}: {err.decode()}"
                  for host, (status, _, err) in done.items() if status]
        want = f"counter: {COUNT * len(bench.hosts)}\n"
        if want not in [out.decode() for _, out, _ in done.values()]:
            wrong.append(f"nobody said '{want.strip()}': {done}")
    with bench.test("the example of libeca(3)") as wrong:
        said = {bench.one.run_all({host: ["eca-greeting", NAMED]},
                                  60)[host][1].decode()
                for host in bench.hosts}
        if said != {f"greeting {number + 1}\n" for number in bench.hosts}:
            wrong.append(f"they said {said}")
    with bench.test("the example: an echo") as wrong:
        serve = agent.Job(bench.one.agent(0), ["eca-echo", NAMED, "serve"])
        out = bench.one.run_all({last: ["eca-echo", NAMED, "send", "hi"]},
                                60)[last][1]
        ended = agent.wait_all([serve], 60)[0]
        if out != b"hi\n" or ended[0]:
            wrong.append(f"{out} came back, and the server said {ended}")
    with bench.test("the tool: commands of the agent") as wrong:
        for command in ("acquire-owned", "release"):
            said = json.loads(eca(bench, 0, "--json", "--length", "2M",
                                  command))
            if said["status"] or said["count"] != 512:
                wrong.append(f"{command}: {said}")
        counted = json.loads(eca(bench, 0, "--json", "counters"))
        owner = bench.one.counters()[0]
        if counted.keys() != owner.keys() or not counted["page-mapped"]:
            wrong.append(f"counters: {counted}, not {owner}")
        eca(bench, 0, "arena", "destroy")


def queues(bench):
    """The agent's queues and events, by processes of one guest."""
    names = bench.one.run_all({0: ["eca-test", "--agent", "list"]},
                              60)[0][1].decode().split()
    if not names:
        raise ui.UserError("eca-test has no tests of the agent's queues")
    for name in names:
        with bench.test(f"the agent's queues: {name}") as wrong, \
                ui.Step(f"the agent's queues: {name}"):
            status, _, err = bench.one.run_all(
                {0: ["eca-test", "--agent", name]}, TIMEOUT)[0]
            if status:
                wrong.append(f"status {status}, {err.decode().strip()}")


def told(bench, host, *options):
    """What `eca --json OPTIONS` says, whatever its exit status."""
    status, out, err = bench.one.run_all(
        {host: ["eca", "--json", *map(str, options)]}, 60)[host]
    try:
        return status, json.loads(out)
    except ValueError:
        return status, err.decode().strip()


def ways(bench):
    """The tool's commands by either way, and what it refuses."""
    for way in ("queue", "registers"):
        with bench.test(f"the tool: commands by {way}") as wrong:
            for command in ("acquire-owned", "release", "acquire-owned"):
                status, said = told(bench, 0, "--by", way, "--length", "8M",
                                    command)
                if status or said["count"] != 2048:
                    wrong.append(f"{command}: {status}, {said}")
            status, said = told(bench, 0, "--length", "16M", "holdings")
            if status or said[0] != {"at": 0, "length": 8 << 20,
                                     "held": "owned"}:
                wrong.append(f"holdings: {status}, {said}")
            told(bench, 0, "--by", way, "--length", "16M", "release")
    with bench.test("the tool: a list of 5000 ranges") as wrong:
        said = regiontest.script(
            bench, 0, "awk 'BEGIN { for (i = 0; i < 5000; i++) "
            "print i * 8192, \"4K\" }' | eca --ranges - acquire-owned")
        if said != "acquire-owned: 0, done; 5000 pages, lines or ranges\n":
            wrong.append(said)
    with bench.test("the tool: copies by the agent") as wrong:
        said = regiontest.script(bench, 0, """set -e
            dd if=/dev/urandom of=/tmp/in bs=1M count=3 2>/dev/null
            eca --at 32M copy-in </tmp/in
            eca --at 32M --length 3M copy-across 40M
            eca --at 40M --length 3M copy-out >/tmp/out
            cmp /tmp/in /tmp/out && echo same""")
        if not said.endswith("same\n"):
            wrong.append(said)
    with bench.test("the tool: what it refuses") as wrong:
        for words, want, says in (
                (("--by", "post", "release"), 2, "--by post: accepts any"),
                (("--by", "registers", "fence"), 2, "--by registers: needs"),
                (("--at", "1T", "release"), 2, "--at, --length: beyond"),
                (("--to-gfam", "3", "--length", "4K", "copy-across", "0"), 2,
                 "--to-gfam 3: the fabric has 1"),
                (("--kinds", "host,bird", "events"), 2,
                 "--kinds host,bird: accepts"),
                (("--sample", "21", "events"), 2, "--sample 21: accepts"),
                (("--ranges", "/dev/null", "release"), 2, "no lines of AT"),
                (("--ranges", "/none", "release"), 2, "--ranges /none: "),
                (("--timeout", "0", "--kinds", "message", "events"), 3,
                 "the time is over"),
                (("send", "99", "x"), 2, "send 99: accepts 0 to"),
                (("send", "0", "x" * 25), 2, "TEXT accepts at most 24")):
            status, said = told(bench, 0, *words)
            if status != want or says not in said:
                wrong.append(f"{words}: status {status}, '{said}'")


def messages(bench):
    """From one guest to another, by the tool."""
    last = bench.hosts[-1]
    with bench.test("the tool: a message to another guest") as wrong:
        job = agent.Job(bench.one.agent(0), [
            "eca", "--json", "--kinds", "message", "--timeout", "60",
            "events"])
        # Until the ring is on, nobody takes messages there.
        regiontest.script(bench, last, """tries=0
            until eca send 0 'hello, host 0'; do
                tries=$((tries + 1))
                [ $tries -le 600 ] || exit 1
                usleep 50000
            done""")
        status, out, err = agent.wait_all([job], 60)[0]
        said = json.loads(out) if not status else err.decode()
        if status or said["text"] != "hello, host 0" or said["host"] != last:
            wrong.append(f"status {status}, {said}")
    with bench.test("the tool: events until a signal") as wrong:
        said = regiontest.script(bench, 0, """
            eca --kinds message --follow events >/tmp/events 2>&1 &
            for text in one two three; do
                tries=0
                until eca send "$1" "$text" >/dev/null; do
                    tries=$((tries + 1))
                    [ $tries -le 600 ] || exit 1
                    usleep 50000
                done
            done
            tries=0
            until grep -q 'text three' /tmp/events; do
                tries=$((tries + 1))
                [ $tries -le 600 ] || { cat /tmp/events; exit 1; }
                usleep 50000
            done
            kill $! && wait $! && grep -c text /tmp/events""", 0)
        if said != "3\n":
            wrong.append(said)


def requests(bench):
    """What a guest asks of the manager, and the answer."""
    with bench.test("the tool: a request, and its answer") as wrong:
        status, said = told(bench, 0, "--length", "256M", "ask", "capacity",
                            "bulk")
        owner = bench.one.place("owner.qmp")
        found = qmp.call(owner, "x-query-cxl-fabric-requests")
        if status or [one["length"] for one in found
                      if one["request"] == said["request"]] != [256 << 20]:
            wrong.append(f"status {status}, {said}, and open: {found}")
            return
        qmp.call(owner, "x-cxl-fabric-answer", host=0,
                 request=said["request"], result="denied")
        status, answer = told(bench, 0, "--kinds", "answer", "events")
        if status or (answer["request"], answer["answer"]) != \
                (said["request"], "denied"):
            wrong.append(f"the answer: {status}, {answer}")
    with bench.test("the tool: what it refuses to ask") as wrong:
        for words, want, says in (
                (("mode", "lazy"), 2, "mode lazy: accepts coherent software"),
                (("ask", "capacity", "hot"), 2, "needs --length"),
                (("ask", "class", "cold"), 2, "ask class cold: accepts hot"),
                (("ask", "bind", "65535"), 2, "accepts 0 to 65534"),
                (("ask", "luck", "1"), 2, "ask luck: accepts capacity")):
            status, said = told(bench, 0, *words)
            if status != want or says not in said:
                wrong.append(f"{words}: status {status}, '{said}'")
        status, said = told(bench, 0, "mode", "software")
        if status != 1 or said["status"] != 16:
            wrong.append(f"mode: status {status}, {said}")


def living(bench):
    return [host for host in bench.hosts if bench.one.alive(f"host{host}")]


def run(bench):
    """All of it; those that were killed are booted again when few are left."""
    documents(bench)
    queues(bench)
    ways(bench)
    messages(bench)
    requests(bench)
    first = random.randrange(1, 1 << 40)
    for case in PROCESS_CASES:
        kill_process(bench, case, first)
        first += 1
    for number, case in enumerate(cases(bench)):
        hosts = living(bench)
        if len(hosts) < min(3, len(bench.hosts)):
            for host in set(bench.hosts) - set(hosts):
                bench.one.restart(host)
            hosts = bench.hosts
        victim = hosts[-1]
        kill_inside(bench, case, first + number, victim,
                    [host for host in hosts if host != victim])
    with bench.test("the tool shows who is dead") as wrong:
        info = json.loads(eca(bench, 0, "--json", "info"))
        if [item["host"] for item in info["alive"]] != living(bench):
            wrong.append(f"{living(bench)} are alive, and it says {info}")


CLUSTERS = (
    ("lib", run, {}),
    ("lib4", run, {"hosts": 4}),
)
