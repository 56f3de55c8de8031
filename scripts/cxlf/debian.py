# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian packages: those of this system, and those of another suite.

Packages of another suite (QEMU's source, kernels, the guests' userland) are
reached through an apt state of our own under the cache directory, so the
system's own configuration is read and never changed.  The mirror is the one
that the system's apt already uses.
"""

import fcntl
import os
import re
import shutil
import subprocess

from . import ui

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def cache_dir(*parts):
    """A folder in the project's cache: $XDG_CACHE_HOME/cxlf/..."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = os.path.join(base, "cxlf", *parts)
    os.makedirs(path, exist_ok=True)
    return path


def locked(name, folder=None):
    """An open file that holds an exclusive lock until it is closed.

    `folder` is where the lock's file is; by default the cache.
    """
    handle = open(os.path.join(folder or cache_dir(), name + ".lock"), "w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        ui.note(f"waiting for another process that holds {handle.name}")
        fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def missing(packages):
    """Those of `packages` that are not installed on this system."""
    out = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Status}\n", *packages],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    have = {line.split()[0] for line in out.splitlines()
            if line.endswith("install ok installed")}
    return [name for name in packages if name not in have]


def install(packages):
    """Install packages of the system's own suite, if any are missing."""
    need = missing(packages)
    if not need:
        return
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    if prefix and shutil.which("sudo") is None:
        raise ui.UserError("these packages are missing and sudo is not here "
                           "to install them: " + " ".join(need))
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    with ui.Step("installing " + " ".join(need)) as step:
        ui.run([*prefix, "apt-get", "update"], step, env=env)
        ui.run([*prefix, "apt-get", "install", "-y",
                "--no-install-recommends", *need], step, env=env)


def mirror():
    """The archive that the system's apt configuration names for Debian."""
    out = subprocess.run(
        ["apt-get", "indextargets", "--format",
         "$(SITE) $(CODENAME) $(ORIGIN)", "Created-By: Packages"],
        stdout=subprocess.PIPE, text=True).stdout
    if not out.strip():
        ui.run(["apt-get", "update"])
        out = subprocess.run(
            ["apt-get", "indextargets", "--format",
             "$(SITE) $(CODENAME) $(ORIGIN)", "Created-By: Packages"],
            stdout=subprocess.PIPE, text=True).stdout
    for line in out.splitlines():
        fields = line.split()
        if len(fields) == 3 and fields[2] == "Debian" and \
                re.fullmatch(r"[a-z]+", fields[1]):
            return fields[0]
    raise ui.UserError("no Debian archive in the system's apt configuration; "
                       "give QEMU's source with --qemu-src")


class Suite:
    """An apt state of our own for one other suite, e.g. "trixie"."""

    def __init__(self, name):
        self.name = name
        self.base = cache_dir("apt", name)
        self.options = []

    def _prepare(self):
        for folder in ("lists/partial", "archives/partial", "sources.d"):
            os.makedirs(os.path.join(self.base, folder), exist_ok=True)
        with open(os.path.join(self.base, "sources.d", "cxlf.sources"),
                  "w") as out:
            out.write(f"Types: deb deb-src\nURIs: {mirror()}\n"
                      f"Suites: {self.name}\nComponents: main\n"
                      f"Signed-By: {KEYRING}\n")
        status = os.path.join(self.base, "status")
        open(status, "a").close()
        for option in (
                "Dir::Etc::sourcelist=/dev/null",
                f"Dir::Etc::sourceparts={self.base}/sources.d",
                f"Dir::State::lists={self.base}/lists",
                f"Dir::State::status={status}",
                f"Dir::Cache::archives={self.base}/archives",
                f"Dir::Cache::pkgcache=", f"Dir::Cache::srcpkgcache=",
                "Dir::Etc::preferencesparts=/dev/null",
                "APT::Sandbox::User=root", "Acquire::Languages=none",
                "Acquire::Retries=3", "APT::Architecture=amd64"):
            self.options += ["-o", option]

    def update(self):
        """Read the suite's index, once in the life of this object."""
        if self.options:
            return
        self._prepare()
        with ui.Step(f"reading the package index of {self.name}") as step:
            ui.run(["apt-get", *self.options, "update"], step)

    def query(self, *argv):
        """Output of an apt-cache command on this suite."""
        self.update()
        return subprocess.run(["apt-cache", *self.options, *argv],
                              stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True).stdout

    def source_versions(self, package):
        """Versions of a source package, newest first."""
        out = self.query("showsrc", "--only-source", package)
        found = re.findall(r"^Version: (\S+)$", out, re.M)
        order = []
        for version in found:
            at = 0
            while at < len(order) and subprocess.run(
                    ["dpkg", "--compare-versions", order[at], "gt",
                     version]).returncode == 0:
                at += 1
            order.insert(at, version)
        return order

    def fetch_source(self, package, version, into):
        """Download and verify a source package; returns its .dsc."""
        self.update()
        os.makedirs(into, exist_ok=True)
        with ui.Step(f"fetching the source of {package} {version}") as step:
            ui.run(["apt-get", *self.options, "source", "--download-only",
                    "--only-source", f"{package}={version}"], step, cwd=into)
        bare = version.split(":", 1)[-1]
        return os.path.join(into, f"{package}_{bare}.dsc")

    def closure(self, packages, exclude=()):
        """The packages and all they depend on, as names."""
        out = self.query("depends", "--recurse", "--no-recommends",
                         "--no-suggests", "--no-conflicts", "--no-breaks",
                         "--no-replaces", "--no-enhances", *packages)
        names = {line for line in out.splitlines()
                 if re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", line)}
        return sorted(names - set(exclude))

    def fetch(self, packages):
        """Download binary packages; returns {name: path of the .deb}."""
        self.update()
        uris = subprocess.run(
            ["apt-get", *self.options, "--print-uris", "download",
             *packages], stdout=subprocess.PIPE, text=True)
        if uris.returncode:
            raise ui.UserError(f"{self.name} has not all of: "
                               + " ".join(packages))
        found = {}
        for line in uris.stdout.splitlines():
            match = re.match(r"'\S+' (\S+) \d+ \S+", line)
            if match:
                name = match.group(1)
                found[name.split("_", 1)[0]] = os.path.join(
                    self.base, "archives", name)
        absent = [name for name, path in found.items()
                  if not os.path.exists(path)]
        if absent:
            with ui.Step(f"fetching {len(absent)} packages of "
                         f"{self.name}") as step:
                ui.run(["apt-get", *self.options, "download", *absent], step,
                       cwd=os.path.join(self.base, "archives"))
        return found


def unpack(deb, into):
    """Unpack a .deb without installing it."""
    os.makedirs(into, exist_ok=True)
    subprocess.run(["dpkg-deb", "-x", deb, into], check=True)
