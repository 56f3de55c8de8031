# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent's queue: the round trip of a command, and acquiring memory.

The program tests/guest/queuebench.c times all of it in the guest.  What a
command's round trip is compared with is a write to a register of QEMU's edu
device, until the process is awake that waits for the interrupt that the
write raises: an interrupt through a stock kernel's uio_pci_generic, and no
work of a device.  What acquiring is compared with is a store to each page,
in a cluster whose agents take 4 KiB at a fault, and in one that takes as
much as by default.
"""

import os

from . import cli, cluster, guest, programs, regiontest, ui
from .figures import figures, spread

ROUNDS = 9
TRIPS = 500
BULK = 1 << 30
# Each measurement needs the memory of the whole region, twice.
MEMORY = 512 << 20
EDU = ("-device", "edu,bus=pcie.0")
WHOLE, SMALL = "2 MiB at most", "4 KiB"
# precise-quota=0: no page becomes one of lines.
GRAINS = {WHOLE: "precise-quota=0", SMALL: "precise-quota=0,grain-max=4K"}
TRIP_GATE, ACQUIRE_GATE = 3, 20
BIND = """set -e
modprobe uio_pci_generic
echo 1234 11e8 >/sys/bus/pci/drivers/uio_pci_generic/new_id
tries=0
until [ -c /dev/uio0 ]; do
    tries=$((tries + 1))
    [ $tries -le 400 ] || { echo "no uio device" >&2; exit 1; }
    usleep 50000
done
"""


class Queues:
    """Two clusters of one guest, the samples, and the verdicts."""

    def __init__(self, args, binary):
        self.args = args
        self.binary = binary
        self.rounds = min(args.rounds, ROUNDS)
        self.clusters = {
            grain: cluster.Cluster(f"queue-{os.getpid()}-{number}")
            for number, grain in enumerate(GRAINS)}
        self.one = self.clusters[WHOLE]
        self.programs = programs.Programs()
        self.samples = {}       # name: [value]
        self.gates = []
        self.report = {"rounds": self.rounds, "gates": self.gates}

    def measure(self, grain, *options):
        """One run of the program; its result."""
        status, result = self.programs.run(
            self.clusters[grain], [0], "queuebench", *options,
            timeout=600)[0]
        if status:
            raise ui.UserError(f"queuebench: {result}")
        return result

    def round(self):
        """Each kind once."""
        trips = self.measure(WHOLE, "--count", TRIPS, "--rounds", ROUNDS,
                             "--uio", "/dev/uio0")
        for name in ("register", "fence", "interrupt"):
            self.note(name, trips[name + "-ns"]["median"] / 1000)
        self.note("trip", trips["fence-ns"]["median"]
                  / trips["interrupt-ns"]["median"])
        faults = {}
        for grain in GRAINS:
            took = self.measure(grain, "--megabytes", BULK >> 20)
            faults[grain] = took["faults-ns"]
            self.note(f"faults, {grain}", took["faults-ns"] / 1e6)
            if grain == WHOLE:
                acquire = took["acquire-ns"]
                self.note("acquire", acquire / 1e6)
                self.note("touch", took["touch-ns"] / 1e6)
        for grain, took in faults.items():
            self.note(f"gain, {grain}", took / acquire)

    def note(self, name, value):
        self.samples.setdefault(name, []).append(value)

    def gate(self, name, ok, text):
        self.gates.append({"gate": name, "ok": ok, "text": text})

    def show(self):
        """The tables and the gates; whether all are met."""
        table = [["", "median [quartiles]"]]
        for name, title, digits in (
                ("register", "write of a register, us", 2),
                ("fence", "command by the queue, polled, us", 2),
                ("interrupt", "write of a register and interrupt, us", 2),
                ("trip", "command to write and interrupt", 2),
                ("acquire", "acquire 1 GiB by one command, ms", 1),
                ("touch", "touch all its pages then, ms", 1),
                (f"faults, {WHOLE}", "fault it in, blocks as by default, ms",
                 1),
                (f"faults, {SMALL}", "fault it in by pages of 4 KiB, ms", 1),
                (f"gain, {WHOLE}", "default faults to acquire", 1),
                (f"gain, {SMALL}", "faults by 4 KiB to acquire", 1)):
            middle, low, high = spread(self.samples[name])
            table.append([title, f"{middle:,.{digits}f} [{low:,.{digits}f} "
                          f"{high:,.{digits}f}]"])
        print(f"\n{self.rounds} rounds\n\n" + ui.table(table))
        trip = spread(self.samples["trip"])[0]
        self.gate("round trip", trip <= TRIP_GATE, f"a command takes "
                  f"{trip:.2f} of a write and its interrupt, at most "
                  f"{TRIP_GATE}")
        gain = spread(self.samples[f"gain, {SMALL}"])[0]
        self.gate("acquire", gain >= ACQUIRE_GATE, f"{gain:.1f} times as "
                  f"fast as page by page, at least {ACQUIRE_GATE}")
        for gate in self.gates:
            print(f"{'PASS' if gate['ok'] else 'FAIL'}  {gate['gate']}: "
                  f"{gate['text']}")
        self.report["figures"] = {name: figures(values)
                                  for name, values in self.samples.items()}
        return all(gate["ok"] for gate in self.gates)

    def go(self):
        """Everything, in order; True if the gates are met."""
        guest.image(self.args.kernel, self.args.modules)
        try:
            for grain, one in self.clusters.items():
                one.up(cli.config_of(
                    self.args, name=one.name, binary=self.binary, hosts=1,
                    bulk=BULK, mem=MEMORY, extra=list(EDU),
                    eca_options=GRAINS[grain]))
            regiontest.script(self, 0, BIND)
            for number in range(self.rounds):
                ui.note(f"round {number + 1} of {self.rounds}")
                self.round()
        finally:
            cluster.give_up(*self.clusters.values())
        ok = self.show()
        self.report["ok"] = ok
        return ok
