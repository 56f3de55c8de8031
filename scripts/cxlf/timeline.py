# SPDX-License-Identifier: GPL-2.0-or-later
"""Trace events of several emulators as one timeline.

What QEMU's trace backend "log" writes with `-msg timestamp=on` is a line for
each event: `THREAD@SECONDS.MICROSECONDS:NAME TEXT`.  Lines are read, put in
the order of time, and written for people and for viewers of Chrome traces.
docs/telemetry.md says what the events mean.
"""

import collections
import json
import re

LINE = re.compile(rb"(\d{1,10})@(\d{1,12})\.(\d{6}):([a-z]\w{0,63})(?: (.*))?")
FIELD = re.compile(r"\b([a-z][\w-]*) (0x[0-9a-f]{1,16}|-?\d{1,20})(?![\w.])")
LONGEST = 4096                  # bytes of a line that is an event

# Numbers in events, as the enumerations of the C sources have them;
# tracetest.py compares the two.
WANTS = ("shared", "owned", "lines", "mapped", "direct", "restored",
         "checked")
MESSAGES = ("none", "BISnpInv", "BISnpData", "Cmp")
RUNS = ("none", "map", "unprotect", "protect", "zap")
HELD = ("not", "shared", "owned")
VIEWS = ("trapped", "direct")
RESULTS = ("ok", "again", "refused", "corrupt", "poisoned", "withheld",
           "by page")
HOST_STATES = ("free", "joining", "up", "fencing", "recovering")
RESERVES = ("make", "drop", "drop all")
COMMANDS = {1: "flush", 2: "invalidate", 3: "flush and invalidate",
            16: "acquire shared", 17: "acquire owned", 18: "release",
            19: "promote", 20: "demote", 21: "prefetch", 22: "reserve",
            23: "unreserve", 32: "set mode", 40: "holdings",
            41: "read counters", 48: "fence", 64: "copy out", 65: "copy in",
            66: "copy across", 80: "message", 81: "ask"}

# Events that only the agent's thread makes; others tell a thread nothing.
AGENT = {"eca_fault", "eca_request", "eca_request_end", "eca_post",
         "eca_message", "eca_run", "eca_private", "eca_sample",
         "eca_revoke", "eca_hold", "eca_promote", "eca_promote_refused",
         "eca_demote", "eca_evict", "eca_range", "eca_range_end"}


class Event:
    """One event: microseconds, whose, by which thread, what."""

    __slots__ = ("time", "source", "thread", "name", "fields", "text")

    def __init__(self, time, source, thread, name, text):
        self.time = time
        self.source = source
        self.thread = thread
        self.name = name
        self.text = text
        self.fields = {key: int(value, 16 if value.startswith("0x") else 10)
                       for key, value in FIELD.findall(text)}

    def get(self, key):
        return self.fields.get(key, 0)

    def rest(self):
        """The text without what is shown elsewhere."""
        left = re.sub(r"\b(?:host -?\d+|gfam \d+|dpa 0x[0-9a-f]+)\b", "",
                      self.text)
        return re.sub(r"\s+", " ", left).strip(" :,")

    def address(self):
        if "dpa" not in self.fields:
            return ""
        return f"gfam{self.get('gfam')}:{self.get('dpa'):#x}"


def parse(line, source):
    """The event of a line (bytes, without its end), or None."""
    if len(line) > LONGEST:
        return None
    match = LINE.fullmatch(line)
    if not match:
        return None
    thread, seconds, micros, name, text = match.groups()
    return Event(int(seconds) * 1000000 + int(micros), source, int(thread),
                 name.decode(), (text or b"").decode(errors="replace"))


def stamp(line):
    """The time of a line in microseconds, or None: parse() without rest."""
    at, dot = line.find(b"@"), line.find(b".")
    digits = line[at + 1:dot] + line[dot + 1:dot + 7]
    if not 0 < at <= 10 or not at < dot <= at + 13 or \
            len(digits) != dot - at + 5 or not digits.isdigit():
        return None
    return int(digits)


class Merged:
    """The events of several logs in the order of time.

    `logs` are pairs of a source's name and a binary file.  Lines that are no
    events are counted in `garbage`.
    """

    def __init__(self, logs):
        self.garbage = 0
        self.lines = []
        for source, log in logs:
            for line in log:
                line = line.rstrip(b"\r\n")
                when = stamp(line)
                if when is None:
                    self.garbage += bool(line)
                else:
                    self.lines.append((when, len(self.lines), source, line))
        # Threads may write in another order than they looked at the clock.
        self.lines.sort()

    def __iter__(self):
        for _, _, source, line in self.lines:
            event = parse(line, source)
            if event is None:
                self.garbage += 1
            else:
                yield event


# What an event says, for people

def pick(names, number):
    """The name of a number, or the number."""
    try:
        return names[number] if number >= 0 else str(number)
    except (IndexError, KeyError):
        return str(number)


def hosts_of(holders):
    """A copyset for people; include/cxlf/copyset.h."""
    if holders >> 62 == 1:
        found = [(holders >> shift & 0xfff) - 1 for shift in range(0, 60, 12)
                 if holders >> shift & 0xfff]
    elif holders >> 62 == 0:
        found = [bit for bit in range(62) if holders >> bit & 1]
    else:
        return f"groups {holders & (1 << 62) - 1:#x}"
    return " ".join(f"host{host}" for host in found) or "nobody"


def _line(e):
    said = re.search(r"(\w+): (\w+) to (\w+)", e.text)
    what = f"{said[1]}: {said[2]} to {said[3]}" if said else e.rest()
    snooped = e.get("snooped")
    return (f"{what}, held by {hosts_of(e.get('holders'))}"
            + (f", snooped {hosts_of(snooped)}" if snooped else ""))


def pages(count):
    return "1 page" if count == 1 else f"{count} pages"


CAUSES = {
    "eca_fault": lambda e: ("write" if e.get("write") else "read")
    + f", held: {pick(HELD, e.get('held'))}",
    "eca_request": lambda e: f"wants {pick(WANTS, e.get('kind'))}, "
    + pages(e.get("pages")),
    "eca_request_end": lambda e: f"wanted {pick(WANTS, e.get('kind'))}, "
    f"{e.get('held')} of {pages(e.get('pages'))} held",
    "eca_post": lambda e: f"{pick(MESSAGES, e.get('kind'))} to "
    f"host{e.get('to')}, {pages(1 << min(e.get('order'), 31))}",
    "eca_message": lambda e: f"{pick(MESSAGES, e.get('kind'))}, "
    + pages(1 << min(e.get("order"), 31)),
    "eca_run": lambda e: pick(RUNS, e.get("what"))
    + (" writable" if e.get("writable") else "")
    + f", {pages(e.get('size') // 4096)}",
    "eca_revoke": lambda e: f"still held: {pick(HELD, e.get('held'))}"
    + (", contested" if e.get("contested") else ""),
    "eca_hold": lambda e: f"answers in {e.get('us')} us: it was just granted",
    "eca_demote": lambda e: f"wants {pick(WANTS, e.get('kind'))}",
    "eca_view": lambda e: pick(VIEWS, e.get("view")),
    "eca_line": _line,
    "eca_access": lambda e: e.rest().replace(
        f"result {e.get('result')}", pick(RESULTS, e.get("result"))),
    "eca_range": lambda e: f"{pick(COMMANDS, e.get('command'))}, "
    f"{e.get('length')} bytes",
    "eca_range_end": lambda e: f"{pick(COMMANDS, e.get('command'))}, "
    f"{pages(e.get('done'))} done, status {e.get('status')}",
    "eca_queue_command": lambda e: f"{pick(COMMANDS, e.get('command'))}, "
    f"queue {e.get('queue')} tag {e.get('tag'):#x}, {e.get('length')} bytes",
    "eca_queue_end": lambda e: f"{pick(COMMANDS, e.get('command'))}, "
    f"queue {e.get('queue')} tag {e.get('tag'):#x}, done {e.get('done')}, "
    f"status {e.get('status')}",
    "cxl_fabric_host": lambda e: f"host{e.get('host')} is "
    + pick(HOST_STATES, e.get("state")),
    "cxl_fabric_host_dead": lambda e: f"host{e.get('host')} died; "
    + e.text.partition("; ")[2],
    "cxl_fabric_fence": lambda e: f"host{e.get('host')} hung up and lives; "
    "it is killed",
    "cxl_fabric_reserve": lambda e: f"{pick(RESERVES, e.get('what'))} for "
    f"host{e.get('host')}, {e.get('length')} bytes",
}


def cause(event):
    """Why it happened, and what came of it."""
    return CAUSES.get(event.name, Event.rest)(event)


class Tracks:
    """Names of threads: what QEMU says of vCPUs, and what events tell."""

    def __init__(self, vcpus):
        self.names = dict(vcpus)        # {(source, thread): name}

    def name(self, event):
        key = (event.source, event.thread)
        if key not in self.names and event.name in AGENT:
            self.names[key] = "agent"
        return self.names.get(key, "main loop" if event.source != "owner"
                              else "owner")


def text_line(event, start, tracks):
    """One line of the timeline."""
    return (f"{(event.time - start) / 1e6:12.6f}  {event.source:<7} "
            f"{tracks.name(event):<9}  {event.name:<20} "
            f"{event.address():<21} {cause(event)}").rstrip()


# Durations: what begins with one event and ends with another

class Spans:
    """Finds durations; feed() returns what an event begins and ends."""

    def __init__(self):
        self.open = {}
        self.number = 0

    def _begin(self, key, name):
        if key in self.open:
            return []
        self.number += 1
        self.open[key] = (self.number, name)
        return [("b", key, *self.open[key])]

    def _end(self, key):
        if key not in self.open:
            return []
        return [("e", key, *self.open.pop(key))]

    def _granted(self, e):
        end = e.get("dpa") + e.get("size")
        keys = [key for key in self.open
                if key[:3] == ("request", e.source, e.get("gfam"))
                and e.get("dpa") <= key[3] < end]
        return [found for key in keys for found in self._end(key)]

    def feed(self, e):
        """[(b or e, key, number, name)]; key[1] is whose it is."""
        unit = (e.source, e.get("gfam"), e.get("dpa"))
        host = f"host{e.get('host')}"
        if e.name == "eca_request":
            return self._begin(("request", *unit), "request "
                               + pick(WANTS, e.get("kind")))
        if e.name == "eca_request_end":
            return self._end(("request", *unit))
        if e.name == "eca_run" and RUNS.index("map") <= e.get("what") <= \
                RUNS.index("unprotect"):
            return self._granted(e)
        if e.name == "eca_range":
            return self._begin(("range", *unit, e.get("command")),
                               pick(COMMANDS, e.get("command")))
        if e.name == "eca_range_end":
            return self._end(("range", *unit, e.get("command")))
        key = ("queue", e.source, e.get("queue"), e.get("tag"))
        if e.name == "eca_queue_command":
            return self._begin(key, pick(COMMANDS, e.get("command")))
        if e.name == "eca_queue_end":
            return self._end(key)
        if e.name in ("eca_park", "eca_parked"):
            key = ("park", e.source, e.get("cpu"))
            return self._begin(key, f"park vCPU {e.get('cpu')}") \
                if e.name == "eca_park" else self._end(key)
        if e.name == "cxl_fabric_host":
            state = pick(HOST_STATES, e.get("state"))
            if state == "joining":
                return self._begin(("join", host), "join")
            if state in ("fencing", "recovering"):
                return self._end(("join", host)) + self._begin(
                    ("recovery", host), "recovery")
            return self._end(("join", host)) + \
                (self._end(("recovery", host)) if state == "free" else [])
        if e.name == "cxl_fabric_bulk_mode":
            key = ("mode", e.source)
            return self._end(key) if e.get("wanted") == e.get("mode") else \
                self._begin(key, "change of the BULK mode")
        return []


class Flows:
    """Matches a message that was posted with the same one received."""

    WAITING = 64                # of a kind that were posted and not taken

    def __init__(self):
        self.posted = {}
        self.number = 0

    @staticmethod
    def _key(e, host):
        return (host, *(e.get(field)
                        for field in ("kind", "gfam", "dpa", "order")))

    def feed(self, e):
        """("s" or "f", number), or None."""
        if e.name == "eca_post":
            self.number += 1
            waiting = self.posted.setdefault(
                self._key(e, e.get("to")),
                collections.deque(maxlen=self.WAITING))
            waiting.append(self.number)
            return "s", self.number
        if e.name == "eca_message":
            key = self._key(e, e.get("host"))
            waiting = self.posted.get(key)
            if waiting:
                # A mailbox holds a message once, however often it is posted.
                number = waiting.popleft()
                del self.posted[key]
                return "f", number
        return None


class ChromeWriter:
    """Chrome's trace format, which ui.perfetto.dev opens as well.

    A process for each emulator and a thread for each of its threads; what
    begins and ends is asynchronous, since requests overlap; a message is a
    short slice, since arrows need one.
    """

    SLICE_US = 1

    def __init__(self, out, start, tracks, about):
        self.out = out
        self.start = start
        self.tracks = tracks
        self.spans = Spans()
        self.flows = Flows()
        self.known = {}                 # {source: pid}
        self.threads = set()
        self.count = 0
        self.last = 0
        out.write('{"displayTimeUnit": "ms", "otherData": '
                  + json.dumps(about) + ', "traceEvents": [\n')

    def _put(self, **event):
        self.out.write((",\n" if self.count else "")
                       + json.dumps(event, separators=(",", ":")))
        self.count += 1

    def _process(self, source):
        if source not in self.known:
            number = 1 if source == "owner" else 2 + int(source[4:])
            self.known[source] = number
            self._put(ph="M", name="process_name", pid=number, tid=0, ts=0,
                      args={"name": source})
            self._put(ph="M", name="process_sort_index", pid=number, tid=0,
                      ts=0, args={"sort_index": number})
        return self.known[source]

    def _span(self, what, key, number, name, at):
        self._put(ph=what, cat=key[0], id=number, name=name, ts=at, tid=0,
                  pid=self._process(key[1]))

    def add(self, event):
        at = event.time - self.start
        self.last = max(self.last, at)
        here = {"pid": self._process(event.source), "tid": event.thread,
                "ts": at}
        self.threads.add((event.source, event.thread))
        self.tracks.name(event)
        args = {"cause": cause(event), **event.fields}
        if event.address():
            args["address"] = event.address()
        flow = self.flows.feed(event)
        if event.name in ("eca_post", "eca_message"):
            name = pick(MESSAGES, event.get("kind"))
            self._put(ph="X", name=name, cat=event.name, dur=self.SLICE_US,
                      args=args, **here)
        else:
            self._put(ph="i", name=event.name, cat="event", s="t", args=args,
                      **here)
        if flow:
            more = {"bp": "e"} if flow[0] == "f" else {}
            self._put(ph=flow[0], name="message", cat="message", id=flow[1],
                      **here, **more)
        for span in self.spans.feed(event):
            self._span(*span, at)

    def end(self):
        # What was under way ends with the timeline.
        for key, (number, name) in list(self.spans.open.items()):
            self._span("e", key, number, name, self.last)
        for source, thread in sorted(self.threads):
            name = self.tracks.names.get((source, thread))
            name = name or ("owner" if source == "owner" else "main loop")
            self._put(ph="M", name="thread_name", pid=self.known[source],
                      tid=thread, ts=0, args={"name": name})
        self.out.write("\n]}\n")


def write(logs, vcpus, text_out, json_out, about):
    """Write both forms; returns (events, microseconds, garbage lines).

    Either output may be None.  `vcpus` is {(source, thread): name}.
    """
    merged = Merged(logs)
    tracks = Tracks(vcpus)
    chrome, start, last, count = None, None, 0, 0
    for event in merged:
        if start is None:
            start = event.time
        if chrome is None and json_out:
            chrome = ChromeWriter(json_out, start, tracks,
                                  {**about, "start": start / 1e6})
        last = event.time
        count += 1
        if text_out:
            text_out.write(text_line(event, start, tracks) + "\n")
        if chrome:
            chrome.add(event)
    if json_out and not chrome:
        chrome = ChromeWriter(json_out, 0, tracks, about)
    if chrome:
        chrome.end()
    return count, last - (start or 0), merged.garbage
