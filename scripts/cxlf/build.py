# SPDX-License-Identifier: GPL-2.0-or-later
"""The project's own build: what `meson setup` and `meson compile` do."""

import os
import subprocess

from . import debian, qemu, ui

TOP = qemu.TOP
BUILD = os.path.join(TOP, "build")
# The emulator and QEMU's fuzzer, with ASan and UBSan, and how they are run.
SANITIZED = os.path.join(BUILD + "-asan", "qemu")
SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1",
}


def packages():
    """Install what the build needs and this system lacks."""
    debian.install([*qemu.BUILD_PACKAGES, *qemu.FIRMWARE_PACKAGES])


def setup(build=BUILD, *options, compiler="gcc"):
    """Configure a build directory once."""
    packages()
    if not os.path.exists(os.path.join(build, "build.ninja")):
        with ui.Step(f"configuring {os.path.relpath(build, TOP)}") as step:
            ui.run(["/usr/bin/meson", "setup", build, TOP, *options], step,
                   env=dict(environment(), CC=compiler))
    return build


def environment():
    """The system's tools come first, so that its Python packages are seen."""
    return dict(os.environ,
                PATH="/usr/bin:/bin:" + os.environ.get("PATH", ""))


def compile_all(build=BUILD):
    """Compile core, tests and emulator; only what changed."""
    status = subprocess.run(["/usr/bin/meson", "compile", "-C", build],
                            stdin=subprocess.DEVNULL, env=environment(),
                            stdout=subprocess.DEVNULL).returncode
    if status:
        raise ui.UserError(f"'meson compile -C {build}' failed")


def everything():
    """Build all of it; returns the emulator's path."""
    setup()
    compile_all()
    return emulator(BUILD)


def emulator(build=BUILD):
    """The emulator of a build directory."""
    path = os.path.join(build, "qemu", "out", "qemu-system-x86_64")
    if not os.path.exists(path):
        raise ui.UserError(f"{path} is missing; run scripts/build-qemu")
    return path
