# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU: obtained, verified, cached, grafted, configured and compiled.

The pristine source is never changed.  A tree of symbolic links is made of
it in the build directory, our directories are linked in, and one patch that
only inserts lines into lists (scripts/qemu/graft.patch) makes QEMU's build
know them.  See docs/build.md.
"""

import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile

from . import debian, ui

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
PATCH = os.path.join(TOP, "scripts", "qemu", "graft.patch")
DEVICES = os.path.join(TOP, "scripts", "qemu", "cxlf.mak")
SUITE = "trixie"
SERIES = "10.0"
# Every series that the patch must apply to, and the suites that have it.
SUPPORTED = (("10.0", "trixie"), ("10.2", "sid"))
BUILD_PACKAGES = (
    "gcc", "libc6-dev", "make", "ninja-build", "meson", "pkg-config",
    "python3", "python3-venv", "python3-pip", "python3-setuptools",
    "python3-wheel", "libglib2.0-dev", "libpixman-1-dev", "libfdt-dev",
    "libjansson-dev", "libslirp-dev", "zlib1g-dev", "ccache", "dpkg-dev",
    "patch", "xz-utils", "device-tree-compiler", "bison", "flex")
FIRMWARE_PACKAGES = ("seabios", "qemu-system-data", "ipxe-qemu")
FIRMWARE_DIRS = ("/usr/share/seabios", "/usr/share/qemu",
                 "/usr/lib/ipxe/qemu")
# What is linked into QEMU's tree: (place there, place here).
LINKS = (
    ("hw/cxl-fabric", "hw/cxl-fabric"),
    ("hw/cxl-gfam", "hw/cxl-gfam"),
    ("hw/dpu-eca", "hw/dpu-eca"),
    ("include/cxlf", "include/cxlf"),
    ("include/hw/cxlf", "include/hw/cxlf"),
    ("qapi/cxl-fabric.json", "hw/cxl-fabric/cxl-fabric.json"),
    ("tests/qtest/cxlf", "tests/qtest"),
    ("tests/qtest/fuzz/cxlf", "tests/fuzz/qemu"),
    ("configs/devices/x86_64-softmmu/cxlf.mak", "scripts/qemu/cxlf.mak"),
)
CONFIGURE = (
    "--python=/usr/bin/python3", "--target-list=x86_64-softmmu",
    "--without-default-features", "--without-default-devices",
    "--with-devices-x86_64=cxlf", "--enable-system", "--enable-tcg",
    "--enable-kvm", "--enable-slirp", "--enable-pixman",
    "--enable-fdt=system", "--enable-plugins", "--disable-docs",
    "--disable-install-blobs", "--enable-trace-backends=log")
# One build with sanitizers serves the qtests and the fuzzers.  Comparisons are
# not traced: what the fuzzers write is structured, so hints by constants find
# nothing, and tracing takes more than a third of the time.
SANITIZE = ["--cc=clang", "--cxx=clang++", "--host-cc=clang",
            "--enable-asan", "--enable-ubsan", "--enable-fuzzing",
            "--extra-cflags=-fno-sanitize-coverage=trace-cmp"]
SANITIZE_PACKAGES = ("clang", "libclang-rt-dev")
FUZZER = "qemu-fuzz-x86_64"


def _series(tree):
    with open(os.path.join(tree, "VERSION")) as text:
        return text.read().strip()


def _check_series(tree, origin):
    version = _series(tree)
    if not any(version.startswith(name + ".") for name, _ in SUPPORTED):
        known = ", ".join(name for name, _ in SUPPORTED)
        raise ui.UserError(f"{origin} is QEMU {version}; the supported "
                           f"series are {known}")
    return tree


def _unpack_source(dsc, tree):
    """Unpack a verified .dsc once; an interrupted unpacking is redone."""
    if os.path.exists(os.path.join(tree, "VERSION")):
        return tree
    part = tree + ".part"
    shutil.rmtree(part, ignore_errors=True)
    os.makedirs(os.path.dirname(tree), exist_ok=True)
    with ui.Step(f"unpacking {os.path.basename(dsc)}") as step:
        ui.run(["dpkg-source", "--no-copy", "-x", dsc, part], step)
    os.rename(part, tree)
    return tree


def obtain(series=SERIES, suite=SUITE):
    """The pristine source of the newest release of a series."""
    with debian.locked("qemu-source"):
        cached = sorted(glob.glob(os.path.join(
            debian.cache_dir("qemu"), f"qemu-{series}.*", "VERSION")))
        if cached:
            return os.path.dirname(cached[-1])
        known = debian.Suite(suite)
        versions = [v for v in known.source_versions("qemu")
                    if v.split(":")[-1].startswith(series + ".")]
        if not versions:
            raise ui.UserError(f"{suite} has no QEMU {series}; give a source "
                               "tree or tarball with --qemu-src")
        version = versions[0]
        bare = version.split(":")[-1].split("+")[0]
        dsc = known.fetch_source("qemu", version,
                                 debian.cache_dir("qemu", "dl"))
        return _unpack_source(dsc, os.path.join(
            debian.cache_dir("qemu"), "qemu-" + bare))


def given(path):
    """The pristine source from --qemu-src: a tree or a release tarball."""
    path = os.path.abspath(path)
    if not os.path.exists(path):
        raise ui.UserError(f"--qemu-src {path}: no such file or folder")
    if os.path.isdir(path):
        if not os.path.exists(os.path.join(path, "VERSION")):
            raise ui.UserError(f"--qemu-src {path}: not a QEMU source tree "
                               "(it has no VERSION file)")
        return _check_series(path, path)
    if not tarfile.is_tarfile(path):
        raise ui.UserError(f"--qemu-src {path}: neither a folder nor a "
                           "tar archive")
    with open(path, "rb") as data:
        digest = hashlib.sha256(data.read()).hexdigest()[:16]
    tree = os.path.join(debian.cache_dir("qemu"), "given-" + digest)
    with debian.locked("qemu-source"):
        if not os.path.exists(os.path.join(tree, "VERSION")):
            part = tree + ".part"
            shutil.rmtree(part, ignore_errors=True)
            os.makedirs(part)
            with ui.Step(f"unpacking {path}"):
                ui.run(["tar", "-xf", path, "-C", part,
                        "--strip-components=1"])
            os.rename(part, tree)
    return _check_series(tree, path)


def patched_files():
    """The files of QEMU that the patch changes."""
    with open(PATCH) as text:
        return re.findall(r"^\+\+\+ b/(\S+)", text.read(), re.M)


def dry_run(tree):
    """Check that the patch applies to a pristine tree, changing nothing."""
    ui.run(["patch", "-p1", "--dry-run", "--force", "-d", tree, "-i", PATCH])


def _stamp(tree):
    """What the farm depends on."""
    digest = hashlib.sha256(repr((tree, LINKS, TOP)).encode())
    with open(PATCH, "rb") as data:
        digest.update(data.read())
    return digest.hexdigest()


def graft(tree, farm):
    """Make the farm of links, or keep it when nothing it rests on moved."""
    marker = os.path.join(farm, ".cxlf-graft")
    stamp = _stamp(tree)
    if os.path.exists(marker):
        with open(marker) as text:
            if text.read() == stamp:
                return False
    with ui.Step("grafting our directories into QEMU"):
        dry_run(tree)
        shutil.rmtree(farm, ignore_errors=True)
        subprocess.run(["cp", "-rs", tree, farm], check=True)
        for name in patched_files():
            place = os.path.join(farm, name)
            os.unlink(place)
            shutil.copyfile(os.path.join(tree, name), place)
        ui.run(["patch", "-p1", "--force", "--no-backup-if-mismatch",
                "-d", farm, "-i", PATCH])
        for there, here in LINKS:
            place = os.path.join(farm, there)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            os.symlink(os.path.join(TOP, here), place)
        with open(marker, "w") as out:
            out.write(stamp)
    return True


def _meson_path():
    """A meson new enough for QEMU: None if the system's is, else a folder."""
    version = subprocess.run(["meson", "--version"], stdout=subprocess.PIPE,
                             text=True).stdout.strip()
    if tuple(int(n) for n in version.split(".")[:2]) >= (1, 5):
        return None
    place = debian.cache_dir("meson")
    path = os.path.join(place, "usr/lib/python3/dist-packages")
    with debian.locked("meson"):
        if not os.path.isdir(path):
            debs = debian.Suite(SUITE).fetch(["meson"])
            debian.unpack(debs["meson"], place)
    return path


def environment():
    """The environment in which QEMU is configured and compiled."""
    env = dict(os.environ)
    path = _meson_path()
    if path is not None:
        env["PYTHONPATH"] = path
    # pyenv and the like must not shadow the Python that has our packages.
    env["PATH"] = "/usr/lib/ccache:/usr/bin:/bin:/usr/sbin:/sbin:" \
        + env.get("PATH", "")
    env.setdefault("CCACHE_DIR", debian.cache_dir("ccache"))
    env.setdefault("CCACHE_BASEDIR", TOP)
    env.setdefault("CCACHE_NOHASHDIR", "1")
    env.setdefault("CCACHE_SLOPPINESS", "time_macros")
    return env


def configure(farm, build, sanitize):
    """Run QEMU's configure once, or again when its arguments changed."""
    argv = [os.path.join(farm, "configure"), *CONFIGURE]
    if sanitize:
        argv += SANITIZE
    marker = os.path.join(build, ".cxlf-configured")
    want = "\n".join(argv)
    if os.path.exists(marker):
        with open(marker) as text:
            if text.read() == want:
                return
    shutil.rmtree(build, ignore_errors=True)
    os.makedirs(build)
    with ui.Step("configuring QEMU") as step:
        ui.run(argv, step, cwd=build, env=environment(),
               log=os.path.join(build, "cxlf-configure.log"))
    data = os.path.join(build, "qemu-bundle/usr/local/share/qemu")
    os.makedirs(data, exist_ok=True)
    for folder in FIRMWARE_DIRS:
        for path in glob.glob(os.path.join(folder, "*")):
            place = os.path.join(data, os.path.basename(path))
            if not os.path.lexists(place):
                os.symlink(path, place)
    with open(marker, "w") as out:
        out.write(want)


def compile_tree(build, targets=()):
    """Compile; ninja itself knows what changed."""
    with ui.Step("compiling QEMU") as step:
        ui.run(["ninja", "-C", build, *targets], step, env=environment(),
               log=os.path.join(build, "cxlf-compile.log"))


# QEMU's own qtests that scripts/test runs beside ours.
STOCK_QTESTS = ("cxl-test", "qom-test", "device-introspect-test",
                "qmp-cmd-test")


def targets():
    """What is compiled: the emulator, our qtests and the stock ones."""
    with open(os.path.join(TOP, "tests", "qtest", "meson.build")) as text:
        ours = re.findall(r"'([a-z0-9-]+-test)'", text.read())
    ours = sorted(set(ours))
    return ["qemu-system-x86_64"] + \
        [f"tests/qtest/{name}" for name in STOCK_QTESTS] + \
        [f"tests/qtest/cxlf/{name}" for name in ours]


def make(build, source=None, sanitize=False):
    """The whole way; returns the path of qemu-system-x86_64."""
    debian.install([*BUILD_PACKAGES, *FIRMWARE_PACKAGES,
                    *(SANITIZE_PACKAGES if sanitize else ())])
    os.makedirs(build, exist_ok=True)
    tree = given(source) if source else obtain()
    farm = os.path.join(build, "src")
    out = os.path.join(build, "out")
    with debian.locked("build", build):
        graft(tree, farm)
        configure(farm, out, sanitize)
        compile_tree(out, targets() + ([FUZZER] if sanitize else []))
    return os.path.join(out, "qemu-system-x86_64")


def check_series():
    """Dry-run the patch against every supported series that is to be had."""
    result = {}
    for series, suite in SUPPORTED:
        try:
            tree = obtain(series, suite)
        except ui.UserError as error:
            result[series] = f"not checked: {error}"
            continue
        dry_run(tree)
        result[series] = "applies to " + _series(tree)
    return result
