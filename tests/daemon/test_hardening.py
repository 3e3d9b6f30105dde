"""The sandbox, closed for real in a process of its own, as root and as an ordinary user."""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyholm.daemon.hardening import NOTHING, landlock, seccomp
from keyholm.daemon.hardening.seccomp import (
    AND,
    ARCHITECTURES,
    JUMP_EQUAL,
    JUMP_NOT_BELOW,
    LOAD,
    RET_ALLOW,
    RET_ERRNO,
    RET_KILL_PROCESS,
    RETURN,
    Instruction,
    assemble,
    conditions,
)
from keyholm.daemon.hardening.system_calls import ALWAYS, SOMETIMES

HERE = Path(__file__).parent
NOBODY = 65534
HEADERS = {
    "x86_64": (0, Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")),
    "aarch64": (1, Path("/usr/include/asm-generic/unistd.h")),
}
REFUSED = {"Operation not permitted", "Permission denied"}
NEEDED = 12  # of the attempts: the first ones are what the daemon needs


def run(folder: Path, user: int | None) -> dict[str, Any]:
    for name in ("data", "config"):
        (folder / name).mkdir()
    (folder / "config/config.toml").write_text("# hello\n")
    (folder / "secret").write_text("secret")
    python, path = sys.executable, str(HERE.parents[1] / "src")
    if user is not None:
        for name in (".", "data", "config", "config/config.toml", "secret"):
            os.chown(folder / name, user, user)
        # The environment of the tests may lie where only its owner can look.
        python = shutil.which("python3", path="/usr/bin:/bin") or python
        path = f"{path}:{sysconfig.get_path('purelib')}"
    done = subprocess.run(
        [python, str(HERE / "sandboxed.py"), str(folder)],
        env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin"},
        cwd="/",
        user=user,
        group=user,
        extra_groups=[] if user is not None else None,
        capture_output=True,
        timeout=60,
        check=False,
    )
    unread = (b"No module named", b"can't open file")
    if user is not None and any(words in done.stderr for words in unread):
        pytest.skip("contract only: an ordinary user cannot read this environment")
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(params=["this user", "an ordinary user"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    user = NOBODY if request.param == "an ordinary user" else None
    if user is not None and os.geteuid() != 0:
        pytest.skip("contract only: this is an ordinary user already")
    with tempfile.TemporaryDirectory(prefix="kh") as folder:
        yield run(Path(folder), user)


def test_it_closes_and_says_so(sandbox: dict[str, Any]) -> None:
    applied = sandbox["applied"]
    assert applied.pop("landlock") == landlock.abi()
    assert applied.pop("no_new_code") or platform.release() < "6.3"
    assert all(applied.values()), applied
    status = dict(line.split(":\t", 1) for line in sandbox["status"].splitlines())
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    # Nothing but the right to lock memory, and that for root alone.
    assert int(status["CapEff"], 16) in (0, 1 << 14)
    assert int(status["CapBnd"], 16) & ~(1 << 14) == 0 or int(status["Uid"].split()[0]) != 0


def test_what_the_daemon_needs_works(sandbox: dict[str, Any]) -> None:
    needed = dict(list(sandbox["done"].items())[:NEEDED])
    assert {name for name, result in needed.items() if not result.startswith("ok")} == set()


def test_nothing_else_does(sandbox: dict[str, Any]) -> None:
    if not sandbox["applied"]["landlock"]:
        pytest.skip("contract only: this kernel has no Landlock")
    rest = dict(list(sandbox["done"].items())[NEEDED:])
    assert {name: result for name, result in rest.items() if result not in REFUSED} == {}
    if platform.machine() == "x86_64":
        assert set(sandbox["calls"].values()) == {"Operation not permitted"}


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
        "from keyholm.daemon.hardening import seccomp\n"
        "assert seccomp.apply()\n"
        "function()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGSYS, done.stderr.decode()


def test_without_anything_each_gap_is_told() -> None:
    assert len(NOTHING.missing()) >= 5


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
# A call with its arguments, and what is to become of it.
CALLS = [
    ("clone", [0x00010000 | 0x100], RET_ALLOW),  # CLONE_THREAD | CLONE_VM
    ("clone", [17], EPERM),  # SIGCHLD: a fork
    ("clone3", [0], ENOSYS),
    ("socketpair", [1, 1], RET_ALLOW),
    ("socketpair", [1, 1 | 0o2000000], RET_ALLOW),  # SOCK_CLOEXEC
    ("socketpair", [1, 2], EPERM),
    ("socketpair", [2, 1], EPERM),
    ("prctl", [15], RET_ALLOW),
    ("prctl", [4], EPERM),  # PR_SET_DUMPABLE
    ("prctl", [1 << 32 | 15], EPERM),
    ("ioctl", [0, 0x5421], RET_ALLOW),
    ("ioctl", [0, 0x5412], EPERM),  # TIOCSTI: type at a terminal
    ("kill", [PID], RET_ALLOW),
    ("kill", [1], EPERM),
    ("kill", [0xFFFFFFFF], EPERM),  # -1: everybody
    ("prlimit64", [0, 7, 0], RET_ALLOW),
    ("prlimit64", [0, 7, 0x7FFF_0000_0000], EPERM),
    ("prlimit64", [1, 7, 0], EPERM),
]


@pytest.mark.parametrize("name", ARCHES)
@pytest.mark.parametrize(("call", "arguments", "expected"), CALLS)
def test_a_call_is_judged_by_its_arguments(
    name: str, call: str, arguments: list[int], expected: int
) -> None:
    architecture = ARCHITECTURES[name]
    number = SOMETIMES[call][architecture.column]
    assert number is not None
    padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    program = assemble(architecture, PID)
    assert verdict(program, architecture.audit, number, padded) == expected


@pytest.mark.parametrize("name", ARCHES)
def test_every_number_is_allowed_only_if_it_is_in_the_table(name: str) -> None:
    architecture = ARCHITECTURES[name]
    program = assemble(architecture, PID)
    always = {numbers[architecture.column] for numbers in ALWAYS.values()}
    sometimes = {numbers[architecture.column] for numbers in SOMETIMES.values()}
    for number in range(600):
        found = verdict(program, architecture.audit, number, [0xFFFF_FFFF_FFFF] * 6)
        if number in always:
            assert found == RET_ALLOW, number
        elif number not in sometimes:
            assert found == (EPERM if number < seccomp.NEWER else ENOSYS), number
    assert verdict(program, architecture.audit, 0x40000000, [0] * 6) == ENOSYS
    assert verdict(program, architecture.audit ^ 1, 0, [0] * 6) == RET_KILL_PROCESS


@pytest.mark.parametrize("name", ARCHES)
def test_the_filter_is_one_that_the_kernel_takes(name: str) -> None:
    program = assemble(ARCHITECTURES[name], PID)
    assert len(program) < 4096
    assert program[-1].code == RETURN
    for at, step in enumerate(program):
        assert step.code in (LOAD, JUMP_EQUAL, JUMP_NOT_BELOW, AND, RETURN)
        assert at + 1 + max(step.then, step.otherwise) < len(program) or step.code == RETURN
        assert max(step.then, step.otherwise) < 256


def test_everything_that_is_allowed_sometimes_has_its_conditions() -> None:
    assert conditions(PID).keys() == SOMETIMES.keys()


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
    for call, numbers in {**ALWAYS, **SOMETIMES}.items():
        if numbers[column] is not None:
            assert found[call] == numbers[column], call
