# SPDX-License-Identifier: GPL-2.0-or-later
"""QMP through QEMU's own Python packages, found in its source tree."""

import contextlib
import os
import sys
import time

from . import qemu as qemu_source, ui


def _import():
    """QEMU's package, from the tree that was built or from the cache."""
    built = os.path.join(qemu_source.TOP, "build", "qemu", "src", "python")
    if not os.path.isdir(os.path.join(built, "qemu", "qmp")):
        built = os.path.join(qemu_source.obtain(), "python")
    if built not in sys.path:
        sys.path.append(built)
    from qemu.qmp import ConnectError, QMPError, legacy
    return legacy, QMPError, ConnectError


class Monitor:
    """One connection to an emulator; while it is open nobody gets another.

    Each command, and each wait for an event, may take `timeout` seconds.
    """

    def __init__(self, path, timeout=10):
        self.path = path
        self.timeout = timeout
        self.legacy, self.failure, self.no_session = _import()
        self.link = None

    def _connect(self):
        # legacy's own connect() waits without limit for one who holds the
        # connection, or for an emulator that is stopped.
        self.link = self.legacy.QEMUMonitorProtocol(self.path)
        self.link.settimeout(self.timeout)
        try:
            self.link._sync(self.link._qmp.connect(self.path), self.timeout)
        except TimeoutError:
            raise TimeoutError(f"no answer in {self.timeout:g} s") from None

    def __enter__(self):
        limit = time.monotonic() + self.timeout
        with self._named("connecting"):
            while True:
                try:
                    self._connect()
                    return self
                except self.no_session as error:
                    # QEMU may send an event before the greeting is over.
                    if not isinstance(error.exc, self.failure) or \
                            time.monotonic() > limit:
                        raise

    def __exit__(self, *_):
        with contextlib.suppress(self.failure, OSError, EOFError):
            self.link.close()

    @contextlib.contextmanager
    def _named(self, what):
        try:
            yield
        except (self.failure, OSError, TimeoutError) as error:
            raise ui.UserError(f"{what} at {self.path}: "
                               f"{error or type(error).__name__}") from error

    def call(self, command, **arguments):
        """One command."""
        with self._named(command):
            return self.link.cmd(command, **arguments)

    def event(self, name):
        """The next event of that name."""
        limit = time.monotonic() + self.timeout
        with self._named(f"the event {name}"):
            while True:
                event = self.link.pull_event(
                    wait=max(0.001, limit - time.monotonic()))
                if event["event"] == name:
                    return event


def call(path, command, timeout=10, **arguments):
    """One command to the emulator whose monitor is at `path`."""
    with Monitor(path, timeout) as monitor:
        return monitor.call(command, **arguments)


def fabric(path):
    """What x-query-cxl-fabric says of the one fabric there, or None."""
    found = call(path, "x-query-cxl-fabric")
    return found[0] if found else None
