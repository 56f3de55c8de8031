# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages between two guests: libeca's queue pair in HOT against TCP.

The TCP goes over virtio-net, whose two ends are joined by a UNIX socket of
the two QEMUs.  Both are timed in each round by one program in the guests
(tests/bench/bench-echo.c), so ratios are of what ran side by side.
"""

import os

from . import cli, cluster, guest, programs, regiontest, ui
from .figures import figures, spread

SIZES = (64, 1024)
WAYS = ("queue", "tcp")
TRIPS, STREAM = 500, 5000
ROUNDS = 9
OFFSET = 64 << 20
# $1: the last byte of this guest's address.
NETWORK = r"""
modprobe virtio_net
tries=0
until ip link set eth0 up 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -le 400 ] || { echo "no network device" >&2; exit 1; }
    usleep 50000
done
ip addr add 10.9.0.$1/24 dev eth0
"""
REACH = "ping -c 1 -w 20 10.9.0.2"


class Echoes:
    """The pair of guests, the samples, and the table."""

    def __init__(self, args, binary):
        self.args = args
        self.binary = binary
        self.rounds = min(args.rounds, ROUNDS)
        self.one = cluster.Cluster(f"echo-{os.getpid()}")
        self.programs = programs.Programs()
        self.samples = {}       # (way, bytes, what): [value]
        self.report = {"rounds": self.rounds}

    def measure(self, way, size):
        """One run of one way."""
        done = self.programs.run(
            self.one, [0, 1], "bench-echo", "--via", way, "--bytes", size,
            "--trips", TRIPS, "--stream", STREAM, "--offset", OFFSET)
        for host, (status, result) in enumerate(done):
            if status:
                raise ui.UserError(f"bench-echo in host {host}: {result}")
        result = done[0][1]
        for what, value in (
                ("trip", result["trip-ns"]["median"] / 1000),
                ("p99", result["trip-ns"]["p99"] / 1000),
                ("rate", result["stream"] * 1e9 / result["stream-ns"])):
            self.samples.setdefault((way, size, what), []).append(value)

    def ratio(self, size, what):
        """Queue pair to TCP, of each round."""
        pairs = zip(self.samples["queue", size, what],
                    self.samples["tcp", size, what])
        return figures([queue / tcp for queue, tcp in pairs])

    def show(self):
        """The table, and the ratios."""
        table = [["messages of", "by", "round trip, us", "99th, us",
                  "messages/s"]]
        for size in SIZES:
            for way in WAYS:
                row = [f"{size} bytes", way]
                for what in ("trip", "p99", "rate"):
                    middle, low, high = spread(self.samples[way, size, what])
                    row.append(f"{middle:,.0f} [{low:,.0f} {high:,.0f}]")
                table.append(row)
            row = ["", "queue to tcp"]
            for what in ("trip", "p99", "rate"):
                ratio = self.ratio(size, what)
                row.append(f"{ratio['median']:.2f} [{ratio['q1']:.2f} "
                           f"{ratio['q3']:.2f}]")
                self.report[f"{what} of {size} bytes"] = ratio
            table.append(row)
        print(f"\n{self.rounds} rounds, medians [quartiles]\n\n"
              + ui.table(table))
        self.report["figures"] = {
            " ".join(map(str, key)): figures(values)
            for key, values in self.samples.items()}

    def go(self):
        """Everything, in order."""
        guest.image(self.args.kernel, self.args.modules)
        try:
            self.one.up(cli.config_of(
                self.args, name=self.one.name, binary=self.binary, hosts=2,
                network=True))
            for host in (0, 1):
                regiontest.script(self, host, NETWORK, host + 1)
            regiontest.script(self, 0, REACH)
            for number in range(self.rounds):
                ui.note(f"round {number + 1} of {self.rounds}")
                for size in SIZES:
                    for way in WAYS:
                        self.measure(way, size)
        finally:
            self.one.give_up()
        self.show()
        self.report["ok"] = True
        return True
