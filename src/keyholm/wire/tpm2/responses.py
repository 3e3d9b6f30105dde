"""Response codes: what a TPM says of a command that it did not carry out (Part 2, 6.6).

A code has one of two formats. In the first the number says it all; in the second it also says
which handle, session or parameter is meant.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum, unique
from typing import Final


@unique
class RC(IntEnum):
    """TPM_RC, without what a code of format 1 points at."""

    SUCCESS = 0x000
    BAD_TAG = 0x01E
    INITIALIZE = 0x100
    FAILURE = 0x101
    SEQUENCE = 0x103
    DISABLED = 0x120
    EXCLUSIVE = 0x121
    AUTH_TYPE = 0x124
    AUTH_MISSING = 0x125
    POLICY = 0x126
    PCR = 0x127
    PCR_CHANGED = 0x128
    UPGRADE = 0x12D
    TOO_MANY_CONTEXTS = 0x12E
    AUTH_UNAVAILABLE = 0x12F
    REBOOT = 0x130
    UNBALANCED = 0x131
    COMMAND_SIZE = 0x142
    COMMAND_CODE = 0x143
    AUTHSIZE = 0x144
    AUTH_CONTEXT = 0x145
    NV_RANGE = 0x146
    NV_SIZE = 0x147
    NV_LOCKED = 0x148
    NV_AUTHORIZATION = 0x149
    NV_UNINITIALIZED = 0x14A
    NV_SPACE = 0x14B
    NV_DEFINED = 0x14C
    BAD_CONTEXT = 0x150
    CPHASH = 0x151
    PARENT = 0x152
    NEEDS_TEST = 0x153
    NO_RESULT = 0x154
    SENSITIVE = 0x155
    ASYMMETRIC = 0x081
    ATTRIBUTES = 0x082
    HASH = 0x083
    VALUE = 0x084
    HIERARCHY = 0x085
    KEY_SIZE = 0x087
    MGF = 0x088
    MODE = 0x089
    TYPE = 0x08A
    HANDLE = 0x08B
    KDF = 0x08C
    RANGE = 0x08D
    AUTH_FAIL = 0x08E
    NONCE = 0x08F
    PP = 0x090
    SCHEME = 0x092
    SIZE = 0x095
    SYMMETRIC = 0x096
    TAG = 0x097
    SELECTOR = 0x098
    INSUFFICIENT = 0x09A
    SIGNATURE = 0x09B
    KEY = 0x09C
    POLICY_FAIL = 0x09D
    INTEGRITY = 0x09F
    TICKET = 0x0A0
    RESERVED_BITS = 0x0A1
    BAD_AUTH = 0x0A2
    EXPIRED = 0x0A3
    POLICY_CC = 0x0A4
    BINDING = 0x0A5
    CURVE = 0x0A6
    ECC_POINT = 0x0A7
    CONTEXT_GAP = 0x901
    OBJECT_MEMORY = 0x902
    SESSION_MEMORY = 0x903
    MEMORY = 0x904
    SESSION_HANDLES = 0x905
    OBJECT_HANDLES = 0x906
    LOCALITY = 0x907
    YIELDED = 0x908
    CANCELED = 0x909
    TESTING = 0x90A
    REFERENCE_H0 = 0x910
    REFERENCE_H1 = 0x911
    REFERENCE_H2 = 0x912
    REFERENCE_S0 = 0x918
    REFERENCE_S1 = 0x919
    REFERENCE_S2 = 0x91A
    NV_RATE = 0x920
    LOCKOUT = 0x921
    RETRY = 0x922
    NV_UNAVAILABLE = 0x923


@unique
class Part(StrEnum):
    """What a code of format 1 points at."""

    HANDLE = "handle"
    SESSION = "session"
    PARAMETER = "parameter"


AGAIN: Final = frozenset({RC.YIELDED, RC.TESTING, RC.RETRY, RC.CANCELED})
"""After these the same command may be sent once more."""

_FORMAT_1: Final = 0x080
_OF_PARAMETER: Final = 0x040
_OF_SESSION: Final = 0x800
_LAYERS: Final = 0xFFFF0000  # which software answered, of a resource manager; not part of a code


@dataclass(frozen=True, slots=True)
class Response:
    """A response code, taken apart."""

    number: int
    code: RC | None  # None: one that no standard of ours names
    part: Part | None = None
    index: int = 0  # of the part, from 1

    def __str__(self) -> str:
        name = f"TPM_RC_{self.code.name}" if self.code is not None else "an unknown code"
        where = f", {self.part} {self.index}" if self.part is not None else ""
        return f"{name} ({self.number:#05x}{where})"


def response(number: int) -> Response:
    number &= ~_LAYERS
    if not number & _FORMAT_1:
        return Response(number, _named(number))
    code = _named(number & 0x3F | _FORMAT_1)
    if number & _OF_PARAMETER:
        return Response(number, code, Part.PARAMETER, number >> 8 & 0xF)
    part = Part.SESSION if number & _OF_SESSION else Part.HANDLE
    return Response(number, code, part, number >> 8 & 0x7)


def _named(number: int) -> RC | None:
    try:
        return RC(number)
    except ValueError:
        return None
