# SPDX-License-Identifier: GPL-2.0-or-later
"""A logical device (LD) moves between two stock guests while they run.

Each guest has an LD of its own that it writes and checks all the time.  One
more LD goes from guest to guest: the Fabric Manager unbinds it from one and
binds it to the other, the kernels' drivers of slots and of CXL see it go and
come, and who gets it must find zeros, whatever the other wrote.  Host 0 is at
the device's leaf, host 1 is not: it has LDs by their PIDs.
"""

import contextlib
import os
import time

from . import agent, programs, qmp, regiontest, topology, ui

TOPOLOGY = os.path.join(topology.FOLDER, "pool-two-hosts.dts")
MOVES = 10
HOT_LD, MOVING_LD = 0, 3
SLOT = 2                                # the vPPB at which LDs come and go
PATIENCE = 120                          # seconds, for a step of a guest
LOAD_BYTES = 4 << 20
# All of an LD but the page of the program's own, before these bytes.
LD_BYTES = (256 << 20) - 4096
HOT_BYTES = 1 << 20                     # each access to HOT is a callback

# $1: a slot.  Prints the dax device of a region of all its memory.
REGION = r"""
set -e
await()
{
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -le 1200 ] || { echo "waited 60 s for: $*" >&2; exit 1; }
        usleep 50000
    done
}
address=$(cat "/sys/bus/pci/slots/$1/address").0
memdev()
{
    mem=$(ls "/sys/bus/pci/devices/$address" | grep '^mem[0-9]*$')
}
attached()
{
    cxl list -E -m "$mem" | grep -q endpoint
}
await memdev
memdev
await attached
out=$(cxl create-region -m -t ram -d "decoder0.$((($1 - 1) / 2))" -w 1 "$mem")
region=$(echo "$out" | sed -n 's/.*"region":"\([^"]*\)".*/\1/p' | head -n1)
[ -n "$region" ]
dax_of()
{
    dax=$(ls "/sys/bus/cxl/devices/$region/"dax_region* | grep '^dax[0-9]')
}
await dax_of
dax_of
[ -e "/sys/bus/dax/devices/$dax/driver" ] || daxctl enable-device "$dax" >&2
await [ -e "/sys/bus/dax/devices/$dax/driver" ]
await [ -c "/dev/$dax" ]
echo "$dax $region"
"""

# $1: a dax device, $2: its region.
DESTROY = r"""
set -e
echo "$1" >/sys/bus/dax/drivers/device_dax/unbind
cxl disable-region "$2"
cxl destroy-region "$2"
"""

# $1: a dax device, $2: bytes.  Writes and checks until it is told to stop.
LOAD = r"""
turn=0
until [ -e /run/stop-load ]; do
    turn=$((turn + 1))
    pattern --dev "/dev/$1" --bytes "$2" --seed $turn --write >/dev/null &&
        pattern --dev "/dev/$1" --bytes "$2" --seed $turn || exit 1
done
echo "turns $turn"
"""

# $1: a slot.  Prints the memory device in it, if there is one.
MEMDEV = r"""
address=$(cat "/sys/bus/pci/slots/$1/address").0
ls "/sys/bus/pci/devices/$address" 2>/dev/null | grep '^mem[0-9]*$'
true
"""


class Move:
    """The steps, and what the guests' logs must say of them."""

    def __init__(self, bench):
        self.bench = bench
        self.owner = bench.one.place("owner.qmp")
        self.bytes = LD_BYTES

    def guest(self, host, text, *argv):
        return regiontest.script(self.bench, host, text, *argv)

    def log(self, host):
        return self.guest(host, "dmesg").splitlines()

    def boot_id(self, host):
        return self.guest(host, "cat /proc/sys/kernel/random/boot_id")

    def said(self, host, before, *words):
        """What is missing in a guest's log since it had `before` lines."""
        new = self.log(host)[before:]
        return [f"host {host}: no line of its log has '{word}'"
                for word in words if not any(word in line for line in new)]

    def _switch(self, fabric, host):
        """That of a host, whose PID is its number."""
        return next(each for each in fabric["components"]
                    if any(port["state"] == "usp" and port["pid"] == host
                           for port in each.get("ports", ())))

    def _finish(self, answer, host, what):
        if not answer["background"]:
            raise ui.UserError(f"{what}: return code "
                               f"{answer['return-code']:#x}")
        limit = time.monotonic() + PATIENCE
        while True:
            fabric, = qmp.call(self.owner, "x-query-cxl-fabric-fm")
            state = self._switch(fabric, host)["background"]
            if not state["running"]:
                if state["result"]:
                    raise ui.UserError(f"{what} ended in "
                                       f"{state['result']:#x}")
                return
            if time.monotonic() > limit:
                raise ui.UserError(f"{what} did not end within {PATIENCE} s")
            time.sleep(0.05)

    def bind(self, host, number, slot=SLOT):
        self._finish(qmp.call(self.owner, "x-cxl-fabric-bind", host=host,
                              vppb=slot, gfam=0, ld=number), host,
                     f"binding LD {number} to host {host}")

    def unbind(self, host, how="managed", slot=SLOT):
        self._finish(qmp.call(self.owner, "x-cxl-fabric-unbind", host=host,
                              vppb=slot, how=how), host,
                     f"{how} unbinding from host {host}")

    def region(self, host, slot=SLOT):
        """A region in the slot; its dax device and its name."""
        return self.guest(host, REGION, slot).split()[-2:]

    def pattern(self, host, dax, *options):
        """What is wrong with an LD's first bytes, or all of them."""
        done = self.bench.one.run_all({host: [
            "pattern", "--dev", f"/dev/{dax}", "--bytes", str(self.bytes),
            *map(str, options)]}, PATIENCE)[host]
        status, result = programs.parse(done)
        return [f"host {host}: pattern {options}: {result}"] if status else []

    def show(self, host, number, seed, wrong):
        """The LD comes to a host, which finds zeros and fills it."""
        before = len(self.log(host))
        self.bind(host, number)
        dax, region = self.region(host)
        wrong += self.said(host, before, f"Slot({SLOT}): Card present",
                           f"Slot({SLOT}): Link Up", "cxl_pci")
        wrong += self.pattern(host, dax, "--zeros")
        wrong += self.pattern(host, dax, "--write", "--seed", seed)
        return dax, region

    def hide(self, host, dax, region, seed, wrong, orderly):
        """The host has what it wrote, until the LD goes."""
        wrong += self.pattern(host, dax, "--seed", seed)
        if orderly:
            self.guest(host, DESTROY, dax, region)
        before = len(self.log(host))
        self.unbind(host)
        wrong += self.said(host, before,
                           f"Slot({SLOT}): Button press: will power off")
        if self.guest(host, MEMDEV, SLOT).strip():
            wrong.append(f"host {host}: the memory device is there still")


@contextlib.contextmanager
def _loads(bench, move, wrong):
    """Both guests write and check an LD of their own, all the time."""
    jobs = []
    for host in bench.hosts:
        dax, _ = move.region(host, slot=1)
        jobs.append(agent.Job(bench.one.agent(host), [
            "sh", "-c", LOAD, "sh", dax, str(LOAD_BYTES)]))
    try:
        yield
    finally:
        bench.one.run_all({host: ["touch", "/run/stop-load"]
                           for host in bench.hosts})
    for host, (status, out, err) in enumerate(
            agent.wait_all(jobs, PATIENCE)):
        text = (out + err).decode(errors="replace")
        turns = text.rpartition("turns ")[2].strip()
        if status or not turns.isdigit() or int(turns) < MOVES:
            wrong.append(f"host {host}'s load: status {status}: "
                         f"{text[-400:]}")
        else:
            ui.note(f"host {host} wrote and checked its own LD {turns} "
                    "times meanwhile")


def run(bench):
    move = Move(bench)
    boots = [move.boot_id(host) for host in bench.hosts]
    seed = bench.rng.randrange(1 << 30)
    with bench.test(f"an LD moves {MOVES} times under load") as wrong, \
            _loads(bench, move, wrong), ui.Step("moving an LD") as step:
        for turn in range(MOVES):
            host = turn % 2
            dax, region = move.show(host, MOVING_LD, seed + turn, wrong)
            move.hide(host, dax, region, seed + turn, wrong, turn % 4 < 2)
            step.tick(f"{turn + 1} of {MOVES}")
            if wrong:
                break
    move.bytes = HOT_BYTES
    with bench.test("an LD of HOT moves, with surprise") as wrong:
        for turn in range(2):
            dax, _ = move.show(turn, HOT_LD, seed, wrong)
            wrong += move.pattern(turn, dax, "--seed", seed)
            before = len(move.log(turn))
            move.unbind(turn, "surprise")
            wrong += move.said(turn, before, f"Slot({SLOT}): Card not "
                               "present")
    with bench.test("what was bound all the time is as it was") as wrong:
        for host in bench.hosts:
            found = move.guest(host, MEMDEV, 1).split()
            if len(found) != 1:
                wrong.append(f"host {host}: {found}")
    with bench.test("a host that comes back has what it had") as wrong:
        dax = move.guest(0, "basename /dev/dax*").split()[0]
        wrong += move.pattern(0, dax, "--write", "--seed", seed)
        bench.one.restart(0)
        boots[0] = move.boot_id(0)
        dax, _ = move.region(0, slot=1)
        wrong += move.pattern(0, dax, "--seed", seed)
    with bench.test("no guest was reset") as wrong:
        wrong += [f"host {host} has booted again" for host in bench.hosts
                  if move.boot_id(host) != boots[host]]


CLUSTERS = (
    ("move", run, {"topology": TOPOLOGY}),
)
