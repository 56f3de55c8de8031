# SPDX-License-Identifier: GPL-2.0-or-later
"""Quick tests of the scripts themselves, without guests.

Each test is a function that returns what is wrong, as a list of sentences.
"""

import ast
import contextlib
import copy
import glob
import importlib
import json
import os
import random
import re
import shutil
import stat
import subprocess
import tarfile
import tempfile
import zlib
from unittest import mock

from . import cluster, cpio, debian, fmtest, fuzz, machine, manuals, \
    ownershiptest, procs, qemu, requests, stress, telemetrytest, \
    topology, toptest, tracetest, traffic, ui

SCRIPTS = os.path.join(qemu.TOP, "scripts")
SUBCOMMANDS = {
    "cxl-cluster": ("up", "run", "console", "status", "trace", "top",
                    "log", "requests", "kill", "restart", "down", "topology"),
}
# Links that a script or document may have; a mirror is apt's to choose.
LINKS = ("spdx.org", "www.gnu.org", "www.kernel.org", "docs.kernel.org",
         "www.qemu.org", "gitlab.com")


def expect(wrong, what, text, function):
    """`function` must raise UserError with `text` in it."""
    try:
        function()
    except ui.UserError as error:
        if text not in str(error):
            wrong.append(f"{what}: '{error}' does not say '{text}'")
        return
    wrong.append(f"{what}: accepted")


@contextlib.contextmanager
def environment(**values):
    """Environment variables for the time of a test."""
    saved = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# The traffic check

def _good():
    counters = {"read-hit": 300, "write-hit": 400, "read-miss": 150,
                "write-miss": 50, "upgrade": 100, "bisnp-sent": 90,
                "bisnp-received": 90}
    before = {host: dict.fromkeys(counters, 7) for host in (0, 1)}
    after = {host: {name: count + 7 for name, count in counters.items()}
             for host in (0, 1)}
    return before, after, {0: 1000, 1: 1000}


def _set(host, **values):
    def change(_before, after, _known):
        for name, value in values.items():
            after[host][name.replace("_", "-")] = value
    return change


def _all_hits(_before, after, _known):
    for name in ("read-miss", "write-miss", "upgrade"):
        after[1][name] = 7
    after[1]["read-hit"] += 300


def _silent(_before, after, _known):
    for host in after:
        after[host]["bisnp-sent"] = after[host]["bisnp-received"] = 7


TRAFFIC_FAULTS = (
    ("no counters", "host 1 has no counters",
     lambda before, after, known: after.pop(1)),
    ("too few accesses", "host 0 made at least 1000 accesses, and its agent "
     "counted 600", _set(0, write_hit=7)),
    ("nothing at all", "its agent counted 0",
     lambda before, after, known: after.update(copy.deepcopy(before))),
    ("one access too few", "counted 1000",
     lambda before, after, known: known.update({0: 1001})),
    ("a count that falls", "upgrade went back by 1",
     _set(0, upgrade=6, read_hit=1000)),
    ("no back-invalidate received", "host 1 contended and received no "
     "back-invalidate", _set(1, bisnp_received=7)),
    ("no back-invalidate anywhere", "received no back-invalidate", _silent),
    ("no miss", "host 1 contended and never missed", _all_hits),
    ("one back-invalidate lost", "180 back-invalidates were sent and 179 "
     "received", _set(0, bisnp_received=96)),
    ("one back-invalidate too many", "180 back-invalidates were sent and 181 "
     "received", _set(0, bisnp_received=98)),
)


def traffic_check():
    """Good gains pass, and each mutation is caught."""
    wrong = [f"good gains: {fault}"
             for fault in traffic.check_traffic(*_good())]
    for name, says, change in TRAFFIC_FAULTS:
        sample = _good()
        change(*sample)
        faults = traffic.check_traffic(*sample)
        if not any(says in fault for fault in faults):
            wrong.append(f"{name}: not '{says}' but {faults}")
    # One host alone cannot contend, and hosts of known 0 need not.
    before, after, _ = _good()
    for host in after:
        after[host]["bisnp-sent"] = after[host]["bisnp-received"] = 7
    for known in ({0: 1000}, {0: 0, 1: 0}):
        wrong += traffic.check_traffic(before, after, known)
    return wrong


def _shared():
    """Two hosts that shared pages of BULK as they should."""
    counters = {"page-fault": 9, "page-mapped": 20, "page-revoked": 8,
                "message": 16, "read-hit": 3, "write-miss": 20,
                "bulk-trapped": 0}
    return {host: dict(counters) for host in (0, 1)}


PAGE_FAULTS = (
    ("a host that never faulted", "host 1 had no page-fault",
     lambda gain: gain[1].update({"page-fault": 0})),
    ("a host without a page", "host 0 had no page-mapped",
     lambda gain: gain[0].update({"page-mapped": 0})),
    ("no message", "no host counted message",
     lambda gain: [counters.pop("message") for counters in gain.values()]),
    ("nothing was taken", "no host counted page-revoked",
     lambda gain: [counters.pop("page-revoked")
                   for counters in gain.values()]),
    ("accesses that were decided", "host 0: 1020 accesses were decided, and "
     "at most 74",
     lambda gain: gain[0].update({"read-hit": 1000})),
    ("accesses that were trapped", "host 1: bulk-trapped grew by 3",
     lambda gain: gain[1].update({"bulk-trapped": 3})),
)


def page_check():
    """The same for pages, shared and at rest."""
    wrong = [f"good gains: {fault}"
             for fault in traffic.check_pages(_shared(), (0, 1))]
    for name, says, change in PAGE_FAULTS:
        gain = _shared()
        change(gain)
        faults = traffic.check_pages(gain, (0, 1))
        if not any(says in fault for fault in faults):
            wrong.append(f"{name}: not '{says}' but {faults}")
    rest = {0: dict.fromkeys((*traffic.ACCESSES, *traffic.PAGES), 0)}
    wrong += traffic.check_still(rest, (0,))
    for name in rest[0]:
        if not traffic.check_still({0: {**rest[0], name: 1}}, (0,)):
            wrong.append(f"at rest, {name} may grow")
    # Pages that nobody had before come without a message.
    gain = _shared()
    for counters in gain.values():
        counters["message"] = counters["page-revoked"] = 0
    wrong += traffic.check_pages(gain, (0, 1), moved=False)
    if traffic.check_used(gain, (0, 1)) or not traffic.check_used(
            {0: {"read-hit": 0}}, (0,)):
        wrong.append("what is used and what is not are mixed up")
    return wrong


# The journal of the stress test

def journal():
    """What a dead host had not confirmed is unknown, and nothing else."""
    wrong = []
    run = stress.Stress(None, 2, random.Random(1), 1, {})
    run.fault = run.faults.append
    host, known = run.hosts[0], run.journals["BULK"]
    ok = (0, b'{"ok":true}', b"")

    def batch(check, write):
        host.batch = stress.Batch("BULK", check, write, 5, None)
        known.busy.update(slot for slot, _ in check + write)

    batch([], [(1, 11), (2, 12)])
    if 1 in known.idle() or len(known.idle()) != stress.SLOTS - 2:
        wrong.append("a slot that is being written is idle")
    run.finish(host, ok)
    batch([(2, 12)], [(1, 21), (3, 13)])
    run.lost(host)
    if known.seeds != {2: 12} or known.busy or \
            (known.sure, known.unsure) != (5, 5):
        wrong.append(f"after a death: {vars(known)}")
    batch([(2, 12)], [])
    run.finish(host, (1, b'{"slot":2,"wrong-words":1}', b""))
    if len(run.faults) != 1 or "host 0" not in run.faults[0]:
        wrong.append(f"a wrong slot: {run.faults}")
    return wrong


# Command lines

def commands():
    """The executable files of scripts/."""
    return [name for name in sorted(os.listdir(SCRIPTS))
            if os.path.isfile(os.path.join(SCRIPTS, name))
            and os.access(os.path.join(SCRIPTS, name), os.X_OK)]


def _call(*argv):
    return subprocess.run([os.path.join(SCRIPTS, argv[0]), *argv[1:]],
                          stdin=subprocess.DEVNULL, text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def command_lines():
    """--help works everywhere, and an unknown option is named."""
    wrong = []
    for name in commands():
        for words in [(), *((word,) for word in SUBCOMMANDS.get(name, ()))]:
            text = " ".join((name, *words))
            done = _call(name, *words, "--help")
            if done.returncode or "usage:" not in done.stdout or done.stderr:
                wrong.append(f"{text} --help: status {done.returncode}")
            done = _call(name, *words, "--no-such-option")
            if done.returncode != 2 or "usage:" not in done.stderr or \
                    "Traceback" in done.stderr:
                wrong.append(f"{text} --no-such-option: status "
                             f"{done.returncode}")
    for argv, says in (
            (("cxl-cluster", "down", "--no-such-option"), "--no-such-option"),
            (("demo", "--no-such-option"), "--no-such-option"),
            (("demo", "--hosts", "1"), "--hosts 1: accepts 2"),
            (("demo", "--hosts", "99", "--qemu", "/bin/true"),
             "--hosts 99: accepts 1 to 62"),
            (("stress", "--hosts", "1"), "--hosts 1: accepts 2"),
            (("stress", "--minutes", "0"), "--minutes 0: accepts up to"),
            (("bench", "--rounds", "0"), "--rounds 0: accepts 1"),
            (("cxl-cluster", "restart", "--name", "no-such", "0"),
             "no cluster 'no-such' is up"),
            (("cxl-cluster", "up", "--online", "2", "--qemu", "/bin/true"),
             "--online 2: accepts 0 to 1"),
            (("test", "no-such-stage"), "'no-such-stage' is no stage"),
            (("cxl-cluster", "up", "--hot", "1.5G"), "--hot 1.5G: not a"),
            (("cxl-cluster", "run", "--name", "no-such", "0", "true"),
             "no cluster 'no-such' is up"),
            (("cxl-cluster", "run", "--name", "no-such", "0"),
             "give a command"),
            (("cxl-cluster", "status", "--name", "no-such"),
             "no cluster 'no-such' is up"),
            (("cxl-cluster", "trace", "--name", "no-such"),
             "no cluster 'no-such' is up"),
            (("cxl-cluster", "trace", "--hosts", "1,x"),
             "--hosts 1,x: accepts numbers"),
            (("cxl-cluster", "trace", "--limit", "2X"), "--limit 2X: not a"),
            (("cxl-cluster", "trace", "--output", "/no/such/file"),
             "--output: /no/such is no folder"),
            (("cxl-cluster", "trace", "--seconds", "-1"),
             "--seconds -1: accepts 0 and more"),
            (("cxl-cluster", "requests", "--name", "no-such"),
             "no cluster 'no-such' is up"),
            (("cxl-cluster", "requests", "--grant", "1", "--deny", "2"),
             "not allowed"),
            (("cxl-cluster", "up", "--slots", "3", "--qemu", "/bin/true"),
             "--slots needs --topology"),
            (("cxl-cluster", "up", "--slots", "16", "--qemu", "/bin/true",
              "--topology", os.path.join(topology.FOLDER, "pooled.dts")),
             "--slots 16: accepts 1 to 15"),
            (("cxl-cluster", "up", "--topology", "/no/such.dts"),
             "/no/such.dts: No such file"),
            (("cxl-cluster", "requests", "--deny", "1", "--length", "4K"),
             "--length goes with --grant only"),
            (("cxl-cluster", "requests", "--grant", "1", "--dpa", "64M"),
             "--dpa 64M: not an address"),
            (("cxl-cluster", "requests", "--grant", "1", "--gfam", "-1"),
             "--gfam -1: must not"),
            (("cxl-cluster", "requests", "--grant", "1", "--length", "x"),
             "--length x: not a size"),
            (("cxl-cluster", "top", "--name", "no-such", "--once"),
             "no cluster 'no-such' is up"),
            (("cxl-cluster", "top", "--interval", "0"),
             "--interval 0: accepts 0.1 to 3600"),
            (("cxl-cluster", "top", "--once", "--batch"), "not allowed"),
            (("cxl-cluster", "topology", "/no/such.dts"),
             "/no/such.dts: No such file"),
            (("cxl-cluster", "topology", "--dot", "--svg", "-"),
             "not allowed")):
        done = _call(*argv)
        if not done.returncode or says not in done.stderr or \
                "Traceback" in done.stderr:
            wrong.append(f"{' '.join(argv)}: status {done.returncode}, "
                         f"'{done.stderr.strip()}' does not say '{says}'")
    return wrong


def configuration():
    """Config.check() names the option of each bad value."""
    wrong = []
    machine.Config(binary="/bin/true").check()
    for option, bad in (
            ("--hosts 0", {"hosts": 0}), ("--hosts 63", {"hosts": 63}),
            ("--smp 0", {"smp": 0}), ("--smp 65", {"smp": 65}),
            ("--leaves 0", {"leaves": 0}), ("--leaves 65", {"leaves": 65}),
            ("--gfams 0", {"gfams": 0}), ("--gfams 3", {"gfams": 3}),
            ("--hot", {"hot": 0}), ("--hot", {"hot": machine.GRAIN + 1}),
            ("--hot", {"hot": machine.GRAIN // 2}),
            ("--bulk", {"bulk": machine.GRAIN // 2}),
            ("--bulk", {"bulk": -machine.GRAIN}),
            ("--online 2", {"online": [2]}),
            ("--online", {"online": [0], "bulk": 0}),
            ("--mem", {"mem": 128 << 20}), ("--device", {"device": "nvme"}),
            ("--name", {"name": "a/b"}), ("--name", {"name": ""}),
            ("--name", {"name": ".."}), ("--name", {"name": "n" * 33}),
            ("--overlay", {"overlay": "/no/such"}),
            ("--qemu", {"binary": "/no/such"})):
        values = {"binary": "/bin/true", **bad}
        expect(wrong, str(bad), option, machine.Config(**values).check)
    for text, value in (("256M", 256 << 20), ("1G", 1 << 30),
                        ("1GiB", 1 << 30), ("4096", 4096)):
        if machine.size(text, "--hot") != value:
            wrong.append(f"{text}: {machine.size(text, '--hot')}")
    for text in ("", "M", "-1M", "1.5G", "256 M", "1X"):
        expect(wrong, text, "--hot", lambda: machine.size(text, "--hot"))
    return wrong


def given_sources():
    """--qemu-src says what is wrong with a path."""
    wrong = []
    with tempfile.TemporaryDirectory() as top, \
            environment(XDG_CACHE_HOME=os.path.join(top, "cache")):
        def make(name, text):
            path = os.path.join(top, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as out:
                out.write(text)
            return path

        empty = os.path.join(top, "empty")
        os.mkdir(empty)
        old = os.path.dirname(make("qemu-9.2.0/VERSION", "9.2.0\n"))
        good = os.path.dirname(make("qemu-10.0.9/VERSION", "10.0.9\n"))
        archive = os.path.join(top, "qemu-9.2.0.tar")
        with tarfile.open(archive, "w") as tar:
            tar.add(old, "qemu-9.2.0")
        for path, says in (
                (empty, "not a QEMU source tree"),
                (make("text", "no archive\n"), "neither a folder nor a tar"),
                (os.path.join(top, "nothing"), "no such file or folder"),
                (old, "is QEMU 9.2.0; the supported series are 10.0"),
                (archive, "is QEMU 9.2.0; the supported series are 10.0")):
            expect(wrong, os.path.basename(path), says,
                   lambda: qemu.given(path))
        if qemu.given(good) != good:
            wrong.append("a good tree is not taken as it is")
    return wrong


# Topologies

TOPOLOGY_FAULTS = (
    # What is written instead in leaf-spine.dts, and what is said of it
    ("spine@1 { reg = <1>; }", "spine@1 { reg = <2>; }",
     "topology: /: 'reg' of spines must run from 0"),
    ("leaf@1 { reg = <1>; };\n    leaf@2 { reg = <2>; }",
     "leaf@1 { reg = <1>; pid = <9>; };\n    leaf@2 { reg = <2>; pid = <9>; }",
     "topology: /: 'pid' 9"),
    ("leaf@1 { reg = <1>; }", "leaf@1 { reg = <1>; pid = <0xfff>; }",
     "topology: /leaf@1: 'pid' must be 0 to ffe"),
    ("link@3 { reg = <3>;", "link@3 { reg = <9>;",
     "topology: /link@3: 'reg' of links must run from 0"),
    ('ends = "leaf@2", "spine@1"; ports = <2>',
     'ends = "leaf@2", "spine@1"; ports = <9>',
     "topology: /link@5: 'ports' must be 1 to 8"),
    ('ends = "leaf@2", "spine@1"', 'ends = "leaf@2", "spine@2"',
     "topology: /link@5: 'ends' names what does not exist"),
    ('ends = "leaf@2", "spine@1"', 'ends = "leaf@2"',
     "topology: /link@5: 'ends' must be two names"),
    ("host@3 { reg = <3>; leaf = <3>; }", "host@3 { reg = <3>; }",
     "topology: /host@3: must have 'leaf'"),
    ("host@3 { reg = <3>; leaf = <3>; }",
     "host@3 { reg = <3>; leaf = <3>; leaf = <2>; }", "/host@3:leaf"),
    ("shards = <4>;", "shards = <4>", "syntax error"),
    ('"cxl-fabric,topology-v1"', '"cxl-fabric,topology-v9"',
     "topology: /: 'compatible' must be"),
)


def topologies():
    """The ready-made ones are right and can be drawn; faults are named."""
    wrong = []
    debian.install(["device-tree-compiler"])
    program = topology.tool()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "changed.dts")
        for source in sorted(glob.glob(topology.FOLDER + "/*.dts")):
            name = os.path.basename(source)
            warnings = topology.compiled(source, path)
            if warnings:
                wrong.append(f"{name}: dtc warns: {warnings}")
            if topology.read(source, program=program) != \
                    topology.read(path, program=program):
                wrong.append(f"{name}: source and blob are not the same")
            drawn = topology.draw(topology.read(source, "--dot",
                                                program=program))
            for text in ("</svg>", ">leaf 0<", "HOT"):
                if text not in drawn:
                    wrong.append(f"{name}: '{text}' is not drawn")
        with open(os.path.join(topology.FOLDER, "leaf-spine.dts")) as text:
            good = text.read()
        for old, new, says in TOPOLOGY_FAULTS:
            if good.count(old) != 1:
                wrong.append(f"leaf-spine.dts does not have '{old}' once")
            with open(path, "w") as out:
                out.write(good.replace(old, new))
            expect(wrong, f"'{new}'", says,
                   lambda: topology.read(path, program=program))
        expect(wrong, "no file", "No such file",
               lambda: topology.read(folder + "/no", program=program))
    return wrong


# Fuzz targets

def fuzz_targets():
    """Targets are found where they are; what they print is understood."""
    wrong = []
    names = fuzz.targets()
    for name in ("fuzz-entry", "eca-rings", "generic-fuzz-dpu-eca",
                 "generic-fuzz-cxl-gfam", "generic-fuzz-cxl-pbr"):
        if name not in names:
            wrong.append(f"{name} is no target")
    for name in fuzz.emulated_targets():
        argv = fuzz.command(name)
        if argv[1:] != [f"--fuzz-target={name}"]:
            wrong.append(f"{name} is run as {argv}")
        if name.startswith(fuzz.GENERIC):
            continue
        with open(os.path.join(fuzz.EMULATED, name + ".c")) as text:
            if f'.name = "{name}"' not in text.read():
                wrong.append(f"{name}.c registers no target of that name")
    if len(fuzz.command("fuzz-entry")) != 1:
        wrong.append("fuzz-entry is run with a target")
    with tempfile.TemporaryDirectory() as top:
        def run(script, load=False):
            """A target that is a script, fuzzed for some executions."""
            path = os.path.join(top, "target")
            with open(path, "w") as out:
                out.write("#!/bin/sh\n" + script)
            os.chmod(path, 0o755)
            with mock.patch.object(fuzz, "PLACE", top), \
                    mock.patch.object(fuzz, "command", lambda _: [path]):
                fuzzer = fuzz.Fuzzer("eca-rings", 0, 0, 1)
                return fuzzer.load() and fuzzer.result if load else \
                    fuzzer.run_short()

        # The first three are inputs that were there.
        said = ("INFO: Loaded 1 PC tables (9 PCs): 9 [0x1000,0x1090),",
                "#3\tINITED cov: 4 ft: 8 corp: 1/1b",
                "\tNEW_PC: 0x1010 in work /x/hw/dpu-eca/eca-queue.c:1:2",
                "#7\tNEW    cov: 5 ft: 9 corp: 1/1b",
                "\tNEW_PC: 0x1020 in snoop /x/hw/dpu-eca/eca-snoops.c",
                "#9\tNEW    cov: 6 ft: 9 corp: 1/1b",
                "stat::number_of_executed_units: 20")
        script = "cat >&2 <<END\n" + "\n".join(said) + "\nEND\n"
        for last, elsewhere, case in ((4, 1, "new"), (0, 0, "known")):
            good = run(script)
            if (good.finding, good.executions, good.last_edge,
                    good.elsewhere, good.edges, good.features) != (
                        "", 17, last, elsewhere, 6, 9):
                wrong.append(f"{case} edges are read as {good}")
        good = run(script + "# another program\n")
        if good.last_edge != 4:
            wrong.append("another program's edges are taken for known")
        script = ("case $* in *-reload=1*)\n"
                  "  for folder; do :; done\n"
                  f"  printf '%s\\n' '{said[0]}' '{said[1]}' >&2\n"
                  "  while [ ! -e $folder/found ]; do sleep 0.1; done\n"
                  f"  printf '%s\\n' '{said[2]}' '#5\tRELOAD cov: 4 ft: 4' "
                  ">&2\n"
                  "  exec sleep 60\n"
                  "esac\n" + script)
        loaded, good = run(script, load=True), run(script)
        if not loaded or loaded.finding or loaded.executions:
            wrong.append(f"what was found before is loaded as {loaded}")
        if good.last_edge != 0 or good.elsewhere != 1:
            wrong.append("edges that loading takes are not known")
        if run("exit 3", load=True):
            wrong.append("loading by a program that fails is no finding")
        for script, says in (
                ("exit 0", "without any execution"),
                ("exit 77", "status 77"),
                ("echo 'Test unit written to a/crash-1' >&2; exit 77",
                 "a/crash-1")):
            if says not in run(script).finding:
                wrong.append(f"'{script}' is no finding that says '{says}'")
    return wrong


# The guests' archive

def entries(data):
    """{name: (mode, contents)} of an archive in the newc format."""
    found, at = {}, 0
    while True:
        if data[at:at + 6] != b"070701":
            raise ui.UserError(f"no entry at byte {at}")
        fields = [int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16)
                  for i in range(13)]
        length = fields[11]
        name = data[at + 110:at + 110 + length - 1].decode()
        at += (110 + length + 3) & ~3
        contents = data[at:at + fields[6]]
        at += (fields[6] + 3) & ~3
        if name == "TRAILER!!!":
            return found
        if name in found:
            raise ui.UserError(f"{name} is in the archive twice")
        found[name] = (fields[1], contents)


def archives():
    """What goes into an archive comes out, and nothing shadows a link."""
    wrong = []
    archive = cpio.Archive()
    archive.folder("usr/bin")
    archive.link("bin", "usr/bin")
    archive.file("usr/bin/tool", b"\x7fELF", 0o755)
    archive.character_device("dev/null", 1, 3, 0o666)
    with tempfile.TemporaryDirectory() as top:
        os.makedirs(os.path.join(top, "bin"))
        for name, text in (("bin/more", "more"), ("empty", ""),
                           ("usr/bin/tool", "shadowed")):
            path = os.path.join(top, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as out:
                out.write(text)
        os.symlink("empty", os.path.join(top, "link"))
        archive.tree(top)
    packed = archive.bytes()
    plain = zlib.decompressobj(31).decompress(packed)
    found = entries(plain)
    want = {"usr/bin/tool": (stat.S_IFREG | 0o755, b"\x7fELF"),
            "bin": (stat.S_IFLNK | 0o777, b"usr/bin"),
            "usr/bin/more": (stat.S_IFREG | 0o644, b"more"),
            "empty": (stat.S_IFREG | 0o644, b""),
            "link": (stat.S_IFLNK | 0o777, b"empty"),
            "dev/null": (stat.S_IFCHR | 0o666, b"")}
    for name, entry in want.items():
        if found.get(name) != entry:
            wrong.append(f"{name}: {found.get(name)}, not {entry}")
    if len(packed) % 512:
        wrong.append("no further archive can follow: the length is odd")
    if shutil.which("cpio"):
        listed = subprocess.run(["cpio", "-t", "--quiet"], input=plain,
                                stdout=subprocess.PIPE).stdout.decode()
        if listed.split() != list(found):
            wrong.append(f"cpio lists {listed.split()}")
    return wrong


# Processes and folders

def recycled_pids():
    """Only the process that was noted is ended."""
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "host0")
        log = os.path.join(folder, "log")
        child = procs.spawn(["sleep", "600"], path, log)
        os.unlink(log)
        try:
            with open(path) as text:
                about = json.load(text)
            for name, value in (("start", about["start"] - 1),
                                ("boot", "another")):
                with open(path, "w") as out:
                    json.dump({**about, name: value}, out)
                if procs.Known(path).alive() or procs.end_all(folder):
                    wrong.append(f"another {name} passed for the same")
                if child.poll() is not None:
                    wrong.append(f"a process with another {name} was ended")
            with open(path, "w") as out:
                json.dump(about, out)
            if procs.end_all(folder) != 1 or procs.Known(path).alive():
                wrong.append("the noted process was not ended")
            with open(path, "w") as out:
                out.write("{")
            if procs.known(folder):
                wrong.append("a note that was cut off names a process")
        finally:
            if child.poll() is None:
                child.kill()
            child.wait()
    return wrong


def stale_folders():
    """A dead cluster's folder makes room, and a living one's does not."""
    wrong = []
    with tempfile.TemporaryDirectory() as top, \
            environment(XDG_RUNTIME_DIR=top):
        one = cluster.Cluster("t")
        note = os.path.join(one.folder, "procs", "host0")
        os.makedirs(os.path.dirname(note))
        os.chmod(cluster.base_dir(), 0o700)
        child = procs.spawn(["sleep", "600"], note, os.path.join(top, "log"))
        config = machine.Config(name="t", binary="/bin/false")
        try:
            expect(wrong, "a living cluster", "already up",
                   lambda: one.up(config, 30))
            if child.poll() is not None or not os.path.exists(note):
                wrong.append("a living cluster was harmed")
        finally:
            child.kill()
            child.wait()
        with open(one.place("state.json"), "w") as out:
            out.write("{}")
        # This emulator ends at once, so nothing may stay.
        expect(wrong, "an emulator that ends", "ended",
               lambda: one.up(config, 30))
        if os.path.exists(one.folder):
            wrong.append(f"left behind: {os.listdir(one.folder)}")
        if os.path.exists(cluster.base_dir()):
            wrong.append(f"left behind: {os.listdir(cluster.base_dir())}")
        os.mkdir(cluster.base_dir())
        os.chmod(cluster.base_dir(), 0o777)
        expect(wrong, "a folder of everybody", "mode 0700",
               lambda: one.up(config, 30))
    return wrong


def second_start():
    """A guest that fell over QEMU's own race starts again, once."""
    wrong = []
    with tempfile.TemporaryDirectory() as top, \
            environment(XDG_RUNTIME_DIR=top):
        one = cluster.Cluster("t")
        os.makedirs(os.path.join(one.folder, "procs"))
        started = os.path.join(top, "started")
        one.commands = {1: ["touch", started]}
        for text, again in (("out of memory", False),
                            (cluster.QEMU_RACE, True),
                            (cluster.QEMU_RACE, False)):
            with open(one.place("host1.log"), "w") as out:
                out.write(f"qemu: {text}\n")
            if one._start_again(1) != again:
                wrong.append(f"after '{text}': "
                             f"{'not ' if again else ''}started again")
            if again:
                child = os.path.join(one.folder, "procs", "host1")
                if not procs.Known(child).wait(10):
                    wrong.append("the second start did not end")
                if not os.path.exists(started):
                    wrong.append("the second start did not happen")
    return wrong


# The tree

def _names_missing(path):
    """What a module of ours uses of another one that has no such name."""
    with open(path) as source:
        nodes = list(ast.walk(ast.parse(source.read())))
    ours = {name.asname or name.name: importlib.import_module(
        f".{name.name}", __package__)
            for node in nodes if isinstance(node, ast.ImportFrom)
            and node.level == 1 and not node.module for name in node.names}
    return [f"{os.path.basename(path)}:{node.lineno}: {node.value.id} has no "
            f"{node.attr}"
            for node in nodes if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name) and node.value.id in ours
            and not hasattr(ours[node.value.id], node.attr)]


def module_names():
    """Modules that run late, too, find what they use of each other."""
    wrong = []
    for path in glob.glob(os.path.join(os.path.dirname(__file__), "*.py")):
        wrong += _names_missing(path)
    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, "spoilt.py")
        with open(path, "w") as source:
            source.write("from . import ui\nui.note('')\nui.nothing()\n")
        if _names_missing(path) != ["spoilt.py:3: ui has no nothing"]:
            wrong.append("a missing name is not noticed")
    return wrong


def _tracked():
    done = subprocess.run(["git", "ls-files", "-z"], cwd=qemu.TOP,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    names = done.stdout.decode().split("\0")[:-1]
    for name in names:
        path = os.path.join(qemu.TOP, name)
        # A file that is about to be removed is still listed.
        if os.path.isfile(path) and not os.path.islink(path):
            with open(path, errors="replace") as text:
                yield name, text.read()


REQUESTS = (
    ({"kind": "capacity", "gfam": 1, "dpa": 0, "length": 0x4000000,
      "arguments": [2, 0, 0, 0]}, "0x4000000 bytes more of BULK, of device 1"),
    ({"kind": "capacity", "dpa": 0, "length": 0x1000,
      "arguments": [1, 0, 0, 0]}, "0x1000 bytes more of HOT, of any device"),
    ({"kind": "class", "gfam": 0, "dpa": 0x3000, "length": 0x1000,
      "arguments": [1, 0, 0, 0]},
     "0x1000 bytes at 0x3000 of device 0 to be HOT"),
    ({"kind": "class", "gfam": 0, "dpa": 0x10000000, "length": 0x10000000,
      "arguments": [4, 0, 0, 0]},
     "0x10000000 bytes at 0x10000000 of device 0 to be in software mode"),
    ({"kind": "binding", "gfam": 1, "dpa": 0, "length": 0,
      "arguments": [1, 3, 0, 0]}, "bind LD 3 of device 1"),
    ({"kind": "binding", "gfam": 0, "dpa": 0, "length": 0,
      "arguments": [2, 0xffff, 0, 0]}, "unbind device 0"),
)


def manager_requests():
    """Requests are told in words, and answered to the host that asked."""
    wrong = [f"{request}: '{requests.wanted(request)}'"
             for request, says in REQUESTS
             if requests.wanted(request) != says]
    found = [{**request, "request": 10 + number, "host": number % 3,
              "state": "open"}
             for number, (request, _says) in enumerate(REQUESTS)]
    lines = requests.render(found).split("\n")
    for number, (_request, says) in enumerate(REQUESTS):
        if lines[number + 1].split(says)[1:] != \
                [lines[number + 1][len(says):]] or \
                lines[number + 1].split()[-3:] != \
                [str(10 + number), str(number % 3), "open"]:
            wrong.append(f"line {number}: {lines[number + 1]}")
    if requests.render([]) != "no requests":
        wrong.append("an empty list is not told")
    given = []

    def call(command, **arguments):
        if command == "x-query-cxl-fabric-requests":
            return found
        given.append((command, arguments))
        return {}

    requests.answer(call, 14, "granted", dpa=4096)
    if given != [("x-cxl-fabric-answer", {
            "host": 1, "request": 14, "result": "granted", "dpa": 4096})]:
        wrong.append(f"given: {given}")
    expect(wrong, "an unknown request", "no request 99 is open",
           lambda: requests.answer(call, 99, "denied"))
    return wrong


def _needs_spdx(name, text):
    # QEMU's own trace.h files, too, are one line that includes another.
    if os.path.basename(name) == "trace.h":
        return False
    return name.endswith((".c", ".h", ".py", ".sh")) or text[:2] == "#!"


def tree():
    """What must not be in the tree."""
    wrong = []
    place = re.compile(r"(?<![\w.$}])/(?:home|root|work|Users)/[\w.]+")
    link = re.compile(r"https?://([\w.-]+)")
    for name, text in _tracked():
        if _needs_spdx(name, text) and \
                "SPDX-License-Identifier: GPL-2.0-or-later" not in text:
            wrong.append(f"{name} has no SPDX line")
        long = name.endswith((".c", ".h"))
        for number, line in enumerate(text.split("\n"), 1):
            where = f"{name}:{number}"
            if long and len(line) > 80:
                wrong.append(f"{where} has {len(line)} columns")
            if place.search(line):
                wrong.append(f"{where} has a path of one machine")
            if name.startswith(("scripts/", ".ci/")):
                wrong += [f"{where} names the host {host}"
                          for host in link.findall(line)
                          if host not in LINKS]
    return wrong


TESTS = (
    ("names of other modules", module_names),
    ("the traffic check", traffic_check),
    ("the check of pages", page_check),
    ("the journal", journal),
    ("requests to the manager", manager_requests),
    ("command lines", command_lines),
    ("configuration", configuration),
    ("sources that the user gives", given_sources),
    ("topologies", topologies),
    ("archives", archives),
    ("recycled pids", recycled_pids),
    ("stale folders", stale_folders),
    ("second starts", second_start),
    ("manual pages and examples", manuals.check),
    ("fuzz targets", fuzz_targets),
    *tracetest.TESTS,
    *toptest.TESTS,
    *fmtest.TESTS,
    *ownershiptest.TESTS,
    *telemetrytest.TESTS,
)


def run(tally):
    """Run all of them."""
    tests = list(TESTS)
    if os.path.exists(os.path.join(qemu.TOP, ".git")):
        tests.append(("the tree", tree))
    else:
        tally.skip("scripts/the tree", "not a git repository")
    for name, function in tests:
        try:
            wrong = function()
        except (ui.UserError, OSError, subprocess.TimeoutExpired) as error:
            wrong = [str(error)]
        tally.add(f"scripts/{name}", not wrong, "; ".join(wrong))
