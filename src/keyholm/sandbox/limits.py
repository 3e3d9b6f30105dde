"""How much of the machine a process may use."""

import ctypes
import resource
from contextlib import suppress
from typing import Final

MIB: Final = 1024 * 1024
M_ARENA_MAX: Final = -8
ARENAS: Final = 4  # of glibc's malloc, each of which reserves 64 MiB of addresses
# Addresses beyond the memory that may be used: the interpreter, libraries, what is reserved.
ADDRESSES: Final = 768 * MIB
LARGEST_FILE: Final = 256 * MIB
THREADS: Final = 256


def apply(*, memory_mib: int, descriptors: int, own_users: bool) -> None:
    """`own_users`: the process has a user namespace to itself, so that a count of its user's
    threads is a count of its own."""
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)
    memory = memory_mib * MIB
    wanted = [
        (resource.RLIMIT_DATA, memory),  # what is its own
        (resource.RLIMIT_AS, memory + ADDRESSES),  # and what is shared
        (resource.RLIMIT_NOFILE, descriptors),
        (resource.RLIMIT_FSIZE, LARGEST_FILE),
        (resource.RLIMIT_CORE, 0),
    ]
    if own_users:
        wanted.append((resource.RLIMIT_NPROC, THREADS))
    for which, most in wanted:
        _lower(which, most)


def _lower(which: int, most: int) -> None:
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(which, (most, most))
