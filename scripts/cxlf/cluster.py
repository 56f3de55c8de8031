# SPDX-License-Identifier: GPL-2.0-or-later
"""A cluster of guests: started, asked, and ended without a trace.

QEMU's machine class ends its process when the Python object goes, and a
cluster has to outlive `up`; so the emulators are started here (procs.py) and
QEMU's Python packages are used for QMP.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import time

from . import agent, guest, machine, procs, qmp, topology, ui


# What QEMU says when it falls over that race; see Cluster._start_again.
QEMU_RACE = "iotlb_to_section: Assertion"


def base_dir():
    """The folder that holds a folder for each cluster."""
    top = os.environ.get("XDG_RUNTIME_DIR")
    if top and os.path.isdir(top) and os.access(top, os.W_OK):
        return os.path.join(top, "cxlf")
    return f"/tmp/cxlf-{os.geteuid()}"


def _make_base():
    base = base_dir()
    os.makedirs(base, mode=0o700, exist_ok=True)
    info = os.lstat(base)
    if info.st_uid != os.geteuid() or info.st_mode & 0o077 or \
            not os.path.isdir(base) or os.path.islink(base):
        raise ui.UserError(f"{base} must be a folder of yours with mode 0700")
    return base


def _is_base(handle):
    try:
        return os.path.samestat(os.fstat(handle), os.stat(base_dir()))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _claim():
    """Hold the base folder while names are taken and given back.

    The last cluster removes the folder, so the one that was locked may be
    gone by then; only the one that is there counts.
    """
    while True:
        handle = os.open(_make_base(), os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _is_base(handle):
                yield
                return
        finally:
            os.close(handle)


def fabric_state(one):
    """What a cluster wrote down; UserError if it has no fabric."""
    state = one.state()
    if state["device"] != "fabric":
        raise ui.UserError(f"cluster '{one.name}' has no fabric, but "
                           f"--device {state['device']}")
    return state


class Cluster:
    """A cluster by name; running or not."""

    def __init__(self, name="default"):
        self.name = name
        self.folder = os.path.join(base_dir(), name)
        self.watchdog = None
        self.started = None
        self.config = None
        self.ready = set()
        self.commands = {}
        self.again = set()
        self.mine = False

    # Places and processes

    def place(self, name):
        return os.path.join(self.folder, name)

    def _procs(self):
        return self.place("procs")

    def process(self, name):
        """The process of `owner` or `hostN`, or None."""
        path = os.path.join(self._procs(), name)
        return procs.Known(path) if os.path.exists(path) else None

    def alive(self, name):
        proc = self.process(name)
        return proc is not None and proc.alive()

    def state(self):
        """What `up` wrote down, or UserError if there is no such cluster."""
        try:
            with open(self.place("state.json")) as text:
                return json.load(text)
        except (FileNotFoundError, ValueError):
            raise ui.UserError(f"no cluster '{self.name}' is up; start one "
                               "with 'cxl-cluster up'") from None

    def agent(self, host):
        state = self.state()
        if not 0 <= host < state["hosts"]:
            raise ui.UserError(f"host {host}: accepts 0 to "
                               f"{state['hosts'] - 1}")
        if not self.alive(f"host{host}"):
            raise ui.UserError(f"host {host} is not running")
        return agent.Agent(self.place(f"host{host}.ga"), f"host {host}")

    # Up

    def _take_name(self):
        """Make the state folder; a dead cluster's is cleaned first."""
        with _claim():
            if os.path.isdir(self.folder):
                busy = [p for p in procs.known(self._procs()) if p.alive()]
                with contextlib.suppress(OSError, ValueError, KeyError):
                    launcher = procs.Known(self.place("launcher"))
                    if launcher.alive() and launcher.pid != os.getpid():
                        busy.append(launcher)
                if busy:
                    raise ui.UserError(
                        f"cluster '{self.name}' is already up; end it with "
                        "'cxl-cluster down' or choose another --name")
                shutil.rmtree(self.folder)
            os.makedirs(self._procs(), mode=0o700)
            procs.note_self(self.place("launcher"))
            self.mine = True
        longest = self.place("fabric.sock")
        if len(os.fsencode(longest)) > machine.MAX_SOCKET - 4:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise ui.UserError(f"{longest}: longer than a UNIX socket's "
                               "path may be; choose a shorter --name or "
                               "another XDG_RUNTIME_DIR")

    def start(self, config):
        """Start all processes; returns before the guests are ready."""
        config.check()
        vmlinuz, layers, release = guest.image(
            config.kernel, config.modules, config.refresh, config.packages)
        self.started = time.monotonic()
        self.config = config
        self.ready = set()
        self.again = set()
        self._take_name()
        self.watchdog = procs.Watchdog(self._end_all)
        if config.overlay:
            layers = layers + [guest.overlay(config.overlay,
                                             self.place("overlay.cpio"))]
        initrd = guest.join(layers, self.place("initrd"))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.place("overlay.cpio"))
        self.commands = {
            host: machine.guest(config, host, self.place, vmlinuz, initrd)
            for host in range(config.hosts)}
        self._write_state({
            "hosts": config.hosts, "device": config.device,
            "smp": config.smp, "leaves": config.leaves,
            "gfams": config.gfams, "hot": config.hot, "bulk": config.bulk,
            "kernel": release, "qemu": config.binary, "seconds": None,
            "commands": list(self.commands.values())})
        if config.device == "fabric":
            self._start_owner(config)
        elif config.device == "type3":
            for index in range(config.gfams):
                self._make_memory(index, config.hot + config.bulk)
        for host in range(config.hosts):
            self._spawn_guest(host)

    def _spawn_guest(self, host):
        name = f"host{host}"
        procs.spawn(self.commands[host], os.path.join(self._procs(), name),
                    self.place(name + ".log"))

    def _start_again(self, host):
        """Start a guest once more that fell over QEMU's own race.

        With several CPUs, one that changes the memory map (the kernel, when
        it places PCI devices) can make another's access to a device fail an
        assertion of QEMU, up to 10.2 at least; docs/architecture.md.
        """
        name = f"host{host}"
        if host in self.again or QEMU_RACE not in self.tail(name + ".log"):
            return False
        self.again.add(host)
        ui.note(f"host {host}: QEMU fell over its own race between CPUs "
                f"({QEMU_RACE}); starting it once more")
        for suffix in (".log", ".serial"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.place(name + suffix))
        self._spawn_guest(host)
        return True

    def _write_state(self, state):
        with open(self.place("state.json.part"), "w") as out:
            json.dump(state, out, indent=1)
        os.rename(self.place("state.json.part"), self.place("state.json"))

    def _make_memory(self, index, length):
        """Memory that all type-3 guests map: a link to a file in memory."""
        path = f"/dev/shm/cxlf-{os.geteuid()}-{self.name}-{index}"
        link = self.place(f"memory{index}")
        os.symlink(path, link)
        with open(path, "wb") as out:
            os.fchmod(out.fileno(), 0o600)
            out.truncate(length)

    def _drop_memory(self):
        for index in range(2):
            link = self.place(f"memory{index}")
            with contextlib.suppress(OSError):
                os.unlink(os.readlink(link))

    def _start_owner(self, config):
        if config.topology:
            topology.compiled(config.topology, self.place("topology.dtb"))
        procs.spawn(machine.owner(config, self.place),
                    os.path.join(self._procs(), "owner"),
                    self.place("owner.log"))
        limit = time.monotonic() + 20
        while not os.path.exists(self.place("fabric.sock")):
            if not self.alive("owner"):
                raise ui.UserError("the fabric's owner ended:\n"
                                   + self.tail("owner.log"))
            if time.monotonic() > limit:
                raise ui.UserError("the fabric's owner made no socket "
                                   "within 20 s:\n" + self.tail("owner.log"))
            time.sleep(0.02)

    def tail(self, name, lines=25):
        """The end of a log."""
        try:
            with open(self.place(name), errors="replace") as text:
                return "".join(text.readlines()[-lines:])
        except FileNotFoundError:
            return ""

    def _progress(self, host):
        """The last line that a guest's /init has said."""
        said = "firmware and kernel"
        for line in self.tail(f"host{host}.serial", 200).splitlines():
            if "cxlf: " in line:
                said = line.partition("cxlf: ")[2].strip()
        return said

    def poll_host(self, host):
        """One look at a booting guest; True when it is ready."""
        name = f"host{host}"
        said = self._progress(host)
        if said.startswith("FAILED") or not self.alive(name):
            # /init shows the kernel's last words after that line.
            time.sleep(0.5)
            if not self.alive(name) and self._start_again(host):
                return False
            raise ui.UserError(
                f"host {host} did not come up ("
                f"{said if self.alive(name) else 'its QEMU ended'}); "
                "its log and the end of its serial port:\n"
                + self.tail(name + ".log") + self.tail(name + ".serial"))
        if said == "READY" and agent.Agent(self.place(name + ".ga"),
                                           name).ping():
            self.ready.add(host)
        return host in self.ready

    def poll(self):
        """One look at the booting guests; True when all are ready."""
        for host in range(self.config.hosts):
            if host not in self.ready:
                self.poll_host(host)
        if self.config.device == "fabric" and not self.alive("owner"):
            raise ui.UserError("the fabric's owner ended:\n"
                               + self.tail("owner.log"))
        if len(self.ready) < self.config.hosts:
            return False
        self._drop_memory()
        state = self.state()
        state["seconds"] = round(time.monotonic() - self.started, 2)
        self._write_state(state)
        return True

    def describe(self):
        """One line of how far each guest is."""
        return ", ".join(
            f"host {host}: " + ("ready" if host in self.ready
                                else self._progress(host))
            for host in range(self.config.hosts))

    def wait(self, timeout=None):
        """Wait until all guests are ready."""
        timeout = timeout or 60 + 45 * self.config.hosts
        limit = time.monotonic() + timeout
        with ui.Step(f"booting {self.config.hosts} guests "
                     f"({self.config.device})") as step:
            while not self.poll():
                step.tick(self.describe())
                if time.monotonic() > limit:
                    host = min(set(range(self.config.hosts)) - self.ready)
                    raise ui.UserError(
                        f"not all guests were ready within {timeout} s "
                        f"({self.describe()}); the end of host {host}'s "
                        "serial port:\n" + self.tail(f"host{host}.serial")
                        + "\n" + self._cpus(host))
                time.sleep(0.05)

    def _cpus(self, host):
        """Where a guest's CPUs stand, for who asks why it is not ready."""
        try:
            said = qmp.call(self.place(f"host{host}.qmp"),
                            "human-monitor-command",
                            **{"command-line": "info registers -a"})
        except ui.UserError as error:
            return f"its monitor: {error}"
        return "its CPUs: " + "; ".join(re.findall(r"[RE]IP=.*HLT=\d", said))

    def up(self, config, timeout=None):
        """Start, wait until ready; on any failure take everything down."""
        try:
            self.start(config)
            self.wait(timeout)
        except BaseException:
            self.give_up()
            raise

    def give_up(self):
        """End what this object started; nobody else's cluster."""
        if self.mine:
            self.down()

    def release(self):
        """Let the cluster outlive this process."""
        if self.watchdog is not None:
            self.watchdog.release()
            self.watchdog = None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.place("launcher"))

    # Down

    def _remove(self):
        self._drop_memory()
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rmdir(base_dir())

    def _clean(self):
        with _claim():
            self._remove()

    def _end_all(self):
        ended = procs.end_all(self._procs())
        self._clean()
        return ended

    def down(self):
        """End everything; returns how many processes lived."""
        if not os.path.isdir(self.folder):
            return 0
        ended = self._end_all()
        if self.watchdog is not None:
            self.watchdog.release()
            self.watchdog = None
        return ended

    def kill(self, host):
        """SIGKILL a host's emulator; returns its pid."""
        self.agent(host)
        proc = self.process(f"host{host}")
        proc.signal(signal.SIGKILL)
        if not proc.wait(10):
            raise ui.UserError(f"host {host} (pid {proc.pid}) did not end "
                               "within 10 s of SIGKILL")
        return proc.pid

    # One host again

    def start_again(self, host):
        """Boot a dead host into the running fabric; poll_host() follows."""
        state = self.state()
        name = f"host{host}"
        if state["device"] != "fabric":
            raise ui.UserError("only a host of a fabric can start again")
        if not 0 <= host < state["hosts"]:
            raise ui.UserError(f"host {host}: accepts 0 to "
                               f"{state['hosts'] - 1}")
        if self.alive(name):
            raise ui.UserError(f"host {host} is running")
        self._await_number(host)
        self.commands[host] = state["commands"][host]
        self.ready.discard(host)
        self.again.discard(host)
        # What it said before must not pass for what it says now.
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.place(name + ".serial"),
                      self.place(name + ".serial.old"))
        self._spawn_guest(host)

    def _await_number(self, host):
        """Wait until the owner has given a dead host's number back."""
        limit = time.monotonic() + 20
        while True:
            known = {item["host"]: item["state"]
                     for item in self.fabric()["hosts"]}
            if known.get(host) == "free":
                return
            if time.monotonic() > limit:
                raise ui.UserError(f"host {host}'s number is not free "
                                   f"within 20 s, but {known.get(host)}")
            time.sleep(0.02)

    def restart(self, host, timeout=150):
        """Kill a host if it runs, boot it again and wait until it is ready."""
        if self.alive(f"host{host}"):
            self.kill(host)
        self.start_again(host)
        self.wait_again(host, timeout)

    def wait_again(self, host, timeout=150):
        """Wait until a host that boots again is ready."""
        limit = time.monotonic() + timeout
        with ui.Step(f"booting host {host} again") as step:
            while not self.poll_host(host):
                step.tick(self._progress(host))
                if time.monotonic() > limit:
                    raise ui.UserError(
                        f"host {host} was not ready within {timeout} s; the "
                        "end of its serial port:\n"
                        + self.tail(f"host{host}.serial"))
                time.sleep(0.05)

    # Questions

    def fabric(self):
        """The fabric as its owner sees it; None for type-3 clusters."""
        if self.state()["device"] != "fabric":
            return None
        if not self.alive("owner"):
            raise ui.UserError("the fabric's owner is not running:\n"
                               + self.tail("owner.log"))
        return qmp.fabric(self.place("owner.qmp"))

    def counters(self):
        """{host: {counter: count}} as the owner sees them."""
        return {item["host"]: item.get("counters", {})
                for item in self.fabric()["hosts"]}

    def run_all(self, commands, timeout=120, step=None):
        """Run {host: argv} at once; {host: (status, stdout, stderr)}."""
        jobs = [agent.Job(self.agent(host), argv)
                for host, argv in commands.items()]
        return dict(zip(commands, agent.wait_all(jobs, timeout, step)))


def give_up(first, *others):
    """End clusters of this process, all of them whatever happens."""
    try:
        first.give_up()
    finally:
        if others:
            give_up(*others)


def names():
    """The clusters that have a folder."""
    base = base_dir()
    return sorted(os.listdir(base)) if os.path.isdir(base) else []
