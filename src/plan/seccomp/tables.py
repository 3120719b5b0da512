#!/usr/bin/env python3
"""Writes the system call tables beside it, x86.tbl and arm.tbl, from the kernel's UAPI headers.

    apt-get download linux-libc-dev && dpkg-deb -x linux-libc-dev_*_all.deb headers     (all machines in one)
    tables.py headers/usr debian13/usr

The second folder has those of Linux 6.12 (Debian 13), the last of Debian's that have 31-bit s390, which Linux has dropped since.

One line a name, sorted by bytes, one column a space of numbers as machine.rs lists them; `-` where the space has no such call.
A column `sub-call` has the sub-call of socketcall(2), or 100 + that of ipc(2), by which a program can make the same call. Run it with the newest headers at hand: a name that is missing here is a call that no profile can allow.
"""
import pathlib
import re
import sys

FIRST_COMMON = 424  # pidfd_send_signal


def numbers(path, prefix="__NR_", first="a-z_"):
    """name → number of every `#define PREFIXname (BASE+number)`; a base (x32's bit, ARM's private range) is not added."""
    define = rf"^#define\s+{prefix}([{first}]\w*)\s+\(?(?:\w+\s*\+\s*)?(\d+)\)?(?:\s*/\*.*)?$"
    return {name: int(number) for name, number in re.findall(define, path.read_text(), re.M)}


def arm(uapi):
    """ARM's EABI calls, with the alias that <asm/unistd.h> adds."""
    found = numbers(uapi / "arm/asm/unistd-eabi.h")
    return found | {"sync_file_range2": found["arm_sync_file_range"]}


def s390(s390x):
    """The 31-bit calls; those since Linux 5.1 have the same number on every machine."""
    old = pathlib.Path(sys.argv[2]) / "lib/linux/uapi/s390/asm/unistd_32.h"
    return numbers(old) | {name: number for name, number in s390x.items() if number >= FIRST_COMMON}


def sub_calls(include):
    """The calls behind socketcall(2) and ipc(2), by the names that they have as calls of their own."""
    socketcall = numbers(include / "linux/net.h", "SYS_", "A-Z")
    ipc = numbers(include / "linux/ipc.h", "(?=SEM|MSG|SHM)", "A-Z")
    return {k.lower(): v for k, v in socketcall.items()} | {k.lower(): 100 + v for k, v in ipc.items()}


def write(path, header, columns):
    """The table of `columns`, each a dictionary of name → number."""
    names = sorted(set().union(*columns))
    lines = [" ".join([name, *(str(column.get(name, "-")) for column in columns)]) for name in names]
    path.write_text("\n".join(["# name " + header, *lines]) + "\n")
    print(path, len(names), "names")


def main():
    headers = pathlib.Path(sys.argv[1])
    uapi = headers / "lib/linux/uapi"
    here = pathlib.Path(__file__).parent
    sub = sub_calls(headers / "include")
    x86 = [numbers(uapi / f"x86/asm/unistd_{abi}.h") for abi in ("64", "32", "x32")]
    write(here / "x86.tbl", "x86_64 x86 x32 sub-call", [*x86, sub])
    private = numbers(uapi / "arm/asm/unistd.h", "__ARM_NR_")
    write(here / "power.tbl", "ppc64le sub-call", [numbers(uapi / "powerpc/asm/unistd_64.h"), sub])
    s390x = numbers(uapi / "s390/asm/unistd_64.h")
    write(here / "s390.tbl", "s390x s390 sub-call", [s390x, s390(s390x), sub])
    generic = [numbers(uapi / f"{machine}/asm/unistd_64.h") for machine in ("riscv", "loongarch")]
    write(here / "generic.tbl", "riscv64 loongarch64", generic)
    write(here / "arm.tbl", "aarch64 arm arm-private", [numbers(uapi / "arm64/asm/unistd_64.h"), arm(uapi), private])


main()
