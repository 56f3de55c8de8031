# SPDX-License-Identifier: GPL-2.0-or-later
"""Progress and errors for people: one place decides how they look."""

import os
import shutil
import subprocess
import sys
import tempfile
import time


class UserError(Exception):
    """An error that the user can act on; the text says what to change."""


def _tty():
    return sys.stderr.isatty()


def note(text):
    """One line of progress."""
    print(f"cxlf: {text}", file=sys.stderr, flush=True)


def table(rows):
    """Text columns, the first to the left and the rest to the right."""
    widths = [max(len(str(row[i])) for row in rows)
              for i in range(len(rows[0]))]
    return "\n".join("  ".join(
        str(cell).ljust(width) if i == 0 else str(cell).rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths))).rstrip()
        for row in rows)


class Verdicts:
    """Prints what checks report, a line each, and keeps what failed.

    An object is called as the checks' report(name, ok, why, details).
    """

    def __init__(self):
        self.failed = []

    def __call__(self, name, ok, why, details):
        if not ok:
            self.failed.append(name)
        print(f"{'ok' if ok else 'FAILED'}  {name}: {details if ok else why}",
              flush=True)


class Step:
    """A step that may take more than two seconds.

    Shows its name at the start and its duration at the end; `tick()` shows
    how far it has come, on a terminal in place and elsewhere every 10 s.
    """

    def __init__(self, name):
        self.name = name
        self.start = self.last = time.monotonic()

    def __enter__(self):
        note(f"{self.name} ...")
        return self

    def tick(self, text):
        now = time.monotonic()
        if _tty():
            width = shutil.get_terminal_size().columns - 1
            line = f"cxlf:   {text}"[:width]
            sys.stderr.write("\r\x1b[K" + line)
            sys.stderr.flush()
        elif now - self.last >= 10:
            self.last = now
            note(f"  {text}")

    def __exit__(self, kind, value, trace):
        if _tty():
            sys.stderr.write("\r\x1b[K")
        if kind is None:
            took = time.monotonic() - self.start
            if took >= 2:
                note(f"{self.name}: done in {took:.0f} s")
        return False


def run(argv, step=None, log=None, **kwargs):
    """Run a command; its output goes to `log` (a path) or a temporary file.

    Each output line is shown through step.tick().  On failure the end of
    the log is shown and UserError names the command and the log.
    """
    if log is None:
        handle, log = tempfile.mkstemp(prefix="cxlf-", suffix=".log")
        os.close(handle)
        keep = False
    else:
        os.makedirs(os.path.dirname(log), exist_ok=True)
        keep = True
    with open(log, "wb") as out:
        proc = subprocess.Popen(argv, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT,
                                stdin=subprocess.DEVNULL, **kwargs)
        try:
            for line in proc.stdout:
                out.write(line)
                if step is not None:
                    text = line.decode(errors="replace").strip()
                    if text:
                        step.tick(text)
            status = proc.wait()
        except BaseException:
            proc.terminate()
            proc.wait()
            raise
    if status:
        with open(log, errors="replace") as text:
            tail = text.readlines()[-40:]
        sys.stderr.write("\n" + "".join(tail))
        raise UserError(f"'{' '.join(map(str, argv))}' failed with status "
                        f"{status}; the whole output is in {log}")
    if not keep:
        os.unlink(log)


def main(function):
    """Run a command's main function and turn errors into one clear line."""
    try:
        sys.exit(function())
    except UserError as error:
        print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(130)
