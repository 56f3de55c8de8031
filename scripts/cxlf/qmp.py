# SPDX-License-Identifier: GPL-2.0-or-later
"""QMP through QEMU's own Python packages, found in its source tree."""

import os
import sys

from . import qemu as qemu_source, ui


def _import():
    """QEMU's package, from the tree that was built or from the cache."""
    built = os.path.join(qemu_source.TOP, "build", "qemu", "src", "python")
    if not os.path.isdir(os.path.join(built, "qemu", "qmp")):
        built = os.path.join(qemu_source.obtain(), "python")
    if built not in sys.path:
        sys.path.append(built)
    from qemu.qmp import legacy, QMPError
    return legacy, QMPError


def call(path, command, timeout=10, **arguments):
    """One command to the emulator whose monitor is at `path`."""
    legacy, failure = _import()
    monitor = legacy.QEMUMonitorProtocol(path)
    try:
        monitor.settimeout(timeout)
        monitor.connect()
        return monitor.cmd(command.replace("_", "-"), **arguments)
    except (failure, OSError, TimeoutError) as error:
        raise ui.UserError(f"{command} at {path}: {error}") from error
    finally:
        try:
            monitor.close()
        except (failure, OSError, EOFError):
            pass


def fabric(path):
    """What x-query-cxl-fabric says of the one fabric there, or None."""
    found = call(path, "x-query-cxl-fabric")
    return found[0] if found else None
