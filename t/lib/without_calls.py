#!/usr/bin/env python3
"""without_calls.py NAME... -- COMMAND...: runs the command where the kernel
does not have these system calls (ENOSYS).  "prctl:N" stands for that call with
N as its first argument (EINVAL), as an older kernel answers."""
import ctypes
import errno
import os
import sys

ALLOW, ERRNO, EQ = 0x7fff0000, 0x00050000, 4


class Compare(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int),
                ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def main():
    split = sys.argv.index("--")
    lib = ctypes.CDLL("libseccomp.so.2")
    lib.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(lib.seccomp_init(ctypes.c_uint32(ALLOW)))
    for word in sys.argv[1:split]:
        name, _, value = word.partition(":")
        number = lib.seccomp_syscall_resolve_name(name.encode())
        compare = (Compare * 1)(Compare(0, EQ, int(value or 0), 0))
        if lib.seccomp_rule_add_array(
                context, ctypes.c_uint32(
                    ERRNO | (errno.EINVAL if value else errno.ENOSYS)),
                ctypes.c_int(number), ctypes.c_uint(1 if value else 0),
                compare) != 0:
            sys.exit("no rule for " + word)
    if lib.seccomp_load(context) != 0:
        sys.exit("no filter")
    os.execvp(sys.argv[split + 1], sys.argv[split + 1:])


main()
