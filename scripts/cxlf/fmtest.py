# SPDX-License-Identifier: GPL-2.0-or-later
"""cxlfm: what it sends and shows, against an owner that is made up.

The answers are bytes by the tables of docs/fabric-manager.md.  Then it meets
the emulator, which has them from other code.
"""

import base64
import json
import mmap
import os
import re
import socket
import struct
import subprocess
import tempfile
import threading
import time

from . import build, debian, qemu, topology, ui

SOURCES = os.path.join(qemu.TOP, "tools", "cxlfm")
GREETING = {"QMP": {"version": {}, "capabilities": []}}
EVENT = {"event": "X_CXL_FABRIC_FM", "data": {}}


def _hex(text):
    """'01 00*3' as bytes: each group as often as it says."""
    found = b""
    for group in text.split():
        digits, _, times = group.partition("*")
        found += bytes.fromhex(digits) * int(times or 1)
    return found


def cci(code, payload="", background=False):
    """An owner's answer to x-cxl-fabric-cci."""
    return {"return": {"return-code": code, "background": background,
                       "payload": base64.b64encode(_hex(payload)).decode()}}


class Owner(threading.Thread):
    """Speaks QMP with one client: says `answers`, keeps what was asked."""

    def __init__(self, path, answers, greeting=None):
        super().__init__(daemon=True)
        self.answers = [greeting or GREETING, {"return": {}}, *answers]
        self.asked = []
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(path)
        self.server.listen(1)
        self.server.settimeout(60)
        self.start()

    def run(self):
        link = self.server.accept()[0]
        with link, link.makefile("rw") as text:
            link.settimeout(60)
            for number, answer in enumerate(self.answers):
                if number:
                    line = text.readline()
                    if not line:
                        return
                    self.asked.append(json.loads(line))
                    text.write(json.dumps(EVENT) + "\r\n")
                if answer is None:          # says nothing until it hangs up
                    text.flush()
                    text.readline()
                    return
                text.write((answer if isinstance(answer, str)
                            else json.dumps(answer)) + "\r\n")
                text.flush()
            text.readline()

    def end(self):
        """What was asked after the greeting: (command, arguments)."""
        self.join(60)
        self.server.close()
        return [(one["execute"], one["arguments"]) for one in self.asked[1:]]


def sent(component, opcode, payload="", **more):
    """What x-cxl-fabric-cci must be asked."""
    return ("x-cxl-fabric-cci",
            {"component": component, "opcode": opcode,
             "payload": base64.b64encode(_hex(payload)).decode(), **more})


IDENTIFY = cci(0, "e519 28a1 00*4 0100000000000080 0c 00")
SWITCH = cci(0, "00 00 02 01 0500 00*30 02 00*31 1000 0200 04")
FABRIC = {"return": [{"id": "f", "components": [
    {"component": 0, "name": "leaf@0", "kind": "switch",
     "serial": "0x0000000000000001", "pid": 5, "ports": []}]}]}
# Options and command, answers, what is asked, status, what is shown.
CASES = (
    (("list",), [FABRIC], [("x-query-cxl-fabric-fm", {})], 0,
     "component  name    kind    serial              pid  primary\n"
     "0          leaf@0  switch  0x0000000000000001  5    -\n"),
    (("--id", "g", "list"), [FABRIC], [("x-query-cxl-fabric-fm", {})], 1,
     "cxlfm: --id g: there is no such fabric\n"),
    (("list",), [{"return": [{"id": "f", "components": [], "why-none":
                              "too large"}]}],
     [("x-query-cxl-fabric-fm", {})], 1,
     "cxlfm: fabric f has no Fabric Manager: too large\n"),
    (("--id", "f", "--from", "0x1f", "identify", "3"), [IDENTIFY, SWITCH],
     [sent(3, 1, id="f", **{"from-pid": 31}),
      sent(3, 0x5100, id="f", **{"from-pid": 31})], 0,
     "vendor: 0x19e5\ndevice: 0xa128\nserial: 0x8000000000000001\n"
     "message-limit: 4096\ntype: switch\nports: 2\nvcss: 1\nvppbs: 16\n"
     "bound-vppbs: 2\ndecoders: 4\n"),
    (("ports", "0"),
     [SWITCH, cci(0, "02 000000 00 05 05 00 07 14 10 08 1f 05 04 04 00 0000 "
                  "00 02 03 03 00 05 04 10 10 1f 05 05 00 00 0000 10")],
     [sent(0, 0x5100), sent(0, 0x5101, "02 00 02")], 0,
     "port  state   partner  mode  lanes  speed    link    lds\n"
     "0     fabric  switch   pbr   8      16 GT/s  L0      0\n"
     "2     dsp     mld      256b  16     32 GT/s  detect  16\n"),
    (("vcs", "0"),
     [SWITCH, cci(0, "01 000000 01 01 07 04 02 07 ff 00 03 02 04 00 "
                  "00 00 ff 00 04 00 ff 00"), cci(0, "0201 00*22")],
     [sent(0, 0x5100), sent(0, 0x5200, "00 ff 01 01"),
      sent(0, 0x5705, "01 03")], 0,
     "vcs  usp  vppb  bound-to  port  ld  pid\n"
     "1    7    0     port      7     -   -\n"
     "1    7    1     ld        2     4   -\n"
     "1    7    2     unbound   -     -   -\n"
     "1    7    3     pid       -     -   258\n"),
    (("bind-pid", "2", "1", "3", "0x102"),
     [cci(1, background=True), cci(0, "c8 00 0657 0000 0000")],
     [sent(2, 0x5706, "00 01 03 00 0201 00*22"), sent(2, 2)], 0, ""),
    (("unbind-pid", "2", "1", "3"),
     [cci(1, background=True), cci(0, "c8 00 0657 0400 0000")],
     [sent(2, 0x5706, "01 01 03 00 00*24"), sent(2, 2)], 1,
     "cxlfm: Configure PID Binding: Internal Error (04h)\n"),
    (("targets", "3"),
     [cci(0, "0400 0200 0700 00 00 ff 07 ff0f 0200 02 00 ff 02 0900"),
      cci(0, "0400 0200 0200 02 01 ff 02 0a00 0300 01 00 05 03 0301")],
     [sent(3, 0x5703, "0000 4000"), sent(3, 0x5703, "0200 4000")], 0,
     "type    vcs  port  ld  pid\n"
     "fabric  -    7     -   -\n"
     "dsp     -    2     -   9\n"
     "dsp     -    2     0   10\n"
     "usp     5    3     -   259\n"),
    (("targets", "3"), [cci(0, "0400 0000")], [sent(3, 0x5703, "0000 4000")],
     1, "the answer says that there are 4, and has none from 0 on"),
    (("bind", "2", "1", "3", "7", "15"),
     [cci(1, background=True), cci(0, "01 00 0152 0000 0000"),
      cci(0, "c8 00 0152 0000 0000")],
     [sent(2, 0x5201, "01 03 07 00 0f00"), sent(2, 2), sent(2, 2)], 0, ""),
    (("bind", "2", "1", "3", "7"),
     [cci(1, background=True), cci(0, "c8 00 0152 0400 0000")],
     [sent(2, 0x5201, "01 03 07 00 ffff"), sent(2, 2)], 1,
     "cxlfm: Bind vPPB: Internal Error (04h)\n"),
    (("bind", "2", "1", "3", "7"),
     [cci(1, background=True), cci(0, "01 00 0252 0000 0000")],
     [sent(2, 0x5201, "01 03 07 00 ffff"), sent(2, 2)], 1,
     "cxlfm: Bind vPPB: another command has begun since, and how it ended is "
     "not known\n"),
    (("unbind", "2", "1", "3", "surprise"), [cci(6)],
     [sent(2, 0x5202, "01 03 02")], 1, "cxlfm: Unbind vPPB: Busy (06h)\n"),
    (("lds", "4"),
     [cci(0, "02 01 00 02 01 00*7 00*8 02 00*7 03 00*7"),
      cci(0, "02 00 40 80"), cci(0, "02 00 ff 00")],
     [sent(4, 0x5401, "00 ff"), sent(4, 0x5406, "02 00"),
      sent(4, 0x5408, "02 00")], 0,
     "ld  memory      bandwidth  limit\n"
     "0   536870912   64         255\n"
     "1   2684354560  128        0\n"),
    (("qos", "4"), [cci(0, "03 0a 14 08 3412 40")], [sent(4, 0x5403)], 0,
     "control: 0x03\nmoderate-percentage: 10\nsevere-percentage: 20\n"
     "sample-interval: 8\nreq-cmp-basis: 4660\n"
     "completion-collection-interval: 64\n"),
    (("status", "4"), [cci(0, "40")], [sent(4, 0x5405)], 0,
     "backpressure: 64\n"),
    (("set-qos", "4", "1", "10", "25", "8", "0x1234", "64"),
     [cci(0, "01 0a 19 08 3412 40")], [sent(4, 0x5404, "01 0a 19 08 3412 40")],
     0, ""),
    (("allocate", "4", "3", "128"), [cci(0, "01 03 80")],
     [sent(4, 0x5407, "01 03 80")], 0, ""),
    (("limit", "4", "15", "255"), [cci(2)], [sent(4, 0x5409, "01 0f ff")], 1,
     "cxlfm: Set QoS BW Limit: Invalid Input (02h)\n"),
    (("--json", "pbr", "1"),
     [cci(0, "0500 0900 5a*16 ff0f 00*16"), IDENTIFY,
      cci(0, "03 00*7 01 02 00 05")],
     [sent(1, 0x0700), sent(1, 1), sent(1, 0x5700)], 0,
     {"pid": 5, "primary": 9, "secondary": None, "gaes": "0x3", "drts": 1,
      "rgts": 2, "routing-modes": "0x05"}),
    (("drt", "1", "0", "9", "3"),
     [cci(0, "00 00 0300 0900 0000 0107 0203 0000")],
     [sent(1, 0x5708, "00 00 0300 0900")], 0,
     "entry  type     target\n9      port     7\n10     rgt      3\n"
     "11     invalid  0\n"),
    (("--json", "rgt", "1", "0", "4"),
     [cci(0, "00 00 0100 0400 05 06 07 00*5 0a1a 0000")],
     [sent(1, 0x570a, "00 00 0100 0400")], 0,
     [{"entry": 4, "ports": "5 6 7", "primary": 1, "mode": 2, "mix": 3}]),
    (("regions", "1", "3"),
     [cci(0, "0300 02 02 0000000001000000 08 00*7 0000008000000000 "
          "0000200000000000 08 00*7 0000008001000000 04 00*7 "
          "0000004000000000 0000001000000000 00*8 80000000 7f000000 "
          "80000000 7f000000")], [sent(1, 0x5601, "0300 ff 00")], 0,
     "region  dpa          size        block      shareable\n"
     "0       0x100000000  2147483648  2097152    yes\n"
     "1       0x180000000  1073741824  268435456  no\n"),
    # Of three, one comes with the second answer.
    (("--json", "extents", "1", "2"),
     [cci(0, "0200 0000 00000000 02000000 03000000 05000000 00*4 "
          "0000200000000000 0000400000000000 ab*16 0100 00*6 "
          "0000800000000000 0000200000000000 00*16 0000 00*6"),
      cci(0, "0200 0000 02000000 01000000 03000000 05000000 00*4 "
          "0000000100000000 0000200000000000 01 00*15 0200 00*6")],
     [sent(1, 0x5603, "0200 0000 ffffffff 00000000"),
      sent(1, 0x5603, "0200 0000 ffffffff 02000000")], 0,
     [{"dpa": "0x200000", "size": 4194304, "tag": "ab" * 16, "sequence": 1},
      {"dpa": "0x800000", "size": 2097152, "tag": "00" * 16, "sequence": 0},
      {"dpa": "0x1000000", "size": 2097152, "tag": "01" + "00" * 15,
       "sequence": 2}]),
    # Who says that there are more, and has none, is not asked for ever.
    (("--json", "extents", "1", "2"),
     [cci(0, "0200 0000 00000000 00000000 03000000 05000000 00*4")],
     [sent(1, 0x5603, "0200 0000 ffffffff 00000000")], 0, []),
    (("tags", "1"),
     [cci(0, "05000000 02000000 01000000 03 000000 "
          "ab*16 01 000000 03 80 00*30 00*32"),
      cci(0, "05000000 02000000 01000000 03 000000 "
          "cd*16 00 000000 00*32 00*31 80")],
     [sent(1, 0x5608, "00000000 ffffffff"),
      sent(1, 0x5608, "01000000 ffffffff")], 0,
     "tag                               reference  hosts   pending\n"
     f"{'ab' * 16}  yes        0 1 15  -\n"
     f"{'cd' * 16}  no         -       255\n"),
    (("add", "1", "2", "0x400000", "a1b2"), [cci(0)],
     [sent(1, 0x5604, "0200 00 00 0000400000000000 a1b2 00*14 00*4")], 0,
     ""),
    (("add", "1", "2", "2097152"), [cci(0x1d)],
     [sent(1, 0x5604, "0200 00 00 0000200000000000 00*16 00*4")], 1,
     "cxlfm: Initiate Dynamic Capacity Add: Resources Exhausted (1Dh)\n"),
    (("share", "1", "15", "00" * 15 + "01"), [cci(0)],
     [sent(1, 0x5604, "0f00 03 00 00*8 00*15 01 00*4")], 0, ""),
    (("release", "1", "2", "a1"), [cci(0)],
     [sent(1, 0x5605, "0200 00 00 00*8 a1 00*15 00*4")], 0, ""),
    (("release", "1", "2", "a1", "force"), [cci(2)],
     [sent(1, 0x5605, "0200 10 00 00*8 a1 00*15 00*4")], 1,
     "cxlfm: Initiate Dynamic Capacity Release: Invalid Input (02h)\n"),
    (("raw", "0", "0x490d", "0100 0700 01000080"), [cci(2)],
     [sent(0, 0x490d, "01 00 07 00 01 00 00 80")], 0,
     "return-code: 2\nmeaning: Invalid Input\npayload: \n"),
    # Answers that are wrong.
    (("qos", "4"), [cci(0, "03 0a")], [sent(4, 0x5403)], 1,
     "cxlfm: Get QoS Control: the answer has 2 bytes, and needs more\n"),
    (("lds", "4"), [cci(0, "ff 00 00 ff"), cci(0, "ff 00"), None],
     [sent(4, 0x5401, "00 ff"), sent(4, 0x5406, "ff 00")], 1,
     "cxlfm: Get QoS Allocated BW: the answer has 2 bytes, and needs more\n"),
    (("qos", "4"), [{"error": {"class": "GenericError", "desc": "no fabric"}}],
     [sent(4, 0x5403)], 1, "cxlfm: no fabric\n"),
    (("qos", "4"), [{"return": {"payload": 1}}], [sent(4, 0x5403)], 1,
     "cxlfm: Get QoS Control: the answer lacks a member\n"),
    (("--timeout", "1", "qos", "4"), [None], [sent(4, 0x5403)], 3,
     "did not answer within it\n"),
    (("qos", "4"), ["{nonsense"], [sent(4, 0x5403)], 1,
     "it does not speak QMP"),
)
# Command lines that are refused before anyone is asked.
BAD = (
    ((), "a command is needed"),
    (("dance",), "dance: no such command"),
    (("identify",), "usage: cxlfm [OPTIONS] identify COMPONENT"),
    (("identify", "0"), "either --socket PATH is needed"),
    (("--socket", "s", "--mailbox", "auto", "list"),
     "either --socket PATH is needed"),
    (("--mailbox", "auto", "--id", "f", "identify", "0"), "--id: --mailbox"),
    (("--mailbox", "auto", "--from", "0", "identify", "0"),
     "--from: --mailbox"),
    (("--socket", "s", "raw", "0", "1", "0", "x"), "usage: cxlfm"),
    (("--from", "4095", "list"), "--from 4095: accepts 0 to 4094"),
    (("--timeout", "1s", "list"), "--timeout 1s: accepts 0 to 86400"),
    (("--sockets", "x"), "unrecognized option '--sockets'"),
    (("--socket", "x" * 108, "list"), "accepts a path of at most 107 bytes"),
)
BAD_WITH_OWNER = (
    (("identify", "256"), "COMPONENT 256: accepts 0 to 255"),
    (("identify", "-1"), "COMPONENT -1: accepts 0 to 255"),
    (("raw", "0", "0x10000"), "OPCODE 0x10000: accepts 0 to 65535"),
    (("raw", "0", "1", "0g"), "PAYLOAD: accepts bytes of two hexadecimal"),
    (("raw", "0", "1", "012"), "PAYLOAD: accepts bytes of two hexadecimal"),
    (("bind", "0", "64", "0", "0"), "VCS 64: accepts 0 to 63"),
    (("bind", "0", "0", "0", "0", "16"), "LD 16: accepts 0 to 15"),
    (("bind-pid", "0", "0", "0", "4095"), "PID 4095: accepts 0 to 4094"),
    (("unbind", "0", "0", "0", "hot"), "WAY hot: accepts wait, managed and"),
    (("limit", "0", "16", "0"), "LD 16: accepts 0 to 15"),
    (("allocate", "0", "0", "256"), "FRACTION 256: accepts 0 to 255"),
    (("set-qos", "0", "1", "101", "0", "0", "0", "0"), "MODERATE 101: accepts"),
    (("extents", "0", "16"), "HOST 16: accepts 0 to 15"),
    (("add", "0", "0", "2M"), "SIZE 2M: accepts 0 to"),
    (("share", "0", "0", "12x4"), "TAG: accepts bytes of two hexadecimal"),
    (("share", "0", "0", "00" * 17), "accepts at most 16 bytes"),
    (("release", "0", "0", "00", "now"), "WAY now: accepts force"),
    (("drt", "0", "0", "4096"), "FIRST 4096: accepts 0 to 4095"),
)


def _compile(place):
    debian.install(["gcc", "libc6-dev", "pkg-config", "libglib2.0-dev",
                    "libjansson-dev"])
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "jansson", "glib-2.0"],
        check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    tool = os.path.join(place, "cxlfm")
    with ui.Step("compiling cxlfm"):
        ui.run(["gcc", "-std=gnu11", "-O1", "-Wall", "-Werror",
                *(os.path.join(SOURCES, name)
                  for name in sorted(os.listdir(SOURCES))
                  if name.endswith(".c")), *flags, "-o", tool])
    return tool


def _call(tool, *argv):
    done = subprocess.run([tool, *argv], text=True, timeout=120,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def _case(tool, path, case):
    argv, answers, asks, status, shows = case
    owner = Owner(path, answers)
    got, said = _call(tool, "--socket", path, *argv)
    asked = owner.end()
    os.unlink(path)
    what = f"cxlfm {' '.join(argv)}"
    wrong = []
    if asked != asks:
        wrong.append(f"{what}: asked {asked}, not {asks}")
    if got != status:
        wrong.append(f"{what}: status {got}, not {status}")
    if isinstance(shows, str):
        if (shows not in said) if status else said != shows:
            wrong.append(f"{what}: '{said}' is not '{shows}'")
    elif json.loads(said) != shows:
        wrong.append(f"{what}: {said} is not {shows}")
    return wrong


class Mailbox(threading.Thread):
    """A folder as sysfs has it, whose BAR gives `answers` and keeps what was
    asked: (code, payload), or None to give none."""

    AT = 0x88

    def __init__(self, folder, answers):
        super().__init__(daemon=True)
        os.makedirs(folder)
        self.folder = folder
        self.answers = answers
        self.asked = []
        self.ended = threading.Event()
        open(os.path.join(folder, "enable"), "w").close()
        path = os.path.join(folder, "resource0")
        with open(path, "wb") as out:
            out.truncate(4096)
        with open(path, "r+b") as bar:
            self.bar = mmap.mmap(bar.fileno(), 4096)
        struct.pack_into("<Q", self.bar, 0, 2 << 32)
        struct.pack_into("<II", self.bar, 0x10, 1, 0x80)
        struct.pack_into("<II", self.bar, 0x20, 2, self.AT)
        struct.pack_into("<I", self.bar, self.AT, 11)
        self.start()

    def _answer(self, answer):
        command, = struct.unpack_from("<Q", self.bar, self.AT + 8)
        length = command >> 16 & 0x1fffff
        at = self.AT + 0x20
        self.asked.append((command & 0xffff,
                           self.bar[at:at + length].hex()))
        if answer is None:
            self.ended.wait()
            return
        code, payload = answer
        payload = _hex(payload)
        self.bar[at:at + len(payload)] = payload
        struct.pack_into("<QQ", self.bar, self.AT + 8,
                         command & 0xffff | len(payload) << 16,
                         code << 32 | (code == 1))
        struct.pack_into("<I", self.bar, self.AT + 4, 0)

    def run(self):
        for answer in self.answers:
            while not self.bar[self.AT + 4] & 1:
                if self.ended.wait(0.001):
                    return
            self._answer(answer)

    def end(self):
        self.ended.set()
        self.join()
        return self.asked


# What is typed, the answers, what must have been asked, the exit status and
# what is shown.
MAILBOX_CASES = (
    (("identify", "0"),
     [(0, "e519 28a1 0000 0000 1122334455667788 0c 00"), (3, "")],
     [(0x0001, ""), (0x5100, "")], 1,
     "Identify Switch Device: Unsupported (03h)"),
    (("raw", "0", "0x5201", "00 01 02 00 ff ff"), [(1, "")],
     [(0x5201, "00010200ffff")], 0, "Background Command Started"),
    (("bind", "0", "0", "1", "2"),
     [(1, ""), (0, "01 00 0152 0000 0000"), (0, "c8 00 0152 0000 0000")],
     [(0x5201, "00010200ffff"), (0x0002, ""), (0x0002, "")], 0, ""),
    # To the device at port 3: a message in a message, both ways
    (("raw", "p3", "0x5400"),
     [(0, "0c00 0000 01 00 00 0054 000000 0300 0000")],
     [(0x5300, "03000c00" "000000" "0054" "000000" "00000000")], 0,
     "Unsupported"),
    (("raw", "p3", "0x5400", "0102"), [(2, "")],
     [(0x5300, "03000e00" "000000" "0054" "020000" "00000000" "0102")], 0,
     "Invalid Input"),
    (("raw", "p3", "0x5400"),
     [(0, "0c00 0000 01 00 00 0054 010000 0000 0000")],
     [(0x5300, "03000c00" "000000" "0054" "000000" "00000000")], 1,
     "the message has 0 bytes, and says 1"),
    (("raw", "p3", "0x5400"), [(0, "0c00 0000 01")],
     [(0x5300, "03000c00" "000000" "0054" "000000" "00000000")], 1,
     "the answer has 5 bytes, and needs more"),
    (("list",), [], [], 2, "the mailbox of a switch has no list"),
    (("identify", "1"), [], [], 2, "it accepts 0, this host's switch"),
    (("identify", "p256"), [], [], 2, "COMPONENT p 256: accepts 0 to 255"),
    (("--timeout", "1", "identify", "0"), [None], [(0x0001, "")], 3,
     "the mailbox did not answer"),
)


def _mailbox(tool, place):
    """From a host: a BAR that is a file."""
    wrong = []
    for number, case in enumerate(MAILBOX_CASES):
        argv, answers, asks, status, shows = case
        device = Mailbox(os.path.join(place, f"device{number}"), answers)
        got, said = _call(tool, "--mailbox", device.folder, *argv)
        asked = device.end()
        what = f"cxlfm --mailbox {' '.join(argv)}"
        if asked != asks:
            wrong.append(f"{what}: asked {asked}, not {asks}")
        if got != status or shows not in said:
            wrong.append(f"{what}: status {got}, '{said}'; not {status}, "
                         f"'{shows}'")
    status, said = _call(tool, "--mailbox", place, "identify", "0")
    if status != 1 or "No such file" not in said:
        wrong.append(f"no device: status {status}, {said}")
    with open(os.path.join(device.folder, "resource0"), "r+b") as bar:
        bar.write(bytes(0x100))
    status, said = _call(tool, "--mailbox", device.folder, "identify", "0")
    if status != 1 or "has no mailbox" not in said:
        wrong.append(f"no mailbox: status {status}, {said}")
    return wrong


def _documents(tool):
    """The manual, --help and the completion know the same words."""
    wrong = []
    status, said = _call(tool, "--help")
    words = set(re.findall(r"^  ([a-z-]+) ", said, re.MULTILINE))
    if status or len(words) != 32:
        wrong.append(f"--help: status {status}, {sorted(words)}")
    with open(os.path.join(qemu.TOP, "docs", "man", "cxlfm.1")) as text:
        page = text.read()
    listed = {name.replace("Fl Fl ", "--") for name in
              re.findall(r"^\.It (?:Cm )?(Fl Fl [a-z]+|[a-z-]+)", page,
                         re.MULTILINE)}
    if listed != words:
        wrong.append(f"cxlfm.1 and --help differ in {listed ^ words}")
    completion = os.path.join(SOURCES, "completion.bash")
    offered = subprocess.run(
        ["bash", "-c", f"source {completion}; "
         "COMP_WORDS=(cxlfm --socket s ''); COMP_CWORD=3; _cxlfm; "
         "printf '%s\\n' \"${COMPREPLY[@]}\""], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.split()
    if set(offered) != words:
        wrong.append(f"completion: {set(offered) ^ words}")
    return wrong


def check():
    """All of it; what is wrong."""
    wrong = []
    with tempfile.TemporaryDirectory(prefix="cxlfm-") as place:
        tool = _compile(place)
        path = os.path.join(place, "s")
        for case in CASES:
            wrong += _case(tool, path, case)
        for argv, says in BAD:
            status, said = _call(tool, *argv)
            if status != 2 or says not in said:
                wrong.append(f"cxlfm {' '.join(argv)}: status {status}, "
                             f"'{said}' does not say '{says}'")
        for argv, says in BAD_WITH_OWNER:
            wrong += _case(tool, path, (argv, [], [], 2, says))
        status, said = _call(tool, "--socket", path, "list")
        if status != 1 or "No such file" not in said:
            wrong.append(f"no owner: status {status}, {said}")
        wrong += _mailbox(tool, place)
        wrong += _documents(tool)
    return wrong


def _started(place, source):
    """An owner of a topology, and where it speaks QMP."""
    debian.install(["device-tree-compiler"])
    blob, path = os.path.join(place, "t.dtb"), os.path.join(place, "q")
    topology.compiled(os.path.join(topology.FOLDER, source), blob)
    with open(os.path.join(place, "log"), "w") as log:
        owner = subprocess.Popen(
            [build.emulator(), "-machine", "none", "-nodefaults", "-display",
             "none", "-object", "cxl-fabric,id=f,listen=on,socket="
             f"{place}/f,topology={blob}", "-qmp",
             f"unix:{path},server=on,wait=off"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    limit = time.monotonic() + 60
    while not os.path.exists(path):
        if owner.poll() is not None or time.monotonic() > limit:
            owner.kill()
            owner.wait()
            with open(os.path.join(place, "log")) as log:
                raise ui.UserError(f"no owner: {log.read().strip()}")
        time.sleep(0.05)
    return owner, path


def _columns(names):
    """A list of objects as a list of tuples of these members."""
    return lambda rows: [tuple(row[name] for name in names.split())
                         for row in rows]


# What is asked of a real owner, what of the answer is looked at, and it.
REAL = (
    ("list", _columns("component name kind pid primary"),
     [(0, "leaf@0", "switch", 5, None), (1, "gfam@0", "device", 4, None)]),
    ("identify 0", lambda one: (one["type"], one["ports"], one["vcss"],
                                one["vppbs"]), ("switch", 6, 4, 64)),
    ("ports 0", _columns("port state partner speed lds"),
     [(0, "dsp", "mld", "32 GT/s", 16), (1, "dsp", "nothing", "32 GT/s", 0),
      *((port, "usp", "nothing", "32 GT/s", 0) for port in range(2, 6))]),
    # Each host has two LDs at first, and is not there.
    ("vcs 0", _columns("vcs usp vppb bound-to port ld"),
     [(vcs, vcs + 2, vppb, *(("port", vcs + 2, None) if vppb == 0 else
                             ("ld", 0, 2 * vcs + vppb - 1) if vppb <= 2 else
                             ("unbound", None, None)))
      for vcs in range(4) for vppb in range(16)]),
    # LDs' PIDs follow those of hosts, device and leaf.
    ("targets 0", lambda rows: _columns("type port ld pid")(rows[:4]),
     [("dsp", 0, None, 4), ("dsp", 0, 0, 6), ("dsp", 0, 1, 7),
      ("dsp", 0, 2, 8)]),
    ("bind-pid 0 0 3 14", None, None),
    ("vcs 0", lambda rows: rows[3]["pid"], 14),
    ("unbind-pid 0 0 3", None, None),
    ("bind-pid 0 0 3 14", None, None),
    ("unbind 0 0 3 surprise", None, None),
    ("bind 0 0 3 0 8", None, None),
    ("raw 0 0x5200 03010100", lambda one: one["payload"],
     "0100000000010210" "03000800"),
    ("unbind 0 0 3", None, None),
    ("lds 1", _columns("ld memory"), [(ld, 256 << 20) for ld in range(16)]),
    ("qos 1", lambda one: one["severe-percentage"], 25),
    ("set-qos 1 1 20 40 2 0 0", None, None),
    ("qos 1", lambda one: (one["moderate-percentage"],
                           one["severe-percentage"], one["sample-interval"]),
     (20, 40, 2)),
    ("status 1", lambda one: one["backpressure"], 0),
    ("allocate 1 3 128", None, None),
    ("limit 1 3 200", None, None),
    ("lds 1", lambda rows: (rows[3]["bandwidth"], rows[3]["limit"]),
     (128, 200)),
    ("pbr 0", lambda one: (one["pid"], one["primary"], one["drts"]),
     (5, None, 1)),
    ("drt 0 0 2 4", _columns("entry type target"),
     [(2, "port", 4), (3, "port", 5), (4, "port", 0), (5, "invalid", 0)]),
    ("raw 1 0x5400", lambda one: one["payload"], "0000000001000000100001"),
)
REFUSED = (
    ("drt 0 1 0", "Get DRT: Invalid Input"),
    ("lds 0", "Get LD Allocations: Unsupported"),
    ("unbind 0 0 3", "Unbind vPPB: Invalid Input"),
    ("unbind-pid 0 0 1", "Configure PID Binding: Invalid Input"),
    ("bind-pid 0 0 3 4", "Configure PID Binding: Internal Error"),
    ("bind 0 0 1 0 8", "Bind vPPB: Invalid Input"),
    ("bind 0 0 3 0 0", "Bind vPPB: Invalid Input"),
    ("allocate 1 4 129", "Set QoS Allocated BW: Invalid Input"),
    ("set-qos 1 2 20 40 2 0 0", "Set QoS Control: Invalid Input"),
    ("status 0", "Get QoS Status: Unsupported"),
    ("identify 2", "'component' must be 0 to 1"),
    ("--id g identify 0", "no fabric g"),
)


# The same of an owner of dynamic capacity; its hosts are not there.
DYNAMIC = (
    ("regions 1", _columns("region dpa size block shareable"),
     [(0, "0x20000000", 512 << 20, 2 << 20, True)]),
    ("add 1 1 4194304 ab", None, None),
    ("extents 1 1", None, []),
    ("tags 1", None, []),
)
DYNAMIC_REFUSED = (
    ("add 1 2 2097152", "Initiate Dynamic Capacity Add: Invalid Input"),
    ("add 1 0 2097153", "Initiate Dynamic Capacity Add: Invalid Input"),
    ("share 1 0 ab", "Initiate Dynamic Capacity Add: Invalid Input"),
    ("release 1 0 ab", "Initiate Dynamic Capacity Release: Invalid Input"),
    ("regions 0", "Unsupported"),
)


def with_owner(source="pooled.dts", real=REAL, refused=REFUSED):
    """The tool and the emulator understand each other."""
    wrong = []
    with tempfile.TemporaryDirectory(prefix="cxlfm-") as place:
        tool = _compile(place)
        owner, path = _started(place, source)
        try:
            for command, look, want in real:
                status, said = _call(tool, "--socket", path, "--json",
                                     *command.split())
                if status or (look and look(json.loads(said)) != want):
                    wrong.append(f"{command}: status {status}, {said}")
            for command, says in refused:
                status, said = _call(tool, "--socket", path,
                                     *command.split())
                if status != 1 or says not in said:
                    wrong.append(f"{command}: status {status}, '{said}' does "
                                 f"not say '{says}'")
        finally:
            owner.terminate()
            owner.wait()
    return wrong


TESTS = (
    ("cxlfm", check),
    ("cxlfm and an owner", with_owner),
    ("cxlfm and dynamic capacity",
     lambda: with_owner("dynamic.dts", DYNAMIC, DYNAMIC_REFUSED)),
)
