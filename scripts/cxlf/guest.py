# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest image: kernel, Debian userland, our programs, built in layers.

Each layer is a cpio archive that is cached by a hash of what goes in, so an
edited test program costs a second and an overlay nothing at all.
"""

import glob
import hashlib
import json
import os
import re
import shutil
import subprocess

from . import cpio, debian, kernel, ui
from .qemu import TOP

SUITE = "trixie"
PACKAGES = ("busybox-static", "cxl", "daxctl", "qemu-guest-agent",
            "libcxl-dev", "libdaxctl-dev", "uuid-dev")
# Packages by name that an image has when it is asked for them: commands
# from these folders, and the libraries that they need.
COMMAND_DIRS = ("usr/bin", "usr/sbin", "bin", "sbin")
NOT_NEEDED = ("openssl-provider-legacy", "gcc-14-base", "libc6-dev",
              "linux-libc-dev", "libc-dev-bin", "libcrypt-dev",
              "rpcsvc-proto", "init-system-helpers")
# Commands of the packages that are copied with the libraries they need.
COMMANDS = ("usr/bin/cxl", "usr/bin/daxctl", "usr/sbin/qemu-ga")
LIBRARY_DIRS = ("usr/lib/x86_64-linux-gnu", "usr/lib", "lib64", "usr/lib64",
                "lib/x86_64-linux-gnu")
LOADER = "lib64/ld-linux-x86-64.so.2"
PROGRAMS = os.path.join(TOP, "tests", "guest")
INIT = os.path.join(TOP, "scripts", "guest", "init")
CFLAGS = ("-std=gnu11", "-O2", "-g1", "-Wall", "-Wextra", "-Werror",
          "-mcx16", "-pthread")
# Programs that use libcxl are linked against the guests' own libraries.
WITH_LIBCXL = ("check-regions", "eca", "eca-counter", "eca-echo",
               "eca-greeting")
# libeca, what is built with it, and its tests, which have steps to die at.
LIBECA = os.path.join(TOP, "hw", "dpu-eca", "libeca")
CXLFM = os.path.join(TOP, "tools", "cxlfm")
LIBECA_TESTS = os.path.join(TOP, "tests", "libeca")
ECHO = os.path.join(TOP, "tests", "bench", "bench-echo.c")
INCLUDE = ("-I", os.path.join(TOP, "include"))
LIBECA_FLAGS = ("-D_GNU_SOURCE",)
KEEP_IMAGES = 8


def _sysroot(refresh):
    """Debian's packages for the guests, unpacked in the cache."""
    place = os.path.join(debian.cache_dir("guest"), "sysroot")
    marker = os.path.join(place, ".packages")
    if os.path.exists(marker) and not refresh:
        with open(marker) as text:
            if json.load(text)["asked"] == list(PACKAGES):
                return place
    suite = debian.Suite(SUITE)
    debs = suite.fetch(suite.closure(PACKAGES, exclude=NOT_NEEDED))
    part = place + ".part"
    shutil.rmtree(part, ignore_errors=True)
    with ui.Step("unpacking the guests' userland") as step:
        os.makedirs(os.path.join(part, "usr"))
        # Debian's merged /usr, which the packages rely on.
        for name in ("bin", "sbin", "lib", "lib64"):
            os.makedirs(os.path.join(part, "usr", name))
            os.symlink("usr/" + name, os.path.join(part, name))
        for name, deb in sorted(debs.items()):
            step.tick(name)
            debian.unpack(deb, part)
    with open(os.path.join(part, ".packages"), "w") as out:
        json.dump({"asked": list(PACKAGES),
                   "have": sorted(os.path.basename(d)
                                  for d in debs.values())}, out)
    shutil.rmtree(place, ignore_errors=True)
    os.rename(part, place)
    return place


def _needed(path):
    """The libraries that an ELF file names as NEEDED."""
    out = subprocess.run(["readelf", "-d", path], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.+)\]", out)


def _library(sysroot, name):
    for folder in LIBRARY_DIRS:
        # Some packages keep theirs in a folder of their own there.
        for path in (os.path.join(sysroot, folder, name), *glob.glob(
                os.path.join(sysroot, folder, "*", name))):
            if os.path.exists(path):
                return os.path.realpath(path)
    raise ui.UserError(f"the guests' packages have no {name}; run again "
                       "with --refresh")


def _libraries(sysroot, paths, have=()):
    """{name: path} of all libraries that the files need, transitively.

    Without those of the names that the image has anyway.
    """
    found = {}
    todo = list(paths)
    while todo:
        for name in _needed(todo.pop()):
            if name not in found and name not in have:
                found[name] = _library(sysroot, name)
                todo.append(found[name])
    return found


def _package(name, refresh):
    """A package and the libraries it may need, unpacked in the cache."""
    place = os.path.join(debian.cache_dir("guest"), "package-" + name)
    if os.path.exists(place) and not refresh:
        return place
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", name):
        raise ui.UserError(f"--with {name}: not the name of a package")
    suite = debian.Suite(SUITE)
    if f"{name}\n" not in suite.query("pkgnames", name):
        raise ui.UserError(f"--with {name}: no such package in {SUITE}")
    debs = suite.fetch([dep for dep in suite.closure([name])
                        if dep == name or dep.startswith("lib")
                        and not dep.startswith("libpython")])
    part = place + ".part"
    shutil.rmtree(part, ignore_errors=True)
    with ui.Step(f"unpacking {name}") as step:
        for dep, deb in sorted(debs.items()):
            step.tick(dep)
            debian.unpack(deb, os.path.join(
                part, "asked" if dep == name else "libraries"))
    shutil.rmtree(place, ignore_errors=True)
    os.rename(part, place)
    return place


def _digest(*items):
    """A short hash of names and of the contents of files."""
    digest = hashlib.sha256()
    for item in items:
        if os.path.isfile(item):
            with open(item, "rb") as data:
                digest.update(hashlib.file_digest(data, "sha256").digest())
        digest.update(os.path.basename(item).encode() + b"\0")
    return digest.hexdigest()[:16]


def _cached(kind, digest, build):
    """The path of a layer; built if it is not there yet."""
    path = os.path.join(debian.cache_dir("guest"), f"{kind}-{digest}.cpio")
    if not os.path.exists(path):
        with open(path + ".part", "wb") as out:
            out.write(build())
        os.rename(path + ".part", path)
        same = sorted(glob.glob(os.path.join(debian.cache_dir("guest"),
                                             kind + "-*.cpio")),
                      key=os.path.getmtime, reverse=True)
        for old in same[KEEP_IMAGES:]:
            os.unlink(old)
    else:
        os.utime(path)
    return path


def _place(name):
    """Where the guests have a library, below usr/."""
    return LOADER if name == os.path.basename(LOADER) \
        else "lib/x86_64-linux-gnu/" + name


def _with_package(name, sysroot, refresh):
    """The layer with a package's commands and what they need besides."""
    place = _package(name, refresh)
    asked = os.path.join(place, "asked")
    have = _libraries(sysroot, [os.path.join(sysroot, path)
                                for path in COMMANDS])
    commands = {}
    for folder in COMMAND_DIRS:
        for path in glob.glob(os.path.join(asked, folder, "*")):
            if os.path.isfile(path):
                commands[os.path.relpath(path, asked)] = path
    libraries = _libraries(os.path.join(place, "libraries"),
                           commands.values(), have)

    def build():
        archive = cpio.Archive()
        for where, path in sorted(commands.items()):
            with open(path, "rb") as data:
                archive.file(where, data.read(), 0o755)
        for library, path in sorted(libraries.items()):
            with open(path, "rb") as data:
                archive.file("usr/" + _place(library), data.read(), 0o755)
        return archive.bytes()

    return _cached("with-" + name, _digest(
        __file__, cpio.__file__, *commands.values(), *libraries.values()),
        build)


def _userland(sysroot):
    """The layer with busybox, the CXL tools and their libraries."""
    paths = [os.path.join(sysroot, name) for name in COMMANDS]
    libraries = _libraries(sysroot, paths)
    box = os.path.join(sysroot, "usr/bin/busybox")

    def build():
        archive = cpio.Archive()
        for name in ("bin", "sbin", "lib", "lib64"):
            archive.folder("usr/" + name)
            archive.link(name, "usr/" + name)
        for name in ("dev", "proc", "sys", "run", "tmp", "root", "etc",
                     "var", "mnt"):
            archive.folder(name)
        archive.character_device("dev/console", 5, 1)
        archive.character_device("dev/null", 1, 3, 0o666)
        archive.file("etc/passwd", b"root::0:0:root:/root:/bin/sh\n")
        archive.file("etc/group", b"root:x:0:\n")
        for path, name in zip(paths, COMMANDS):
            with open(path, "rb") as data:
                archive.file(name, data.read(), 0o755)
        with open(box, "rb") as data:
            archive.file("usr/bin/busybox", data.read(), 0o755)
        applets = subprocess.run([box, "--list-full"], check=True, text=True,
                                 stdout=subprocess.PIPE).stdout.split()
        for applet in applets:
            place = "usr/bin/" + os.path.basename(applet)
            archive.link(place, "/usr/bin/busybox")
        for name, path in sorted(libraries.items()):
            with open(path, "rb") as data:
                archive.file("usr/" + _place(name), data.read(), 0o755)
        return archive.bytes()

    return _cached("userland", _digest(box, __file__, cpio.__file__, *paths,
                                       *libraries.values()), build)


def sources():
    """{program: (source files, headers, flags)} of all guest programs."""
    headers = glob.glob(os.path.join(PROGRAMS, "*.h"))
    found = {os.path.basename(path)[:-2]: ([path], headers, ())
             for path in glob.glob(os.path.join(PROGRAMS, "*.c"))}
    tool = glob.glob(os.path.join(LIBECA, "tool*.c"))
    library = [path for path in glob.glob(os.path.join(LIBECA, "*.c"))
               if path not in tool]
    headers = [*glob.glob(os.path.join(LIBECA, "*.h")),
               *glob.glob(os.path.join(LIBECA_TESTS, "*.h")),
               os.path.join(LIBECA, os.pardir, "eca-regs.h"),
               os.path.join(TOP, "include", "eca", "eca.h")]
    with_cxl = (*LIBECA_FLAGS, "-DECA_HAVE_LIBCXL")
    found["eca"] = (library + tool, headers, with_cxl)
    for path in glob.glob(os.path.join(LIBECA, "examples", "*.c")):
        name = "eca-" + os.path.basename(path)[:-2]
        found[name] = (library + [path], headers, with_cxl)
    found["bench-echo"] = ([*library, ECHO], [*headers, *glob.glob(
        os.path.join(PROGRAMS, "*.h"))], LIBECA_FLAGS)
    found["cxlfm"] = (glob.glob(os.path.join(CXLFM, "*.c")),
                      glob.glob(os.path.join(CXLFM, "*.h")),
                      ("-Wno-unused-parameter", "-s"))
    tests = glob.glob(os.path.join(LIBECA_TESTS, "*.c"))
    found["eca-test"] = (library + tests, headers,
                         (*LIBECA_FLAGS, "-DECA_STEPS"))
    return found


def _compile(name, made_of, sysroot, into):
    """Compile one guest program if it changed; returns its path."""
    sources, headers, flags = made_of
    argv = ["gcc", *CFLAGS, *flags, *INCLUDE]
    tail = ["-static"]
    if name in WITH_LIBCXL:
        libs = os.path.join(sysroot, "usr/lib/x86_64-linux-gnu")
        # Only these headers: the rest of the C library is the host's, which
        # is older than the guests' and so runs there.
        argv += ["-idirafter", os.path.join(sysroot, "usr/include")]
        tail = [os.path.join(libs, "libcxl.so.1"),
                os.path.join(libs, "libdaxctl.so.1"),
                "-Wl,--allow-shlib-undefined",
                "-Wl,--unresolved-symbols=ignore-in-shared-libs"]
    if name == "cxlfm":
        debian.install(["pkg-config", "libglib2.0-dev", "libjansson-dev"])
        tail += subprocess.run(
            ["pkg-config", "--static", "--cflags", "--libs", "jansson",
             "glib-2.0"], check=True, stdout=subprocess.PIPE,
            text=True).stdout.split()
    path = os.path.join(into, f"{name}-" + _digest(
        *sorted(sources), *sorted(headers), repr((CFLAGS, flags, tail))))
    if not os.path.exists(path):
        for old in glob.glob(os.path.join(into, name + "-" + "?" * 16)):
            os.unlink(old)
        with ui.Step(f"compiling the guest program {name}"):
            ui.run([*argv, *sorted(sources), "-o", path + ".part", *tail])
        os.rename(path + ".part", path)
    return path


def _programs(sysroot):
    """The layer with /init and the guest programs."""
    into = debian.cache_dir("guest", "programs")
    paths = {name: _compile(name, made_of, sysroot, into)
             for name, made_of in sorted(sources().items())}

    def build():
        archive = cpio.Archive()
        with open(INIT, "rb") as data:
            archive.file("init", data.read(), 0o755)
        for name, path in paths.items():
            with open(path, "rb") as data:
                archive.file("usr/lib/cxlf/" + name, data.read(), 0o755)
        return archive.bytes()

    return _cached("programs", _digest(INIT, cpio.__file__, *paths.values()),
                   build)


def _all_needs(name, depends):
    """What a module needs, and what that needs, the first to load last."""
    found = []
    todo = [name]
    while todo:
        for other in depends[todo.pop(0)]:
            if other in depends:
                # Once more, and so behind who needs it as well.
                found = [seen for seen in found if seen != other] + [other]
                todo.append(other)
    return found


def _modules(folder):
    """The layer with the kernel's modules, and how to load them."""
    with open(os.path.join(folder, "about.json")) as text:
        about = json.load(text)

    def build():
        archive = cpio.Archive()
        for name in sorted(about["depends"]):
            path = os.path.join(folder, "modules", name + ".ko")
            with open(path, "rb") as data:
                archive.file(f"lib/modules/cxlf/{name}.ko", data.read())
        base = f"lib/modules/{about['version']}"
        archive.link(base + "/cxlf", "../cxlf")
        lines = []
        for name in sorted(about["depends"]):
            lines.append(f"cxlf/{name}.ko:" + "".join(
                f" cxlf/{other}.ko"
                for other in _all_needs(name, about["depends"])))
        archive.file(base + "/modules.dep", "\n".join(lines + [""]).encode())
        archive.file("etc/cxlf-modules",
                     ("\n".join(about["load"]) + "\n").encode())
        return archive.bytes()

    return _cached("modules", _digest(
        os.path.basename(folder), cpio.__file__, __file__), build)


def overlay(folder, place):
    """Write the layer that copies `folder` into every guest's root."""
    if not os.path.isdir(folder):
        raise ui.UserError(f"--overlay {folder}: not a folder")
    archive = cpio.Archive()
    archive.tree(folder)
    with open(place, "wb") as out:
        out.write(archive.bytes(compress=False))
    return place


def image(choice=None, modules=None, refresh=False, packages=()):
    """(vmlinuz, [layers], kernel release) of the guests, built as needed.

    `packages` names Debian packages whose commands the guests have besides.
    """
    debian.install(("gcc", "libc6-dev", "binutils", "zstd"))
    folder = kernel.obtain(choice, modules, refresh)
    with debian.locked("guest-image"):
        sysroot = _sysroot(refresh)
        # Links such as lib -> usr/lib come first, so the userland leads.
        layers = [_userland(sysroot), _modules(folder), _programs(sysroot)]
        layers += [_with_package(name, sysroot, refresh)
                   for name in packages]
    with open(os.path.join(folder, "about.json")) as text:
        version = json.load(text)["version"]
    return os.path.join(folder, "vmlinuz"), layers, version


def join(layers, place):
    """One initramfs file of several layers."""
    with open(place, "wb") as out:
        for layer in layers:
            with open(layer, "rb") as data:
                shutil.copyfileobj(data, out)
    return place
