"""What the core's mechanisms are called by a module, and that it is what a program would say."""

import hashlib

import pytest
from tests.cryptoki.test_mechanisms import GOOD, LEGACY

from keyholm.core import mechanisms as core
from keyholm.core.errors import MechanismUnsupported
from keyholm.core.mechanisms import Digest, Hash
from keyholm.cryptoki.mechanisms import chosen
from keyholm.cryptoki.outward import digest_info, outward
from keyholm.wire.pkcs11.calls import CALLS
from keyholm.wire.pkcs11.constants import CKF, CKM
from keyholm.wire.pkcs11.dialect import OWN_VERSION, Dialect
from keyholm.wire.pkcs11.mechanisms import Mechanism
from keyholm.wire.pkcs11.messages import Protocol
from keyholm.wire.pkcs11.parameters import Parameter

KNOWN = [each for each in GOOD + LEGACY if each[3] is not None and each[0] != CKM.PKCS5_PBKD2]
[SIGN_INIT] = [call for call in CALLS if call.name == "SignInit"]


@pytest.mark.parametrize(("ckm", "function", "parameter", "mechanism"), KNOWN)
def test_what_a_program_says_is_said_on(
    ckm: int, function: int, parameter: Parameter | None, mechanism: core.Mechanism
) -> None:
    said = outward(mechanism)
    assert said.type == ckm or {said.type, ckm} == {CKM.AES_KEY_WRAP_KWP, CKM.AES_KEY_WRAP_PAD}
    assert chosen(said, function, legacy=True).mechanism == mechanism


@pytest.mark.parametrize(("ckm", "function", "parameter", "mechanism"), KNOWN)
def test_it_crosses_to_the_worker(
    ckm: int, function: int, parameter: Parameter | None, mechanism: core.Mechanism
) -> None:
    protocol = Protocol(Dialect(OWN_VERSION))
    sent = protocol.encode_request(SIGN_INIT, 1, outward(mechanism), 2)
    assert protocol.decode_request(sent).values[1] == outward(mechanism)


def test_every_mechanism_that_works_on_a_key_is_said_on() -> None:
    """But for those that only make a key of nothing, or a digest."""
    tried = {type(mechanism) for *_, mechanism in KNOWN}
    named = {type(mechanism) for *_, mechanism in GOOD + LEGACY if mechanism is not None}
    assert named - tried == {core.Pbkdf2}


def test_a_vendors_own_goes_on_as_it_is() -> None:
    raw = b"\2\0\0\0\1x"  # as it crosses the wire
    assert outward(core.Vendor(0x8000_0001, raw)) == Mechanism(0x8000_0001, b"x")
    assert outward(core.Vendor(0x8000_0001)) == Mechanism(0x8000_0001, None)


@pytest.mark.parametrize(
    "mechanism",
    [core.Dsa(), core.MlDsa44Ed25519(), core.SecurityKey(), core.Value()],
)
def test_what_pkcs11_has_no_words_for_is_refused(mechanism: core.Mechanism) -> None:
    with pytest.raises(MechanismUnsupported, match=r"no words for .+\."):
        outward(mechanism)


@pytest.mark.parametrize("hashed", Hash)
def test_a_digest_info_is_read_as_that_digest(hashed: Hash) -> None:
    name = hashed.replace("sha3-", "sha3_")
    digest = hashlib.new(name, b"abc", usedforsecurity=False).digest()
    row = chosen(Mechanism(CKM.RSA_PKCS), CKF.SIGN)
    assert row.input(digest_info(hashed, digest)) == Digest(hashed, digest)
