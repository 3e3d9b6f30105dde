"""What is fuzzed of PKCS#11: everything that reads what a program, or a daemon, sent.

The first byte says which dialect it is, so that changes reach what is inside.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keyholm.wire.codec import Malformed
from keyholm.wire.pkcs11 import handshake, mechanisms, messages, parameters
from keyholm.wire.pkcs11.calls import BY_NAME, CALLS
from keyholm.wire.pkcs11.constants import CK, CKA, CKM, CKR
from keyholm.wire.pkcs11.dialect import OWN_VERSION, Dialect
from keyholm.wire.pkcs11.mechanisms import MESSAGE_FORMS, Mechanism
from keyholm.wire.pkcs11.messages import Protocol, Refusal, protocol_of

VECTORS = Path(__file__).parents[1] / "vectors" / "pkcs11"
DIALECTS = [Dialect(version, ulong) for version in (0, 1, 2, OWN_VERSION) for ulong in (8, 4)]
OWN = 6
PROTOCOLS = [protocol_of(dialect) for dialect in DIALECTS]

TEMPLATE = (
    (CKA.CLASS, 3),
    (CKA.TOKEN, True),
    (CKA.LABEL, b"label"),
    (CKA.PARAMETER_SET, 2),
    (CKA.ALLOWED_MECHANISMS, (CKM.ECDSA, CKM.EDDSA)),
    (CKA.WRAP_TEMPLATE, ((CKA.TOKEN, True), (CKA.UNWRAP_TEMPLATE, ()))),
    (CKA.START_DATE, b"20261125"),
    (CKA.VALUE, None),
)
SP800 = parameters.FeedbackKdf(
    CKM.SHA256_HMAC,
    (
        parameters.DataParam(CK.SP800_108_COUNTER, parameters.CounterFormat(False, 32)),
        parameters.DataParam(CK.SP800_108_DKM_LENGTH, parameters.DkmLength(1, True, 16)),
        parameters.DataParam(CK.SP800_108_BYTE_ARRAY, b"label"),
    ),
    b"iv",
    0,
)
OAEP = parameters.Oaep(CKM.SHA256, 2, 1, b"label")
OWN_REQUESTS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("SignOnce", (1, Mechanism(CKM.ECDSA), 2, b"data", 64)),
    ("SignOnce", (1, Mechanism(CKM.RSA_PKCS_PSS, parameters.Pss(CKM.SHA256, 2, 32)), 2, None, 0)),
    ("Begin", (1, 0, Mechanism(CKM.EDDSA, parameters.Eddsa(True, b"c")), 2)),
    ("FindObjectsWith", (1, 100, (CKA.LABEL, CKA.ID))),
    ("CreateObject", (1, TEMPLATE)),
    ("GetAttributeValue", (1, 2, ((CKA.LABEL, 0), (CKA.VALUE, 32)))),
    ("DeriveKey", (1, Mechanism(CKM.SP800_108_FEEDBACK_KDF, SP800), 2, TEMPLATE)),
    ("WrapKey", (1, Mechanism(CKM.RSA_AES_KEY_WRAP, parameters.RsaAesWrap(256, OAEP)), 2, 3, 0)),
    ("EncryptMessage", (1, b"parameter", b"aad", b"plain", 64)),
    ("DigestInit", (1, Mechanism(0x80000001, b"raw"))),
    ("InitToken2", (1, b"1234", "label")),
)


def _recorded() -> Iterator[tuple[str, bytes, bytes]]:
    for line in (VECTORS / "p11-kit-0.24.1.txt").read_text().splitlines():
        name, request, answer = line.split()
        yield name, bytes.fromhex(request), bytes.fromhex(answer)


REQUESTS = (
    *(b"\0" + request for _, request, _ in _recorded()),
    *(
        bytes([OWN]) + PROTOCOLS[OWN].encode_request(BY_NAME[name], *values)
        for name, values in OWN_REQUESTS
    ),
)
# The second byte says which call it answers.
ANSWERS = (
    *(bytes([0, CALLS.index(BY_NAME[name])]) + answer for name, _, answer in _recorded()),
    bytes([OWN, 0]) + PROTOCOLS[OWN].encode_error(CKR.PIN_INCORRECT, "It is wrong.", "Try again."),
    bytes([OWN, CALLS.index(BY_NAME["FindObjectsWith"])])
    + PROTOCOLS[OWN].encode_answer(BY_NAME["FindObjectsWith"], (1, 2), TEMPLATE),
)
HELLOS = (
    handshake.encode_client_hello(handshake.ClientHello(0, (1, 2, 3), 8, 4711)),
    handshake.encode_server_hello(handshake.ServerHello(0, (1, 2, 3), bytes(16), 1 << 20)),
)
MESSAGE = bytes([0]) + mechanisms.write_message(
    CKM.AES_GCM, parameters.GcmMessage(bytes(12), 0, 0, 128, bytes(16))
)


def request(data: bytes) -> None:
    """What is read can be written, and is then read as the same."""
    protocol, body = _chosen(data)
    read = protocol.decode_request(body)
    repr(read)
    if read.call is None:
        return
    # Once more: text that is no UTF-8, or too long for its field, changes the first time.
    again = protocol.decode_request(protocol.encode_request(read.call, *read.values))
    thrice = protocol.decode_request(protocol.encode_request(read.call, *again.values))
    assert again == thrice


def answer(data: bytes) -> None:
    protocol, rest = _chosen(data)
    if not rest:
        raise Malformed("no call")
    call, body = CALLS[rest[0] % len(CALLS)], rest[1:]
    try:
        protocol.number(call)
    except LookupError:
        raise Malformed("no call of this dialect") from None
    read = protocol.decode_answer(call, body)
    if isinstance(read, Refusal):
        protocol.encode_error(read.status, read.what, read.remedy)
        return
    again = protocol.decode_answer(call, protocol.encode_answer(call, *read))
    assert not isinstance(again, Refusal)
    assert protocol.decode_answer(call, protocol.encode_answer(call, *again)) == again


def hello(data: bytes) -> None:
    head, rest = data[:5], data[5:]
    if handshake.rest_of_hello(head) != len(rest):
        raise Malformed("another length")
    client = server = None
    try:
        client = handshake.decode_client_hello(rest)
    except Malformed:
        server = handshake.decode_server_hello(rest)
    if client:
        assert handshake.decode_client_hello(handshake.encode_client_hello(client)[5:]) == client
    if server:
        assert handshake.decode_server_hello(handshake.encode_server_hello(server)[5:]) == server


def message_parameter(data: bytes) -> None:
    number = list(MESSAGE_FORMS)[data[0] % len(MESSAGE_FORMS)] if data else CKM.AES_GCM
    parameter = mechanisms.read_message(number, data[1:])
    assert parameter is not None
    assert mechanisms.read_message(number, mechanisms.write_message(number, parameter)) == parameter


def head(data: bytes) -> None:
    code, options, body = messages.read_head(data, 1 << 20)
    assert code
    assert options <= messages.MAX_OPTIONS
    assert body <= 1 << 20


HEADS = (messages.frame(16, b"", b"client")[:12],)


def _chosen(data: bytes) -> tuple[Protocol, bytes]:
    if not data:
        raise Malformed("no dialect")
    return PROTOCOLS[data[0] % len(PROTOCOLS)], data[1:]
