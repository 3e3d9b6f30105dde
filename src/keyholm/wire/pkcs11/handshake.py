"""The first bytes of a connection: which dialect, and the hellos of ours.

A stock client sends one byte and is sent it back. Ours sends its hello with it and waits for the
daemon's. What follows the fields that we know is passed over: a later version has put it there.
"""

import struct
from typing import Final

from msgspec import Struct

from keyholm.wire.codec import Bytes, Malformed
from keyholm.wire.pkcs11.dialect import NEWEST_STOCK_VERSION, OWN_VERSION, Dialect

TOKEN_SIZE: Final = 16
# What the first connection of an application sends.
NO_TOKEN: Final = bytes(TOKEN_SIZE)

# The byte and the length of the rest
HEAD: Final = struct.Struct(">BI")
MAX_HELLO: Final = 4096
_CLIENT = struct.Struct(">QIBI16s")
_SERVER = struct.Struct(">QI16sI")


class ClientHello(Struct, frozen=True):
    features: int
    version: tuple[int, int, int]
    ulong: int  # bytes of its CK_ULONG
    process: int  # what it says; for the log only
    token: bytes = NO_TOKEN

    @property
    def dialect(self) -> Dialect:
        return Dialect(OWN_VERSION, self.ulong)


class ServerHello(Struct, frozen=True):
    features: int
    version: tuple[int, int, int]
    token: bytes
    largest_body: int


def stock_dialect(first_byte: int, ulong: int = 8) -> Dialect | None:
    """Of a stock client, to be answered by the same byte; None for any other."""
    return Dialect(first_byte, ulong) if first_byte <= NEWEST_STOCK_VERSION else None


def rest_of_hello(head: Bytes) -> int:
    """How many bytes follow the first five of a hello."""
    if len(head) != HEAD.size:
        raise Malformed(f"the head of a hello has {HEAD.size} bytes, not {len(head)}")
    first_byte, length = HEAD.unpack(head)
    if first_byte != OWN_VERSION:
        raise Malformed(f"a hello that begins with the byte {first_byte}")
    if not min(_CLIENT.size, _SERVER.size) <= length <= MAX_HELLO:
        raise Malformed(f"a hello of {length} bytes")
    return int(length)


def decode_client_hello(rest: Bytes) -> ClientHello:
    if len(rest) < _CLIENT.size:
        raise Malformed(f"a hello of {len(rest)} bytes")
    features, version, ulong, process, token = _CLIENT.unpack_from(rest)
    if ulong not in (4, 8):
        raise Malformed(f"a CK_ULONG of {ulong} bytes")
    return ClientHello(features, _unpacked(version), ulong, process, token)


def encode_client_hello(hello: ClientHello) -> bytes:
    rest = _CLIENT.pack(
        hello.features, _packed(hello.version), hello.ulong, hello.process, hello.token
    )
    return HEAD.pack(OWN_VERSION, len(rest)) + rest


def decode_server_hello(rest: Bytes) -> ServerHello:
    if len(rest) < _SERVER.size:
        raise Malformed(f"a hello of {len(rest)} bytes")
    features, version, token, largest_body = _SERVER.unpack_from(rest)
    return ServerHello(features, _unpacked(version), token, largest_body)


def encode_server_hello(hello: ServerHello) -> bytes:
    rest = _SERVER.pack(hello.features, _packed(hello.version), hello.token, hello.largest_body)
    return HEAD.pack(OWN_VERSION, len(rest)) + rest


def _packed(version: tuple[int, int, int]) -> int:
    major, minor, patch = version
    return major << 24 | minor << 16 | patch


def _unpacked(version: int) -> tuple[int, int, int]:
    return version >> 24, version >> 16 & 0xFF, version & 0xFFFF
