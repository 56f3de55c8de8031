# SPDX-License-Identifier: GPL-2.0-or-later
"""One host uses its BULK as ordinary memory of the system.

Its /init has reserved it, loaded kmem and onlined the dax device (`--online
HOST` of the launcher), so its kernel, its page cache and its programs may lie
in BULK, which no other host can reach.
"""

from . import programs, regiontest, traffic

PACKAGES = ["numactl", "memtester"]
HOST, OTHER = 1, 0
MIB = 1 << 20
# What the fill needs beyond the guest's own memory, all of it in BULK.
BEYOND = 64 * MIB

NODES = r"""
for node in 0 1; do
    awk '/MemTotal|MemFree/ { print $4 }' \
        /sys/devices/system/node/node$node/meminfo
done
"""

# Code and data in BULK: the copy's page cache lies there as well.
RUN_THERE = r"""
set -e
numactl --membind=1 cp /usr/sbin/memtester /dev/shm/there
MEMTESTER_TEST_MASK=3 numactl --membind=1 /dev/shm/there 8M 1 >/run/there
grep -q Done. /run/there
rm /dev/shm/there
"""

# A process that runs on node 0 is moved to BULK, and back.
MIGRATE = r"""
set -e
numactl --membind=0 hammer --dev /dev/cxlf/hot --seconds 0 >/run/moved &
pid=$!
trap 'kill $pid' EXIT
usleep 300000
on() { awk -v want="N$1=" '{ for (i = 1; i <= NF; i++)
    if (index($i, want) == 1) n += substr($i, length(want) + 1) }
    END { print n + 0 }' /proc/$pid/numa_maps; }
before=$(on 1)
migratepages $pid 0 1
there=$(on 1)
[ "$there" -gt "$before" ]
usleep 300000
migratepages $pid 1 0
[ "$(on 1)" -lt "$there" ]
trap - EXIT
kill $pid
wait $pid
cat /run/moved
"""

# $1: bytes of the file.
ROOM = r"""
set -e
mount -o remount,size=$1 /dev/shm
truncate -s $1 /dev/shm/fill
"""


def nodes(bench):
    """[bytes of node 0, free ones, bytes of node 1, free ones]."""
    done = regiontest.script(bench, HOST, NODES)
    return [int(word) << 10 for word in done.split()]


def fill(bench, wrong, size):
    """Write more than the guest's own memory holds, and read it back."""
    regiontest.script(bench, HOST, ROOM, size)
    options = ["pattern", "--dev", "/dev/shm/fill", "--bytes",
               str(size - 2 * MIB), "--seed", "5"]
    for more in (["--write"], []):
        done = bench.one.run_all({HOST: options + more}, 300)[HOST]
        if done[0]:
            wrong.append(f"{' '.join(more)}: {programs.parse(done)}")


def kept_out(bench, wrong):
    """The other host neither gets the memory nor reads anything there."""
    status, out, err = bench.one.run_all(
        {OTHER: ["eca", "reserve"]}, 60)[OTHER]
    if not status or b"reserved by another host" not in out:
        wrong.append(f"eca reserve: {status}, {out + err}")
    for at in (0, bench.config.bulk // 2, bench.config.bulk - 4096):
        done = bench.one.run_all({OTHER: [
            "sigbus", "--dev", "/dev/cxlf/bulk", "--at", str(at),
            "--neighbour", "0"]}, 60)[OTHER]
        if done[0]:
            wrong.append(f"at {at}: {programs.parse(done)}")


def run(bench):
    """All tests, on a cluster whose HOST has onlined BULK."""
    with bench.test("BULK is ordinary memory of one host") as wrong:
        total = nodes(bench)[2]
        if total != bench.config.bulk:
            wrong.append(f"its node has {total} bytes")
        for host in bench.hosts:
            loaded = "kmem" in regiontest.script(bench, host, "lsmod")
            if loaded != (host == HOST):
                wrong.append(f"kmem is {'' if loaded else 'not '}loaded in "
                             f"host {host}")
    with bench.test("no other host reaches onlined memory") as wrong:
        kept_out(bench, wrong)
    before = bench.one.counters()
    with bench.test("a program runs in BULK, code and data"):
        regiontest.script(bench, HOST, RUN_THERE)
    with bench.test("a process moves to BULK and back"):
        regiontest.script(bench, HOST, MIGRATE)
    with bench.test("memory is filled beyond the guest's own") as wrong:
        own, _, _, free = nodes(bench)
        fill(bench, wrong, (own + BEYOND) & ~(2 * MIB - 1))
        used = free - nodes(bench)[3]
        if used < BEYOND:
            wrong.append(f"{used} bytes of it are in BULK")
    with bench.test("traffic of onlined memory") as wrong:
        gain = traffic.gained(before, bench.one.counters())
        wrong += [f"host {HOST}: bulk-trapped grew by "
                  f"{gain[HOST]['bulk-trapped']}"] \
            if gain[HOST].get("bulk-trapped", 0) else []
        if not gain[HOST].get("page-fault", 0):
            wrong.append(f"host {HOST} had no page fault")
    bench.program("counter beside onlined memory", "counter", "--count",
                  2000, known=traffic.PER_ATOMIC * 2000)
