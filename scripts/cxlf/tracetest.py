# SPDX-License-Identifier: GPL-2.0-or-later
"""Quick tests of timelines, without an emulator: parts of scripttest.py."""

import contextlib
import io
import json
import os
import random
import re
import tempfile

from . import machine, qemu, timeline, trace, ui

SEED = int(os.environ.get("CXLF_TEST_SEED", 0)) or random.randrange(1 << 31)
PHASES = "Mibesf" + "X"
# A page that goes from host 0 to host 1, as the emulators wrote it.
HOST0 = b"""10@1700000000.000100:eca_message host 0 kind 1 gfam 0 dpa 0x1000 \
order 0
10@1700000000.000110:eca_run host 0 what 4 writable 0 gfam 0 dpa 0x1000 size \
0x1000
10@1700000000.000120:eca_post host 0 to 1 kind 3 gfam 0 dpa 0x1000 order 0
"""
HOST1 = b"""20@1700000000.000080:eca_fault host 1 gfam 0 dpa 0x1000 write 1 \
held 0
20@1700000000.000085:eca_request host 1 kind 1 gfam 0 dpa 0x1000 pages 1
20@1700000000.000090:eca_post host 1 to 0 kind 1 gfam 0 dpa 0x1000 order 0
20@1700000000.000150:eca_message host 1 kind 3 gfam 0 dpa 0x1000 order 0
20@1700000000.000160:eca_run host 1 what 1 writable 1 gfam 0 dpa 0x1000 size \
0x1000
21@1700000000.000170:eca_parked cpu 0
"""
OWNER = b"""30@1700000001.000000:cxl_fabric_host fabric0: host 1 enters state 4
30@1700000001.000900:cxl_fabric_host fabric0: host 1 enters state 0
30@1700000001.001000:cxl_fabric_host_dead fabric0: host 1 (process 77) died; \
recovered 12 units, 3 modified, 0 poisoned
"""
VCPUS = {("host1", 21): "vCPU 0"}


def logs_of(**texts):
    return [(source, io.BytesIO(text)) for source, text in texts.items()]


def written(logs, vcpus=None, about=None):
    """(text, object of the JSON, (events, micros, garbage))."""
    text, data = io.StringIO(), io.StringIO()
    result = timeline.write(logs, vcpus or {}, text, data, about or {})
    return text.getvalue(), json.loads(data.getvalue()), result


def check_chrome(document):
    """What a viewer of Chrome traces would not understand."""
    wrong, spans, flows = [], {}, {}
    for event in document["traceEvents"]:
        lacks = [key for key in ("ph", "name", "pid", "tid", "ts")
                 if key not in event]
        if lacks or event["ph"] not in PHASES:
            wrong.append(f"{event} lacks {lacks}")
            continue
        if not isinstance(event["ts"], int) or event["ts"] < 0 or \
                not isinstance(event["pid"], int):
            wrong.append(f"{event}: a time or number that is none")
        phase, key = event["ph"], (event.get("cat"), event.get("id"))
        if phase == "X" and not event.get("dur", 0) > 0:
            wrong.append(f"{event} has no duration")
        if phase == "i" and event.get("s") not in ("t", "p", "g"):
            wrong.append(f"{event} has no scope")
        if phase == "M" and "args" not in event:
            wrong.append(f"{event} says nothing")
        if phase == "b":
            spans[key] = event
        if phase == "e":
            begin = spans.pop(key, None)
            if begin is None or begin["ts"] > event["ts"] or \
                    begin["name"] != event["name"]:
                wrong.append(f"{event} ends {begin}")
        if phase == "s":
            flows[key] = event
        if phase == "f":
            begin = flows.pop(key, None)
            if begin is None or begin["ts"] > event["ts"] or \
                    event.get("bp") != "e":
                wrong.append(f"{event} is the arrow of {begin}")
    wrong += [f"{event} never ends" for event in spans.values()]
    named = {event["pid"] for event in document["traceEvents"]
             if event["name"] == "process_name"}
    used = {event["pid"] for event in document["traceEvents"]}
    if named != used:
        wrong.append(f"processes {used} have names for {named}")
    return wrong


def moving_page():
    """A page that moves is told in order, with its causes and arrows."""
    text, document, result = written(
        logs_of(owner=OWNER, host0=HOST0, host1=HOST1), VCPUS)
    wrong = check_chrome(document)
    if result != (12, 1000920, 0):
        wrong.append(f"events, microseconds, garbage: {result}")
    said = [re.sub(r"\s+", " ", line).strip() for line in text.splitlines()]
    want = [
        "0.000000 host1 agent eca_fault gfam0:0x1000 write, held: not",
        "0.000005 host1 agent eca_request gfam0:0x1000 wants owned, 1 page",
        "0.000010 host1 agent eca_post gfam0:0x1000 BISnpInv to host0, 1 "
        "page",
        "0.000020 host0 agent eca_message gfam0:0x1000 BISnpInv, 1 page",
        "0.000030 host0 agent eca_run gfam0:0x1000 zap, 1 page",
        "0.000040 host0 agent eca_post gfam0:0x1000 Cmp to host1, 1 page",
        "0.000070 host1 agent eca_message gfam0:0x1000 Cmp, 1 page",
        "0.000080 host1 agent eca_run gfam0:0x1000 map writable, 1 page",
        "0.000090 host1 vCPU 0 eca_parked cpu 0",
        "0.999920 owner owner cxl_fabric_host host1 is recovering",
        "1.000820 owner owner cxl_fabric_host host1 is free",
        "1.000920 owner owner cxl_fabric_host_dead host1 died; recovered 12 "
        "units, 3 modified, 0 poisoned"]
    wrong += [f"'{one}', not '{other}'"
              for one, other in zip(said, want) if one != other]
    events = document["traceEvents"]
    for name, category, length in (("request owned", "request", 75),
                                   ("recovery", "recovery", 900)):
        ends = [event["ts"] for event in events
                if (event["name"], event.get("cat")) == (name, category)]
        if len(ends) != 2 or ends[1] - ends[0] != length:
            wrong.append(f"{name} is at {ends}, and takes {length}")
    arrows = [event["ph"] for event in events if event["name"] == "message"]
    if arrows != ["s", "f", "s", "f"]:
        wrong.append(f"arrows: {arrows}")
    return wrong


def unfinished():
    """What has no other end in the timeline is no error."""
    cut = b"\n".join(HOST1.splitlines()[:3]) + b"\n7@17000"
    _, document, result = written(logs_of(host1=cut))
    wrong = check_chrome(document)
    if result[0] != 3 or result[2] != 1:
        wrong.append(f"3 events and a line that is cut off: {result}")
    text, document, result = written(logs_of(host0=b""))
    wrong += check_chrome(document)
    if text or result != (0, 0, 0):
        wrong.append(f"nothing is {result}")
    return wrong


def _spoil(rng, line):
    """A line with a few of its bytes changed, dropped or added."""
    data = bytearray(line)
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(data) + 1)
        how = rng.randrange(4)
        if how == 0:
            data[at:at] = rng.randbytes(rng.randrange(1, 8))
        elif how == 1:
            del data[at:at + rng.randrange(1, 20)]
        elif how == 2 and at < len(data):
            data[at] = rng.randrange(256)
        else:
            data[at:at] = rng.choice((b"99999999999999999999", b"-", b"0x",
                                      b" host -1", b"@", b"\0" * 5000,
                                      b" kind -7 what 99 size 0x0 "))
    return bytes(data).replace(b"\n", b" ")


def garbage():
    """Any bytes are an event or counted, and never an error."""
    rng = random.Random(SEED)
    wrong = []
    lines = (HOST0 + HOST1 + OWNER).splitlines()
    for number in range(400):
        some = [_spoil(rng, rng.choice(lines)) if rng.randrange(3) else
                rng.choice((b"", rng.randbytes(30), rng.choice(lines)))
                for _ in range(20)]
        some = [line.replace(b"\n", b" ") for line in some]
        try:
            text, document, (count, _, bad) = written(
                logs_of(host0=b"\n".join(some), owner=rng.choice(lines)))
        except (ValueError, KeyError, IndexError, TypeError,
                OverflowError) as error:
            wrong.append(f"round {number} of seed {SEED}: {error!r}")
            break
        wrong += check_chrome(document)
        full = sum(bool(line.rstrip(b"\r")) for line in some) + 1
        if count + bad != full or text.count("\n") < count:
            wrong.append(f"round {number} of seed {SEED}: {count} events and "
                         f"{bad} others of {full}")
        if wrong:
            break
    return wrong


def in_order():
    """Whatever the logs' order, the timeline's is that of the clock."""
    rng = random.Random(SEED)
    lines = {}
    for number in rng.sample(range(1000000), 600):
        source = rng.choice(("owner", "host0", "host1", "host10"))
        lines.setdefault(source, []).append(
            b"5@%d.%06d:eca_refuse host 0 gfam 0 dpa 0x%x"
            % (1700000000 + number // 100000, number * 10 % 1000000, number))
    merged = timeline.Merged(logs_of(**{
        source: b"\n".join(some) for source, some in lines.items()}))
    events = list(merged)
    wrong = []
    if [event.get("dpa") for event in events] != \
            sorted(event.get("dpa") for event in events):
        wrong.append(f"seed {SEED}: not in order")
    if len(events) != 600 or merged.garbage:
        wrong.append(f"seed {SEED}: {len(events)} of 600 events")
    return wrong


def _enumeration(path, name, prefix):
    """{identifier in words: number} of an enumeration in a C source."""
    with open(os.path.join(qemu.TOP, path)) as text:
        source = re.sub(r"/\*.*?\*/", "", text.read(), flags=re.S)
    body = re.search(name + r"\s*\{(.*?)\}", source, re.S)[1]
    found, number = {}, 0
    for item in filter(None, map(str.strip, body.split(","))):
        word, _, value = item.partition("=")
        number = int(value, 0) if value else number
        found[word.strip()[len(prefix):].replace("_", " ").lower()] = number
        number += 1
    return found


def names():
    """The names of numbers are those of the C sources."""
    wrong = []
    for path, name, prefix, have in (
            ("hw/dpu-eca/eca-pager.h", "enum ECAWantKind", "ECA_WANT_",
             timeline.WANTS),
            ("include/cxlf/mailbox.h", "enum cxlf_message_kind", "CXLF_",
             timeline.MESSAGES),
            ("hw/dpu-eca/eca-pager-internal.h", "struct Run {\\s*enum",
             "RUN_", timeline.RUNS),
            ("include/cxlf/log.h", "enum cxlf_held", "CXLF_HELD_",
             timeline.HELD),
            ("hw/dpu-eca/eca-pages.h", "enum ECAView", "ECA_VIEW_",
             timeline.VIEWS),
            ("include/cxlf/directory.h", "enum cxlf_result", "CXLF_",
             timeline.RESULTS),
            ("include/cxlf/abi.h", "enum cxlf_host_state", "CXLF_HOST_",
             timeline.HOST_STATES),
            ("include/cxlf/wire.h", "enum cxlf_wire_reserve_what",
             "CXLF_WIRE_RESERVE_", timeline.RESERVES)):
        want = _enumeration(path, name, prefix)
        for word in ("states", "whats"):
            want.pop(word, None)        # how many there are
        # A snoop has the name that CXL gives it.
        want = {word.replace(" ", ""): number
                for word, number in want.items()}
        found = {word.replace(" ", "").lower(): number
                 for number, word in enumerate(have)}
        if want != {word: found.get(word) for word in want} or \
                not set(found) - set(want) <= {"none"}:
            wrong.append(f"{name}: {found}, and the source has {want}")
    return wrong


def command_names():
    """Every command that a guest can give has a name."""
    with open(os.path.join(qemu.TOP, "hw/dpu-eca/eca-regs.h")) as text:
        found = dict(re.findall(
            r"#define ECA_((?:PAGES_)?[A-Z_]+) +(\d\d)u\b", text.read()))
    have = {name.upper().replace(" ", "_"): number
            for number, name in timeline.COMMANDS.items()}
    wrong = []
    for name, number in found.items():
        name = name.replace("PAGES_", "")
        # What a command ends with has such names, too.
        if name == "END" or name.startswith("COPY_") and int(number) < 64:
            continue
        if int(number) not in (have.get(name), have.get(f"ACQUIRE_{name}")):
            wrong.append(f"command {number} is {name}")
    if len(found) < 8:
        wrong.append(f"only these commands were found: {found}")
    return wrong


def known_events():
    """What the timeline knows by name are events of the sources."""
    have = set()
    for folder in ("cxl-fabric", "cxl-gfam", "dpu-eca"):
        with open(os.path.join(qemu.TOP, "hw", folder,
                               "trace-events")) as text:
            have |= set(re.findall(r"^(\w+)\(", text.read(), re.M))
    return [f"no event {name}"
            for name in sorted(({*timeline.CAUSES, *timeline.AGENT,
                                 *trace.RARE}) - have)]


class _Fake:
    """A cluster's folder without processes."""

    name = "fake"

    def __init__(self, folder, **state):
        self.folder = folder
        self.about = {"hosts": 2, "device": "fabric", **state}

    def place(self, name):
        return os.path.join(self.folder, name)

    def state(self):
        return self.about

    def process(self, _name):
        return None


def recorders():
    """Bad options are named, sizes are counted, and nothing stays."""
    wrong = []

    def refused(text, function):
        try:
            function()
        except ui.UserError as error:
            if text in str(error):
                return
            wrong.append(f"'{error}' does not say '{text}'")
        else:
            wrong.append(f"'{text}' was not said")

    with tempfile.TemporaryDirectory() as folder:
        one = _Fake(folder)
        refused("--hosts 2: accepts 0 to 1",
                lambda: trace.Recorder(one, [2]))
        refused("--limit accepts 1M to 16G",
                lambda: trace.Recorder(one, limit=1))
        refused("has no fabric", lambda: trace.Recorder(
            _Fake(folder, device="type3")))
        refused("no process of cluster", trace.Recorder(one).__enter__)
        first, second = trace.Recorder(one), trace.Recorder(one)
        first._take_lock()
        refused("is being traced already", second.__enter__)
        first.__exit__()
        refused("no process of cluster", second.__enter__)
        os.mkdir(one.place("trace"))
        for name, length in (("host0.1", 700000), ("host1.2", 700000)):
            with open(os.path.join(folder, "trace", name), "wb") as out:
                out.write(bytes(length))
        recorder = trace.Recorder(one, limit=1 << 20)
        if trace.grown(recorder.folder) != 1400000:
            wrong.append(f"grown: {trace.grown(recorder.folder)}")
        prefix = os.path.join(folder, "out.json")
        outputs = trace.Outputs(prefix)
        with contextlib.suppress(KeyboardInterrupt), outputs:
            raise KeyboardInterrupt
        if [name for name in os.listdir(folder) if name.startswith("out")]:
            wrong.append(f"after an interrupt: {os.listdir(folder)}")
        with outputs:
            pass
        left = {name for name in os.listdir(folder)
                if name.startswith("out")}
        if left != {"out.json", "out.txt"}:
            wrong.append(f"outputs: {left}")
        refused("--output: ", trace.Outputs("/no/such/file").check)
    return wrong


def launched():
    """Every emulator of a cluster is started to write what is read."""
    config = machine.Config()
    wrong = []
    for argv in (machine.owner(config, "/p/{}".format),
                 machine.guest(config, 0, "/p/{}".format, "k", "i")):
        if trace.STAMPED.decode() not in argv or "-D" not in argv:
            wrong.append("no -msg timestamp=on, or no -D: " + " ".join(argv))
    return wrong


TESTS = (
    ("a page that moves", moving_page),
    ("timelines that are cut off", unfinished),
    ("lines that are no events", garbage),
    ("the order of events", in_order),
    ("names of numbers", names),
    ("names of commands", command_names),
    ("names of events", known_events),
    ("recorders", recorders),
    ("emulators that can be traced", launched),
)
