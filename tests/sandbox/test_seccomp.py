"""The filter of system calls: its tables, its assembly, and the kernel's opinion of it."""

import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from keyholm.daemon.hardening import calls as keepers
from keyholm.sandbox import seccomp
from keyholm.sandbox.seccomp import (
    AND,
    ARCHITECTURES,
    JUMP_EQUAL,
    JUMP_NOT_BELOW,
    LOAD,
    RET_ALLOW,
    RET_ERRNO,
    RET_KILL_PROCESS,
    RETURN,
    Allowed,
    Instruction,
    assemble,
)
from keyholm.sandbox.system_calls import CONDITIONAL, NUMBERS
from keyholm.worker import calls as workers

HEADERS = {
    "x86_64": (0, Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")),
    "aarch64": (1, Path("/usr/include/asm-generic/unistd.h")),
}


def test_a_call_of_another_architecture_ends_the_process() -> None:
    """32-bit calls have other numbers: fork is 2, which on x86_64 is open."""
    if platform.machine() != "x86_64":
        pytest.skip("contract only: needs an x86_64")
    # mov eax, 20 (getpid); int 0x80; ret
    script = (
        "import ctypes, mmap\n"
        "code = mmap.mmap(-1, 4096, prot=7)\n"
        "code.write(bytes.fromhex('b814000000cd80c3'))\n"
        "address = ctypes.addressof(ctypes.c_char.from_buffer(code))\n"
        "function = ctypes.CFUNCTYPE(ctypes.c_int)(address)\n"
        "import os; assert function() in (os.getpid(), -38)\n"
        "ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)\n"
        "from keyholm.sandbox import seccomp\n"
        "from keyholm.daemon.hardening.calls import allowed\n"
        "assert seccomp.apply(allowed(os.getpid()))\n"
        "function()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGSYS, done.stderr.decode()


# --- the filter, by an interpreter of the same instructions --------------------------


def verdict(program: list[Instruction], audit: int, number: int, arguments: list[int]) -> int:
    """What the kernel does with a call, by the meaning of the instructions (bpf(4))."""
    words = {0: number, 4: audit}
    for index, value in enumerate(arguments):
        words[16 + 8 * index] = value & 0xFFFFFFFF
        words[20 + 8 * index] = value >> 32
    accumulator, at = 0, 0
    while True:
        step = program[at]
        at += 1
        match step.code:
            case seccomp.LOAD:
                accumulator = words[step.value]
            case seccomp.AND:
                accumulator &= step.value
            case seccomp.JUMP_EQUAL:
                at += step.then if accumulator == step.value else step.otherwise
            case seccomp.JUMP_NOT_BELOW:
                at += step.then if accumulator >= step.value else step.otherwise
            case seccomp.RETURN:
                return step.value
            case _:
                raise AssertionError(step)


ARCHES = list(ARCHITECTURES)
EPERM, ENOSYS = RET_ERRNO | 1, RET_ERRNO | 38
PID = 4711
KEEPER = keepers.allowed(PID)
WORKER = workers.allowed(PID, (1,), ipc=False)
NETWORKED = workers.allowed(PID, (2, 10, 16), ipc=True)
FILTERS = {"keeper": KEEPER, "worker": WORKER, "networked": NETWORKED}
# Whose call, the call with its arguments, and what is to become of it.
CALLS = [
    (KEEPER, "clone", [0x00010000 | 0x100], RET_ALLOW),  # CLONE_THREAD | CLONE_VM
    (KEEPER, "clone", [17], EPERM),  # SIGCHLD: a fork
    (KEEPER, "clone3", [0], ENOSYS),
    (KEEPER, "socketpair", [1, 1], RET_ALLOW),
    (KEEPER, "socketpair", [1, 1 | 0o2000000], RET_ALLOW),  # SOCK_CLOEXEC
    (KEEPER, "socketpair", [1, 2], EPERM),
    (KEEPER, "socketpair", [2, 1], EPERM),
    (KEEPER, "prctl", [15], RET_ALLOW),
    (KEEPER, "prctl", [4], EPERM),  # PR_SET_DUMPABLE
    (KEEPER, "prctl", [1 << 32 | 15], EPERM),
    (KEEPER, "ioctl", [0, 0x5421], RET_ALLOW),
    (KEEPER, "ioctl", [0, 0x5412], EPERM),  # TIOCSTI: type at a terminal
    (KEEPER, "kill", [PID], RET_ALLOW),
    (KEEPER, "kill", [1], EPERM),
    (KEEPER, "kill", [0xFFFFFFFF], EPERM),  # -1: everybody
    (KEEPER, "prlimit64", [0, 7, 0], RET_ALLOW),
    (KEEPER, "prlimit64", [0, 7, 0x7FFF_0000_0000], EPERM),
    (KEEPER, "prlimit64", [1, 7, 0], EPERM),
    (WORKER, "clone", [0x00010000 | 0x100], RET_ALLOW),
    (WORKER, "clone", [17], EPERM),
    (WORKER, "clone", [0x4100 | 17], EPERM),  # CLONE_VM | CLONE_VFORK: posix_spawn
    (WORKER, "clone3", [0], ENOSYS),
    (WORKER, "socket", [1, 1], RET_ALLOW),
    (WORKER, "socket", [2, 1], EPERM),
    (WORKER, "socket", [16, 3], EPERM),
    (WORKER, "socketpair", [1, 2], RET_ALLOW),
    (NETWORKED, "socket", [1, 1], EPERM),
    (NETWORKED, "socket", [2, 1], RET_ALLOW),
    (NETWORKED, "socket", [10, 1], RET_ALLOW),
    (NETWORKED, "socket", [17, 3], EPERM),  # AF_PACKET
    (WORKER, "ioctl", [0, 0x5412], EPERM),
    (WORKER, "ioctl", [0, 1 << 32 | 0x5412], EPERM),  # the kernel takes 32 bits of it
    (WORKER, "ioctl", [0, 0x541C], EPERM),
    (WORKER, "ioctl", [0, 0x4400], RET_ALLOW),  # whatever a device understands
    (WORKER, "prctl", [4], EPERM),
    (WORKER, "prctl", [22], EPERM),  # PR_SET_SECCOMP
    (WORKER, "prlimit64", [0, 7, 0x7FFF_0000_0000], RET_ALLOW),
    (WORKER, "prlimit64", [1, 7, 0], EPERM),
    (WORKER, "kill", [PID], RET_ALLOW),
    (WORKER, "kill", [1], EPERM),
    (WORKER, "tgkill", [PID, PID], RET_ALLOW),
    (WORKER, "tgkill", [1, 1], EPERM),
    (WORKER, "rt_tgsigqueueinfo", [1, 1], EPERM),
    (WORKER, "shmget", [0], EPERM),
    (NETWORKED, "shmget", [0], RET_ALLOW),
    (WORKER, "tkill", [PID], EPERM),
]


@pytest.mark.parametrize("name", ARCHES)
@pytest.mark.parametrize(("allowed", "call", "arguments", "expected"), CALLS)
def test_a_call_is_judged_by_its_arguments(
    name: str, allowed: Allowed, call: str, arguments: list[int], expected: int
) -> None:
    architecture = ARCHITECTURES[name]
    number = ({"tkill": (200, 130)} | NUMBERS)[call][architecture.column]
    assert number is not None
    padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    program = assemble(architecture, allowed)
    assert verdict(program, architecture.audit, number, padded) == expected


@pytest.mark.parametrize("allowed", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("name", ARCHES)
def test_every_number_is_allowed_only_if_it_is_in_the_table(name: str, allowed: Allowed) -> None:
    architecture = ARCHITECTURES[name]
    program = assemble(architecture, allowed)
    always = {NUMBERS[call][architecture.column] for call in allowed.always}
    sometimes = {NUMBERS[call][architecture.column] for call in allowed.sometimes}
    for number in range(600):
        found = verdict(program, architecture.audit, number, [0xFFFF_FFFF_FFFF] * 6)
        if number in always:
            assert found == RET_ALLOW, number
        elif number not in sometimes:
            assert found == (EPERM if number < seccomp.NEWER else ENOSYS), number
    assert verdict(program, architecture.audit, 0x40000000, [0] * 6) == ENOSYS
    assert verdict(program, architecture.audit ^ 1, 0, [0] * 6) == RET_KILL_PROCESS


@pytest.mark.parametrize("allowed", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("name", ARCHES)
def test_the_filter_is_one_that_the_kernel_takes(name: str, allowed: Allowed) -> None:
    program = assemble(ARCHITECTURES[name], allowed)
    assert len(program) < 4096
    assert program[-1].code == RETURN
    for at, step in enumerate(program):
        assert step.code in (LOAD, JUMP_EQUAL, JUMP_NOT_BELOW, AND, RETURN)
        assert at + 1 + max(step.then, step.otherwise) < len(program) or step.code == RETURN
        assert max(step.then, step.otherwise) < 256


# What takes over another process, starts one, or leaves the sandbox.
NEVER = [
    "fork",
    "vfork",
    "execve",
    "execveat",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "kcmp",
    "pidfd_getfd",
    "pidfd_send_signal",
    "unshare",
    "setns",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "open_tree",
    "move_mount",
    "fsopen",
    "keyctl",
    "add_key",
    "request_key",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "io_uring_setup",
    "init_module",
    "finit_module",
    "kexec_load",
    "open_by_handle_at",
    "seccomp",
    "setuid",
    "setgid",
    "setreuid",
    "setresuid",
    "setpgid",
    "setsid",
    "capset",
    "mknod",
    "mknodat",
    "personality",
    "modify_ldt",
    "reboot",
    "swapon",
    "tkill",
]


@pytest.mark.parametrize("name", FILTERS)
def test_what_nobody_may_is_in_no_list(name: str) -> None:
    allowed = FILTERS[name]
    assert not {*allowed.always, *allowed.sometimes} & set(NEVER)


def test_everything_that_depends_on_its_arguments_has_conditions() -> None:
    assert KEEPER.sometimes.keys() | WORKER.sometimes.keys() == CONDITIONAL.keys() | {"tgkill"}


@pytest.mark.parametrize("name", ARCHES)
def test_the_numbers_are_the_kernels(name: str) -> None:
    column, header = HEADERS[name]
    if not header.exists():
        pytest.skip("contract only: the kernel's headers are not installed")
    found = {}
    for line in header.read_text().splitlines():
        words = line.split()
        if len(words) >= 3 and words[0] == "#define" and words[1].startswith("__NR"):
            # What differs between 32 and 64 bits stands there as __NR3264_name.
            call = words[1].removeprefix("__NR3264_").removeprefix("__NR_")
            if words[2].isdigit():
                found[call] = int(words[2])
    if name == "aarch64":
        found["newfstatat"] = found.get("newfstatat", found.get("fstatat", 79))
    for call, numbers in NUMBERS.items():
        if numbers[column] is not None:
            assert found[call] == numbers[column], call
