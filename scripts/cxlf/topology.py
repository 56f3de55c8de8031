# SPDX-License-Identifier: GPL-2.0-or-later
"""cxl-cluster topology: check a topology's source, and draw it.

dtc checks the form of a source and compiles it; build/tools/cxlf-topology,
which reads blobs by the emulator's own code, checks the rest and prints it in
graphviz's language; dot draws that.
"""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from . import build, debian, ui

TOOL = os.path.join("tools", "cxlf-topology")
FOLDER = os.path.join(build.TOP, "topologies")


def tool(place=build.BUILD):
    """The path of cxlf-topology, which is built."""
    build.setup(place)
    ui.run(["ninja", "-C", place, TOOL], env=build.environment())
    return os.path.join(place, TOOL)


def compiled(source, blob):
    """Compile a source, or copy what is a blob; returns dtc's warnings."""
    kind = "dtb" if _is_blob(source) else "dts"
    # A leaf and a host may have the same number.
    done = subprocess.run(["dtc", "-W", "no-unique_unit_address", "-I", kind,
                           "-O", "dtb", "-o", blob, source],
                          stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise ui.UserError(f"{source}: dtc refuses it:\n{done.stdout.strip()}")
    return done.stdout


def _is_blob(source):
    try:
        with open(source, "rb") as text:
            return text.read(4) == b"\xd0\x0d\xfe\xed"
    except OSError as error:
        raise ui.UserError(f"{source}: {error.strerror}") from error


def read(source, *options, program=None):
    """What cxlf-topology prints of a source; UserError if it is wrong."""
    with tempfile.TemporaryDirectory(prefix="cxlf-topology-") as folder:
        blob = os.path.join(folder, "blob")
        warnings = compiled(source, blob)
        if warnings:
            ui.note(f"dtc warns:\n{warnings.strip()}")
        done = subprocess.run([program or tool(), *options, blob],
                              stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        why = done.stderr.strip().removeprefix(f"{blob}: ")
        raise ui.UserError(f"{source}: {why}")
    return done.stdout


@dataclass
class Gfam:
    """A GFAM device: bytes of its static memory, its logical devices."""
    hot: int
    bulk: int
    lds: int = 0


@dataclass
class Layout:
    """What of a topology makes a difference to its guests."""
    hosts: int
    leaves: int
    gfams: list
    most_bound: int                     # LDs that one host has at first


def _bound(source):
    """How many LDs each host has at first, by number."""
    many = {}
    with tempfile.TemporaryDirectory(prefix="cxlf-topology-") as folder:
        blob = os.path.join(folder, "blob")
        compiled(source, blob)
        text = subprocess.run(["dtc", "-q", "-I", "dtb", "-O", "dts", blob],
                              check=True, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE).stdout
    for cells in re.findall(r"\bbound = <([^>]*)>", text):
        for cell in cells.split():
            host = int(cell, 0)
            if host != 0xffffffff:
                many[host] = many.get(host, 0) + 1
    return many


def layout(source):
    """The Layout of a source or blob; UserError if it is wrong."""
    debian.install(["device-tree-compiler"])
    text = read(source)
    hosts, leaves = re.match(r"(\d+) hosts, \d+ GFAM devices, (\d+) leaves",
                             text).groups()
    gfams = [Gfam(int(float(hot) * (1 << 30)),
                  int((float(bulk) - float(dynamic or 0)) * (1 << 30)),
                  int(lds or 0)) for hot, bulk, dynamic, lds in re.findall(
                      r"^gfam@\w+: HOT ([\d.]+) GiB, BULK ([\d.]+) GiB"
                      r"(?:, ([\d.]+) GiB of it dynamic)?"
                      r"(?:, (\d+) logical)?", text, re.M)]
    return Layout(int(hosts), int(leaves), gfams,
                  max(_bound(source).values(), default=0))


def draw(text):
    """Text for graphviz as SVG."""
    debian.install(["graphviz"])
    done = subprocess.run(["dot", "-Tsvg"], input=text, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        raise ui.UserError(f"dot: {done.stderr.strip()}")
    return done.stdout


def add_parser(sub):
    """The options of the command."""
    parser = sub.add_parser(
        "topology", help="check a topology's source, and draw it",
        description="Checks a topology (docs/topology.md) and says what is "
        "in it.")
    parser.add_argument("file", metavar="FILE", nargs="?",
                        default=os.path.join(FOLDER, "leaf-spine.dts"),
                        help="a device tree source or blob (default: "
                        "topologies/leaf-spine.dts)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--svg", metavar="OUT", help="draw it by graphviz into "
                     "this file; - is standard output")
    how.add_argument("--dot", action="store_true",
                     help="print it in graphviz's language")


def main(args):
    """Run the command; returns its exit status."""
    debian.install(["device-tree-compiler"])
    text = read(args.file, *(["--dot"] if args.dot or args.svg else []))
    if args.svg:
        text = draw(text)
    if args.svg in (None, "-"):
        sys.stdout.write(text)
        return 0
    try:
        with open(args.svg, "w") as out:
            out.write(text)
    except OSError as error:
        raise ui.UserError(f"--svg {args.svg}: {error.strerror}") from error
    ui.note(f"{args.svg} is written")
    return 0
