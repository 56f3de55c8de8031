# SPDX-License-Identifier: GPL-2.0-or-later
"""How often a guest reaches a device until it is ready.

QEMU traces each access that a device answers, with the name of its memory
region; the events go through a pipe and are only counted.  The same guest is
booted with this project's devices, with upstream's in the same places, and
without any memory behind its CXL bridge.
"""

import collections
import os
import re
import threading

from . import cli, cluster, guest, ui
from .figures import spread

KINDS = (("none", "no memory behind the bridge"),
         ("type3", "upstream's cxl-type3 behind a switch"),
         ("fabric", "this fabric"))
EVENT = re.compile(rb"memory_region_ops_(read|write) .* name '([^']*)'")
EVENTS = ("memory_region_ops_read", "memory_region_ops_write")
ROUNDS = 3
SHOWN = 12
# Clocks and timers, which the kernel polls as often as time allows: what
# comes of it says nothing.
POLLED = ("pit", "pcspk", "acpi-tmr")


class Counter(threading.Thread):
    """Counts what comes through a named pipe until its writer ends."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path = path
        self.counts = collections.Counter()
        # Both ends, so that neither this nor QEMU waits for the other.
        self.fd = os.open(path, os.O_RDWR)

    def run(self):
        rest = b""
        while True:
            data = rest + os.read(self.fd, 1 << 20)
            data, _, rest = data.rpartition(b"\n")
            for line in data.splitlines():
                match = EVENT.search(line)
                if match:
                    self.counts[match.group(2).decode()] += 1
                elif line == b"end":
                    return

    def finish(self):
        """The counts, once nobody writes any more."""
        os.write(self.fd, b"\nend\n")
        self.join(30)
        os.close(self.fd)
        return self.counts


class Exits:
    """The boots, and what they counted."""

    def __init__(self, args, binary):
        self.args = args
        self.binary = binary
        self.rounds = min(args.rounds, ROUNDS)
        self.counts = {kind: [] for kind, _ in KINDS}
        self.seconds = {kind: [] for kind, _ in KINDS}
        self.report = {"rounds": self.rounds}

    def boot(self, kind):
        """One boot of one guest; counts by region."""
        one = cluster.Cluster(f"exits-{os.getpid()}-{kind}")
        pipe = os.path.join("/tmp", f"cxlf-{os.geteuid()}-{one.name}")
        os.mkfifo(pipe, 0o600)
        counter = Counter(pipe)
        counter.start()
        extra = [word for event in EVENTS for word in ("-trace", event)]
        try:
            one.up(cli.config_of(
                self.args, name=one.name, binary=self.binary, hosts=1,
                device=kind, extra=[*extra, "-D", pipe]))
            self.seconds[kind].append(one.state()["seconds"])
            one.down()
            self.counts[kind].append(counter.finish())
        finally:
            one.give_up()
            os.unlink(pipe)

    def show(self):
        """Medians by region, the largest first."""
        total = {kind: spread([
            sum(count for name, count in counts.items()
                if name not in POLLED) for counts in self.counts[kind]])[0]
            for kind, _ in KINDS}
        by_name = {}
        for kind, _ in KINDS:
            for name in set().union(*self.counts[kind]):
                by_name.setdefault(name, {})[kind] = spread(
                    [c.get(name, 0) for c in self.counts[kind]])[0]
        names = sorted(by_name, key=lambda name: -max(
            by_name[name].values()))
        table = [["memory region", *(text for _, text in KINDS)]]
        for name in names[:SHOWN]:
            table.append([name, *(f"{by_name[name].get(kind, 0):,.0f}"
                                  for kind, _ in KINDS)])
        table.append(["all but " + ", ".join(POLLED), *(
            f"{total[kind]:,.0f}" for kind, _ in KINDS)])
        table.append(["seconds, traced", *(
            f"{spread(self.seconds[kind])[0]:.1f}" for kind, _ in KINDS)])
        print(f"\naccesses to devices until the guest is ready, medians of "
              f"{self.rounds} boots\n\n" + ui.table(table), flush=True)
        self.report.update(
            total=total, regions=by_name, seconds=self.seconds,
            ratio={"fabric to none": total["fabric"] / total["none"],
                   "fabric to type3": total["fabric"] / total["type3"]})
        print("\nthe fabric's to none's: "
              f"{total['fabric'] / total['none']:.2f}; to upstream's: "
              f"{total['fabric'] / total['type3']:.2f}")

    def go(self):
        """All boots, in turn; True."""
        guest.image(self.args.kernel, self.args.modules)
        for number in range(self.rounds):
            ui.note(f"round {number + 1} of {self.rounds}")
            for kind, _ in KINDS:
                self.boot(kind)
        self.show()
        self.report["ok"] = True
        return True
