# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts, leaves, links and what is hot, live: cxl-cluster top."""

import contextlib
import curses
import json
import os
import sys
import time

from . import cluster, qmp, traffic, ui

INTERVAL = 1.0
SHORTEST, LONGEST = 0.1, 3600
# A host that does not answer in this time is left out for some rounds.
PATIENCE = 1
ROUNDS_OUT = 5
HOT_UNITS = 64                  # of each host, to be added up
SHOWN = 16                      # of lines, and of pages
# {column: counters}, all for each second.
HOST_RATES = {
    "hits": ("read-hit", "write-hit"),
    "misses": ("read-miss", "write-miss", "upgrade"),
    "snoops": ("bisnp-received",),
    "faults": ("page-fault",),
    "revoked": ("page-revoked",),
    "messages": ("message",),
    "atomics": ("atomic",),
    "refused": ("refusal",),
}
LEAF_RATES = {
    "accesses": traffic.ACCESSES,
    "snoops": ("bisnp-sent",),
    "victims": ("victim",),
    "no-room": ("no-room",),
    "refused": ("refusal",),
}
LINK_RATES = {
    "accesses": traffic.ACCESSES,
    "sent": ("bisnp-sent",),
    "received": ("bisnp-received",),
    "messages": ("message",),
}
# Of one direction of a link of the fabric.
WIRE_RATES = {
    "bytes": ("req", "rwd", "ndr", "drs", "bisnp", "birsp"),
    "busy-ns": ("busy-ns",),
}
# Of what a host, or an LD of it, asks a device: docs/qos.md.
DEV_LOADS = ("light", "optimal", "moderate", "severe")
QOS_RATES = {"bytes": ("bytes",), "responses": DEV_LOADS,
             **{name: (name,) for name in DEV_LOADS}}
# {key: column by which hosts and links are sorted}; the number comes first.
KEYS = {"n": "number", "h": "hits", "m": "misses", "s": "snoops",
        "f": "faults", "r": "revoked"}
# A command that an older emulator has not, or that finds nothing to tell of.
UNKNOWN = "has not been found"
NO_ROUTING = "has no routing"


class Sample:
    """What a cluster says at one time."""

    def __init__(self):
        self.time = time.monotonic()
        self.fabric = None
        self.leaves = None          # None: the emulator cannot tell
        self.wires = None           # links between components; the same
        self.devices = None         # QoS; the same
        self.hot = {}               # {host: what it says}, of those that do
        self.errors = []


class Watcher:
    """Takes samples of a cluster."""

    def __init__(self, one):
        self.one = one
        self.state = cluster.fabric_state(one)
        self.out = {}               # {host: rounds for which it is left out}
        self.unknown = set()        # commands that the emulator has not

    def _ask(self, name, command, **arguments):
        """The answer, or None where there is no such command."""
        if command in self.unknown:
            return None
        try:
            return qmp.call(self.one.place(name + ".qmp"), command, PATIENCE,
                            **arguments)
        except ui.UserError as error:
            if UNKNOWN not in str(error) and NO_ROUTING not in str(error):
                raise
            self.unknown.add(command)
            return None

    def _ask_host(self, sample, host):
        if self.out.get(host, 0) > 0:
            self.out[host] -= 1
            sample.errors.append(f"host {host} does not answer")
            return
        try:
            said = self._ask(f"host{host}", "x-query-cxl-fabric-hot",
                             count=HOT_UNITS)
        except ui.UserError:
            if self.one.alive(f"host{host}"):
                self.out[host] = ROUNDS_OUT
                sample.errors.append(f"host {host} does not answer")
            return
        if said:
            sample.hot[host] = said[0]

    def sample(self):
        """One look; UserError if the fabric's owner does not answer."""
        sample = Sample()
        if not self.one.alive("owner"):
            self.one.state()        # says so if the cluster is gone
            raise ui.UserError("the fabric's owner is not running")
        found = self._ask("owner", "x-query-cxl-fabric")
        if not found:
            raise ui.UserError("the owner has no fabric")
        sample.fabric = found[0]
        sample.leaves = self._ask("owner", "x-query-cxl-fabric-leaves")
        sample.wires = self._ask("owner", "x-query-cxl-fabric-links")
        sample.devices = self._ask("owner", "x-query-cxl-fabric-qos")
        for host in range(self.state["hosts"]):
            if self.one.alive(f"host{host}"):
                self._ask_host(sample, host)
        return sample


def rates(columns, before, after, seconds):
    """{column: gain for each second}; never below 0."""
    return {name: max(0.0, sum(after.get(c, 0) - before.get(c, 0)
                               for c in counters) / seconds)
            for name, counters in columns.items()}


def _by(items, *keys):
    return {tuple(item[key] for key in keys): item["counters"]
            for item in items}


def _leaf_counters(sample):
    """{(leaf,): counters}, from leaves or from their shards."""
    if sample.leaves is not None:
        return _by(sample.leaves, "leaf")
    sums = {}
    for shard in sample.fabric["directory"]:
        total = sums.setdefault((shard["leaf"],), {})
        for name, count in shard["counters"].items():
            total[name] = total.get(name, 0) + count
    return sums


def _link_counters(sample):
    return {(leaf["leaf"], link["host"]): link["counters"]
            for leaf in sample.leaves or () for link in leaf["links"]}


def _wires(before, after, seconds):
    old = {wire["link"]: wire["counters"] for wire in before.wires or ()}
    return [{"link": wire["link"], "ends": wire["ends"],
             "ports": wire["ports"], "up": len(wire["up"]),
             "rates": [rates(WIRE_RATES, then, now, seconds)
                       for then, now in zip(old.get(wire["link"], ({}, {})),
                                            wire["counters"])]}
            for wire in after.wires or ()]


def _users(sample):
    return {(device["gfam"], user["host"], user.get("ld")): user
            for device in sample.devices or () for user in device["users"]}


def _qos(before, after, seconds):
    """Each device with its users; `time` is of a response, modelled, in ns."""
    old = _users(before)
    found = []
    for device in after.devices or ():
        users = []
        for user in device["users"]:
            key = (device["gfam"], user["host"], user.get("ld"))
            gains = rates(QOS_RATES, old.get(key, {}), user, seconds)
            spent = rates({"ns": ("time-ns",)}, old.get(key, {}), user,
                          seconds)["ns"]
            users.append({"host": user["host"], "ld": user.get("ld"),
                          "rates": gains, "time":
                          spent / gains["responses"] if gains["responses"]
                          else None})
        found.append({"gfam": device["gfam"], "demand": device["demand"],
                      "backpressure": device["backpressure"],
                      "users": users})
    return found


def _hot(sample, sizes):
    """The hottest lines of trapped memory and pages: two lists."""
    lines, whole = {}, {}
    for host, said in sample.hot.items():
        if not said["microseconds"]:
            continue
        for unit in said["units"]:
            rate = unit["count"] * 1e6 / said["microseconds"]
            page = unit["dpa"] & ~0xfff
            for table, dpa in ((lines, unit["dpa"]), (whole, page)):
                entry = table.setdefault((unit["gfam"], dpa), {})
                entry[host] = entry.get(host, 0.0) + rate
    return [[{"gfam": gfam, "dpa": dpa,
              "region": "HOT" if dpa < sizes["hot"] else "BULK",
              "rate": sum(hosts.values()), "hosts": hosts}
             for (gfam, dpa), hosts in
             sorted(table.items(), key=lambda item:
                    (-sum(item[1].values()), item[0]))[:SHOWN]]
            for table in (lines, whole)]


def describe(name, state, before, after):
    """What happened between two samples, as one object."""
    seconds = max(1e-6, after.time - before.time)
    old = _by(before.fabric["hosts"], "host")
    hosts = [{"host": item["host"], "state": item["state"],
              "pid": item["pid"], "deaths": item["deaths"],
              "precise-pages": item.get("precise-pages", 0),
              "rates": rates(HOST_RATES, old.get((item["host"],), {}),
                             item["counters"], seconds)}
             for item in after.fabric["hosts"]
             if item["host"] < state["hosts"]]
    old, about = _leaf_counters(before), {
        leaf["leaf"]: leaf for leaf in after.leaves or ()}
    leaves = [{"leaf": leaf, "state": about.get(leaf, {}).get("state"),
               **{key: about[leaf][key] for key in
                  ("lines", "line-capacity", "pages", "page-capacity")
                  if leaf in about},
               "rates": rates(LEAF_RATES, old.get((leaf,), {}), counters,
                              seconds)}
              for (leaf,), counters in sorted(_leaf_counters(after).items())]
    old = _link_counters(before)
    links = [{"host": host, "leaf": leaf,
              "rates": rates(LINK_RATES, old.get((leaf, host), {}), counters,
                             seconds)}
             for (leaf, host), counters in
             sorted(_link_counters(after).items())]
    lines, whole = _hot(after, state)
    return {"name": name, "seconds": seconds,
            "state": after.fabric["state"], "epoch": after.fabric["epoch"],
            "poisoned": after.fabric.get("poisoned", 0),
            "bulk-mode": after.fabric["bulk-mode"], "hosts": hosts,
            "leaves": leaves, "links": links,
            "fabric-links": _wires(before, after, seconds),
            "devices": _qos(before, after, seconds),
            "hot-lines": lines, "hot-pages": whole, "errors": after.errors,
            "has": {"leaves": after.leaves is not None,
                    "hot": bool(after.hot)}}


# For people

def number(value):
    """A rate in five columns."""
    for unit in ("", "k", "M", "G"):
        if value < 1000 or unit == "G":
            return f"{value:.0f}{unit}" if value >= 10 or not unit \
                else f"{value:.1f}{unit}"
        value /= 1000


def _rate_cells(item, columns):
    return [number(item["rates"][name]) for name in columns]


def _sorted(items, sort):
    if sort == "number":
        return items
    return sorted(items, key=lambda item: -item["rates"].get(sort, 0))


def _use(leaf, what, capacity):
    if what not in leaf:
        return "-"
    return f"{leaf[what]}/{leaf[capacity]}"


def _wire_rows(wires):
    rows = [["fabric link", "from", "to", "up", "bytes", "back", "busy",
             "back"]]
    for wire in wires:
        rows.append([wire["link"], *wire["ends"],
                     f"{wire['up']}/{wire['ports']}",
                     *(number(way["bytes"]) for way in wire["rates"]),
                     *(f"{way['busy-ns'] / 1e7:.1f}%"
                       for way in wire["rates"])])
    return rows


def _qos_rows(devices):
    rows = [["device", "demand", "waits", "host", "ld", "time", *QOS_RATES]]
    for device in devices:
        for user in device["users"]:
            rows.append([f"gfam{device['gfam']}", f"{device['demand']}%",
                         f"{device['backpressure']}%", user["host"],
                         "-" if user["ld"] is None else user["ld"],
                         "-" if user["time"] is None else
                         f"{user['time']:.0f}ns",
                         *_rate_cells(user, QOS_RATES)])
    return rows


def _hot_rows(title, units):
    rows = [[title, "region", "events/s", "hosts"]]
    for unit in units:
        hosts = " ".join(f"{host}:{number(rate)}"
                         for host, rate in sorted(unit["hosts"].items()))
        rows.append([f"gfam{unit['gfam']}:{unit['dpa']:#x}", unit["region"],
                     number(unit["rate"]), hosts])
    return rows


def screen(found, sort="number"):
    """The lines of a screen."""
    up = sum(host["state"] == "up" for host in found["hosts"])
    text = [f"cluster '{found['name']}': {up} of {len(found['hosts'])} hosts "
            f"up, fabric {found['state']}, epoch {found['epoch']}, BULK "
            + ",".join(found["bulk-mode"])
            + f", {found['poisoned']} poisoned; for each second:"]
    text += found["errors"]
    rows = [["host", "state", "pid", "deaths", "in-lines", *HOST_RATES]]
    for host in _sorted(found["hosts"], sort):
        rows.append([host["host"], host["state"], host["pid"],
                     host["deaths"], host["precise-pages"],
                     *_rate_cells(host, HOST_RATES)])
    text += ["", *ui.table(rows).split("\n")]
    rows = [["leaf", "state", "lines", "pages", *LEAF_RATES]]
    for leaf in found["leaves"]:
        rows.append([leaf["leaf"], leaf["state"] or "-",
                     _use(leaf, "lines", "line-capacity"),
                     _use(leaf, "pages", "page-capacity"),
                     *_rate_cells(leaf, LEAF_RATES)])
    text += ["", *ui.table(rows).split("\n")]
    if found["links"]:
        rows = [["link", *LINK_RATES]]
        for link in _sorted(found["links"], sort):
            rows.append([f"host{link['host']}-leaf{link['leaf']}",
                         *_rate_cells(link, LINK_RATES)])
        text += ["", *ui.table(rows).split("\n")]
    if found["fabric-links"]:
        text += ["", *ui.table(_wire_rows(found["fabric-links"])).split("\n")]
    if any(device["users"] for device in found["devices"]):
        text += ["", *ui.table(_qos_rows(found["devices"])).split("\n")]
    for title, units in (("line", found["hot-lines"]),
                         ("page", found["hot-pages"])):
        if units:
            text += ["", *ui.table(_hot_rows(title, units)).split("\n")]
    if not found["has"]["leaves"]:
        text += ["", "this emulator does not tell of leaves and links"]
    if not found["has"]["hot"]:
        text += ["", "no host tells what is hot"]
    return text


# Ways to show it

def _print(found, as_json):
    print(json.dumps(found) if as_json else "\n".join(screen(found)),
          flush=True)


def _batch(watcher, name, interval, once, as_json):
    before = watcher.sample()
    while True:
        time.sleep(interval)
        after = watcher.sample()
        _print(describe(name, watcher.state, before, after), as_json)
        if once:
            return 0
        if not as_json:
            print()
        before = after


class Live:
    """The screen of a terminal, until q or Ctrl-C."""

    def __init__(self, window, watcher, name, interval):
        self.window = window
        self.watcher = watcher
        self.name = name
        self.interval = interval
        self.sort = "number"
        self.text = ["asking ..."]

    def _draw(self):
        height, width = self.window.getmaxyx()
        keys = "q quit, sort by " + ", ".join(
            f"{key} {column}" for key, column in KEYS.items())
        self.window.erase()
        shown = self.text[:max(0, height - 1)]
        for row, line in enumerate([*shown, keys][:height]):
            # The last cell of a window cannot be written.
            with contextlib.suppress(curses.error):
                style = curses.A_BOLD if not row else curses.A_NORMAL
                self.window.addnstr(row, 0, line, max(1, width - 1), style)
        self.window.refresh()

    def _wait(self, found):
        """Keys until the next sample is due; False to end."""
        limit = time.monotonic() + self.interval
        while True:
            left = limit - time.monotonic()
            self.window.timeout(max(1, int(left * 1000)))
            key = self.window.getch()
            if key in (ord("q"), ord("Q")):
                return False
            if 0 <= key < 256 and chr(key) in KEYS:
                self.sort = KEYS[chr(key)]
                if found:
                    self.text = screen(found, self.sort)
            if key != -1:
                self._draw()        # also after a change of the size
            if time.monotonic() >= limit:
                return True

    def go(self):
        with contextlib.suppress(curses.error):
            curses.curs_set(0)
        before = found = None
        while True:
            try:
                after = self.watcher.sample()
                if before:
                    found = describe(self.name, self.watcher.state, before,
                                     after)
                    self.text = screen(found, self.sort)
                before = after
            except ui.UserError as error:
                # It stays on the screen what was known before.
                self.text = [str(error).split("\n")[0], *(
                    screen(found, self.sort) if found else [])]
                before = None
            self._draw()
            if not self._wait(found):
                return 0


def main(args):
    """cxl-cluster top, from its parsed options."""
    if not SHORTEST <= args.interval <= LONGEST:
        raise ui.UserError(f"--interval {args.interval:g}: accepts "
                           f"{SHORTEST:g} to {LONGEST} seconds")
    watcher = Watcher(cluster.Cluster(args.name))
    if args.once or args.batch or args.json or not sys.stdout.isatty() or \
            not sys.stdin.isatty():
        return _batch(watcher, args.name, args.interval, args.once,
                      args.json)
    os.environ.setdefault("ESCDELAY", "25")
    return curses.wrapper(lambda window: Live(
        window, watcher, args.name, args.interval).go())
