# SPDX-License-Identifier: GPL-2.0-or-later
"""cxl-cluster topology: check a topology's source, and draw it.

dtc checks the form of a source and compiles it; build/tools/cxlf-topology,
which reads blobs by the emulator's own code, checks the rest and prints it in
graphviz's language; dot draws that.
"""

import os
import subprocess
import sys
import tempfile

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
