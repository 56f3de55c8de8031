# SPDX-License-Identifier: GPL-2.0-or-later
"""The regression suite: what scripts/test runs, and how it counts."""

import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time

from . import (build, cli, fuzz, guesttest, protocolcheck, qemu, scripttest,
               simulate, ui)

SANITIZE = {
    "asan": "address,undefined",
    "tsan": "thread",
}


class Tally:
    """Counts of all stages, and the names of what failed."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []

    def add(self, name, ok, why=""):
        """One test that was not reported in TAP."""
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            self.failures.append(f"{name}: {why}" if why else name)
        print(f"{'ok' if ok else 'FAILED'}  {name}"
              + (f": {why}" if why and not ok else ""), flush=True)

    def skip(self, name, why):
        self.skipped += 1
        print(f"skipped  {name}: {why}", flush=True)

    def tap(self, name, text, status):
        """The TAP output of a test program that ended with `status`."""
        before = self.failed
        count = 0
        for line in text.splitlines():
            match = re.match(r"\s*(not )?ok \d+ (.*)", line)
            if not match or line.startswith("    "):
                continue
            count += 1
            if "# SKIP" in line:
                self.skipped += 1
            elif match.group(1):
                self.failed += 1
                self.failures.append(f"{name} {match.group(2)}")
            else:
                self.passed += 1
        if status and self.failed == before or not count:
            self.failed += 1
            self.failures.append(f"{name}: ended with status {status} after "
                                 f"{count} tests")
        ok = self.failed == before
        print(f"{'ok' if ok else 'FAILED'}  {name} ({count} tests)",
              flush=True)
        return ok


def run_tap(tally, name, argv, cwd, env, timeout):
    """Run one TAP program; a hang is a failure, and ends it."""
    start = time.monotonic()
    proc = subprocess.Popen(argv, cwd=cwd, env=env, text=True,
                            stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            start_new_session=True, errors="replace")
    late = threading.Timer(timeout, lambda: os.killpg(proc.pid, 9))
    late.start()
    try:
        text = proc.communicate()[0]
    except BaseException:
        os.killpg(proc.pid, 9)
        raise
    finally:
        late.cancel()
    if not tally.tap(name, text, proc.returncode):
        print("\n".join(text.splitlines()[-60:]), file=sys.stderr)
        if time.monotonic() - start >= timeout:
            print(f"{name}: ended after {timeout} s", file=sys.stderr)


def unit(tally, variant=None):
    """Unit tests of the core; `variant` names a sanitizer build."""
    place = build.BUILD + (f"-{variant}" if variant else "")
    if variant:
        build.setup(place, "-Demulator=false", "-Db_lundef=false",
                    f"-Db_sanitize={SANITIZE[variant]}")
        build.compile_all(place)
    tests = json.loads(subprocess.run(
        ["/usr/bin/meson", "introspect", "--tests", place], check=True,
        stdout=subprocess.PIPE, env=build.environment()).stdout)
    for test in tests:
        name = f"unit{'-' + variant if variant else ''}/{test['name']}"
        run_tap(tally, name, test["cmd"], place,
                dict(os.environ, **build.SANITIZER_ENV), 300)


def qtests(tally, place, label, stock):
    """Our qtests, and with `stock` QEMU's own that touch our devices."""
    out = os.path.join(place, "out")
    env = dict(os.environ, **build.SANITIZER_ENV,
               QTEST_QEMU_BINARY="./qemu-system-x86_64",
               QTEST_QEMU_IMG="./qemu-img", G_TEST_DBUS_DAEMON="/bin/false",
               PYTHON="/usr/bin/python3")
    programs = [name for name in qemu.targets() if "/cxlf/" in name]
    if stock:
        programs += [f"tests/qtest/{name}" for name in qemu.STOCK_QTESTS]
    for program in programs:
        run_tap(tally, f"{label}/{os.path.basename(program)}",
                [os.path.join(out, program), "--tap", "-k"], out, env, 900)


def sanitized_qtests(tally):
    """Our qtests on an emulator built with ASan and UBSan."""
    qemu.make(build.SANITIZED, sanitize=True)
    qtests(tally, build.SANITIZED, "qtest-asan", stock=False)


def graft(tally):
    """The patch applies to every supported series that is to be had."""
    for series, result in qemu.check_series().items():
        if result.startswith("not checked"):
            tally.skip(f"graft/{series}", result)
        else:
            tally.add(f"graft/{series}", result.startswith("applies"), result)


STAGES = (
    ("unit", "unit tests of the core", lambda t: unit(t)),
    ("scripts", "tests of the scripts", scripttest.run),
    ("protocol", "the core and the models explored, and errors seeded in "
     "them", protocolcheck.stage),
    ("simulator", "random fabrics simulated, and errors seeded in them",
     simulate.stage),
    ("graft", "the patch against each QEMU series", graft),
    ("unit-asan", "unit tests with ASan and UBSan",
     lambda t: unit(t, "asan")),
    ("unit-tsan", "unit tests with TSan", lambda t: unit(t, "tsan")),
    ("qtest", "qtests, ours and QEMU's",
     lambda t: qtests(t, os.path.join(build.BUILD, "qemu"), "qtest", True)),
    ("guests", "two stock guests", guesttest.run),
    ("fuzz", "a short run of the fuzzers", fuzz.stage),
    ("qtest-asan", "our qtests with ASan and UBSan", sanitized_qtests),
)


def main():
    """Run all stages, or those that are named; print the tally."""
    cli.interruptible()
    parser = argparse.ArgumentParser(
        description="Run the regression suite; ends with a line of its own: "
        "N passed, N failed, N skipped.",
        epilog="Stages: " + "; ".join(f"{name} ({text})"
                                      for name, text, _ in STAGES))
    parser.add_argument("stage", nargs="*",
                        help="run only these stages (default: all)")
    args = parser.parse_args()
    known = [name for name, _, _ in STAGES]
    for name in args.stage:
        if name not in known:
            parser.error(f"'{name}' is no stage; there are "
                         + ", ".join(known))
    build.everything()
    tally = Tally()
    for name, text, function in STAGES:
        if args.stage and name not in args.stage:
            continue
        ui.note(f"stage {name}: {text}")
        try:
            function(tally)
        except ui.UserError as error:
            tally.add(name, False, str(error))
    for failure in tally.failures:
        print(f"failed: {failure}")
    print(f"{tally.passed} passed, {tally.failed} failed, "
          f"{tally.skipped} skipped")
    return 1 if tally.failed or not tally.passed else 0
