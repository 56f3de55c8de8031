# SPDX-License-Identifier: GPL-2.0-or-later
"""Archives that Linux unpacks as its first root: the "newc" cpio format.

Written without root: owners are 0:0 and device nodes are just entries, so
nothing has to exist in a file system first.  Linux unpacks archives that
follow each other in one file, each compressed or not, so an image is made
of layers that are cached apart.
"""

import os
import stat
import zlib


# The guests' root has a merged /usr.  An entry that makes one of these a
# folder would replace the link of that name, so it goes below usr/ instead.
MERGED = ("bin", "sbin", "lib", "lib64")


class Archive:
    """One cpio archive, built in memory."""

    def __init__(self):
        self.parts = []
        self.known = set()
        self.inode = 0

    def _entry(self, name, mode, data=b"", device=(0, 0)):
        self.inode += 1
        raw = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device,
                  len(raw), 0)
        head = b"070701" + b"".join(b"%08X" % n for n in fields) + raw
        self.parts.append(head + b"\0" * (-len(head) % 4))
        if data:
            self.parts.append(data + b"\0" * (-len(data) % 4))

    def _parents(self, name):
        parent = os.path.dirname(name)
        if parent:
            self.folder(parent)

    @staticmethod
    def _merged(name):
        return "usr/" + name if name.partition("/")[0] in MERGED and \
            "/" in name else name

    def _new(self, name):
        name = self._merged(name.strip("/"))
        if not name or name in self.known:
            return None
        self._parents(name)
        self.known.add(name)
        return name

    def folder(self, name, mode=0o755):
        name = self._new("usr/" + name if name in MERGED else name)
        if name:
            self._entry(name, stat.S_IFDIR | mode)

    def file(self, name, data, mode=0o644):
        name = self._new(name)
        if name:
            self._entry(name, stat.S_IFREG | mode, data)

    def link(self, name, target):
        name = self._new(name)
        if name:
            self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, name, major, minor, mode=0o600):
        name = self._new(name)
        if name:
            self._entry(name, stat.S_IFCHR | mode, device=(major, minor))

    def tree(self, top):
        """Everything below the folder `top`, with links kept as links."""
        for folder, folders, files in os.walk(top):
            base = os.path.relpath(folder, top)
            for name in sorted(folders + files):
                path = os.path.join(folder, name)
                place = os.path.normpath(os.path.join(base, name))
                info = os.lstat(path)
                if stat.S_ISLNK(info.st_mode):
                    self.link(place, os.readlink(path))
                elif stat.S_ISDIR(info.st_mode):
                    self.folder(place, info.st_mode & 0o7777)
                elif stat.S_ISREG(info.st_mode):
                    with open(path, "rb") as data:
                        self.file(place, data.read(), info.st_mode & 0o7777)

    def bytes(self, compress=True):
        """The archive; padded so that another one can follow."""
        self._entry("TRAILER!!!", 0)
        data = b"".join(self.parts)
        self.parts = None
        if compress:
            packer = zlib.compressobj(1, zlib.DEFLATED, 31)
            data = packer.compress(data) + packer.flush()
        return data + b"\0" * (-len(data) % 512)
