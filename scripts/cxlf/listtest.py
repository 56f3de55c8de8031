# SPDX-License-Identifier: GPL-2.0-or-later
"""Every topology as stock guests list it, and what their switch tells them.

`cxl list -v` must show, in each guest, the endpoints that the topology gives
its host, each behind a host bridge and a switch, with their memory; and
cxlfm, by the switch's mailbox, what the fabric's owner says of that switch.
"""

import json
import os

from . import qmp, regiontest, topology

LIST = ["cxl", "list", "-vvv"]
MANAGED = "host-managers=on"
LABELS = [1, 511, 4088]                 # bytes; and some sizes between them
SIZES = 5

# What a memory device must do for the tools of a stock kernel.  $1: it; then
# sizes of labels that are written, and read back.
ACCEPT = r"""
set -e
mem=$1
shift
for kind in root decoder port; do
    ls -d /sys/bus/cxl/devices/$kind* >/dev/null
done
cxl read-labels "$mem" -o /dev/null
for size; do
    dd if=/dev/urandom of=/run/label bs="$size" count=1 2>/dev/null
    cxl write-labels -i /run/label -s "$size" "$mem"
    cxl read-labels -o /run/label.back -s "$size" "$mem"
    cmp /run/label /run/label.back
done
cxl zero-labels "$mem"
cxl read-labels -o /run/label.back -s "$size" "$mem"
head -c "$size" /dev/zero | cmp - /run/label.back
rm /run/label /run/label.back
"""


def _asked(bench, host, argv):
    """A command's output as JSON."""
    return json.loads(regiontest.output(bench, host, argv))


def _all(shown, kind):
    """All objects that `kind` names, at any depth."""
    found = []
    if isinstance(shown, dict):
        if isinstance(shown.get(kind), str):
            found.append(shown)
        shown = list(shown.values())
    if isinstance(shown, list):
        for each in shown:
            found += _all(each, kind)
    return found


def _view(bench):
    """What the fabric's owner says of all switches and devices."""
    return qmp.call(bench.one.place("owner.qmp"), "x-query-cxl-fabric-fm")[0]


def _expected(bench, host):
    """Bytes of each memory device that a host has after it has booted."""
    config = bench.config
    if not config.pool:
        return [config.hot + config.bulk] * config.gfams
    # VCSs are in the order of a leaf's hosts; pools here have one leaf.
    vcs = _view(bench)["components"][0]["vcss"][host]
    return [config.largest for each in vcs["bindings"]
            if each["status"] == "ld"]


def _wrong_list(bench, host):
    """What is not as it should be in a guest's list."""
    config = bench.config
    shown = _asked(bench, host, LIST)
    devices, endpoints = _all(shown, "memdev"), _all(shown, "endpoint")
    # Decoders name their device, too.
    devices = {each["memdev"]: each for each in devices if "serial" in each}
    wanted = _expected(bench, host)
    wrong = []
    if sorted(each.get("ram_size", 0) for each in devices.values()) != \
            sorted(wanted):
        wrong.append(f"memory devices {sorted(devices.values(), key=str)}, "
                     f"not {wanted}")
    if len({each.get("serial") for each in devices.values()}) != len(devices):
        wrong.append("serial numbers are not unique")
    if len({each["endpoint"] for each in endpoints}) != len(devices):
        wrong.append(f"endpoints {endpoints}")
    for each in endpoints:
        # Root, host bridge and switch are above it.
        if each.get("depth") != 3:
            wrong.append(f"{each['endpoint']} is at depth {each.get('depth')}")
    switches = [each for each in _all(shown, "port")
                if each.get("depth") == 2]
    if not switches:
        wrong.append("there is no switch")
    health = [each.get("health", {}).get("life_used_percent", 0)
              for each in devices.values()]
    if any(health):
        wrong.append(f"devices are worn: {health}")
    regions = {each["region"]: each for each in _all(shown, "region")}
    if not config.pool:
        size = sum(each["size"] for each in regions.values())
        if size != sum(wanted):
            wrong.append(f"regions have {size} bytes")
    for each in regions.values():
        if each.get("decode_state") != "commit":
            wrong.append(f"{each['region']} is {each.get('decode_state')}")
    return [f"host {host}: {text}" for text in wrong]


def run(bench):
    """What each guest lists."""
    with bench.test("cxl list shows the topology") as wrong:
        for host in bench.hosts:
            wrong += _wrong_list(bench, host)
    with bench.test("a guest knows its switch by the mailbox") as wrong:
        serials = {each["serial"] for each in _view(bench)["components"]
                   if each["kind"] == "switch"}
        for host in bench.hosts:
            shown = _asked(bench, host, ["cxlfm", "--mailbox", "auto",
                                         "--json", "raw", "0", "0x0001"])
            answer = bytes.fromhex(shown["payload"].replace(" ", ""))
            if f"0x{int.from_bytes(answer[8:16], 'little'):016x}" not in \
                    serials:
                wrong.append(f"host {host}: {shown}, not {serials}")


def accept(bench):
    """Basic acceptance of each memory device by `cxl`."""
    for host in bench.hosts:
        for each in _asked(bench, host, ["cxl", "list", "-M"]):
            with bench.test(f"{each['memdev']} of host {host} keeps labels"):
                regiontest.script(
                    bench, host, ACCEPT, each["memdev"], *LABELS,
                    *(bench.rng.randrange(2, 4088) for _ in range(SIZES)))


def direct(bench):
    """What a guest without a switch lists, and its device's acceptance."""
    run(bench)
    accept(bench)


def managed(bench):
    """The same, and guests that may manage."""
    run(bench)
    known = _view(bench)["components"][0]["ports"]
    with bench.test("a guest manages its switch") as wrong:
        ports = _asked(bench, 0, ["cxlfm", "--mailbox", "auto", "--json",
                                  "ports", "0"])
        if {each["port"] for each in ports} != \
                {each["port"] for each in known}:
            wrong.append(f"ports {ports}, not {known}")
        # The pooled device is behind a port of this switch: by a tunnel.
        at = min(each["port"] for each in known
                 if each.get("peer") == "gfam@0")
        lds = _asked(bench, 0, ["cxlfm", "--mailbox", "auto", "--json",
                                "lds", f"p{at}"])
        if [each["ld"] for each in lds] != list(range(len(lds))) or not lds:
            wrong.append(f"LDs {lds}")
    accept(bench)


def _file(name):
    return os.path.join(topology.FOLDER, name)


CLUSTERS = (
    ("direct", direct, {"topology": _file("direct.dts"), "hosts": 1}),
    ("leaf-spine", run, {"topology": _file("leaf-spine.dts"), "hosts": 4}),
    ("pooled", managed, {"topology": _file("pooled.dts"), "hosts": 4,
                         "fabric_options": MANAGED}),
)
