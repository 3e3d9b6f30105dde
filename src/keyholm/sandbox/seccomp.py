"""Seccomp: refuse every system call that a process has no business with.

The filter is classic BPF, assembled here from a table. What it refuses fails with EPERM, so
that a mistake in a table shows as an error that can be reported and not as a dead process.
A call from a foreign architecture, which only an attack would make, ends the process.
"""

import ctypes
import os
import struct
from collections.abc import Collection, Mapping
from typing import Final

from msgspec import Struct

from keyholm.sandbox.process import control
from keyholm.sandbox.system_calls import NUMBERS

PR_SET_SECCOMP: Final = 22
SECCOMP_MODE_FILTER: Final = 2
RET_KILL_PROCESS: Final = 0x80000000
RET_ERRNO: Final = 0x00050000
RET_ALLOW: Final = 0x7FFF0000
EPERM: Final = 1
ENOSYS: Final = 38

# Instructions: load a word of struct seccomp_data, compare, mask, return.
LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
JUMP_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
JUMP_NOT_BELOW: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
AND: Final = 0x54  # BPF_ALU | BPF_AND | BPF_K
RETURN: Final = 0x06  # BPF_RET | BPF_K
NUMBER: Final = 0  # offsets in struct seccomp_data
ARCHITECTURE: Final = 4
ARGUMENTS: Final = 16
# Calls newer than this list have the same number everywhere. Told that the kernel has none of
# them, a C library does what it did before; told that it may not, it might give up.
NEWER: Final = 450


class Architecture(Struct, frozen=True):
    audit: int  # AUDIT_ARCH_*
    column: int  # of the tables


ARCHITECTURES: Final = {
    "x86_64": Architecture(0xC000003E, 0),
    "aarch64": Architecture(0xC00000B7, 1),
}


class Argument(Struct, frozen=True):
    """The low 32 bits of argument `index`, under `mask`, are `value`; the high ones are 0."""

    index: int
    value: int
    mask: int = 0xFFFFFFFF


class Unlike(Struct, frozen=True):
    """The low 32 bits of argument `index` are not `value`, whatever the high ones are: the
    kernel does not look at those."""

    index: int
    value: int


Condition = tuple[Argument | Unlike, ...]  # all of them


class Allowed(Struct, frozen=True):
    """Calls by name: those that may always be made, and those that may if any condition holds."""

    always: Collection[str]
    sometimes: Mapping[str, tuple[Condition, ...]]


class Instruction(Struct, frozen=True):
    code: int
    value: int
    then: int = 0  # how many to skip
    otherwise: int = 0

    def encode(self) -> bytes:
        return struct.pack("=HBBI", self.code, self.then, self.otherwise, self.value)


def assemble(architecture: Architecture, allowed: Allowed) -> list[Instruction]:
    """The filter; a jump is never longer than its own rule."""
    program = [
        Instruction(LOAD, ARCHITECTURE),
        Instruction(JUMP_EQUAL, architecture.audit, then=1),
        Instruction(RETURN, RET_KILL_PROCESS),
        Instruction(LOAD, NUMBER),
        Instruction(JUMP_NOT_BELOW, NEWER, otherwise=1),  # those of x32 among them
        Instruction(RETURN, RET_ERRNO | ENOSYS),
    ]
    for name in allowed.always:
        if (number := _number(name, architecture)) is not None:
            program += [
                Instruction(JUMP_EQUAL, number, otherwise=1),
                Instruction(RETURN, RET_ALLOW),
            ]
    for name, alternatives in allowed.sometimes.items():
        if (number := _number(name, architecture)) is not None:
            program += _rule(number, alternatives, ENOSYS if name == "clone3" else EPERM)
    program.append(Instruction(RETURN, RET_ERRNO | EPERM))
    return program


def _number(name: str, architecture: Architecture) -> int | None:
    return NUMBERS[name][architecture.column]


def _rule(number: int, alternatives: tuple[Condition, ...], refusal: int) -> list[Instruction]:
    body: list[Instruction] = []
    for condition in alternatives:
        body += _condition(condition)
    body.append(Instruction(RETURN, RET_ERRNO | refusal))
    return [Instruction(JUMP_EQUAL, number, otherwise=len(body)), *body]


def _condition(condition: Condition) -> list[Instruction]:
    """Allow if all its arguments are right, else go on after it."""
    code: list[Instruction] = [Instruction(RETURN, RET_ALLOW)]
    for argument in reversed(condition):
        low = ARGUMENTS + 8 * argument.index
        if isinstance(argument, Unlike):
            unlike = Instruction(JUMP_EQUAL, argument.value, then=len(code))
            code = [Instruction(LOAD, low), unlike, *code]
            continue
        wanted = argument.value & argument.mask
        code = [Instruction(JUMP_EQUAL, wanted, otherwise=len(code)), *code]
        if argument.mask != 0xFFFFFFFF:
            code = [Instruction(AND, argument.mask), *code]
        code = [
            Instruction(LOAD, low + 4),
            Instruction(JUMP_EQUAL, 0, otherwise=len(code) + 1),
            Instruction(LOAD, low),
            *code,
        ]
    return code


class _Program(ctypes.Structure):  # struct sock_fprog
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]  # type: ignore[mutable-override]


def apply(allowed: Allowed) -> bool:
    """False where the kernel or the architecture cannot. NO_NEW_PRIVS must be set already."""
    architecture = ARCHITECTURES.get(os.uname().machine)
    if architecture is None:
        return False
    program = assemble(architecture, allowed)
    code = b"".join(instruction.encode() for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = _Program(len(program), ctypes.addressof(buffer))
    return control(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(header))
