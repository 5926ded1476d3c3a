# SPDX-License-Identifier: GPL-2.0
"""The lab's Bochs hosts: what Bochs needs on its disk, in its ROM and in its settings.

A run has a folder of its own; Bochs gets from it
  bochsrc   the settings
  rom       bochs-boot.S with this run's numbers: it loads what is on the disk
  disk      the kernel's segments and the initramfs
  log       what the host's kernel writes to its first serial port
  words     what Bochs has to say

The job's channels are the other three serial ports, each a pseudoterminal here:
  com2      its stdout; or its terminal (--tty)
  com3      its stderr
  com4      what happens there, a line each, read by selftests/lab/host; the other way its stdin
"""

import base64
import copy
import os
import pty
import re
import select
import shutil
import socket
import struct
import subprocess
import tempfile
import termios
import tty

import lab

SHARE = "/usr/share/bochs"
# What the CPUs offer: `bochs --help cpu` lists the models.
CPU = {
    # VMX with EPT, VPID, unrestricted guests, APIC-register virtualization, virtual-interrupt
    # delivery and a preemption timer.
    "vmx": "broadwell_ult",
    # SVM with nested paging and NRIP save. The later model, ryzen, hangs in Linux's early boot.
    "svm-bochs": "trinity_apu",
}
# Instructions a second of emulated time: about what Bochs gets through on a machine of today, so
# that time limits mean there what they mean elsewhere. The TSC counts instructions.
IPS = 20_000_000
# Of the host's boot these would be two thirds: self-tests of ciphers, checks of the signatures of
# modules, names of tracepoints' values and kprobe events. Nothing here needs them.
CMDLINE = ("console=ttyS0 panic=-1 tsc=reliable rcupdate.rcu_cpu_stall_timeout=60 cryptomgr.notests "
           "initcall_blacklist=load_system_certificate_list,trace_eval_init,init_kprobe_trace loglevel=5")
# The Intel CPU has 8 cores by one leaf of CPUID, and one thread by another: 6.12 warns. It does not
# without the flag that says that both are to be looked at; but calls the CPU out of its specification
# then (TAINT_CPU_OUT_OF_SPEC).
ODD_CPU = {("vmx", "6.12"): "clearcpuid=ht"}
# posada.ko's parameters where the job boots Linux in a guest: Bochs loses an interrupt when the CPU's
# delivery of it meets an EPT violation.
LINUX_GUEST = {"vmx": "virtual_apic=0"}
# Bochs stops in its debugger at a triple fault. One of a guest of VMX has ended in an exit before
# that; with SVM the exit comes on the way back: the next instruction is the one behind the VMRUN of
# module/svm/enter.S.
PROMPT = b"<bochs:"
BEHIND_VMRUN = re.compile(rb"\): cli +; fa\b")
RESET = "posada: lab: the host has reset itself"
# A line of input: the host's terminal holds 4,096 characters.
LINE = 720
ROM_ADDRESS = 0xd0000
ROM_UNIT = 512
# bochs-boot.S reads so much at a time.
BLOCK = 16 * 512
# What Bochs calls a cylinder: its disks are whole numbers of these.
CYLINDER = 16 * 63 * 512
BOOT = struct.Struct("<5I")
BOOT_OFFSET = 8
EXTENT = struct.Struct("<3I")
NOTE_PVH_ENTRY = 18
MIB = 1 << 20


def taint(args):
    """The taint flags that come of ODD_CPU."""
    return 1 << 2 if (args.host, args.kernel) in ODD_CPU else 0


def loader():
    """Return the bytes of bochs-boot.S; assembled once."""
    source = os.path.join(lab.LAB, "bochs-boot.S")

    def make():
        with tempfile.TemporaryDirectory() as tmp:
            target = os.path.join(tmp, "rom")
            subprocess.run(["gcc", "-m32", "-nostdlib", "-static", "-no-pie", "-Wl,-Ttext=0", "-Wl,-e,_start",
                            "-Wl,--build-id=none", "-Wl,--oformat=binary", "-o", target, source], check=True)
            with open(target, "rb") as f:
                return f.read()

    with open(lab.cached("bochs-rom", [lab.source_of(source)], make), "rb") as f:
        return f.read()


class Elf:
    """A vmlinux: its PVH entry and its segments."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.image = f.read()
        offset, size, count = (struct.unpack_from("<Q", self.image, 32)[0],
                               *struct.unpack_from("<HH", self.image, 54))
        self.segments, self.entry = [], None
        for n in range(count):
            kind, _, at, _, address, length, _, _ = struct.unpack_from("<IIQQQQQQ", self.image, offset + n * size)
            if kind == 1 and length:
                self.segments.append((address, self.image[at:at + length]))
            elif kind == 4:
                self.entry = self.entry or self.find_entry(self.image[at:at + length])
        if not self.entry:
            raise lab.LabError(f"{path} has no PVH entry")

    @staticmethod
    def find_entry(notes):
        while len(notes) >= 12:
            name, length, kind = struct.unpack_from("<III", notes)
            at = 12 + (name + 3 & ~3)
            if notes[12:12 + name] == b"Xen\0" and kind == NOTE_PVH_ENTRY:
                return struct.unpack_from("<I", notes, at)[0]
            notes = notes[at + (length + 3 & ~3):]
        return None


class Disk:
    """The disk and the list of what is to be loaded from it."""

    def __init__(self, path):
        self.file = open(path, "wb")
        self.extents = []

    def add(self, address, data):
        """Load `data` to `address`, and what is left of its last block beyond it."""
        self.extents.append((self.file.tell() // 512, -(-len(data) // BLOCK), address))
        self.file.write(data)
        self.file.write(bytes(-len(data) % BLOCK))

    def add_kernel(self, elf):
        """Return where memory is free behind it; bytes that are zero stay out: so is memory."""
        low = min(address for address, _ in elf.segments)
        high = max(address + len(data) for address, data in elf.segments)
        flat = bytearray(-(-(high - low) // BLOCK) * BLOCK)
        for address, data in elf.segments:
            flat[address - low:address - low + len(data)] = data
        zero = bytes(BLOCK)
        start = None
        for at in range(0, len(flat) + BLOCK, BLOCK):
            used = at < len(flat) and flat[at:at + BLOCK] != zero
            if used and start is None:
                start = at
            elif not used and start is not None:
                self.add(low + start, flat[start:at])
                start = None
        return high

    def finish(self):
        self.file.truncate(-(-self.file.tell() // CYLINDER) * CYLINDER)
        self.file.close()


def rom(entry, cmdline, initrd, length, extents):
    code = loader()
    listed = b"".join(EXTENT.pack(*extent) for extent in extents) + bytes(EXTENT.size)
    at_list = len(code)
    at_line = at_list + len(listed)
    image = bytearray(code + listed + cmdline.encode() + b"\0\0")
    BOOT.pack_into(image, BOOT_OFFSET, entry, ROM_ADDRESS + at_line, initrd, length, ROM_ADDRESS + at_list)
    image += bytes(-len(image) % ROM_UNIT)
    image[2] = len(image) // ROM_UNIT
    image[-1] = -sum(image) & 0xff
    return bytes(image)


def prepare(folder, vmlinux, cmdline, initrd_parts):
    """Write disk and rom."""
    elf = Elf(vmlinux)
    disk = Disk(os.path.join(folder, "disk"))
    end = disk.add_kernel(elf)
    initrd = end + 2 * MIB & -2 * MIB
    data = b"".join(initrd_parts)
    disk.add(initrd, data)
    disk.finish()
    with open(os.path.join(folder, "rom"), "wb") as f:
        f.write(rom(elf.entry, cmdline, initrd, len(data), disk.extents))


SETTINGS = """\
config_interface: textconfig
display_library: term
cpu: model={model}, count={smp}, ips={ips}, reset_on_triple_fault={reset}, ignore_bad_msrs=1
memory: guest={mib}, host={mib}
romimage: file={share}/BIOS-bochs-latest
vgaromimage: file={share}/VGABIOS-lgpl-latest
optromimage1: file={folder}/rom, address={rom:#x}
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path={folder}/disk, mode=flat
boot: disk
pci: enabled=1, chipset=i440fx
clock: sync=none
com1: enabled=1, mode=file, dev={folder}/log
{ports}
log: {folder}/words
panic: action=fatal{panic}
error: action=ignore
info: action=ignore
debug: action=ignore
speaker: enabled=0
"""


def mebibytes(text):
    match = re.fullmatch(r"(\d+)([MmGg])", text)
    if not match:
        raise lab.LabError(f"HOST_MEM={text}: write it like 512M or 2G")
    return int(match.group(1)) * (1024 if match.group(2) in "Gg" else 1)


class Pty:
    """A pseudoterminal that passes bytes; our end of it, with the words of a socket."""

    def __init__(self, path=None):
        """Without a path: a new one. With one: the far end of another program's."""
        if path:
            self.fd = self.other = os.open(path, os.O_RDWR | os.O_NOCTTY)
        else:
            self.fd, self.other = pty.openpty()
        tty.setraw(self.other)
        # Bochs turns the processing of output on again: leave it nothing to do.
        mode = termios.tcgetattr(self.other)
        mode[1] = 0
        termios.tcsetattr(self.other, termios.TCSANOW, mode)

    def fileno(self):
        return self.fd

    def dup(self):
        twin = copy.copy(self)
        twin.fd = os.dup(self.fd)
        return twin

    def name(self):
        return os.ttyname(self.other)

    def recv(self, size):
        return os.read(self.fd, size)

    def send(self, data):
        return os.write(self.fd, data)

    def setblocking(self, blocking):
        os.set_blocking(self.fd, blocking)

    def shutdown(self, _):
        """A serial line has no end of file."""


class Bochs:
    """A Bochs process, and an end for each channel to it."""

    def __init__(self, args, kernel, folder, base, job):
        if not shutil.which("bochs-bin"):
            raise lab.LabError("Bochs is not installed: run selftests/lab/setup bochs")
        self.log = os.path.join(folder, "log")
        self.words = os.path.join(folder, "words")
        with open(base, "rb") as f:
            cmdline = " ".join([CMDLINE, ODD_CPU.get((args.host, args.kernel), ""), args.append])
            prepare(folder, kernel.boot_image(), cmdline, [f.read(), job])
        ports = {"tty" if args.tty else "out": Pty(), "err": Pty(), "ctl": Pty()}
        self.ends = {**ports, "words": Pty()}
        self.feed, self.said, self.triple_fault = None, b"", False
        if args.tty:
            # A selector knows each end once: one to read, one to write.
            self.input = ports["tty"].dup()
        else:
            self.input, self.feed = socket.socketpair()
        # Bochs has SVM's SHUTDOWN exit only where it goes on after a CPU's panic; and it panics when
        # VMRUN enters virtual-8086 mode, too.
        svm = args.host == "svm-bochs"
        panic = "".join(f", CPU{n}=report" for n in range(args.smp) if svm)
        settings, commands = os.path.join(folder, "bochsrc"), os.path.join(folder, "commands")
        with open(settings, "w") as f:
            f.write(SETTINGS.format(
                model=args.cpu or CPU[args.host], smp=args.smp, ips=IPS, mib=mebibytes(args.mem), share=SHARE,
                folder=folder, rom=ROM_ADDRESS, reset=int(not svm), panic=panic,
                ports="\n".join(f"com{n}: enabled=1, mode=term, dev={port.name()}"
                                for n, port in enumerate(ports.values(), 2))))
        # Debian's build starts in its debugger.
        with open(commands, "w") as f:
            f.write("c\n")
        words = self.ends["words"].other
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "bochs-bin", "-q", "-f", settings, "-rc", commands],
            stdin=words, stdout=words, stderr=words, start_new_session=True,
            env=dict(os.environ, TERM="linux"))
        self.ends["screen"] = self.screen()

    def screen(self):
        """Open the terminal that Bochs makes for the VGA's text: it stops when nobody reads that."""
        words, said = self.ends["words"], b""
        pidfd = os.pidfd_open(self.process.pid)
        while not (match := re.search(rb'connected to screen "(/dev/pts/\d+)"', said)):
            ready, _, _ = select.select([words, pidfd], [], [], 60)
            if words not in ready:
                self.process.kill()
                raise lab.LabError("Bochs does not start: " + said.decode(errors="replace").strip()[-500:])
            said += words.recv(4096)
        os.close(pidfd)
        return Pty(match.group(1))

    def wants(self, line):
        """The job's side takes input a line at a time, when it has asked for it."""
        return self.feed if line.rstrip() == b"next" else None

    def pass_on(self):
        """There is input, or its end."""
        data = self.feed.recv(LINE)
        self.ends["ctl"].send(base64.b64encode(data) + b"\n" if data else b".\n")

    def heard(self, channel, data):
        """Bochs speaks: at its debugger's prompt it waits for a command, or for its end."""
        if channel != "words":
            return
        self.said = (self.said + data)[-2000:]
        if PROMPT not in self.said:
            return
        if BEHIND_VMRUN.search(self.said):
            self.said = b""
            self.ends["words"].send(b"c\n")
        else:
            self.triple_fault = True
            self.process.kill()

    def was_reset(self):
        self.process.wait()
        with open(self.log, errors="replace") as f:
            return self.triple_fault or RESET in f.read()

    def stop(self):
        """End the process; return what it complained of."""
        # It keeps nothing that it would have to write, and SIGTERM is a key of its debugger's.
        self.process.kill()
        self.process.wait()
        try:
            with open(self.words, "rb") as f:
                return self.said + b"".join(f.readlines()[-10:])
        except FileNotFoundError:
            return self.said
