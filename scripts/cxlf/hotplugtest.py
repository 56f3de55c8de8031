# SPDX-License-Identifier: GPL-2.0-or-later
"""An endpoint is taken out of a running guest and put back, again and again.

By device_add and device_del, as anybody would: the guest's own drivers of PCI
Express slots and of CXL do the rest, and the ordinary tools make the regions.
The memory is the fabric's: what is in it stays, and other hosts go on with it.
"""

import json
import time

from . import agent, programs, qmp, regiontest, ui

TIMES = 3
PATIENCE = 60                           # s; a slot's button blinks for 5
ID, PORT = "gfam0", "ds0"
LIST = ["cxl", "list", "-M"]

# Linux keeps regions whose device has gone, and `cxl destroy-region` wants the
# device; until they are deleted their range of addresses is taken.
FORGET = r"""
set -e
for region in /sys/bus/cxl/devices/region*; do
    echo "${region##*/}" >/sys/bus/cxl/devices/decoder0.0/delete_region
done
rm /dev/cxlf/hot /dev/cxlf/bulk
"""


def memdevs(bench, host):
    """What `cxl list -M` shows."""
    return json.loads(regiontest.output(bench, host, LIST) or "[]")


def _await(bench, host, step, present):
    """Until the guest has a memory device, or none; what it has."""
    limit = time.monotonic() + PATIENCE
    while True:
        found = memdevs(bench, host)
        if bool(found) == present:
            return found
        if time.monotonic() > limit:
            raise ui.UserError(
                f"host {host} {'shows no' if present else 'still shows a'} "
                f"memory device after {PATIENCE} s")
        step.tick("the guest's drivers are at work")
        time.sleep(0.2)


def unplug(bench, host, step, device=ID):
    """device_del, and all that follows in the guest and in its emulator."""
    with qmp.Monitor(bench.one.place(f"host{host}.qmp"), PATIENCE) as monitor:
        monitor.call("device_del", id=device)
        while monitor.event("DEVICE_DELETED")["data"].get("device") != device:
            step.tick("other devices go as well")
    _await(bench, host, step, False)


def plug(bench, host, step, **properties):
    """device_add of an endpoint; what the guest then shows."""
    arguments = {"driver": "cxl-gfam", "id": ID, "bus": PORT, "eca": "eca0",
                 "gfam": 0, **properties}
    qmp.call(bench.one.place(f"host{host}.qmp"), "device_add", PATIENCE,
             **arguments)
    return _await(bench, host, step, True)


def logged(bench, host):
    """How many pages the host's ownership log has."""
    return qmp.call(bench.one.place("owner.qmp"), "x-query-cxl-fabric-log",
                    host=host)["pages"]


def run(bench):
    """Host 0's endpoint goes and comes; host 1 works with the same memory."""
    config = bench.config
    size = config.hot + config.bulk
    first = memdevs(bench, 0)
    with bench.test("the first words are written") as wrong:
        wrong += regiontest.pattern(bench, 0, "--write", "--seed", 1)
    for number in range(1, TIMES + 1):
        with bench.test(f"an endpoint goes, time {number}") as wrong, \
                ui.Step("taking host 0's endpoint out") as step:
            regiontest.script(bench, 0, regiontest.DESTROY)
            unplug(bench, 0, step)
            pages = logged(bench, 0)
            if pages:
                wrong.append(f"host 0 still has {pages} pages mapped")
            wrong += regiontest.pattern(bench, 1, "--seed", number)
            wrong += regiontest.pattern(bench, 1, "--write", "--seed",
                                        number + 1)
        with bench.test(f"it comes back, time {number}") as wrong, \
                ui.Step("putting host 0's endpoint back") as step:
            found = plug(bench, 0, step)
            if [each["ram_size"] for each in found] != [size]:
                wrong.append(f"the guest shows {found}")
            if found[0]["serial"] != first[0]["serial"]:
                wrong.append("its serial number is another one: "
                             f"{found[0]['serial']}")
            regiontest.script(bench, 0, regiontest.CREATE, config.hot,
                              config.bulk)
            wrong += regiontest.pattern(bench, 0, "--seed", number + 1)
            wrong += regiontest.pattern(bench, 0, "--write", "--seed",
                                        number + 1)
    bench.program("counter with an endpoint that came back", "counter",
                  "--count", 2000, "--threads", bench.smp,
                  known=2 * 2000 * bench.smp)
    bench.program("messages with an endpoint that came back", "message",
                  "--count", 10, known=10 * 6)


def under_load(bench):
    """Host 0's endpoint goes while programs of both hosts use its memory."""
    config, one = bench.config, bench.one
    first = bench.programs.hammer(one, bench.hosts, 0, bench.smp)
    with bench.test("an endpoint goes under a program") as wrong, \
            ui.Step("taking host 0's endpoint out under load") as step:
        programs.await_load(one, dict.fromkeys(bench.hosts, 1000), step)
        unplug(bench, 0, step)
        outcome = agent.wait_all([first[0]], PATIENCE)[0]
        if not outcome[0]:
            wrong.append(f"host 0's program went on without it: {outcome}")
        if logged(bench, 0):
            wrong.append("host 0 still has pages mapped")
    with bench.test("another host's program goes on") as wrong:
        one.agent(1).kill(first[1].pid)
        status, result = programs.parse(
            agent.wait_all([first[1]], PATIENCE)[0])
        if status:
            wrong.append(f"host 1: status {status}, {result}")
    with bench.test("it comes back after that") as wrong, \
            ui.Step("putting host 0's endpoint back") as step:
        wrong += regiontest.pattern(bench, 1, "--write", "--seed", 9)
        regiontest.script(bench, 0, FORGET)
        plug(bench, 0, step)
        regiontest.script(bench, 0, regiontest.CREATE, config.hot,
                          config.bulk)
        wrong += regiontest.pattern(bench, 0, "--seed", 9)


CLUSTERS = (
    ("hotplug", run, {"smp": 2}),
    ("unplug", under_load, {}),
)
