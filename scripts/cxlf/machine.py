# SPDX-License-Identifier: GPL-2.0-or-later
"""The emulator's command lines: the fabric's owner, and a host's guest."""

import os
import re
from dataclasses import dataclass, field
from typing import Optional

from . import topology, ui
from .qemu import FIRMWARE_DIRS, TOP

MIB = 1 << 20
GRAIN = 256 * MIB
AGENT_PORT = "org.qemu.guest_agent.0"
MAX_SLOTS = 15                          # vPPBs of a host, without its port's
# A port of a guest has 4 decoders; an LD that has HOT and BULK needs two.
SLOTS_EACH = 2                          # of a host bridge and its window
DEVICES = ("fabric", "type3", "none")
DEFAULT_BINARY = os.path.join(TOP, "build", "qemu", "out",
                              "qemu-system-x86_64")
MAX_SOCKET = 107
# Without hypervisor=off Linux makes no CXL regions; with AVX it may expect
# 16-byte loads to be atomic.  QEMU's own choice of vendor, AMD, would have
# Linux panic, or learn nothing, where an Intel one recovers from a machine
# check; and an Intel one newer than this waits for all CPUs in each.
CPU = ("max,hypervisor=off,avx=off,avx2=off,"
       "vendor=GenuineIntel,family=6,model=6,stepping=3")


def size(text, option, grain=1):
    """Bytes of a size such as 256M or 1G."""
    match = re.fullmatch(r"(\d+)([KMGT]?)(i?B)?", str(text), re.I)
    if not match:
        raise ui.UserError(f"{option} {text}: not a size such as 256M or 1G")
    unit = " KMGT".index(match.group(2).upper() or " ")
    value = int(match.group(1)) << (10 * unit)
    if value % grain:
        raise ui.UserError(f"{option} {text}: must be a multiple of "
                           f"{grain // MIB}M")
    return value


@dataclass
class Config:
    """What a cluster is to be."""
    name: str = "default"
    hosts: int = 2
    smp: int = 1
    mem: int = 384 * MIB
    hot: int = GRAIN
    bulk: int = GRAIN
    leaves: int = 1
    gfams: int = 1
    device: str = "fabric"
    binary: str = DEFAULT_BINARY
    kernel: Optional[list] = None
    modules: Optional[str] = None
    refresh: bool = False
    overlay: Optional[str] = None
    packages: list = field(default_factory=list)
    online: list = field(default_factory=list)
    gfam_options: str = ""
    eca_options: str = ""
    fabric_options: str = ""
    network: bool = False               # between hosts 0 and 1
    topology: Optional[str] = None      # a file; it says what the fabric has
    slots: Optional[int] = None         # of each guest, for LDs
    pool: bool = False                  # the topology's devices have LDs
    largest: int = 0                    # bytes of its largest LD
    extra: list = field(default_factory=list)

    def _take_topology(self):
        """What the file says, in place of the options."""
        found = topology.layout(self.topology)
        kinds = {bool(each.lds) for each in found.gfams}
        sizes = {(each.hot, each.bulk) for each in found.gfams}
        if self.device != "fabric":
            raise ui.UserError("--topology needs --device fabric")
        if len(kinds) > 1 or (kinds == {False} and len(sizes) > 1):
            raise ui.UserError(
                f"--topology {self.topology}: accepts devices that all have "
                "LDs, or all have none and the same sizes")
        self.hosts, self.leaves = found.hosts, found.leaves
        self.pool = kinds == {True}
        if not self.pool:
            self.gfams = len(found.gfams)
            (self.hot, self.bulk), = sizes
            return
        self.largest = max((each.hot + each.bulk) // each.lds // GRAIN * GRAIN
                           for each in found.gfams)
        if self.slots is None:
            self.slots = min(MAX_SLOTS, max(2, found.most_bound + 1))

    def check(self):
        """Raise UserError, naming the option, if something cannot be."""
        if self.topology:
            self._take_topology()
        if self.slots is not None and not self.pool:
            raise ui.UserError("--slots needs --topology with a device that "
                               "has LDs, such as topologies/pooled.dts")
        if self.pool and not 1 <= self.slots <= MAX_SLOTS:
            raise ui.UserError(f"--slots {self.slots}: accepts 1 to "
                               f"{MAX_SLOTS}")
        if self.pool and self.online:
            raise ui.UserError("--online needs a device without LDs")
        for option, value, low, high in (
                ("--hosts", self.hosts, 1, 62), ("--smp", self.smp, 1, 64),
                ("--leaves", self.leaves, 1, 64),
                ("--gfams", self.gfams, 1, 2)):
            if not low <= value <= high:
                raise ui.UserError(f"{option} {value}: accepts {low} to "
                                   f"{high}")
        if self.hot < GRAIN or self.hot % GRAIN:
            raise ui.UserError("--hot accepts multiples of 256M, from 256M")
        if self.bulk < 0 or self.bulk % GRAIN:
            raise ui.UserError("--bulk accepts multiples of 256M, or 0")
        if self.mem < 256 * MIB:
            raise ui.UserError("--mem accepts 256M and more")
        if self.device not in DEVICES:
            raise ui.UserError(f"--device {self.device}: accepts "
                               + " or ".join(DEVICES))
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,32}", self.name) or \
                self.name.startswith("."):
            raise ui.UserError(f"--name {self.name}: accepts 1 to 32 letters,"
                               " digits, and . _ - inside")
        for host in self.online:
            if not 0 <= host < self.hosts:
                raise ui.UserError(f"--online {host}: accepts 0 to "
                                   f"{self.hosts - 1}")
        if self.online and not self.bulk:
            raise ui.UserError("--online needs a BULK region; see --bulk")
        if self.overlay and not os.path.isdir(self.overlay):
            raise ui.UserError(f"--overlay {self.overlay}: not a folder")
        if not os.access(self.binary, os.X_OK):
            raise ui.UserError(
                f"--qemu {self.binary}: no such program; build it with "
                "'meson setup build && meson compile -C build', or run "
                "scripts/demo, which does that")

    def window(self):
        """Bytes of the fixed window that all regions of a host fit in."""
        need = SLOTS_EACH * self.largest if self.pool else \
            self.gfams * (self.hot + self.bulk)
        return max(1 << 30, need)

    def bridges(self):
        """Host bridges of a guest, each with a window of its own."""
        return -(-self.slots // SLOTS_EACH) if self.pool else 1


def _firmware():
    argv = []
    for folder in FIRMWARE_DIRS:
        if os.path.isdir(folder):
            argv += ["-L", folder]
    return argv


def _monitor(path):
    return ["-chardev", f"socket,id=mon,path={path},server=on,wait=off",
            "-mon", "chardev=mon,mode=control"]


def _messages(name, place):
    """Errors go to the log, with times; trace events to a file of theirs."""
    return ["-msg", "timestamp=on", "-D", place(name + ".events")]


def owner(config, place):
    """The process without a guest that owns the fabric."""
    more = "," + config.fabric_options if config.fabric_options else ""
    what = f"topology={place('topology.dtb')}" if config.topology else \
        f"hosts={config.hosts},leaves={config.leaves}," \
        f"gfams={config.gfams},hot={config.hot},bulk={config.bulk}"
    return [config.binary, "-name", f"cxlf-{config.name}-owner",
            "-machine", "none", "-nodefaults", "-display", "none",
            *_monitor(place("owner.qmp")), *_messages("owner", place),
            "-object", f"cxl-fabric,id=fabric0,listen=on,"
            f"socket={place('fabric.sock')},{what}{more}"]


def _fabric_devices(config, host, place):
    eca = "," + config.eca_options if config.eca_options else ""
    argv = ["-object", f"cxl-fabric,id=fabric0,host={host},"
            f"socket={place('fabric.sock')}",
            "-device", f"dpu-eca,id=eca0,bus=pcie.0,fabric=fabric0{eca}"]
    for bridge in range(config.bridges()):
        argv += ["-device", f"cxl-pbr-upstream,id=us{bridge},bus=rp{bridge},"
                 "multifunction=on"]
    argv += ["-device", "cxl-pbr-mailbox,id=mailbox0,bus=rp0,addr=0.1,"
             "target=us0,fabric=fabric0"]
    if config.pool:
        for slot in range(config.slots):
            argv += ["-device", f"cxl-pbr-downstream,id=vppb{slot + 1},"
                     f"bus=us{slot // SLOTS_EACH},port={slot % SLOTS_EACH},"
                     f"chassis=1,slot={slot + 1},vppb={slot + 1},eca=eca0"]
        return argv
    options = "," + config.gfam_options if config.gfam_options else ""
    for index in range(config.gfams):
        argv += ["-device", f"cxl-pbr-downstream,id=ds{index},bus=us0,"
                 f"port={index},chassis=0,slot={4 + index}",
                 "-device", f"cxl-gfam,id=gfam{index},bus=ds{index},"
                 f"eca=eca0,gfam={index}{options}"]
    return argv


def _type3_devices(config, place):
    """Upstream's devices in the same places, on memory that all map."""
    argv = ["-device", "cxl-upstream,id=us0,bus=rp0"]
    for index in range(config.gfams):
        argv += ["-object", f"memory-backend-file,id=mem{index},share=on,"
                 f"mem-path={place(f'memory{index}')},"
                 f"size={config.hot + config.bulk}",
                 "-device", f"cxl-downstream,id=ds{index},bus=us0,"
                 f"port={index},chassis=0,slot={4 + index}",
                 "-device", f"cxl-type3,id=cxl-mem{index},bus=ds{index},"
                 f"volatile-memdev=mem{index},sn={0xc4f0 + index}"]
    return argv


def _network(host, place):
    """A network card whose cable ends in the other host's."""
    end = "server=on" if host == 0 else "server=off,reconnect-ms=100"
    return ["-netdev", f"stream,id=net0,{end},addr.type=unix,"
            f"addr.path={place('net')}",
            "-device", "virtio-net-pci,netdev=net0,bus=pcie.0,romfile=,"
            f"mac=52:54:00:00:00:{host + 1:02x}"]


def _windows(config):
    """A fixed window for each host bridge."""
    return "".join(f",cxl-fmw.{n}.targets.0=cxl.{n + 1},"
                   f"cxl-fmw.{n}.size={config.window() // MIB}M"
                   for n in range(config.bridges()))


def _host_bridges(config):
    # vPPBs have their own numbers as slots of the guest's.
    first = MAX_SLOTS + 1 if config.pool else 2
    argv = []
    for n in range(config.bridges()):
        argv += ["-device", f"pxb-cxl,id=cxl.{n + 1},bus=pcie.0,"
                 f"bus_nr={12 + 16 * n},hdm_for_passthrough=true",
                 "-device", f"cxl-rp,id=rp{n},bus=cxl.{n + 1},port=0,"
                 f"chassis=0,slot={first + n}"]
    return argv


def guest(config, host, place, vmlinuz, initrd):
    """A host with its guest."""
    name = f"host{host}"
    # What comes and goes is not there when the guest boots.
    none = config.device == "none" or config.pool
    # Upstream's devices get maxcpus=2: with one CPU at most, TCG compiles
    # atomics as plain loads and stores, and the comparison would show that.
    smp = f"{config.smp},maxcpus={max(2, config.smp)}" \
        if config.device == "type3" else str(config.smp)
    # What Linux does against the flaws of such a CPU makes system calls 20
    # times slower under TCG, which has none of them.
    # On a busy machine the kernel's test of the timer can fail, and it panics.
    words = ["console=ttyS0", "quiet", "panic=-1", "mitigations=off",
             "no_timer_check",
             "cxlf.host=" + str(host),
             f"cxlf.hosts={config.hosts}",
             f"cxlf.gfams={0 if none else config.gfams}",
             f"cxlf.hot={config.hot}", f"cxlf.bulk={config.bulk}"]
    if host in config.online:
        # Memory of an upstream device is this guest's alone.
        words.append("cxlf.online=" + ("reserved" if config.device == "fabric"
                                       else "private"))
        # With a table of NUMA nodes the kernel gives the window its own.
        memory = ["-object", f"memory-backend-ram,id=ram0,size={config.mem}",
                  "-numa", "node,memdev=ram0,cpus=0-"
                  f"{config.smp - 1}"]
    else:
        memory = []
    devices = []
    if config.device == "fabric":
        devices = _fabric_devices(config, host, place)
    elif config.device == "type3":
        devices = _type3_devices(config, place)
    if config.network and host < 2:
        devices += _network(host, place)
    return [config.binary, "-name", f"cxlf-{config.name}-{name}",
            "-M", "q35,cxl=on,smm=off" + _windows(config),
            "-cpu", CPU, "-smp", smp,
            "-m", f"{config.mem // MIB}M", *memory,
            "-accel", "tcg,thread=multi",
            "-nodefaults", "-display", "none", "-no-reboot", *_firmware(),
            *_monitor(place(name + ".qmp")), *_messages(name, place),
            "-chardev", f"socket,id=ser,path={place(name + '.tty')},"
            f"server=on,wait=off,logfile={place(name + '.serial')}",
            "-serial", "chardev:ser",
            "-device", "virtio-serial-pci,bus=pcie.0",
            "-chardev", f"socket,id=ga,path={place(name + '.ga')},"
            "server=on,wait=off",
            "-device", f"virtserialport,chardev=ga,name={AGENT_PORT}",
            *_host_bridges(config), *devices, "-kernel", vmlinuz, "-initrd", initrd,
            "-append", " ".join(words), *config.extra]
