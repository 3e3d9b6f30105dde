"""What real peers wrote: Debian's p11-kit-client.so and p11-kit's own server, recorded between them."""

from pathlib import Path
from typing import Any

import pytest

from keyholm.wire.codec import Malformed
from keyholm.wire.pkcs11 import parameters
from keyholm.wire.pkcs11.calls import BY_NAME, STOCK
from keyholm.wire.pkcs11.constants import CKA, CKD, CKK, CKM, CKO, CKR, CKU
from keyholm.wire.pkcs11.dialect import Dialect
from keyholm.wire.pkcs11.mechanisms import Mechanism, update
from keyholm.wire.pkcs11.messages import Refusal, protocol_of

VECTORS = Path(__file__).parents[2] / "vectors" / "pkcs11"
RECORDED = [
    (name, bytes.fromhex(request), bytes.fromhex(answer))
    for name, request, answer in (
        line.split() for line in (VECTORS / "p11-kit-0.24.1.txt").read_text().splitlines()
    )
]
OLD, NEW = protocol_of(Dialect(0)), protocol_of(Dialect(2))


@pytest.mark.parametrize(("name", "request_body", "answer_body"), RECORDED)
def test_a_recorded_call_is_read_and_written_again(
    name: str, request_body: bytes, answer_body: bytes
) -> None:
    request = OLD.decode_request(request_body)
    call = BY_NAME[name]
    assert request.call == call
    written = OLD.encode_request(call, *request.values)
    if written != request_body:
        # An empty OAEP label: NULL and no bytes are the same to us.
        assert name in ("EncryptInit", "DecryptInit")
        assert OLD.decode_request(written).values == request.values
    answer = OLD.decode_answer(call, answer_body)
    if isinstance(answer, Refusal):
        assert OLD.encode_error(answer.status) == answer_body
        return
    written = OLD.encode_answer(call, *answer)
    if written != answer_body:
        # A length without a value, which our side never sends.
        assert name == "GetAttributeValue"
        assert b"\xff\xff\xff\xff" in answer_body
        assert OLD.decode_answer(call, written) == answer


@pytest.mark.parametrize(("name", "request_body", "answer_body"), RECORDED)
def test_a_recorded_call_cut_anywhere_is_refused(
    name: str, request_body: bytes, answer_body: bytes
) -> None:
    for end in range(min(len(request_body), 600)):
        if name == "DigestInit" and end == len(request_body) - 4:
            # Without its last value, a NULL string, it is what newer versions write.
            continue
        with pytest.raises(Malformed):
            OLD.decode_request(request_body[:end])
    for end in range(min(len(answer_body), 600)):
        with pytest.raises(Malformed):
            OLD.decode_answer(BY_NAME[name], answer_body[:end])


def test_the_recording_has_most_calls() -> None:
    assert len({name for name, _, _ in RECORDED}) == 46


def values_of(name: str, nth: int = 0) -> tuple[Any, ...]:
    bodies = [request for recorded, request, _ in RECORDED if recorded == name]
    return OLD.decode_request(bodies[nth]).values


def test_what_was_asked_is_what_the_program_said() -> None:
    assert values_of("Initialize") == (b"PRIVATE-GNOME-KEYRING-PKCS11-PROTOCOL-V-1", 0, b"\0")
    _, user, pin = values_of("Login")
    assert (user, bytes(pin)) == (CKU.USER, b"1234")
    _, mechanism, public, private = values_of("GenerateKeyPair", 1)
    assert mechanism == Mechanism(CKM.EC_KEY_PAIR_GEN)
    assert (CKA.CLASS, CKO.PUBLIC_KEY) in public
    assert (CKA.KEY_TYPE, CKK.EC) in private
    mechanisms = [
        request
        for name, body, _ in RECORDED
        if name == "SignInit"
        for request in OLD.decode_request(body).values
        if isinstance(request, Mechanism)
    ]
    assert Mechanism(CKM.RSA_PKCS_PSS, parameters.Pss(CKM.SHA256, 2, 32)) in mechanisms


# No newer p11-kit is packaged here. These bodies are made by hand, as its forms are described
# (0.26.4: mechanisms in rpc-message.c, C_InitToken and C_DeriveKey in rpc-client.c), out of the
# recorded ones: the mechanism without its NULL string, a byte in front of a parameter.
SESSION, KEY = "0000000000000011", "0000000000000002"
BY_HAND = {
    "SignInit, CKM_ECDSA": (
        f"0000002a 00000003 754d75 {SESSION} 00001041 {KEY}",
        (0x11, Mechanism(CKM.ECDSA), 2),
    ),
    "SignInit, CKM_SHA256_RSA_PKCS_PSS": (
        f"0000002a 00000003 754d75 {SESSION} 00000043 01"
        f"0000000000000250 0000000000000002 0000000000000020 {KEY}",
        (0x11, Mechanism(CKM.SHA256_RSA_PKCS_PSS, parameters.Pss(CKM.SHA256, 2, 32)), 2),
    ),
    "EncryptInit, CKM_AES_CBC, with its parameter NULL": (
        f"0000001d 00000003 754d75 {SESSION} 00001082 00 {KEY}",
        (0x11, Mechanism(CKM.AES_CBC), 2),
    ),
    "EncryptInit, NULL": (
        f"0000001d 00000003 754d75 {SESSION} ffffffff {KEY}",
        (0x11, Mechanism(0xFFFFFFFF), 2),
    ),
    "InitToken2": (
        f"00000058 00000004 75617973 {SESSION} 01 00000004 35363738 00000020"
        + "6b" * 4
        + "20" * 28,
        (0x11, b"5678", "kkkk"),
    ),
    "DeriveKey2, CKM_ECDH1_DERIVE": (
        f"00000059 00000005 754d756141 {SESSION} 00001050 01 0000000000000001 ffffffff"
        f"00000002 0401 {KEY} 00000001 00000100 01 00000008 0000000000000010",
        (
            0x11,
            Mechanism(CKM.ECDH1_DERIVE, parameters.Ecdh1(CKD.NULL, b"", b"\4\1")),
            2,
            ((CKA.KEY_TYPE, CKK.GENERIC_SECRET),),
        ),
    ),
}


@pytest.mark.parametrize(("body", "expected"), BY_HAND.values(), ids=BY_HAND)
def test_what_newer_versions_send(body: str, expected: tuple[object, ...]) -> None:
    data = bytes.fromhex(body)
    assert NEW.decode_request(data).values == expected
    if "NULL" not in body and expected[1] not in (Mechanism(CKM.AES_CBC), b"5678"):
        number = int.from_bytes(data[:4])
        # The same client when the server wanted version 0.
        assert number not in STOCK or OLD.decode_request(data).values == expected


def test_the_answer_to_a_newer_derivation() -> None:
    call = BY_NAME["DeriveKey2"]
    mechanism = Mechanism(CKM.ECDH1_DERIVE, parameters.Ecdh1(CKD.NULL, b"", b"\4\1"))
    body = NEW.encode_answer(call, CKR.OK, update(mechanism), 7)
    assert body == bytes.fromhex("00000059 00000003 755075 0000000000000000 01 0000000000000007")
