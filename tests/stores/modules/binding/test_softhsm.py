"""SoftHSM2 through a worker: what a store asks of a module first."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from tests.stores.modules.binding.conftest import slot_of
from tests.stores.modules.binding.vendor import ROOM, Refused, Session, Vendor
from tests.torture.rig import PIN

from keyholm.wire.pkcs11.constants import CKA, CKF, CKK, CKM, CKO, CKR, CKU
from keyholm.wire.pkcs11.mechanisms import Mechanism

ECDSA = Mechanism(CKM.ECDSA)
UNTOLD = (1 << 64) - 1


def key_of(session: Session, cko: int = CKO.PRIVATE_KEY) -> int:
    (key,) = session.find((CKA.CLASS, cko), (CKA.LABEL, b"p256"))
    return key


def test_a_module_says_who_it_is_when_it_is_loaded(soft: Vendor) -> None:
    info = soft.info
    assert (info.manufacturer, info.library_description) == ("SoftHSM", "Implementation of PKCS11")
    assert info.interface_version == info.cryptoki_version == (2, 40)
    assert {"SignInit", "WaitForSlotEvent"} <= set(info.functions)
    assert "GetInterface" not in info.functions
    assert not info.is_serial


def test_slots_and_tokens_are_told(soft: Vendor) -> None:
    line = soft.line()
    count = line("GetSlotList", 1, 0)
    slots = line("GetSlotList", 1, 64)
    assert count == len(slots) == 3  # the last is where a new token would be made
    assert line("GetSlotList", 1, 1) == 3
    description, manufacturer, flags, *_ = line("GetSlotInfo", slots[0])
    assert description.startswith("SoftHSM slot ID")
    assert manufacturer == "SoftHSM project"
    assert flags & CKF.TOKEN_PRESENT
    told = line("GetTokenInfo", slot_of(soft, "one"))
    assert told[:3] == ("one", "SoftHSM project", "SoftHSM v2")
    assert told[4] & CKF.LOGIN_REQUIRED
    assert told[11:15] == (UNTOLD,) * 4
    assert len(told[-1]) == 16
    assert line.status("GetTokenInfo", 0x1234) == CKR.SLOT_ID_INVALID


def test_mechanisms_are_told(soft: Vendor) -> None:
    line, slot = soft.line(), slot_of(soft, "one")
    mechanisms = line("GetMechanismList", slot, 1000)
    assert line("GetMechanismList", slot, 0) == len(mechanisms)
    assert CKM.ECDSA in mechanisms
    least, most, flags = line("GetMechanismInfo", slot, CKM.ECDSA)
    assert (least, most) == (112, 521)
    assert flags & CKF.SIGN
    assert line.status("GetMechanismInfo", slot, 0x80001234) == CKR.MECHANISM_INVALID


def test_a_pin_is_verified_by_the_module(soft: Vendor) -> None:
    session = Session.open(soft.line(), slot_of(soft, "two"))
    assert session.status("Login", CKU.USER, b"0000") == CKR.PIN_INCORRECT
    assert session.status("Login", CKU.USER, None) == CKR.ARGUMENTS_BAD
    session("Login", CKU.USER, PIN.encode())
    assert session.status("Login", CKU.USER, PIN.encode()) == CKR.USER_ALREADY_LOGGED_IN
    slot, state, flags, error = session("GetSessionInfo")
    assert (slot, state, flags, error) == (session.slot, 3, 6, 0)
    session("Logout")
    session("CloseSession")
    assert session.status("GetSessionInfo") == CKR.SESSION_HANDLE_INVALID


def test_a_signature_is_one_call_and_verifies(session: Session) -> None:
    digest = bytes(range(32))
    private, public = key_of(session), key_of(session, CKO.PUBLIC_KEY)
    signature = session("SignOnce", ECDSA, private, digest, ROOM)
    point = session.read(public, CKA.EC_POINT)[CKA.EC_POINT]
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point[2:])
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    how = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
    key.verify(utils.encode_dss_signature(r, s), digest, how)
    session("VerifyOnce", ECDSA, public, digest, signature)
    refused = session.status("VerifyOnce", ECDSA, public, digest, bytes(64))
    assert refused == CKR.SIGNATURE_INVALID


def test_an_error_names_the_function_and_the_code(session: Session) -> None:
    with pytest.raises(Refused) as caught:
        session("SignOnce", ECDSA, 0x7777, bytes(32), ROOM)
    # The standard has CKR_KEY_HANDLE_INVALID for it.
    assert caught.value.status == CKR.OBJECT_HANDLE_INVALID
    assert caught.value.what == "C_SignInit of the module said CKR_OBJECT_HANDLE_INVALID."


def test_channels_call_the_module_at_the_same_time(soft: Vendor, session: Session) -> None:
    private = key_of(session)

    def sign(n: int) -> set[int]:
        line = soft.line()
        own = Session.open(line, session.slot)
        lengths = {len(own("SignOnce", ECDSA, private, bytes([n]) * 32, ROOM)) for _ in range(50)}
        own("CloseSession")
        return lengths

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(sign, range(8))) == [{64}] * 8


def test_attributes_are_told_in_full_and_what_is_not_told_is_none(session: Session) -> None:
    private = key_of(session)
    wanted = (
        CKA.CLASS,
        CKA.KEY_TYPE,
        CKA.VALUE,
        CKA.LABEL,
        CKA.ID,
        CKA.SIGN,
        CKA.MODULUS,
        CKA.START_DATE,
        CKA.ALLOWED_MECHANISMS,
        0x8000_1234,
    )
    told, status = session("GetAttributeValue", private, tuple((each, 0) for each in wanted))
    assert status in (CKR.ATTRIBUTE_SENSITIVE, CKR.ATTRIBUTE_TYPE_INVALID)
    assert told == (
        (CKA.CLASS, CKO.PRIVATE_KEY),
        (CKA.KEY_TYPE, CKK.EC),
        (CKA.VALUE, None),
        (CKA.LABEL, b"p256"),
        (CKA.ID, b"\1"),
        (CKA.SIGN, True),
        (CKA.MODULUS, None),
        (CKA.START_DATE, b""),
        (CKA.ALLOWED_MECHANISMS, ()),
        (0x8000_1234, None),
    )
    assert session("GetAttributeValue", private, ((CKA.LABEL, 0),)) == (
        ((CKA.LABEL, b"p256"),),
        CKR.OK,
    )
    assert session("GetAttributeValue", private, ()) == ((), CKR.OK)
    assert session.status("GetAttributeValue", 0x7777, ()) == CKR.OK
    assert (
        session.status("GetAttributeValue", 0x7777, ((CKA.LABEL, 0),)) == CKR.OBJECT_HANDLE_INVALID
    )
