"""A vendor's token through the door: all that it has, as it says it.

The token is a contract fake: it keeps what `core.store.PassesThrough` promises, and says nothing
about any vendor's module. Real ones are in tests/interop.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.doors.pkcs11.house import pair, secret
from tests.doors.pkcs11.served import LIMITS, TOOL, Program, Refused

from keyholm.core.audit.records import Operation
from keyholm.core.caller import Process
from keyholm.core.errors import AbilityMissing
from keyholm.core.mechanisms import (
    Ecdsa,
    Hash,
    Input,
    Mechanism,
    Vendor,
)
from keyholm.core.model import Attributes, Key, Kind, Object, Place, SecretType
from keyholm.core.naming import uri_of
from keyholm.core.policy import OPEN, Policy
from keyholm.core.secret import Secret
from keyholm.core.store import (
    Describes,
    HoldsObjects,
    Listener,
    MechanismInfo,
    PassesThrough,
    Signs,
    TokenInfo,
)
from keyholm.cryptoki.outward import outward
from keyholm.doors.pkcs11.server import Pkcs11Door
from keyholm.doors.serving import Serving, listen
from keyholm.testing.fakes import Clock, ListTrail, ScriptedPrompters, gate_over
from keyholm.wire.pkcs11 import parameters
from keyholm.wire.pkcs11.constants import CK, CKA, CKF, CKK, CKM, CKO, CKR
from keyholm.wire.pkcs11.mechanisms import Mechanism as Asked

OWN_MECHANISM = CKM.VENDOR_DEFINED | 0x101
OWN_ATTRIBUTE = CKA.VENDOR_DEFINED | 0x202
OWN_CLASS = CKO.VENDOR_DEFINED | 0x303
ROOM = 1 << 16
EC: Attributes = {CKA.SIGN: True, CKA.KEY_TYPE: CKK.EC, CKA.ID: b"\1", CKA.LABEL: b"a key"}
AES: Attributes = {
    **EC,
    CKA.KEY_TYPE: CKK.AES,
    CKA.ID: b"\2",
    CKA.EXTRACTABLE: True,
    CKA.SENSITIVE: False,
    CKA.PRIVATE: True,
}
INFO = TokenInfo(
    manufacturer="A vendor",
    model="Model 7",
    serial="0042",
    flags=CKF.RNG | CKF.TOKEN_INITIALIZED | CKF.LOGIN_REQUIRED | CKF.CLOCK_ON_TOKEN,
    pin_lengths=(12, 6),
    memory=(1, 2, 3, 4),
    hardware=(5, 1),
    firmware=(6, 2),
    time="2026112512000000",
)


def signature_of(data: bytes) -> bytes:
    return hashlib.sha256(data).digest() * 2


class VendorToken(Signs, HoldsObjects, Describes, PassesThrough):
    """Contract fake: a signature is 64 bytes that a test can compute as well."""

    store, name, label, owner = "modules", "vendor", "a vendor's token", os.getuid()
    accepted_uids: frozenset[int] = frozenset()
    info = INFO
    mechanisms = {  # noqa: RUF012 - never changed
        CKM.ECDSA: MechanismInfo(256, 384, CKF.SIGN | CKF.HW),
        CKM.ECDSA_SHA256: MechanismInfo(256, 384, CKF.SIGN),
        CKM.RSA_PKCS: MechanismInfo(1024, 4096, CKF.SIGN),
        OWN_MECHANISM: MechanismInfo(1, 2, CKF.SIGN),
        CKM.AES_MAC_GENERAL: MechanismInfo(16, 32, CKF.SIGN),
        CKM.CONCATENATE_BASE_AND_KEY: MechanismInfo(0, 0, CKF.SIGN),
    }

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []
        self.signed: list[tuple[Mechanism, bytes]] = []
        self.policy = OPEN
        self.changed: list[tuple[str, dict[int, Any], bool]] = []
        told: Attributes = {CKA.CLASS: OWN_CLASS, OWN_ATTRIBUTE: b"told", CKA.LABEL: b"an object"}
        self.listed = [
            self._at("pair", pair("p256", EC, {CKA.KEY_TYPE: CKK.EC, CKA.ID: b"\1"})),
            self._at("secret", secret(SecretType.AES, 16, AES)),
        ]
        more: Attributes = {**EC, CKA.KEY_TYPE: CKK.RSA, CKA.MODULUS: b"\0" + b"\xff" * 256}
        self.listed.append(self._at("rsa", pair("rsa", more, None)))
        self.others = [Object(Place(self.store, self.name, "other"), Kind.OTHER, told)]

    def _at(self, place: str, key: Key) -> Key:
        return replace(key, place=Place(self.store, self.name, place))

    def keys(self) -> Sequence[Key]:
        return self.listed

    def objects(self) -> Sequence[Object]:
        return self.others

    def attributes_of(
        self, which: Key | Object, object_class: int, types: Sequence[int]
    ) -> Attributes:
        self.asked.append((object_class, *types))
        return {OWN_ATTRIBUTE: b"asked for"} if OWN_ATTRIBUTE in types else {}

    def sign(self, key: Key, mechanism: Mechanism, data: Input) -> bytes:
        self.signed.append((mechanism, data.data))
        return signature_of(data.data)

    def policy_of(self, key: Key) -> Policy:
        return self.policy

    def value_of(self, key: Key) -> Secret:
        raise AssertionError("only the gate may ask, and it had no reason to")

    def _nothing(self, *given: Any, **named: Any) -> Any:
        raise AbilityMissing("The fake makes and changes nothing.")

    create_object = remove_object = rename = set_policy = _nothing

    def change_object(
        self, which: Key | Object, attributes: Attributes | None, *, public: bool = False
    ) -> Key | Object:
        self.changed.append((which.place.object, dict(attributes or {}), public))
        return which


class VendorStore:
    name = "modules"

    def __init__(self, token: VendorToken) -> None:
        self._token = token

    def tokens(self) -> Sequence[VendorToken]:
        return (self._token,)

    def listen(self, listener: Listener) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def token() -> VendorToken:
    return VendorToken()


@pytest.fixture
def trail() -> ListTrail:
    return ListTrail()


@pytest.fixture
def program(token: VendorToken, trail: ListTrail, tmp_path: Path) -> Iterator[Program]:
    gate = gate_over([VendorStore(token)], trail, ScriptedPrompters(), Clock())
    process = Process(pid=42, start=7, executable=TOOL)
    door = Pkcs11Door(gate, lambda peer, connection: process)
    path = tmp_path / "pkcs11"
    serving = Serving(
        listen(str(path)), door.serve, accepts=lambda peer: True, limits=LIMITS, name="pkcs11"
    )
    serving.start()
    program = Program(path)
    program.call("Initialize", b"", 0, b"")
    yield program
    program.close()
    serving.stop()


def key_of(program: Program, session: int, object_class: int) -> int:
    return program.find(session, (CKA.CLASS, object_class))[0]


def read(program: Program, session: int, handle: int, *types: int) -> tuple[Any, int]:
    wanted = tuple((cka, ROOM) for cka in types)
    told, code = program.call("GetAttributeValue", session, handle, wanted)
    return dict(told), code


# --- what it says of itself ------------------------------------------------------------------


def test_a_token_says_of_itself_what_it_said_contract_fake(program: Program) -> None:
    label, manufacturer, model, serial, flags, *rest = program.call("GetTokenInfo", 0)
    assert (label, manufacturer, model, serial) == (
        "a vendor's token",
        "A vendor",
        "Model 7",
        "0042",
    )
    assert flags & CKF.CLOCK_ON_TOKEN
    assert not flags & CKF.LOGIN_REQUIRED, "who logs in is for us to say"
    assert rest[4:] == [12, 6, 1, 2, 3, 4, (5, 1), (6, 2), "2026112512000000"]


def test_a_uri_names_what_programs_are_shown_contract_fake(token: VendorToken) -> None:
    uri = uri_of(token, token.listed[0])
    assert "manufacturer=A%20vendor" in uri
    assert "model=Model%207" in uri
    assert "serial=0042" in uri


def test_mechanisms_are_those_of_the_token_contract_fake(program: Program) -> None:
    listed = program.call("GetMechanismList", 0, 100)
    assert listed == tuple(VendorToken.mechanisms)
    assert program.call("GetMechanismInfo", 0, OWN_MECHANISM) == (1, 2, CKF.SIGN)
    with pytest.raises(Refused, match="MECHANISM_INVALID"):
        program.call("GetMechanismInfo", 0, CKM.RSA_X_509)


# --- objects ---------------------------------------------------------------------------------


def test_an_object_of_the_vendors_own_class_contract_fake(program: Program) -> None:
    session = program.open()
    handle = key_of(program, session, OWN_CLASS)
    told, code = read(program, session, handle, CKA.CLASS, OWN_ATTRIBUTE, CKA.LABEL, CKA.TOKEN)
    assert (told[CKA.CLASS], told[OWN_ATTRIBUTE], told[CKA.LABEL]) == (
        OWN_CLASS,
        b"told",
        b"an object",
    )
    assert (told[CKA.TOKEN], code) == (True, CKR.OK)
    assert program.find(session, (OWN_ATTRIBUTE, b"told")) == (handle,)
    assert program.find(session, (OWN_ATTRIBUTE, b"else")) == ()


def test_what_was_not_told_is_asked_for_once_contract_fake(
    program: Program, token: VendorToken
) -> None:
    session = program.open()
    handle = key_of(program, session, CKO.PRIVATE_KEY)
    for _ in range(2):
        told, code = read(program, session, handle, OWN_ATTRIBUTE, CKA.LABEL)
        assert (told, code) == ({OWN_ATTRIBUTE: b"asked for", CKA.LABEL: b"a key"}, CKR.OK)
    told, code = read(program, session, handle, CKA.VENDOR_DEFINED | 7)
    assert (told, code) == ({CKA.VENDOR_DEFINED | 7: None}, CKR.ATTRIBUTE_TYPE_INVALID)
    assert token.asked == [
        (CKO.PRIVATE_KEY, OWN_ATTRIBUTE),
        (CKO.PRIVATE_KEY, CKA.VENDOR_DEFINED | 7),
    ]


def test_nothing_secret_is_asked_for_behind_the_gate_contract_fake(
    program: Program, token: VendorToken, trail: ListTrail
) -> None:
    session = program.open()
    private = key_of(program, session, CKO.PRIVATE_KEY)
    assert read(program, session, private, CKA.VALUE)[1] == CKR.ATTRIBUTE_SENSITIVE
    assert read(program, session, private, CKA.PRIME_1)[1] == CKR.ATTRIBUTE_TYPE_INVALID
    assert token.asked == []
    secret_key = key_of(program, session, CKO.SECRET_KEY)
    before = len(trail.of(Operation))
    with pytest.raises(Refused, match="leaves a vendor's token only after a login"):
        read(program, session, secret_key, CKA.VALUE)
    assert len(trail.of(Operation)) == before + 1


def last(trail: ListTrail) -> Operation:
    record = trail.of(Operation)[-1]
    assert isinstance(record, Operation)
    return record


def test_what_may_change_its_token_knows_contract_fake(
    program: Program, token: VendorToken
) -> None:
    session = program.open()
    handle = key_of(program, session, CKO.PRIVATE_KEY)
    program.call("SetAttributeValue", session, handle, ((CKA.ID, b"new"), (OWN_ATTRIBUTE, b"x")))
    assert token.changed == [("pair", {**EC, CKA.ID: b"new", OWN_ATTRIBUTE: b"x"}, False)]


# --- use -------------------------------------------------------------------------------------


def sign(program: Program, mechanism: Asked, data: bytes, object_class: int) -> bytes:
    session = program.open()
    key = key_of(program, session, object_class)
    program.call("SignInit", session, mechanism, key)
    signature: bytes = program.call("Sign", session, data, ROOM)
    return signature


def test_a_mechanism_that_the_core_knows_is_said_in_its_words_contract_fake(
    program: Program, token: VendorToken, trail: ListTrail
) -> None:
    assert sign(program, Asked(CKM.ECDSA_SHA256), b"m", CKO.PRIVATE_KEY) == signature_of(b"m")
    assert token.signed == [(Ecdsa(Hash.SHA256), b"m")]
    assert last(trail).mechanism == "ecdsa-sha256"


def test_a_mechanism_of_the_vendor_is_passed_on_and_recorded_contract_fake(
    program: Program, token: VendorToken, trail: ListTrail
) -> None:
    asked = Asked(OWN_MECHANISM, b"raw parameter")
    assert sign(program, asked, b"m", CKO.PRIVATE_KEY) == signature_of(b"m")
    mechanism = token.signed[-1][0]
    assert isinstance(mechanism, Vendor)
    assert outward(mechanism) == asked
    record = last(trail)
    assert (record.mechanism, record.result) == (f"vendor-{OWN_MECHANISM:#x}", "ok")


def test_a_key_with_a_policy_for_messages_signs_nothing_opaque_contract_fake(
    program: Program, token: VendorToken
) -> None:
    token.policy = Policy(namespaces=frozenset({"git"}))
    with pytest.raises(Refused, match="was given a bare digest"):
        sign(program, Asked(OWN_MECHANISM), b"m", CKO.PRIVATE_KEY)
    assert token.signed == []


def test_a_signature_is_as_long_as_the_modulus_contract_fake(program: Program) -> None:
    """A private key of a vendor's token has no CKA_MODULUS_BITS."""
    session = program.open()
    (key,) = program.find(session, (CKA.CLASS, CKO.PRIVATE_KEY), (CKA.KEY_TYPE, CKK.RSA))
    program.call("SignInit", session, Asked(CKM.RSA_PKCS), key)
    assert program.call("Sign", session, b"m", 0) == 256


def test_what_the_token_does_not_do_is_refused_contract_fake(program: Program) -> None:
    for mechanism in (Asked(CKM.RSA_X_509), Asked(CKM.VENDOR_DEFINED | 9)):
        with pytest.raises(Refused, match="MECHANISM_INVALID"):
            sign(program, mechanism, b"m", CKO.PRIVATE_KEY)
    named = Asked(CKM.CONCATENATE_BASE_AND_KEY, parameters.KeyHandle(1))
    with pytest.raises(Refused, match="MECHANISM_PARAM_INVALID"):
        sign(program, named, b"m", CKO.PRIVATE_KEY)


def test_a_result_of_unknown_length_waits_for_room_contract_fake(
    program: Program, token: VendorToken
) -> None:
    session = program.open()
    key = key_of(program, session, CKO.PRIVATE_KEY)
    assert program.call("Begin", session, 0, Asked(OWN_MECHANISM), key) == (
        CK.UNAVAILABLE_INFORMATION,
        0,
    )
    assert program.call("Sign", session, b"m", 0) > 64
    assert token.signed == [], "a question for the length uses no key"
    assert program.call("Sign", session, b"m", 10) == 64
    assert program.call("Sign", session, b"m", 64) == signature_of(b"m")
    assert len(token.signed) == 1
