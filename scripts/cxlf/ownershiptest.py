# SPDX-License-Identifier: GPL-2.0-or-later
"""Quick tests of cxl-cluster log: parts of scripttest.py."""

import contextlib
import copy
import io
import json
import types

from . import ownership, ui

LOG = {"id": "fabric0", "host": 1, "state": "up", "incarnation": 2,
       "slots": 64, "pages": 3, "bad": 0, "ranges-left-out": 0,
       "unlogged": 0, "unheld": 0, "mismatches": [],
       "ranges": [{"gfam": 0, "dpa": 0x10000000, "length": 8192,
                   "held": "owned"},
                  {"gfam": 1, "dpa": 0x3000, "length": 4096,
                   "held": "shared"}]}
PAGE = {"gfam": 0, "dpa": 0x10002000, "log": "not", "directory": "owned"}
OTHER = {"gfam": 0, "dpa": 0x10003000, "log": "shared", "directory": "not"}


def _log(**values):
    log = copy.deepcopy(LOG)
    log.update({name.replace("_", "-"): value
                for name, value in values.items()})
    return log


def _mismatch(*pages, **values):
    return _log(mismatches=list(pages), unlogged=PAGE in pages,
                unheld=OTHER in pages, **values)


def screens():
    """What people see."""
    wrong = []
    for log, errors, want in (
            (_log(), None,
             "host 1 (up, incarnation 2): 3 pages in 64 slots, 0 bad\n"
             + ui.table([["range", "bytes", "held"],
                         ["gfam0:0x10000000", 8192, "owned"],
                         ["gfam1:0x3000", 4096, "shared"]])),
            (_log(ranges=[], pages=0), [],
             "host 1 (up, incarnation 2): 0 pages in 64 slots, 0 bad\n"
             "it agrees with the directory"),
            (_log(ranges=[], state="free", ranges_left_out=7, bad=4),
             ["4 of 64 slots are bad"],
             "host 1 (dead, incarnation 2): 3 pages in 64 slots, 4 bad\n"
             "and 7 more ranges\nwrong: 4 of 64 slots are bad")):
        have = ownership.render(log, errors)
        if have != want:
            wrong.append(f"a log looks like {have!r}, not {want!r}")
    return wrong


def verdicts():
    """What changes from look to look is no error."""
    stays = ["gfam0:0x10002000 is not held by its log, owned by the "
             "directory"]
    wrong = []
    for name, looks, want in (
            ("a clean log", [_log()], []),
            ("one look", [_mismatch(PAGE)], stays),
            ("a page that stays", [_mismatch(PAGE, OTHER),
                                   _mismatch(OTHER, PAGE),
                                   _mismatch(PAGE)], stays),
            ("pages that come and go", [_mismatch(PAGE), _mismatch(OTHER),
                                        _mismatch(PAGE)], []),
            ("a page that agrees at last", [_mismatch(PAGE), _log()], []),
            ("another host", [_mismatch(PAGE),
                              _mismatch(PAGE, incarnation=3)], []),
            ("bad slots", [_log(bad=3), _log(bad=2)],
             ["2 of 64 slots are bad"]),
            ("slots that were bad", [_log(bad=3), _log()], []),
            ("a death", [_log(state="free", unlogged=5)],
             ["5 pages that it had when it died were not in its log"])):
        have = ownership.verdict(looks)
        if have != want:
            wrong.append(f"{name}: {have}, not {want}")
    return wrong


class _Cluster:
    """What main() asks of a cluster, whose owner gives some answers."""

    def __init__(self, answers):
        self.answers = answers          # {host: [each look]}
        self.name = "test"

    def __call__(self, _name):
        return self

    def state(self):
        return {"hosts": 2, "device": "fabric"}

    def alive(self, _name):
        return True

    def place(self, name):
        return name

    def call(self, _path, _command, _patience, host, limit):
        looks = self.answers[host]
        if not looks or limit < 1:
            raise ui.UserError(f"'host': {ownership.NOTHING} {host}")
        return looks.pop(0) if len(looks) > 1 else looks[0]


def _run(answers, **values):
    args = types.SimpleNamespace(**{"name": "test", "host": None,
                                    "verify": False, "json": False, **values})
    one = _Cluster(answers)
    saved = (ownership.cluster.Cluster, ownership.qmp.call, ownership.PAUSE)
    out = io.StringIO()
    try:
        ownership.cluster.Cluster, ownership.qmp.call = one, one.call
        ownership.PAUSE = 0
        with contextlib.redirect_stdout(out):
            return ownership.main(args), out.getvalue()
    finally:
        (ownership.cluster.Cluster, ownership.qmp.call,
         ownership.PAUSE) = saved


def statuses():
    """Exit statuses, and JSON."""
    wrong = []
    spoilt = [_log(bad=1)]
    passing = [_mismatch(PAGE), _mismatch(OTHER), _log()]
    for name, answers, values, want in (
            ("without a check", {0: [_log()], 1: spoilt}, {}, 0),
            ("a bad slot", {0: [_log()], 1: spoilt}, {"verify": True}, 1),
            ("the other host", {0: [_log()], 1: spoilt},
             {"verify": True, "host": 0}, 0),
            ("pages on their way", {0: [_log()], 1: passing},
             {"verify": True}, 0),
            ("nobody there", {0: [], 1: []}, {"verify": True}, 0)):
        have, _ = _run(copy.deepcopy(answers), **values)
        if have != want:
            wrong.append(f"{name}: exit status {have}, not {want}")
    _, text = _run({0: [], 1: spoilt}, verify=True, json=True)
    found = [json.loads(line) for line in text.splitlines()]
    want = [{"host": 0, "pages": 0, "ranges": []},
            {**spoilt[0], "errors": ["1 of 64 slots are bad"]}]
    if found != want:
        wrong.append(f"JSON is {found}, not {want}")
    return wrong


TESTS = (
    ("logs as people see them", screens),
    ("verdicts over logs", verdicts),
    ("cxl-cluster log", statuses),
)
