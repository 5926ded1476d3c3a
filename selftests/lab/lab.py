# SPDX-License-Identifier: GPL-2.0
"""What the lab's programs share: the cache, initramfs archives, kernel modules."""

import hashlib
import lzma
import os
import re
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import time

LAB = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(LAB))
BUILD = os.path.abspath(os.environ.get("BUILD") or os.path.join(TOP, "build"))
CACHE = os.environ.get("POSADA_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "posada")


class LabError(Exception):
    """Something the user can put right; shown as one line."""


def die(text, status=1):
    print(f"posada: {text}", file=sys.stderr)
    sys.exit(status)


def known(name):
    """Look a NAME up in the list that `setup` wrote."""
    try:
        with open(os.path.join(CACHE, "kernels")) as f:
            values = dict(line.rstrip("\n").split("=", 1) for line in f if "=" in line)
    except FileNotFoundError:
        values = {}
    if name not in values:
        raise LabError(f"{name} is not in the cache yet: run selftests/lab/setup check")
    return values[name]


def build_debug_kernel(line):
    """Note it in the list if the cache has it; it is not built by the way."""
    if subprocess.run([os.path.join(LAB, "debug-kernel"), "--if-cached", line],
                      stdin=subprocess.DEVNULL, check=False).returncode:
        raise LabError(f"KERNEL={line}: run selftests/lab/debug-kernel {line} first (half an hour)")


# Kernels that watch themselves (see debug-kernel), with what they are told at boot. The first
# splat ends it; a busy machine must not look like one. KCSAN's own sampling, an access in 4,000 for
# 80 us, sees nothing on emulated CPUs that take turns on real ones.
DEBUG_KERNELS = {
    "debug": "panic_on_warn=1 page_poison=1 kmemleak=on watchdog_thresh=60 hung_task_panic=0",
    "kcsan": "watchdog_thresh=60 kcsan.skip_watch=200 kcsan.udelay_task=300 kcsan.udelay_interrupt=50",
}
KERNELS = {"6.1": "6_1", "6.12": "6_12", "guest": "GUEST", "debug": "debug", "kcsan": "kcsan"}


class Kernel:
    """A host kernel of the lab: a name of KERNELS; 'guest' is the stock guest's."""

    def __init__(self, line):
        key = KERNELS.get(line)
        if not key:
            raise LabError(f"KERNEL={line}: there are 6.1, 6.12, {' and '.join(DEBUG_KERNELS)}")
        self.line = line
        self.append = DEBUG_KERNELS.get(line, "")
        if self.append:
            build_debug_kernel(line)
        self.release = known("RELEASE_" + key)
        self.image_dir = known("IMAGE_" + key)
        self.vmlinuz = os.path.join(self.image_dir, "boot", "vmlinuz-" + self.release)
        self._modules = None

    def boot_image(self):
        """Return a vmlinux that QEMU enters by PVH: the emulated CPU takes 3 s to unpack a bzImage.

        As a side effect the kernel is not relocated: addresses in a log are those of System.map.
        """
        # KASAN and PVH do not go together: the shadow is not there so early.
        if self.append:
            return self.vmlinuz
        path = os.path.join(CACHE, "vmlinux", os.path.basename(self.image_dir))
        if not os.path.exists(path):
            with open(self.vmlinuz, "rb") as f:
                image = f.read()
            # Fields of the boot protocol (Documentation/x86/boot.rst): setup_sects, payload_*.
            sectors = image[0x1f1] or 4
            offset, length = struct.unpack_from("<II", image, 0x248)
            start = (sectors + 1) * 512 + offset
            payload = image[start:start + length]
            if payload[:6] == b"\xfd7zXZ\0":
                vmlinux = lzma.LZMADecompressor().decompress(payload)
            elif payload[:4] == b"\x28\xb5\x2f\xfd" and shutil.which("zstd"):
                # The size of the result follows the stream, which zstd complains of.
                vmlinux = subprocess.run(["zstd", "-dcq"], input=payload[:-4], check=True,
                                         stdout=subprocess.PIPE).stdout
            elif payload[:4] == b"\x02\x21\x4c\x18" and shutil.which("lz4"):
                vmlinux = subprocess.run(["lz4", "-dcq"], input=payload[:-4], check=True,
                                         stdout=subprocess.PIPE).stdout
            else:
                return self.vmlinuz
            os.makedirs(os.path.dirname(path), exist_ok=True)
            write_atomically(path, vmlinux)
        return path

    def modules(self):
        """Map a module's name to its file."""
        if self._modules is None:
            self._modules = {}
            top = os.path.join(self.image_dir, "lib/modules", self.release, "kernel")
            for folder, _, names in os.walk(top):
                for name in names:
                    base = re.sub(r"\.ko(\.xz)?$", "", name)
                    if base != name:
                        self._modules[base.replace("-", "_")] = os.path.join(folder, name)
        return self._modules

    def module_image(self, name):
        """Return the bytes of a module, or None for one that is built in."""
        path = self.modules().get(name.replace("-", "_"))
        if path is None:
            return None
        with (lzma.open if path.endswith(".xz") else open)(path, "rb") as f:
            return f.read()

    def closure(self, names):
        """List (name, image) of these modules and what they depend on, in insertion order."""
        done = {}

        def add(name):
            name = name.replace("-", "_")
            if name in done:
                return
            image = self.module_image(name)
            done[name] = None
            if image is None:
                return
            # modules.dep is made at installation; the dependencies also stand in each module.
            depends = re.search(rb"\0depends=([^\0]*)\0", image).group(1).decode()
            for other in filter(None, depends.split(",")):
                add(other)
            del done[name]
            done[name] = image

        for name in names:
            add(name)
        return [(name, image) for name, image in done.items() if image is not None]


def normal(path):
    """Resolve the skeleton's links: an archive entry that crosses one would replace it."""
    path = re.sub(r"^usr/", "", path.strip("/"))
    return re.sub(r"^sbin/", "bin/", path)


class Archive:
    """A newc cpio archive in memory; needs no root for device nodes and owners."""

    def __init__(self):
        self.parts = []
        self.seen = set()
        self.inode = 1

    def _add(self, path, mode, data=b"", rdev=(0, 0)):
        path = normal(path)
        parent = os.path.dirname(path)
        if parent:
            self.folder(parent)
        self.seen.add(path)
        name = path.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, rdev[0], rdev[1], len(name), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
        self.inode += 1
        self.parts.append(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))

    def folder(self, path, mode=0o755):
        if normal(path) not in self.seen:
            self._add(path, stat.S_IFDIR | mode)

    def data(self, path, data, mode=0o644):
        self._add(path, stat.S_IFREG | mode, data)

    def link(self, path, target):
        if normal(path) not in self.seen:
            self._add(path, stat.S_IFLNK | 0o777, target.encode())

    def node(self, path, major, minor, mode=0o600):
        self._add(path, stat.S_IFCHR | mode, rdev=(major, minor))

    def file(self, source, target):
        """Put one file in, or a folder with all that is in it."""
        if os.path.isdir(source):
            self.folder(target)
            for name in sorted(os.listdir(source)):
                self.file(os.path.join(source, name), os.path.join(target, name))
            return
        with open(source, "rb") as f:
            data = f.read()
        mode = 0o755 if os.access(source, os.X_OK) else 0o644
        self.data(target, data, mode)
        if data[:4] == b"\x7fELF" and mode == 0o755:
            self.libraries(source)

    def libraries(self, program):
        """Add the shared libraries of a program, where its loader will look for them."""
        result = subprocess.run(["ldd", program], capture_output=True, text=True,
                                env=dict(os.environ, LC_ALL="C", LD_LIBRARY_PATH=os.path.join(BUILD, "userspace")))
        for line in result.stdout.splitlines():
            if "not found" in line:
                raise LabError(f"{program}: {line.strip()}")
            match = re.match(r"\s*(?:(\S+) => )?(/\S+) \(0x", line)
            if not match:
                continue
            path = match.group(2)
            # The loader searches /lib/x86_64-linux-gnu, whatever folder the file came from.
            target = path if not match.group(1) else "/lib/x86_64-linux-gnu/" + os.path.basename(path)
            if normal(target) not in self.seen:
                with open(path, "rb") as f:
                    self.data(target, f.read(), 0o755)

    def bytes(self):
        """Return the archive, padded so that another can follow it."""
        name = b"TRAILER!!!\0"
        fields = [0] * 11 + [len(name), 0]
        fields[4] = 1
        out = b"".join(self.parts) + b"070701" + b"".join(b"%08X" % f for f in fields) + name
        return out + b"\0" * (-len(out) % 512)


def busybox():
    return os.path.join(known("BUSYBOX_DIR"), "bin/busybox")


def add_busybox(archive):
    path = busybox()
    with open(path, "rb") as f:
        archive.data("/bin/busybox", f.read(), 0o755)
    applets = subprocess.run([path, "--list"], capture_output=True, text=True, check=True)
    for applet in applets.stdout.split():
        if applet != "busybox":
            archive.link("/bin/" + applet, "busybox")


def add_skeleton(archive):
    """The folders and few files that programs expect anywhere."""
    for folder in ("proc", "sys", "dev", "tmp", "run", "root", "mnt", "lib", "lib64", "etc", "var"):
        archive.folder(folder)
    archive.link("/usr", ".")
    archive.link("/sbin", "bin")
    archive.node("/dev/console", 5, 1)
    archive.node("/dev/null", 1, 3, 0o666)
    archive.data("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
    archive.data("/etc/group", b"root:x:0:\nnogroup:x:65534:\n")


def cached(name, key_parts, make):
    """Return the path of a cache file that `make()` builds once for these inputs.

    What older inputs gave under this name goes.
    """
    key = hashlib.sha256()
    for part in key_parts:
        if isinstance(part, str):
            part = part.encode()
        key.update(b"%d:" % len(part) + part)
    folder = os.path.join(CACHE, name)
    path = os.path.join(folder, key.hexdigest()[:24])
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        old = [os.path.join(folder, entry) for entry in os.listdir(folder)]
        write_atomically(path, make())
        for entry in old:
            # A run that has just looked this name up may still be about to read it.
            if time.time() - os.path.getmtime(entry) > 3600:
                os.unlink(entry)
    return path


def write_atomically(path, data):
    fd, tmp = tempfile.mkstemp(dir=os.path.dirname(path))
    try:
        with os.fdopen(fd, "wb") as f:
            f.write(data)
        os.chmod(tmp, 0o644)
        os.rename(tmp, path)
    except BaseException:
        os.unlink(tmp)
        raise


def source_of(*paths):
    out = b""
    for path in paths:
        with open(path, "rb") as f:
            out += f.read()
    return out


def concatenate(target, *paths):
    with open(target, "wb") as out:
        for path in paths:
            with open(path, "rb") as f:
                shutil.copyfileobj(f, out)
