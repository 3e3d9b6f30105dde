"""Who speaks which dialect, and the hellos of ours."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyholm.wire.codec import Malformed
from keyholm.wire.pkcs11.dialect import Dialect
from keyholm.wire.pkcs11.handshake import (
    MAX_HELLO,
    NO_TOKEN,
    ClientHello,
    ServerHello,
    decode_client_hello,
    decode_server_hello,
    encode_client_hello,
    encode_server_hello,
    rest_of_hello,
    stock_dialect,
)

CLIENT = ClientHello(1, (3, 2, 770), 8, 4711)
SERVER = ServerHello(0, (1, 0, 7), bytes(range(16)), 1 << 20)
UINT64 = st.integers(0, 2**64 - 1)
UINT32 = st.integers(0, 2**32 - 1)
VERSION = st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 65535))
TOKEN = st.binary(min_size=16, max_size=16)


def test_stock_clients_are_known_by_their_first_byte() -> None:
    assert [stock_dialect(byte) for byte in (0, 1, 2)] == [Dialect(0), Dialect(1), Dialect(2)]
    assert [stock_dialect(byte) for byte in (3, 0x7F, 0x80, 0xFF)] == [None] * 4


def test_the_hellos_are_those_of_the_protocol_page() -> None:
    assert encode_client_hello(CLIENT) == bytes.fromhex(
        "80 00000021 0000000000000001 03020302 08 00001267" + 16 * "00"
    )
    assert CLIENT.token == NO_TOKEN
    assert encode_server_hello(SERVER) == bytes.fromhex(
        "80 00000020 0000000000000000 01000007 000102030405060708090a0b0c0d0e0f 00100000"
    )
    assert CLIENT.dialect == Dialect(0x80, 8)


@given(
    st.builds(ClientHello, UINT64, VERSION, st.sampled_from([4, 8]), UINT32, TOKEN),
    st.builds(ServerHello, UINT64, VERSION, TOKEN, UINT32),
    st.binary(max_size=20),
)
def test_a_hello_is_read_as_it_was_written(
    client: ClientHello, server: ServerHello, later: bytes
) -> None:
    written = encode_client_hello(client)
    assert rest_of_hello(written[:5]) == len(written) - 5
    assert decode_client_hello(written[5:] + later) == client
    written = encode_server_hello(server)
    assert rest_of_hello(written[:5]) == len(written) - 5
    assert decode_server_hello(written[5:] + later) == server


def test_a_cut_hello_is_refused() -> None:
    for end in range(33):
        with pytest.raises(Malformed):
            decode_client_hello(encode_client_hello(CLIENT)[5 : 5 + end])
    for end in range(32):
        with pytest.raises(Malformed):
            decode_server_hello(encode_server_hello(SERVER)[5 : 5 + end])


@pytest.mark.parametrize(
    "head",
    [
        b"\x80\0\0\0",
        struct.pack(">BI", 0x80, 31),
        struct.pack(">BI", 0x80, MAX_HELLO + 1),
        struct.pack(">BI", 0x80, 0xFFFFFFFF),
        struct.pack(">BI", 2, 33),
    ],
)
def test_a_head_that_is_no_hello_is_refused(head: bytes) -> None:
    with pytest.raises(Malformed):
        rest_of_hello(head)


def test_a_word_size_that_no_machine_has_is_refused() -> None:
    hello = bytearray(encode_client_hello(CLIENT)[5:])
    hello[12] = 5
    with pytest.raises(Malformed, match="5 bytes"):
        decode_client_hello(hello)
