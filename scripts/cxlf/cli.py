# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of scripts/cxl-cluster."""

import argparse
import json
import os
import select
import shutil
import signal
import socket
import sys
import termios
import time
import tty

from . import agent, cluster, kernel, machine, ownership, requests, top, \
    topology, trace, ui

ESCAPE = 0x1d
COUNTERS = ("read-hit", "write-hit", "read-miss", "write-miss", "upgrade",
            "bisnp-sent", "bisnp-received", "writeback", "retry", "refusal",
            "atomic", "atomic-retry", "atomic-misaligned", "bulk-trapped",
            "victim", "bisnp-spurious", "no-room", "withheld", "page-fault",
            "page-mapped", "page-prefetched", "page-revoked", "message",
            "doorbell", "promotion", "promotion-refused", "demotion",
            "view-flush", "machine-check")


def run_reported(job, path):
    """Run job.go(), and write job.report to `path`, whatever happens.

    Returns the exit status: 0 if all went well.
    """
    ok = False
    try:
        ok = job.go()
    finally:
        if path:
            job.report.setdefault("ok", False)
            with open(path, "w") as out:
                json.dump(job.report, out, indent=1)
                out.write("\n")
    return 0 if ok else 1


def add_cluster_options(parser):
    """The options that say what a cluster is to be."""
    parser.add_argument("--hosts", type=int, default=2, metavar="N",
                        help="guests, 1 to 62 (default 2)")
    parser.add_argument("--smp", type=int, default=1, metavar="N",
                        help="CPUs of each guest (default 1)")
    parser.add_argument("--kernel", nargs="+", metavar="KERNEL",
                        help="a version prefix of a stock Debian kernel "
                        f"(default {kernel.DEFAULT}; 7 for the newest 7.x), "
                        ".deb files, or a vmlinuz")
    parser.add_argument("--modules", metavar="DIR",
                        help="the folder of a vmlinuz's modules (default: "
                        "found beside it)")
    parser.add_argument("--leaves", type=int, default=1, metavar="N",
                        help="leaf switches, 1 to 64 (default 1)")


def config_of(args, **more):
    """A Config from parsed options."""
    values = {name: value for name, value in vars(args).items()
              if name in machine.Config.__dataclass_fields__}
    values.update(more)
    return machine.Config(**values)


def _parser():
    parser = argparse.ArgumentParser(
        prog="cxl-cluster", description="Stock Linux guests in several QEMU "
        "processes that share one coherent CXL memory.")
    name = argparse.ArgumentParser(add_help=False)
    name.add_argument("--name", default="default",
                      help="which cluster (default: default)")
    sub = parser.add_subparsers(dest="command", required=True)

    up = sub.add_parser("up", parents=[name], help="start a cluster; "
                        "returns when all guests are ready")
    add_cluster_options(up)
    up.add_argument("--mem", default="384M", metavar="SIZE",
                    help="ordinary memory of each guest (default 384M)")
    up.add_argument("--hot", default="256M", metavar="SIZE",
                    help="HOT of each GFAM device, in 256M (default 256M)")
    up.add_argument("--bulk", default="256M", metavar="SIZE",
                    help="BULK of each GFAM device, in 256M, or 0 "
                    "(default 256M)")
    up.add_argument("--gfams", type=int, default=1, metavar="N",
                    help="GFAM devices, 1 or 2 (default 1)")
    up.add_argument("--topology", metavar="FILE", help="a device tree source "
                    "or blob that says what the fabric has, in place of "
                    "--hosts, --leaves, --gfams, --hot and --bulk; see "
                    "docs/topology.md")
    up.add_argument("--slots", type=int, metavar="N", help="vPPBs of each "
                    "guest where logical devices can be bound, 1 to "
                    f"{machine.MAX_SLOTS} (default: 2, or one more than the "
                    "topology binds to any host)")
    up.add_argument("--overlay", metavar="DIR",
                    help="files to copy into every guest's root")
    up.add_argument("--with", dest="packages", action="append",
                    default=[], metavar="PKG", help="a Debian package whose "
                    "commands all guests have, such as fio; may be repeated")
    up.add_argument("--online", type=int, action="append", default=[],
                    metavar="HOST", help="this host uses its BULK as ordinary "
                    "memory of the system; may be repeated")
    up.add_argument("--device", choices=machine.DEVICES, default="fabric",
                    help="fabric: this project's devices; for comparison "
                    "type3: upstream's, or none (default fabric)")
    up.add_argument("--qemu", dest="binary", metavar="BINARY",
                    default=machine.DEFAULT_BINARY, help="the emulator "
                    "(default: the one in build/)")
    up.add_argument("--gfam-options", default="", metavar="TEXT",
                    help="more properties of every cxl-gfam, such as "
                    "x-hot-bypass=on")
    up.add_argument("--fabric-options", default="", metavar="TEXT",
                    help="more properties of the owner's cxl-fabric, such as "
                    "on-death=poison")
    up.add_argument("--eca-options", default="", metavar="TEXT",
                    help="more properties of every dpu-eca, such as "
                    "ownership=off")
    up.add_argument("--refresh", action="store_true",
                    help="look for newer kernels and packages")

    run = sub.add_parser("run", parents=[name], help="run a command in a "
                         "guest; its output and exit status are passed on")
    run.add_argument("--timeout", type=float, default=0, metavar="SECONDS",
                     help="end the command after that time (default: never)")
    run.add_argument("host", type=int)
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="CMD")

    console = sub.add_parser("console", parents=[name], help="a guest's "
                             "serial port; Ctrl-] leaves")
    console.add_argument("host", type=int)

    status = sub.add_parser("status", parents=[name],
                            help="the hosts and their counters")
    status.add_argument("--watch", action="store_true",
                        help="show again every second, until Ctrl-C")
    status.add_argument("--json", action="store_true",
                        help="print everything as JSON")

    record = sub.add_parser("trace", parents=[name], help="record a timeline "
                            "of what all hosts do; see docs/telemetry.md")
    record.add_argument("--output", metavar="FILE", help="write FILE.txt for "
                        "people and FILE.json for ui.perfetto.dev; - writes "
                        "the text to standard output (default: "
                        "cxl-trace-NAME)")
    record.add_argument("--seconds", type=float, default=0, metavar="N",
                        help="how long (default: until Ctrl-C)")
    record.add_argument("--events", metavar="GLOBS", help="which events, with "
                        "commas between (default: "
                        f"{','.join(trace.PATTERNS)} without "
                        f"{' and '.join(trace.RARE)})")
    record.add_argument("--hosts", metavar="LIST", help="whose events beside "
                        "the owner's, such as 0,2 (default: all)")
    record.add_argument("--limit", metavar="SIZE", default=trace.LIMIT,
                        help="end when the events have so many bytes "
                        f"(default {trace.LIMIT >> 20}M)")

    live = sub.add_parser("top", parents=[name], help="hosts, leaves, links "
                          "and what is hot, live in a terminal")
    live.add_argument("--interval", type=float, default=top.INTERVAL,
                      metavar="S", help="seconds between two looks (default "
                      f"{top.INTERVAL:g})")
    how = live.add_mutually_exclusive_group()
    how.add_argument("--once", action="store_true",
                     help="print one screen, of one interval, and end")
    how.add_argument("--batch", action="store_true",
                     help="print one screen after the other, until Ctrl-C")
    live.add_argument("--json", action="store_true",
                      help="print an object for each screen")

    requests.add_options(sub.add_parser(
        "requests", parents=[name], help="what guests ask of the fabric's "
        "manager, and answers to it; see docs/manager.md"))

    log = sub.add_parser("log", parents=[name], help="the pages that hosts "
                         "hold, by their ownership logs; also of dead hosts")
    log.add_argument("host", type=int, nargs="?",
                     help="which host (default: all)")
    log.add_argument("--verify", action="store_true",
                     help="compare with the directory; the exit status is 1 "
                     "if a slot is bad, or a page does not match for "
                     f"{ownership.LOOKS} looks")
    log.add_argument("--json", action="store_true",
                     help="print an object for each host")

    kill = sub.add_parser("kill", parents=[name], help="kill a host's QEMU "
                          "at once, as a power failure would")
    kill.add_argument("host", type=int)

    restart = sub.add_parser("restart", parents=[name], help="boot a host "
                             "again into the running fabric; kills it first "
                             "if it runs")
    restart.add_argument("host", type=int)

    sub.add_parser("down", parents=[name], help="end the cluster")
    topology.add_parser(sub)
    return parser


def _up(args):
    config = config_of(args, mem=machine.size(args.mem, "--mem"),
                       hot=machine.size(args.hot, "--hot"),
                       bulk=machine.size(args.bulk, "--bulk"))
    one = cluster.Cluster(args.name)
    one.up(config)
    one.release()
    state = one.state()
    ui.note(f"cluster '{args.name}' is ready: {config.hosts} guests with "
            f"Linux {state['kernel']} in {state['seconds']:.0f} s")
    return 0


def _run(args):
    argv = args.argv[1:] if args.argv[:1] == ["--"] else args.argv
    if not argv:
        raise ui.UserError("run: give a command after the host's number")
    guest = cluster.Cluster(args.name).agent(args.host)
    job = agent.Job(guest, argv)
    limit = time.monotonic() + args.timeout if args.timeout else None
    try:
        while job.poll() is None:
            if limit and time.monotonic() > limit:
                guest.kill(job.pid)
                raise ui.UserError(f"'{' '.join(argv)}' did not end within "
                                   f"{args.timeout:g} s and was killed")
            time.sleep(0.01)
    except KeyboardInterrupt:
        guest.kill(job.pid)
        raise
    status, out, err = job.result
    sys.stdout.buffer.write(out)
    sys.stdout.buffer.flush()
    sys.stderr.buffer.write(err)
    return status


def _console(args):
    one = cluster.Cluster(args.name)
    one.agent(args.host)
    link = socket.socket(socket.AF_UNIX)
    link.connect(one.place(f"host{args.host}.tty"))
    terminal = sys.stdin.isatty()
    saved = termios.tcgetattr(0) if terminal else None
    if terminal:
        print(f"host {args.host}: Ctrl-] leaves")
        tty.setraw(0)
        link.sendall(b"\n")
    sources = [0, link]
    try:
        while True:
            ready, _, _ = select.select(sources, [], [], None)
            if link in ready:
                data = link.recv(1 << 16)
                if not data:
                    return 0
                os.write(1, data)
            if 0 in ready:
                data = os.read(0, 1 << 10)
                if not data or (terminal and ESCAPE in data):
                    return 0
                link.sendall(data)
    finally:
        if terminal:
            termios.tcsetattr(0, termios.TCSADRAIN, saved)
            print()
        link.close()


def _snapshot(one):
    state = one.state()
    hosts = {host: one.alive(f"host{host}") for host in
             range(state["hosts"])}
    del state["commands"]
    return {"name": one.name, **state,
            "running": [host for host, lives in hosts.items() if lives],
            "owner": one.alive("owner"), "fabric": one.fabric()}


def render(snapshot):
    """A cluster as a table for people: a column for each host."""
    running = set(snapshot["running"])
    head = (f"cluster '{snapshot['name']}': {len(running)} of "
            f"{snapshot['hosts']} hosts run Linux {snapshot['kernel']}, "
            f"{snapshot['device']}")
    fabric = snapshot["fabric"]
    if fabric is None:
        return head
    known = {item["host"]: item for item in fabric["hosts"]}
    hosts = sorted(set(range(snapshot["hosts"])) & set(known))
    rows = [["host", *hosts]]
    for key in ("state", "pid", "deaths"):
        rows.append([key, *(known[h].get(key, "") for h in hosts)])
    for name in COUNTERS:
        rows.append([name, *(known[h].get("counters", {}).get(name, 0)
                             for h in hosts)])
    shards = sum(1 for _ in fabric.get("directory", ()))
    return (f"{head}\nfabric {fabric['state']}, epoch {fabric['epoch']}, "
            f"{fabric['leaves']} leaves, {shards} directory shards\n"
            + ui.table(rows))


def _status(args):
    one = cluster.Cluster(args.name)
    while True:
        snapshot = _snapshot(one)
        text = json.dumps(snapshot) if args.json else render(snapshot)
        if not args.watch:
            print(text)
            return 0
        if sys.stdout.isatty() and not args.json:
            size = shutil.get_terminal_size()
            lines = [line[:size.columns] for line in text.split("\n")]
            print("\x1b[H\x1b[J" + "\n".join(lines[:size.lines - 1]),
                  flush=True)
        else:
            print(text, flush=True)
        time.sleep(1)


def _trace(args):
    args.limit = machine.size(args.limit, "--limit")
    return trace.main(args)


def _kill(args):
    pid = cluster.Cluster(args.name).kill(args.host)
    ui.note(f"host {args.host} (pid {pid}) is dead")
    return 0


def _restart(args):
    start = time.monotonic()
    cluster.Cluster(args.name).restart(args.host)
    ui.note(f"host {args.host} is ready again after "
            f"{time.monotonic() - start:.0f} s")
    return 0


def _down(args):
    one = cluster.Cluster(args.name)
    if not os.path.isdir(one.folder):
        ui.note(f"no cluster '{args.name}' is up")
        return 0
    ended = one.down()
    ui.note(f"cluster '{args.name}' is down ({ended} processes ended)")
    return 0


def interruptible():
    """Let a polite end of this process clean up like Ctrl-C does."""
    def stop(_number, _frame):
        raise KeyboardInterrupt
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def main():
    """Run a command of cxl-cluster; returns its exit status."""
    interruptible()
    args = _parser().parse_args()
    return {"up": _up, "run": _run, "console": _console, "status": _status,
            "trace": _trace, "top": top.main, "log": ownership.main,
            "requests": requests.main, "kill": _kill, "restart": _restart,
            "down": _down, "topology": topology.main}[args.command](args)
