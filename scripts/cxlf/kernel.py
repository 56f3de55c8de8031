# SPDX-License-Identifier: GPL-2.0-or-later
"""The guests' kernel: a stock one of Debian, or one that the user has.

What comes out is a folder with `vmlinuz` and the few modules that a guest
needs, found through the dependencies that the modules themselves name.
"""

import gzip
import hashlib
import json
import lzma
import os
import re
import shutil
import subprocess
import tarfile

from . import debian, ui

DEFAULT = "6.12"
SUITES = ("trixie", "trixie-backports")
# Loaded by /init in this order.  One that the kernel has built in is skipped.
LOADED = ("virtio_pci", "virtio_console", "cxl_acpi", "cxl_pci", "cxl_port",
          "cxl_mem", "dax_cxl", "device_dax")
# In the image for tests that want them, and not loaded.
CARRIED = ("kmem", "virtio_net", "virtio_blk", "cxl_pmem",
           "uio_pci_generic")
FORMAT = 1


def _module_name(path):
    name = os.path.basename(path).split(".ko", 1)[0]
    return name.replace("-", "_")


def _plain(path, data):
    """A module's bytes without their compression."""
    if path.endswith(".xz"):
        return lzma.decompress(data)
    if path.endswith(".gz"):
        return gzip.decompress(data)
    if path.endswith(".zst"):
        return subprocess.run(["zstd", "-dc"], input=data, check=True,
                              stdout=subprocess.PIPE).stdout
    return data


def _depends(data):
    """The names that a module's own .modinfo says it depends on."""
    match = re.search(rb"\0depends=([^\0]*)\0", data)
    names = match.group(1).decode().split(",") if match else []
    return [name.replace("-", "_") for name in names if name]


def _closure(read, builtin):
    """{name: (depends, bytes)} of the wanted modules and all they need.

    `read(name)` returns a module's bytes, or None if there is no such.
    """
    found = {}
    todo = list(LOADED + CARRIED)
    while todo:
        name = todo.pop()
        if name in found or name in builtin:
            continue
        data = read(name)
        if data is None:
            if name in CARRIED:
                continue
            raise ui.UserError(
                f"the kernel has no module {name}, neither listed in "
                "modules.builtin nor as a file; name the folder of its "
                "modules with --modules, or give all .debs of a split "
                "kernel: linux-base, linux-binary and linux-modules")
        found[name] = (_depends(data), data)
        todo += found[name][0]
    return found


def _ordered(found, name, into):
    for other in found.get(name, ((), b""))[0]:
        _ordered(found, other, into)
    if name in found and name not in into:
        into.append(name)


def _store(place, version, vmlinuz, found):
    """Write the folder that the rest of the launcher knows a kernel by."""
    part = place + ".part"
    shutil.rmtree(part, ignore_errors=True)
    os.makedirs(os.path.join(part, "modules"))
    with open(os.path.join(part, "vmlinuz"), "wb") as out:
        out.write(vmlinuz)
    for name, (_, data) in found.items():
        with open(os.path.join(part, "modules", name + ".ko"), "wb") as out:
            out.write(data)
    load = []
    for name in LOADED:
        _ordered(found, name, load)
    about = {"version": version, "load": load,
             "depends": {name: item[0] for name, item in found.items()}}
    with open(os.path.join(part, "about.json"), "w") as out:
        json.dump(about, out)
    shutil.rmtree(place, ignore_errors=True)
    os.rename(part, place)
    return place


def _builtin(text):
    return {_module_name(line.strip()) for line in text.splitlines()}


def _version_of(data, path):
    """The release that a bzImage's header names (boot protocol 2.00)."""
    if data[0x202:0x206] != b"HdrS":
        raise ui.UserError(f"--kernel {path}: not a Linux bzImage")
    where = int.from_bytes(data[0x20e:0x210], "little") + 0x200
    return data[where:where + 128].split(b"\0")[0].decode().split()[0]


def _from_debs(debs):
    """A kernel from one or more .deb files; kept by their contents."""
    digest = hashlib.sha256(repr((FORMAT, LOADED, CARRIED)).encode())
    for deb in debs:
        with open(deb, "rb") as data:
            digest.update(hashlib.file_digest(data, "sha256").digest())
    place = os.path.join(debian.cache_dir("guest"),
                         "kernel-" + digest.hexdigest()[:16])
    if os.path.exists(os.path.join(place, "about.json")):
        return place
    vmlinuz, builtin, modules = None, set(), {}
    with ui.Step("taking the kernel and its modules out of "
                 + " ".join(os.path.basename(deb) for deb in debs)):
        for deb in debs:
            with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb],
                                  stdout=subprocess.PIPE) as proc, \
                    tarfile.open(fileobj=proc.stdout, mode="r|") as tar:
                for item in tar:
                    name = item.name
                    if not item.isreg():
                        continue
                    if re.search(r"/(vmlinuz|bzImage)(-[^/]*)?$", name):
                        vmlinuz = tar.extractfile(item).read()
                    elif name.endswith("/modules.builtin"):
                        text = tar.extractfile(item).read().decode()
                        builtin |= _builtin(text)
                    elif ".ko" in os.path.basename(name):
                        modules[_module_name(name)] = (
                            name, tar.extractfile(item).read())
        if vmlinuz is None:
            raise ui.UserError(f"--kernel {' '.join(debs)}: no vmlinuz in "
                               "there; from Linux 7 on, give linux-base, "
                               "linux-binary and linux-modules together")
        found = _closure(lambda name: _plain(*modules[name])
                         if name in modules else None, builtin)
        return _store(place, _version_of(vmlinuz, debs[0]), vmlinuz, found)


def _modules_beside(path, version):
    """The folder of modules that belongs to a vmlinuz."""
    top = os.path.dirname(os.path.abspath(path))
    for place in (f"{top}/lib/modules/{version}",
                  f"{top}/../lib/modules/{version}",
                  f"{top}/../usr/lib/modules/{version}",
                  f"{top}/modules", f"/lib/modules/{version}"):
        if os.path.isdir(place):
            return place
    raise ui.UserError(f"--kernel {path}: no modules of {version} beside it; "
                       "name their folder with --modules DIR")


def _from_vmlinuz(path, folder):
    """A kernel of the user's; read again each time, since it may change."""
    with open(path, "rb") as data:
        vmlinuz = data.read()
    version = _version_of(vmlinuz, path)
    folder = folder or _modules_beside(path, version)
    if not os.path.isdir(folder):
        raise ui.UserError(f"--modules {folder}: not a folder")
    files = {}
    for place, _, names in os.walk(folder):
        for name in names:
            if ".ko" in name:
                files[_module_name(name)] = os.path.join(place, name)
    builtin = set()
    listed = os.path.join(folder, "modules.builtin")
    if os.path.exists(listed):
        with open(listed) as text:
            builtin = _builtin(text.read())

    def read(name):
        if name not in files:
            return None
        with open(files[name], "rb") as data:
            return _plain(files[name], data.read())

    found = _closure(read, builtin)
    digest = hashlib.sha256(vmlinuz)
    for name in sorted(found):
        digest.update(found[name][1])
    place = os.path.join(debian.cache_dir("guest"),
                         "kernel-" + digest.hexdigest()[:16])
    if os.path.exists(os.path.join(place, "about.json")):
        return place
    return _store(place, version, vmlinuz, found)


def _number(version):
    return [int(part) for part in re.findall(r"\d+", version)]


def _candidates(prefix):
    """(suite, version) of Debian's stock kernels that match, newest first."""
    for name in SUITES:
        suite = debian.Suite(name)
        listed = suite.query("pkgnames", "linux-image-")
        versions = re.findall(r"^linux-image-(\d[\d.]*\+\w+)-amd64$",
                              listed, re.M)
        if name == "trixie":
            wanted = [v for v in versions
                      if f"linux-image-{v}-amd64\n" in listed]
        else:
            wanted = versions
        wanted = [v for v in wanted if v.startswith(prefix)
                  and v[len(prefix)] in ".+"]
        for version in sorted(wanted, key=_number, reverse=True):
            yield suite, version


def _fetch(prefix):
    """The .debs of the newest stock kernel whose version has this prefix."""
    tried = []
    for suite, version in _candidates(prefix):
        names = [f"linux-image-{version}-amd64"]
        for kind in ("base", "binary", "modules"):
            name = f"linux-{kind}-{version}-amd64"
            if name + "\n" in suite.query("pkgnames", name):
                names.append(name)
        try:
            # The index can name what the pool has no more: try the next.
            return list(suite.fetch(names).values())
        except ui.UserError as error:
            tried.append(f"{version}: {error}")
        if len(tried) == 4:
            break
    raise ui.UserError(f"--kernel {prefix}: no such stock kernel to be had "
                       f"in {' or '.join(SUITES)}; it accepts a version "
                       "prefix such as 6.12 or 7, .deb files, or a vmlinuz"
                       + "".join("\n  " + line for line in tried))


def _from_debian(prefix, refresh):
    """A stock kernel, looked up once and then taken from the cache."""
    note = os.path.join(debian.cache_dir("guest"), f"debs-{prefix}.json")
    if os.path.exists(note) and not refresh:
        with open(note) as text:
            debs = json.load(text)
        if all(os.path.exists(deb) for deb in debs):
            return _from_debs(debs)
    debs = _fetch(prefix)
    with open(note, "w") as out:
        json.dump(debs, out)
    return _from_debs(debs)


def obtain(choice=None, modules=None, refresh=False):
    """The folder of a kernel (`vmlinuz`, `modules/`, `about.json`).

    `choice` is a list: a version prefix, .deb files, or one vmlinuz.
    """
    choice = list(choice or [DEFAULT])
    with debian.locked("guest-kernel"):
        if all(item.endswith(".deb") for item in choice):
            for item in choice:
                if not os.path.exists(item):
                    raise ui.UserError(f"--kernel {item}: no such file")
            return _from_debs(choice)
        if len(choice) > 1:
            raise ui.UserError("--kernel accepts several values only when "
                               "all of them are .deb files")
        if os.path.isfile(choice[0]):
            return _from_vmlinuz(choice[0], modules)
        if not re.fullmatch(r"\d+(\.\d+)*", choice[0]):
            raise ui.UserError(f"--kernel {choice[0]}: neither a file nor a "
                               "version prefix such as 6.12 or 7")
        return _from_debian(choice[0], refresh)
