# SPDX-License-Identifier: GPL-2.0-or-later
"""Records trace events of a running cluster: cxl-cluster trace.

Each emulator writes its events to a file of its own, in the cluster's
folder.  A watchdog turns the events off when the files have grown to the
limit, and when the recorder dies or is stopped; a host that does not answer
then is waited for by the watchdog alone.
"""

import asyncio
import contextlib
import errno
import fcntl
import fnmatch
import os
import shutil
import sys
import time

from . import cluster, procs, qmp, timeline, ui

# Events of each trapped access, however it ends, are asked for by name.
PATTERNS = ("eca_*", "cxl_fabric_*", "gfam_*", "pbr_*")
RARE = ("eca_access", "eca_locked")
LIMIT = 64 << 20
SMALLEST, LARGEST = 1 << 20, 16 << 30
# The text and the JSON of a log, in its lengths; measured: 6.
GROWTH = 8
POLL_SECONDS = 0.02
CLOSE_SECONDS = 5
# What is written at most between two looks, at 60 MB/s.
OVERSHOOT = 64 << 20
STAMPED = b"timestamp=on"


class Source:
    """An emulator of the cluster: "owner", or "hostN"."""

    def __init__(self, one, name):
        self.one = one
        self.name = name
        self.path = one.place(name + ".qmp")
        self.pid = None             # of the process whose events are on

    def living(self):
        """The pid, or None."""
        proc = self.one.process(self.name)
        return proc.pid if proc and proc.alive() else None

    def plan(self, patterns):
        """The names of its events that are off now and match."""
        names = set()
        with qmp.Monitor(self.path) as monitor:
            for pattern in patterns:
                found = monitor.call("trace-event-get-state", name=pattern)
                if not found:
                    raise ui.UserError(f"--events {pattern}: matches no "
                                       "event; such as eca_* or "
                                       "cxl_fabric_host")
                names.update(event["name"] for event in found
                             if event["state"] == "disabled")
        return names

    def _log_to(self, monitor, path):
        quoted = path.replace("\\", "\\\\").replace('"', '\\"')
        said = monitor.call("human-monitor-command",
                            **{"command-line": f'logfile "{quoted}"'})
        if said.strip():
            raise ui.UserError(f"{self.name}: {said.strip()}")

    def turn_on(self, names, folder):
        """Its events go to a file there; returns its vCPUs' threads."""
        pid = self.living()
        with qmp.Monitor(self.path) as monitor:
            self._log_to(monitor, os.path.join(folder, f"{self.name}.{pid}"))
            for name in names:
                monitor.call("trace-event-set-state", name=name, enable=True)
            # A machine "none" has no vCPUs, and no such command fails.
            cpus = monitor.call("query-cpus-fast")
        self.pid = pid
        return {(self.name, cpu["thread-id"]): f"vCPU {cpu['cpu-index']}"
                for cpu in cpus}

    def turn_off(self, names):
        """UserError if it lives, and does not do it."""
        if self.living() is None:
            return
        try:
            with qmp.Monitor(self.path) as monitor:
                for name in names:
                    monitor.call("trace-event-set-state", name=name,
                                 enable=False)
                self._log_to(monitor, self.one.place(self.name + ".events"))
        except ui.UserError:
            if self.living() is not None:
                raise

    def writes(self, folder):
        """Whether the process has a file in the folder open."""
        if self.pid is None or self.living() != self.pid:
            return False
        place = f"/proc/{self.pid}/fd"
        with contextlib.suppress(OSError):
            for fd in os.listdir(place):
                with contextlib.suppress(OSError):
                    link = os.readlink(os.path.join(place, fd))
                    if os.path.dirname(link) == folder:
                        return True
        return False


def is_stamped(pid):
    """Whether an emulator was started to write times with its events."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as text:
            return STAMPED in text.read().split(b"\0")
    except OSError:
        return False


def grown(folder):
    """Bytes of the files in a folder."""
    total = 0
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(folder):
            with contextlib.suppress(FileNotFoundError):
                total += entry.stat().st_size
    return total


class Recorder:
    """Events from begin() to end(); a context that leaves nothing on.

    `hosts`: whose events, with the fabric's owner; `patterns`: which;
    `limit`: bytes that all logs together may have.
    """

    def __init__(self, one, hosts=None, patterns=None, limit=LIMIT):
        state = cluster.fabric_state(one)
        every = range(state["hosts"])
        for host in hosts or ():
            if host not in every:
                raise ui.UserError(f"--hosts {host}: accepts 0 to "
                                   f"{every[-1]}")
        if not SMALLEST <= limit <= LARGEST:
            raise ui.UserError("--limit accepts 1M to 16G")
        self.one = one
        self.limit = limit
        self.patterns = patterns
        self.folder = os.path.realpath(one.place("trace"))
        self.sources = [Source(one, "owner")] + [
            Source(one, f"host{host}") for host in hosts or every]
        self.names = []
        self.vcpus = {}
        self.files = {}             # {name in the folder: open file}
        self.full = False
        self.failed = []            # sources that did not answer at the end
        self.watchdog = None
        self.lost = None            # in the watchdog's process
        self.off = False
        self.lock = None

    # The watchdog's side: in a process of its own

    def _turn_off_here(self):
        if self.lost is None:
            # The recorder's loop has no descriptors here; it must not be
            # collected, for it would close those that have their numbers.
            self.lost = asyncio.get_event_loop()
            asyncio.set_event_loop(asyncio.new_event_loop())
        return self._turn_off()

    def _watch_size(self):
        # The recorder itself does that, unless it is stopped.
        if grown(self.folder) >= self.limit and not self.off:
            self.off = not self._turn_off_here()

    def _clean(self):
        while self._turn_off_here():
            time.sleep(1)
            if grown(self.folder) >= self.limit:
                # What is still written is of no use to anybody.
                for entry in os.scandir(self.folder):
                    os.truncate(entry.path, 0)
        shutil.rmtree(self.folder, ignore_errors=True)

    # The recorder's side

    def _turn_off(self):
        """Returns the sources that live and did not do it."""
        asked = []
        for source in self.sources:
            try:
                source.turn_off(self.names)
            except (ui.UserError, OSError):
                asked.append(source)
        return asked

    def _take_lock(self):
        self.lock = os.open(self.one.place("trace.lock"),
                            os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self.lock)
            self.lock = None
            raise ui.UserError(f"cluster '{self.one.name}' is being traced "
                               "already") from None

    def _plan(self):
        """Which events; of what all sources have."""
        living = [source for source in self.sources
                  if source.living() is not None]
        if not living:
            raise ui.UserError(f"no process of cluster '{self.one.name}' is "
                               "running")
        for source in living:
            if not is_stamped(source.living()):
                raise ui.UserError(
                    f"{source.name} was started without -msg timestamp=on, "
                    "by an older cxl-cluster; start the cluster again")
        names = set.intersection(*(source.plan(self.patterns or PATTERNS)
                                   for source in living))
        named = self.patterns or ()
        self.names = sorted(
            name for name in names if name not in RARE or
            any(fnmatch.fnmatchcase(name, pattern) for pattern in named))
        if not self.names:
            raise ui.UserError("--events: these events are on already, by "
                               "somebody else")

    def _check_room(self):
        place = os.path.dirname(self.folder)
        need = self.limit + OVERSHOOT
        room = shutil.disk_usage(place).free
        if room < need:
            raise ui.UserError(
                f"--limit {self.limit >> 20}M: {place} has {room >> 20} MiB "
                f"free, and {need >> 20} MiB are needed")

    def begin(self):
        """Turn the events on."""
        self._take_lock()
        self._plan()
        self._check_room()
        shutil.rmtree(self.folder, ignore_errors=True)
        os.mkdir(self.folder, 0o700)
        self.watchdog = procs.Watchdog(self._clean, self._watch_size,
                                       keep=(self.lock,))
        for source in self.sources:
            self._turn_on(source)
        if all(source.pid is None for source in self.sources):
            raise ui.UserError("no host's events could be turned on")

    def _turn_on(self, source):
        if source.living() in (None, source.pid):
            return
        try:
            self.vcpus.update(source.turn_on(self.names, self.folder))
        except ui.UserError:
            # It ends, or it only begins.
            if source.living() is not None and source.pid is None and \
                    not self.files:
                raise

    def poll(self):
        """One look; False when recording has ended by itself."""
        # Their end, and the folder's, must not take what was recorded.
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self.folder):
                if name not in self.files:
                    self.files[name] = open(
                        os.path.join(self.folder, name), "rb")
        if not os.path.isdir(self.folder) or \
                all(source.living() is None for source in self.sources):
            return False
        if grown(self.folder) >= self.limit:
            self.full = True
            return False
        for source in self.sources:
            # A host that was started again has its events off.
            if os.path.exists(source.path):
                self._turn_on(source)
        return True

    def size(self):
        return sum(os.fstat(file.fileno()).st_size
                   for file in self.files.values())

    def end(self):
        """Turn the events off; what was written is whole afterwards."""
        if self.watchdog is None:
            return
        self.failed = self._turn_off()
        limit = time.monotonic() + CLOSE_SECONDS
        while time.monotonic() < limit and any(
                source.writes(self.folder) for source in self.sources
                if source not in self.failed):
            time.sleep(0.01)
        self.poll()

    def logs(self):
        """[(source's name, binary file)] from the beginning."""
        for file in self.files.values():
            file.seek(0)
        return [(name.partition(".")[0], file)
                for name, file in sorted(self.files.items())]

    def __enter__(self):
        try:
            self.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for file in self.files.values():
            file.close()
        if self.watchdog is not None:
            if self.failed or self._turn_off():
                self.watchdog.hand_over()
            else:
                shutil.rmtree(self.folder, ignore_errors=True)
                self.watchdog.release()
            self.watchdog = None
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None


class Outputs:
    """The files of a timeline; what is not whole is removed."""

    def __init__(self, prefix):
        for suffix in (".json", ".txt"):
            if prefix.endswith(suffix):
                prefix = prefix[:-len(suffix)]
        self.paths = (prefix + ".txt", prefix + ".json")
        self.parts = [path + ".part" for path in self.paths]
        self.files = []

    def check(self):
        """UserError if nothing can be written there."""
        folder = os.path.dirname(os.path.abspath(self.paths[0]))
        if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
            raise ui.UserError(f"--output: {folder} is no folder that can "
                               "be written to")

    def __enter__(self):
        try:
            for part in self.parts:
                self.files.append(open(part, "w"))
        except OSError as error:
            self.__exit__(OSError)
            raise ui.UserError(f"--output: {error}") from error
        return self

    def check_room(self, size):
        folder = os.path.dirname(os.path.abspath(self.paths[0]))
        room = shutil.disk_usage(folder).free
        if room < size * GROWTH:
            raise ui.UserError(
                f"--output: {folder} has {room >> 20} MiB free, and a "
                f"timeline of {size >> 20} MiB of events may need "
                f"{size * GROWTH >> 20} MiB; see --limit")

    def __exit__(self, kind, *_):
        full = None
        for file in self.files:
            try:
                file.close()
            except OSError as error:
                full = error
        for part, path in zip(self.parts, self.paths):
            with contextlib.suppress(FileNotFoundError):
                if kind is None and full is None:
                    os.replace(part, path)
                else:
                    os.unlink(part)
        if full is not None and kind is None:
            raise full


def _record(recorder, seconds):
    """Until the time is over, Ctrl-C, the limit, or the cluster's end."""
    limit = time.monotonic() + seconds if seconds else None
    until = f"for {seconds:g} s" if seconds else "until Ctrl-C"
    with ui.Step(f"recording {len(recorder.names)} events {until}") as step:
        try:
            while recorder.poll():
                if limit and time.monotonic() >= limit:
                    return
                step.tick(f"{recorder.size() >> 10:,} KiB")
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            pass
        if recorder.full:
            ui.note(f"the limit of {recorder.limit >> 20} MiB is reached, and "
                    "the timeline ends here; see --limit and --events")


def _report(recorder, count, micros, garbage):
    ui.note(f"{count:,} events in {micros / 1e6:.3f} s")
    if garbage:
        ui.note(f"{garbage:,} lines are no events, and were left out")
    for source in recorder.failed:
        ui.note(f"{source.name} does not answer; its events will be turned "
                "off when it does")


def record(name, output, seconds=0, hosts=None, patterns=None, limit=LIMIT):
    """Record a cluster's events, and write `output`.txt and .json."""
    if seconds < 0:
        raise ui.UserError(f"--seconds {seconds:g}: accepts 0 and more")
    outputs = None if output == "-" else Outputs(output)
    if outputs:
        outputs.check()
    with Recorder(cluster.Cluster(name), hosts, patterns, limit) as recorder:
        _record(recorder, seconds)
        recorder.end()
        about = {"cluster": name, "events": recorder.names,
                 "truncated": recorder.full}
        if outputs is None:
            result = timeline.write(recorder.logs(), recorder.vcpus,
                                    sys.stdout, None, about)
        else:
            size = recorder.size()
            outputs.check_room(size)
            with ui.Step("writing the timeline"), outputs:
                result = timeline.write(recorder.logs(), recorder.vcpus,
                                        *outputs.files, about)
        _report(recorder, *result)
    if outputs:
        ui.note(f"{outputs.paths[0]} is for people, {outputs.paths[1]} for "
                "ui.perfetto.dev or chrome://tracing")
    return 0


def main(args):
    """cxl-cluster trace, from its parsed options."""
    try:
        hosts = [int(host) for host in args.hosts.split(",")] \
            if args.hosts else None
    except ValueError:
        raise ui.UserError(f"--hosts {args.hosts}: accepts numbers with "
                           "commas between") from None
    patterns = [p for p in (args.events or "").split(",") if p] or None
    try:
        return record(args.name, args.output or f"cxl-trace-{args.name}",
                      args.seconds, hosts, patterns, args.limit)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ui.UserError(f"no room for the timeline: {error}") from error
