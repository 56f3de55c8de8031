# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual pages of libeca and eca: their form, and their examples run."""

import glob
import os
import re
import subprocess
import tempfile

from . import debian, guest, qemu, ui

PAGES = os.path.join(qemu.TOP, "docs", "man")
EXAMPLE = os.path.join(guest.LIBECA, "examples", "greeting.c")
TIMES = 500                             # of the counter, in each process


def blocks(name):
    """The literal blocks of a manual page, as a reader sees them."""
    with open(os.path.join(PAGES, name)) as text:
        found = re.findall(r"^\.Bd -literal.*\n((?:.*\n)*?)\.Ed$",
                           text.read(), re.MULTILINE)
    return [block.replace("\\e", "\\") for block in found]


def _form():
    """What groff warns of."""
    wrong = []
    for page in sorted(glob.glob(os.path.join(PAGES, "*.[0-9]"))):
        done = subprocess.run(
            ["groff", "-mandoc", "-ww", "-z", "-Tutf8", page], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode or done.stdout:
            wrong.append(f"{os.path.basename(page)}: {done.stdout.strip()}")
    return wrong


def _compile(place):
    """The tool and the examples, without libcxl."""
    with ui.Step("compiling eca and its examples"):
        for name, (sources, _, flags) in guest.sources().items():
            if name.startswith("eca") and name in guest.WITH_LIBCXL:
                ui.run(["gcc", *guest.CFLAGS, *flags, *guest.INCLUDE,
                        "-UECA_HAVE_LIBCXL", *sorted(sources), "-o",
                        os.path.join(place, name)])


def _call(place, *argv):
    done = subprocess.run(argv, cwd=place, text=True, timeout=60,
                          env=dict(os.environ, PATH=f"{place}:/usr/bin:/bin"),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def _together(place, *commands):
    """Processes at once; what they said, and what is wrong."""
    running = [subprocess.Popen(
        [os.path.join(place, argv[0]), *argv[1:]], cwd=place, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT) for argv in commands]
    try:
        said = [one.communicate(timeout=60)[0] for one in running]
    finally:
        for one in running:
            one.kill()
            one.wait()
    return said, [f"{' '.join(argv)}: status {one.returncode}, {text}"
                  for argv, one, text in zip(commands, running, said)
                  if one.returncode]


def _examples(place):
    """The pages' commands and the examples, through a file."""
    wrong = []
    status, said = _call(place, "sh", "-ec", blocks("eca.1")[2])
    if status:
        wrong.append(f"eca.1's example: status {status}, {said}")
    for number in (1, 2):
        status, said = _call(place, "eca-greeting", "memory")
        if status or said != f"greeting {number}\n":
            wrong.append(f"eca-greeting: status {status}, {said}")
    counter = ("eca-counter", "memory", str(TIMES))
    said, failed = _together(place, counter, counter)
    wrong += failed
    if f"counter: {2 * TIMES}\n" not in said:
        wrong.append(f"eca-counter: {said}")
    said, failed = _together(place, ("eca-echo", "memory", "serve"),
                             ("eca-echo", "memory", "send", "hi"))
    wrong += failed
    if said[1] != "hi\n":
        wrong.append(f"eca-echo: {said}")
    return wrong


def _bad_input(place):
    """What the tool says of options that it does not accept."""
    wrong = []
    for argv, want, says in (
            (("--help",), 0, "usage: eca"),
            ((), 2, "a command is needed"),
            (("blah",), 2, "blah: no such command"),
            (("arena",), 2, "usage: eca [OPTIONS] arena"),
            (("arena", "eat"), 1, "hot: "),
            (("--device", "memory", "arena", "eat"), 2,
             "arena eat: accepts create, list"),
            (("--bytes", "12X", "info"), 2, "--bytes 12X: accepts bytes"),
            (("--objects", "0", "info"), 2, "--objects 0: accepts 1 to"),
            (("--by", "post", "info"), 2, "--by post: accepts any, queue"),
            (("--sample", "21", "info"), 2, "--sample 21: accepts 0 to 20"),
            (("--device", "memory", "release"), 1, "no dpu-eca"),
            (("--device", "memory", "events"), 1, "no dpu-eca"),
            (("--class", "warm", "info"), 2, "--class warm: accepts hot"),
            (("--device", "memory", "free", "none"), 1, "none: there is"),
            (("--device", "memory", "arena", "create"), 1, "exists"),
            (("--device", "/dev/null", "info"), 1, "/dev/null: ")):
        status, said = _call(place, "eca", *argv)
        if status != want or says not in said:
            wrong.append(f"eca {' '.join(argv)}: status {status}, '{said}' "
                         f"is not {want} with '{says}'")
    return wrong


def check():
    """All of it; what is wrong."""
    debian.install(("groff-base", "gcc", "libc6-dev"))
    wrong = _form()
    with open(EXAMPLE) as text:
        example = text.read()
    if not example.endswith("\n" + blocks("libeca.3")[0]):
        wrong.append("the example of libeca.3 is not examples/greeting.c")
    with tempfile.TemporaryDirectory() as place:
        _compile(place)
        wrong += _examples(place) + _bad_input(place)
    return wrong
