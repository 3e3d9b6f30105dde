"""Objects of SoftHSM2: made, found, read, changed, destroyed."""

import pytest
from tests.stores.modules.binding.conftest import slot_of
from tests.stores.modules.binding.vendor import RW, Session, Vendor
from tests.torture.rig import PIN

from keyholm.wire.pkcs11.constants import CKA, CKC, CKF, CKK, CKM, CKO, CKR, CKU
from keyholm.wire.pkcs11.mechanisms import Mechanism

DATA = ((CKA.CLASS, CKO.DATA), (CKA.LABEL, b"note"))
UNTOLD = (1 << 64) - 1


def test_an_object_is_made_changed_copied_and_destroyed(session: Session) -> None:
    made = session("CreateObject", (*DATA, (CKA.VALUE, b"hello"), (CKA.MODIFIABLE, True)))
    assert session.read(made, CKA.VALUE, CKA.TOKEN) == {CKA.VALUE: b"hello", CKA.TOKEN: False}
    session("SetAttributeValue", made, ((CKA.LABEL, b"other"),))
    copied = session("CopyObject", made, ((CKA.LABEL, b"copy"),))
    assert session.find((CKA.LABEL, b"other")) == (made,)
    assert session.read(copied, CKA.LABEL, CKA.VALUE) == {CKA.LABEL: b"copy", CKA.VALUE: b"hello"}
    assert session("GetObjectSize", made) == UNTOLD
    session("DestroyObject", made)
    assert session.find((CKA.LABEL, b"other")) == ()
    assert session.status("DestroyObject", made) == CKR.OBJECT_HANDLE_INVALID


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 20_000, 1 << 20])
def test_values_of_any_length_are_told(session: Session, size: int) -> None:
    value = bytes(n % 251 for n in range(size))
    made = session("CreateObject", (*DATA, (CKA.VALUE, value)))
    assert session.read(made, CKA.VALUE)[CKA.VALUE] == value
    # Beside what is not told: the code of the call is that of one of them.
    told = session.read(made, CKA.MODULUS, CKA.VALUE, CKA.APPLICATION, 0x8000_0001)
    assert told == {CKA.MODULUS: None, CKA.VALUE: value, CKA.APPLICATION: b"", 0x8000_0001: None}


def test_templates_in_templates_and_lists_of_mechanisms_cross(session: Session) -> None:
    inside = ((CKA.KEY_TYPE, CKK.AES), (CKA.EXTRACTABLE, False), (CKA.LABEL, b"of a child"))
    key = session.make(
        CKM.AES_KEY_GEN,
        (CKA.VALUE_LEN, 16),
        (CKA.WRAP_TEMPLATE, inside),
        (CKA.ALLOWED_MECHANISMS, (CKM.AES_CBC, CKM.AES_GCM)),
    )
    told = session.read(key, CKA.WRAP_TEMPLATE, CKA.UNWRAP_TEMPLATE, CKA.ALLOWED_MECHANISMS)
    assert sorted(told[CKA.WRAP_TEMPLATE]) == sorted(inside)
    assert told[CKA.UNWRAP_TEMPLATE] == ()
    assert sorted(told[CKA.ALLOWED_MECHANISMS]) == [CKM.AES_CBC, CKM.AES_GCM]


def test_dates_cross_and_what_is_no_value_is_refused(session: Session) -> None:
    dated = ((CKA.VALUE_LEN, 16), (CKA.START_DATE, b"20260131"))
    key = session.make(CKM.AES_KEY_GEN, *dated, (CKA.PRIVATE, False))
    assert session.read(key, CKA.START_DATE)[CKA.START_DATE] == b"20260131"
    refused = session.status("SetAttributeValue", key, ((CKA.LABEL, None),))
    assert refused == CKR.ATTRIBUTE_VALUE_INVALID


def test_one_attribute_does_not_spoil_the_others(session: Session) -> None:
    """SoftHSM2 keeps the date of a private object so that it cannot read it again."""
    dated = ((CKA.VALUE_LEN, 16), (CKA.START_DATE, b"20260131"), (CKA.LABEL, b"dated"))
    key = session.make(CKM.AES_KEY_GEN, *dated, (CKA.PRIVATE, True))
    wanted = tuple((each, 0) for each in (CKA.LABEL, CKA.START_DATE, CKA.KEY_TYPE))
    told, status = session("GetAttributeValue", key, wanted)
    assert told == ((CKA.LABEL, b"dated"), (CKA.START_DATE, None), (CKA.KEY_TYPE, CKK.AES))
    assert status == CKR.ATTRIBUTE_TYPE_INVALID
    alone = session.status("GetAttributeValue", key, ((CKA.START_DATE, 0),))
    assert alone == CKR.GENERAL_ERROR


def test_many_objects_are_found_some_at_a_time(session: Session) -> None:
    made = {session("CreateObject", (*DATA, (CKA.VALUE, b"%d" % n))) for n in range(300)}
    session("FindObjectsInit", ((CKA.CLASS, CKO.DATA),))
    found: list[int] = []
    while more := session("FindObjects", 70):
        assert len(more) <= 70
        found += more
    session("FindObjectsFinal")
    assert set(found) == made
    assert len(found) == 300
    assert session.status("FindObjects", 1) == CKR.OPERATION_NOT_INITIALIZED


def test_what_is_found_is_read_along(session: Session) -> None:
    for n in range(5):
        session("CreateObject", (*DATA, (CKA.VALUE, b"%d" % n), (CKA.APPLICATION, b"app")))
    session("FindObjectsInit", DATA)
    types = (CKA.VALUE, CKA.MODULUS, CKA.APPLICATION)
    handles, told = session("FindObjectsWith", 3, types)
    assert len(handles) == 3
    assert len(told) == 9
    assert {told[at][1] for at in (1, 4, 7)} == {None}
    more, rest = session("FindObjectsWith", 100, types)
    values = {each for cka, each in (*told, *rest) if cka == CKA.VALUE}
    assert values == {b"0", b"1", b"2", b"3", b"4"}
    assert len(more) == 2
    assert session("FindObjectsWith", 100, types) == ((), ())
    session("FindObjectsFinal")


def test_certificates_are_objects_too(session: Session) -> None:
    value = b"\x30" * 3000
    made = session(
        "CreateObject",
        (
            (CKA.CLASS, CKO.CERTIFICATE),
            (CKA.CERTIFICATE_TYPE, CKC.X_509),
            (CKA.SUBJECT, b"0\0"),
            (CKA.VALUE, value),
            (CKA.ID, b"\7"),
        ),
    )
    told = session.read(made, CKA.CERTIFICATE_TYPE, CKA.SUBJECT, CKA.VALUE, CKA.URL, CKA.TRUSTED)
    assert told == {
        CKA.CERTIFICATE_TYPE: CKC.X_509,
        CKA.SUBJECT: b"0\0",
        CKA.VALUE: value,
        CKA.URL: b"",
        CKA.TRUSTED: False,
    }


def test_random_bytes_are_given_and_taken(session: Session) -> None:
    session("SeedRandom", b"from somewhere")
    some = session("GenerateRandom", 100_000)
    assert len(some) == 100_000
    assert len(set(some)) == 256
    assert session("GenerateRandom", 0) == b""
    assert session.status("GenerateRandom", 1 << 30) == CKR.ARGUMENTS_BAD


def test_a_token_is_made_and_gets_its_pins(soft: Vendor) -> None:
    line = soft.line()
    empty = line("GetSlotList", 1, 64)[-1]
    label = "as wide as a label, 32 bytes: äöü"
    line("InitToken2", empty, b"so pin", label)
    slots = line("GetSlotList", 1, 64)
    slot = next(s for s in slots if line("GetTokenInfo", s)[0].startswith("as wide"))
    assert line("GetTokenInfo", slot)[0] == label.encode()[:32].decode(errors="ignore")
    assert not line("GetTokenInfo", slot)[4] & CKF.USER_PIN_INITIALIZED
    session = Session.open(line, slot)
    session("Login", CKU.SO, b"so pin")
    session("InitPIN", b"1111")
    session("Logout")
    assert line("GetTokenInfo", slot)[4] & CKF.USER_PIN_INITIALIZED
    session("Login", CKU.USER, b"1111")
    assert session.status("SetPIN", b"9999", b"2222") == CKR.PIN_INCORRECT
    session("SetPIN", b"1111", b"2222")
    line("CloseAllSessions", slot)
    Session.open(line, slot, b"2222")
    assert line.status("OpenSession", slot, 0) == CKR.SESSION_PARALLEL_NOT_SUPPORTED


def test_what_the_module_has_not_is_said(session: Session) -> None:
    refused = {
        "LoginUser": (CKU.USER, b"1234", b"me"),
        "MessageSignInit": (Mechanism(CKM.ECDSA), 1),
        "GetSessionValidationFlags": (1,),
        "VerifySignatureInit": (Mechanism(CKM.ECDSA), 1, b""),
    }
    for name, values in refused.items():
        assert session.status(name, *values) == CKR.FUNCTION_NOT_SUPPORTED, name
    assert session.status("GetOperationState", 100) == CKR.FUNCTION_NOT_SUPPORTED


def test_the_library_stays_initialised_whatever_is_asked(session: Session) -> None:
    session.line("Initialize", b"", 0, b"")
    session.line("Finalize")
    assert session("GetSessionInfo")[0] == session.slot


def test_sessions_are_forgotten_when_they_close(soft: Vendor) -> None:
    line, slot = soft.line(), slot_of(soft, "one")
    session = Session.open(line, slot, PIN.encode())
    other: int = line("OpenSession", slot, RW)
    line("CloseSession", other)
    line("CloseAllSessions", slot)
    assert session.status("GetSessionInfo") == CKR.SESSION_HANDLE_INVALID
    assert line.status("CloseAllSessions", 99) == CKR.SLOT_ID_INVALID
