# SPDX-License-Identifier: GPL-2.0-or-later
"""The simulator's results as tables for people, and as plots by gnuplot."""

import os
import subprocess

from . import debian, ui

HOSTS = (8, 32, 128, 512, 2048, 4095)
GRAINS = (64, 256, 1024, 4096)
SWEEP = ("--leaves", "64", "--spines", "8", "--shards", "4", "--gfams", "4",
         "--hot-pages", "2048", "--bulk-pages", "1024", "--evict", "0.01")
CLASSES = (("line-hit", "line, hit"), ("line-own-leaf", "line, own leaf"),
           ("line-remote", "line, other leaf"),
           ("line-snooped", "line, with snoops"), ("page-hit", "page, hit"),
           ("page-fault", "page, fault"), ("retried", "tried again"))
HEAD = """set terminal svg size 720,420 dynamic background rgb 'white'
set output '{path}'
set grid lc rgb '#dddddd'
set key outside right
"""


def gnuplot(script, path):
    """Run a script; the data is in it."""
    debian.install(["gnuplot-nox"])
    done = subprocess.run(["gnuplot"], input=script, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode or not os.path.exists(path):
        raise ui.UserError(f"gnuplot could not write {path}:\n{done.stdout}")


def _blocks(series):
    """gnuplot's inline data of [(title, points)], and the plot command."""
    data, parts = [], []
    for number, (title, points) in enumerate(series):
        rows = "\n".join(f"{x} {y}" for x, y in points)
        data.append(f"$d{number} << EOD\n{rows}\nEOD")
        parts.append(f"$d{number} using 1:2 with linespoints pt 7 ps 0.4 "
                     f"title '{title}'")
    return "\n".join(data) + "\n", "plot " + ", \\\n  ".join(parts) + "\n"


def latencies(report, path):
    """The share of accesses of each class that took at most so long."""
    series = []
    for key, title in CLASSES:
        one = report["latency-ns"].get(key)
        if not one:
            continue
        seen, points = 0, [(max(one["buckets"][0][0], 1), 0)]
        for start, count in one["buckets"]:
            seen += count
            points.append((max(start, 1), 100 * seen / one["count"]))
        series.append((title, points))
    data, plot = _blocks(series)
    gnuplot(HEAD.format(path=path) + data + "set logscale x\n"
            "set format x '10^{%L}'\n"
            "set xlabel 'latency, ns'\nset ylabel 'accesses, %'\n"
            "set yrange [0:100]\n" +
            plot.replace("linespoints pt 7 ps 0.4", "steps lw 1.5"), path)


def _row(cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |\n"


def describe(report):
    """The figures of a run, as Markdown tables."""
    wall, counters = report["wall"], report["counters"]
    snoops = max(report["snoops"], 1)
    rows = [
        ("accesses", f"{report['accesses']:,}"),
        ("events", f"{report['events']:,}"),
        ("events a second of one processor",
         f"{wall['events-per-cpu-second']:,.0f}"),
        ("processor time", f"{wall['cpu-seconds']:.1f} s"),
        ("peak memory", f"{wall['peak-memory'] / 2 ** 20:,.0f} MiB"),
        ("simulated time", f"{report['simulated-ns'] / 1e6:.3f} ms"),
        ("messages on links", f"{report['messages']:,}"),
        ("lost, doubled, late", f"{report['messages-lost']:,}, "
         f"{report['messages-doubled']:,}, {report['messages-late']:,}"),
        ("back-invalidates", f"{report['snoops']:,}"),
        ("to hosts with nothing of the unit",
         f"{report['spurious-snoops']:,} "
         f"({100 * report['spurious-snoops'] / snoops:.1f} %)"),
        ("to hosts with another line of it",
         f"{report['snoops-for-another-line']:,} "
         f"({100 * report['snoops-for-another-line'] / snoops:.1f} %)"),
        ("lines recalled to make room", f"{report['victims']:,}"),
        ("page faults", f"{report['page-faults']:,}"),
        ("hosts: crashes, recoveries, rejoins",
         f"{report['host-crashes']}, {report['host-recoveries']}, "
         f"{report['host-rejoins']}"),
        ("leaf failures, pages rebuilt", f"{report['leaf-failures']}, "
         f"{report['pages-rebuilt']:,}"),
        ("link failures", report["link-failures"]),
        ("units poisoned, cleared", f"{report['units-poisoned']:,}, "
         f"{report['units-cleared']:,}"),
        ("atomics, restarted", f"{report['atomics-restarted']:,}"),
        ("locks, barriers, items through queues",
         f"{report['locks-taken']:,}, {report['barriers-passed']:,}, "
         f"{report['items-through-queues']:,}"),
        ("checks of an entry", f"{report['checks-of-entries']:,}"),
        ("misses: read, write, upgrade", f"{counters['read-miss']:,}, "
         f"{counters['write-miss']:,}, {counters['upgrade']:,}"),
        ("writebacks", f"{counters['writeback']:,}"),
        ("links of leaves: least, mean, most messages",
         f"{report['leaf-links']['least']:,}, "
         f"{report['leaf-links']['mean']:,.0f}, "
         f"{report['leaf-links']['most']:,}"),
    ]
    text = "| | |\n| --- | --- |\n" + "".join(_row(row) for row in rows)
    text += "\n| latency, ns | count | mean | p50 | p99 | p99.9 |\n"
    text += "| --- | --- | --- | --- | --- | --- |\n"
    for key, title in CLASSES:
        one = report["latency-ns"].get(key)
        if one:
            text += _row((title, f"{one['count']:,}", f"{one['mean']:.0f}",
                          one["p50"], one["p99"], one["p99.9"]))
    return text


def _figures(report):
    """(accesses a simulated us, mean latency, % for nothing, % beside)"""
    snoops = max(report["snoops"], 1)
    sums = [one["mean"] * one["count"]
            for one in report["latency-ns"].values()]
    return (report["accesses"] / report["simulated-ns"] * 1e3,
            sum(sums) / report["accesses"],
            100 * report["spurious-snoops"] / snoops,
            100 * report["snoops-for-another-line"] / snoops)


def _plot_hosts(found, path):
    throughput = [(hosts, found[hosts, GRAINS[0]][0]) for hosts in HOSTS]
    latency = [(hosts, found[hosts, GRAINS[0]][1]) for hosts in HOSTS]
    data, _ = _blocks([("accesses", throughput), ("latency", latency)])
    gnuplot(HEAD.format(path=path) + data + "set logscale x 2\n"
            "set logscale y\nset ytics nomirror\nset y2tics\n"
            "set y2range [0:*]\nset key inside right center\n"
            "set xlabel 'hosts'\n"
            "set ylabel 'accesses a simulated microsecond'\n"
            "set y2label 'mean latency, ns'\n"
            "plot $d0 using 1:2 with linespoints pt 7 ps 0.5 "
            "title 'accesses', $d1 using 1:2 axes x1y2 with linespoints "
            "pt 5 ps 0.5 title 'mean latency'\n", path)


def _plot_grain(found, path):
    series = [(f"{grain} B", [(hosts, found[hosts, grain][2] +
                               found[hosts, grain][3]) for hosts in HOSTS])
              for grain in GRAINS]
    data, plot = _blocks(series)
    gnuplot(HEAD.format(path=path) + data + "set logscale x 2\n"
            "set xlabel 'hosts'\nset yrange [0:100]\n"
            "set ylabel 'back-invalidates for a line not held, %'\n" + plot,
            path)


def sweep(folder, rest, report_of):
    """Hosts against grain; prints a table and writes two plots."""
    found = {}
    os.makedirs(folder, exist_ok=True)
    with ui.Step("simulating a sweep") as step:
        for number, (hosts, grain) in enumerate(
                [(h, g) for g in GRAINS for h in HOSTS], 1):
            step.tick(f"{number} of {len(HOSTS) * len(GRAINS)}: {hosts} "
                      f"hosts, grain {grain}")
            found[hosts, grain] = _figures(report_of(
                (*SWEEP, "--hosts", str(hosts), "--grain", str(grain),
                 "--ops", str(200000 + 400 * hosts), *rest)))
    text = "| hosts | grain | accesses a us | mean latency, ns | for " \
        "nothing of the unit | for another line of it |\n"
    text += "| --- | --- | --- | --- | --- | --- |\n"
    for (hosts, grain), one in sorted(found.items()):
        text += _row((hosts, grain, f"{one[0]:.1f}", f"{one[1]:.0f}",
                      f"{one[2]:.1f} %", f"{one[3]:.1f} %"))
    print(text, end="")
    _plot_hosts(found, os.path.join(folder, "simulation-hosts.svg"))
    _plot_grain(found, os.path.join(folder, "simulation-grain.svg"))
    return 0
