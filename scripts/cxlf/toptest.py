# SPDX-License-Identifier: GPL-2.0-or-later
"""Quick tests of what cxl-cluster top shows: parts of scripttest.py."""

import copy
import json

from . import top, ui

STATE = {"hosts": 2, "device": "fabric", "hot": 256 << 20, "bulk": 256 << 20}
BULK = 256 << 20


def _counters(**values):
    return {name.replace("_", "-"): value for name, value in values.items()}


def _samples():
    """Two looks at a cluster, two seconds apart."""
    before = top.Sample()
    before.fabric = {
        "state": "up", "epoch": 0, "bulk-mode": ["coherent"],
        "hosts": [{"host": host, "state": "up", "pid": 100 + host,
                   "deaths": 0, "counters": _counters(read_hit=5)}
                  for host in range(3)],
        "directory": [{"leaf": shard // 2, "shard": shard % 2,
                       "counters": _counters(read_hit=shard, refusal=0)}
                      for shard in range(4)]}
    before.leaves = [{
        "id": "fabric0", "leaf": leaf, "state": "up", "incarnation": 1,
        "lines": 3, "line-capacity": 1024, "pages": 1, "page-capacity": 512,
        "counters": _counters(read_hit=0),
        "links": [{"host": host, "counters": _counters(bisnp_sent=0)}
                  for host in range(2)]} for leaf in range(2)]
    none = dict.fromkeys(top.WIRE_RATES["bytes"] + ("busy-ns",), 0)
    before.wires = [
        {"link": link, "ends": ["leaf@0", f"spine@{link}"], "ports": 2,
         "up": [0, 1], "counters": [dict(none), dict(none)]}
        for link in range(2)]
    before.devices = [{
        "gfam": 0, "demand": 0, "backpressure": 0, "users": [
            {"host": 0, "ld": 3, "bytes": 96, "time-ns": 80, "busy-ns": 80,
             "light": 1, "optimal": 0, "moderate": 0, "severe": 0}]}]
    after = copy.deepcopy(before)
    after.time = before.time + 2
    fabric = after.fabric
    fabric["hosts"][0]["counters"].update(_counters(
        read_hit=1005, write_hit=1000, upgrade=4, bisnp_received=6,
        page_fault=8, page_revoked=10))
    fabric["hosts"][1]["counters"].update(_counters(read_miss=3000000))
    fabric["hosts"][1]["state"] = "recovering"
    fabric["directory"][3]["counters"].update(_counters(
        read_hit=2003, refusal=6))
    after.leaves[1]["lines"] = 17
    after.leaves[1]["counters"].update(_counters(read_hit=2000, victim=12))
    after.leaves[1]["links"][0]["counters"].update(_counters(bisnp_sent=40))
    after.wires[1]["up"] = [1]
    after.wires[1]["counters"][1].update(
        {"req": 1000, "drs": 3000, "busy-ns": 50000000})
    after.devices[0].update({"demand": 281, "backpressure": 64})
    after.devices[0]["users"][0].update(
        {"bytes": 96 + 9600, "time-ns": 80 + 32000, "light": 41,
         "severe": 60})
    after.hot = {0: {"host": 0, "microseconds": 2000000, "missed": 0,
                     "units": [{"gfam": 0, "dpa": 0x1040, "count": 100},
                               {"gfam": 0, "dpa": BULK, "count": 60}]},
                 1: {"host": 1, "microseconds": 1000000, "missed": 0,
                     "units": [{"gfam": 0, "dpa": 0x1080, "count": 20},
                               {"gfam": 0, "dpa": 0x1040, "count": 10}]}}
    return before, after


def rates():
    """Gains become rates, hot units of hosts are added up."""
    wrong = []
    found = top.describe("t", STATE, *_samples())
    for what, have, want in (
            ("hosts", len(found["hosts"]), 2),
            ("hits", found["hosts"][0]["rates"]["hits"], 1000),
            ("misses", found["hosts"][0]["rates"]["misses"], 2),
            ("snoops", found["hosts"][0]["rates"]["snoops"], 3),
            ("faults", found["hosts"][0]["rates"]["faults"], 4),
            ("revoked", found["hosts"][0]["rates"]["revoked"], 5),
            ("lines", found["leaves"][1]["lines"], 17),
            ("accesses", found["leaves"][1]["rates"]["accesses"], 1000),
            ("victims", found["leaves"][1]["rates"]["victims"], 6),
            ("links", len(found["links"]), 4),
            ("sent", found["links"][2]["rates"]["sent"], 20),
            ("links of the fabric", found["fabric-links"][1], {
                "link": 1, "ends": ["leaf@0", "spine@1"], "ports": 2,
                "up": 1, "rates": [{"bytes": 0, "busy-ns": 0},
                                   {"bytes": 2000, "busy-ns": 25000000}]}),
            ("a device", found["devices"][0], {
                "gfam": 0, "demand": 281, "backpressure": 64, "users": [
                    {"host": 0, "ld": 3, "time": 320.0, "rates": {
                        "bytes": 4800, "responses": 50, "light": 20,
                        "optimal": 0, "moderate": 0, "severe": 30}}]}),
            ("the hottest line", found["hot-lines"][0], {
                "gfam": 0, "dpa": 0x1040, "region": "HOT", "rate": 60.0,
                "hosts": {0: 50.0, 1: 10.0}}),
            ("the next line", found["hot-lines"][1]["region"], "BULK"),
            ("the hottest page", found["hot-pages"][0], {
                "gfam": 0, "dpa": 0x1000, "region": "HOT", "rate": 80.0,
                "hosts": {0: 50.0, 1: 30.0}})):
        if have != want:
            wrong.append(f"{what}: {have}, not {want}")
    # An older emulator tells less; a host under a new number counts anew.
    before, after = _samples()
    before.leaves = after.leaves = before.wires = after.wires = None
    before.devices = after.devices = None
    after.hot = {}
    after.fabric["hosts"][0]["counters"] = _counters(read_hit=1)
    found = top.describe("t", STATE, before, after)
    for what, have, want in (
            ("hits", found["hosts"][0]["rates"]["hits"], 0),
            ("accesses of shards",
             found["leaves"][1]["rates"]["accesses"], 1000),
            ("refusals of shards", found["leaves"][1]["rates"]["refused"],
             3),
            ("no links", found["links"] + found["fabric-links"], []),
            ("no devices", found["devices"], []),
            ("nothing hot", found["hot-lines"] + found["hot-pages"], [])):
        if have != want:
            wrong.append(f"{what}: {have}, not {want}")
    return wrong


def screens():
    """A screen has what was found, in the order that is asked for."""
    wrong = []
    found = top.describe("t", STATE, *_samples())
    json.loads(json.dumps(found))
    text = "\n".join(top.screen(found))
    for words in (("0", "up", "100", "1.0k"), ("1", "recovering", "1.5M"),
                  ("17/1024", "1/512", "1.0k"), ("host0-leaf1", "20"),
                  ("0", "leaf@0", "spine@0", "2/2", "0", "0.0%"),
                  ("1", "leaf@0", "spine@1", "1/2", "2.0k", "2.5%"),
                  ("gfam0", "281%", "64%", "0", "3", "320ns", "4.8k", "50",
                   "20", "0", "0", "30"),
                  ("gfam0:0x1040", "HOT", "60", "0:50", "1:10"),
                  ("gfam0:0x10000000", "BULK", "30")):
        if not any(all(word in line.split() for word in words)
                   for line in text.split("\n")):
            wrong.append(f"no line has {words}: {text}")
    for column, first in (("hits", "0"), ("misses", "1"), ("number", "0")):
        lines = top.screen(found, column)
        head = [line.startswith("host ") for line in lines].index(True)
        if lines[head + 1].split()[0] != first:
            wrong.append(f"by {column}: {lines[head + 1]}")
    for value, want in ((0, "0"), (9.4, "9"), (999, "999"), (1000, "1.0k"),
                        (12345, "12k"), (2500000, "2.5M"),
                        (3e12, "3000G")):
        if top.number(value) != want:
            wrong.append(f"{value} is {top.number(value)}, not {want}")
    return wrong


class _Held:
    """A cluster whose owner answers, and whose hosts do not."""

    name = "held"

    def __init__(self):
        self.asked = []

    def state(self):
        return STATE

    def alive(self, _name):
        return True

    def place(self, name):
        return name


def held_hosts():
    """A host that does not answer is left out for some rounds."""
    wrong = []
    one = _Held()
    sample = _samples()[0]

    def call(path, command, _timeout, **_arguments):
        one.asked.append((path, command))
        if path == "owner.qmp" and command == "x-query-cxl-fabric":
            return [sample.fabric]
        if path == "owner.qmp":
            raise ui.UserError(f"The command {command} {top.UNKNOWN}")
        raise ui.UserError("no answer in 1 s")

    saved, top.qmp.call = top.qmp.call, call
    try:
        watcher = top.Watcher(one)
        for _ in range(top.ROUNDS_OUT + 2):
            errors = watcher.sample().errors
            if errors != ["host 0 does not answer", "host 1 does not answer"]:
                wrong.append(f"errors: {errors}")
    finally:
        top.qmp.call = saved
    counts = {name: sum(asked == name for asked in one.asked)
              for name in set(one.asked)}
    want = {("owner.qmp", "x-query-cxl-fabric"): top.ROUNDS_OUT + 2,
            ("owner.qmp", "x-query-cxl-fabric-leaves"): 1,
            ("owner.qmp", "x-query-cxl-fabric-links"): 1,
            ("owner.qmp", "x-query-cxl-fabric-qos"): 1,
            ("host0.qmp", "x-query-cxl-fabric-hot"): 2,
            ("host1.qmp", "x-query-cxl-fabric-hot"): 2}
    if counts != want:
        wrong.append(f"asked {counts}, not {want}")
    return wrong


TESTS = (
    ("rates", rates),
    ("screens", screens),
    ("hosts that do not answer", held_hosts),
)
