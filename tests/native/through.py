"""Keys and mechanisms of the core, used as a program uses them: by the module, door and gate.

The keys are session objects of a real token; their parts are given in templates, and mechanisms
as the structures of C.
"""

import ctypes
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.doors.pkcs11.served import House
from tests.native.driver import ULONG, Attribute, Failed, Mechanism, Module, attribute
from tests.native.test_parameters import in_memory

from keyholm.core.errors import DataInvalid, SignatureInvalid
from keyholm.core.mechanisms import AesXts, EdDsa, Hash, MlKem, Pbkdf2, Verb
from keyholm.core.mechanisms import Mechanism as CoreMechanism
from keyholm.core.model import SecretType
from keyholm.core.secret import Secret
from keyholm.core.store import NewPins
from keyholm.cryptoki import forms
from keyholm.cryptoki.mechanisms import ROWS
from keyholm.cryptoki.outward import outward
from keyholm.stores.software.secret_keys import SecretValue
from keyholm.stores.software.shield import Shield
from keyholm.wire.pkcs11 import mechanisms as wire
from keyholm.wire.pkcs11 import parameters
from keyholm.wire.pkcs11.constants import CKA, CKK, CKM, CKO, CKP, CKR, CKZ

LABEL, PIN = "old", b"1234"
ROOM: Final = 1 << 14
MOST_OBJECTS: Final = 1_000
YES, NO = b"\1", b"\0"
SECRET_USES: Final = (CKA.SIGN, CKA.VERIFY, CKA.ENCRYPT, CKA.DECRYPT, CKA.DERIVE)
SECRETS: Final = {
    SecretType.AES: CKK.AES,
    SecretType.CHACHA20: CKK.CHACHA20,
    SecretType.DES3: CKK.DES3,
    SecretType.GENERIC: CKK.GENERIC_SECRET,
}
NAMES: Final = {
    Verb.SIGN: "Sign",
    Verb.VERIFY: "Verify",
    Verb.ENCRYPT: "Encrypt",
    Verb.DECRYPT: "Decrypt",
}
# What each code is to who uses a key.
WRONG: Final[dict[int, type[Exception]]] = {
    CKR.SIGNATURE_INVALID: SignatureInvalid,
    CKR.SIGNATURE_LEN_RANGE: SignatureInvalid,
    CKR.ENCRYPTED_DATA_INVALID: DataInvalid,
    CKR.ENCRYPTED_DATA_LEN_RANGE: DataInvalid,
    CKR.MECHANISM_PARAM_INVALID: DataInvalid,
}

Value = bytes | int


class Made(NamedTuple):
    key: Any  # held, so that no other one gets its place in memory
    handle: int


class Through:
    """A `Doing` of tests/stores/software/published.py."""

    most = 10

    def __init__(self, module: Module, slot: int) -> None:
        self.module, self.slot = module, slot
        self.session = 0
        self.logged_in = False
        self._objects: dict[tuple[int, bool], Made] = {}
        self._begin()

    def _begin(self) -> None:
        """Another session, and the objects of the last one are gone."""
        before = self.session
        self.session = self.module.open_session(self.slot)
        if not self.logged_in:
            self.module.login(self.session, PIN)
            self.logged_in = True
        if before:  # the login goes with the last session
            self.module.check("CloseSession", before)
        self._objects.clear()

    def _check(self, function: str, *arguments: Any) -> None:
        try:
            self.module.check(function, self.session, *arguments)
        except Failed as failed:
            if failed.rv in WRONG:
                raise WRONG[failed.rv](str(failed)) from failed
            raise

    # --- using ---

    def done(
        self, key: Any, verb: Verb, mechanism: CoreMechanism, data: bytes, signature: bytes = b""
    ) -> bytes:
        self._init(key, verb, mechanism)
        name = NAMES[verb]
        if verb is Verb.VERIFY:
            self._check(name, data, len(data), signature, len(signature))
            return b""
        return self._result(name, data, len(data))

    def in_parts(
        self,
        key: Any,
        verb: Verb,
        mechanism: CoreMechanism,
        data: bytes,
        size: int,
        signature: bytes = b"",
    ) -> bytes:
        if len(data) <= size or is_whole(mechanism):
            return self.done(key, verb, mechanism, data, signature)
        self._init(key, verb, mechanism)
        name, given = NAMES[verb], b""
        for at in range(0, len(data), size):
            part = data[at : at + size]
            if verb in (Verb.ENCRYPT, Verb.DECRYPT):
                given += self._result(f"{name}Update", part, len(part))
            else:
                self._check(f"{name}Update", part, len(part))
        if verb is Verb.VERIFY:
            self._check("VerifyFinal", signature, len(signature))
            return b""
        return given + self._result(f"{name}Final")

    def _init(self, key: Any, verb: Verb, mechanism: CoreMechanism) -> None:
        handle = self._object(key, mechanism, public=verb in (Verb.VERIFY, Verb.ENCRYPT))
        with in_c(outward(mechanism)) as structure:
            self._check(f"{NAMES[verb]}Init", ctypes.byref(structure), handle)

    def _result(self, function: str, *arguments: Any) -> bytes:
        memory, size = ctypes.create_string_buffer(ROOM), ULONG(ROOM)
        self._check(function, *arguments, memory, ctypes.byref(size))
        return memory.raw[: size.value]

    # --- keys out of keys ---

    def derived(self, key: Any, mechanism: CoreMechanism, size: int) -> bytes:
        template, made = self._secret_template(size), ULONG()
        out = (*template, ctypes.byref(made))
        if isinstance(mechanism, Pbkdf2):
            with in_c(password_based(key, mechanism)) as structure:
                self._check("GenerateKey", ctypes.byref(structure), *out)
        else:
            base = self._object(key, mechanism)
            with in_c(outward(mechanism)) as structure:
                self._check("DeriveKey", ctypes.byref(structure), base, *out)
        return self._value(made.value)

    def encapsulated(self, public: Any, mechanism: MlKem) -> tuple[bytes, bytes]:
        memory, size, made = ctypes.create_string_buffer(ROOM), ULONG(ROOM), ULONG()
        key, template = self._object(public, mechanism), self._secret_template(0)
        out = (*template, memory, ctypes.byref(size), ctypes.byref(made))
        with in_c(outward(mechanism)) as structure:
            self._check("EncapsulateKey", ctypes.byref(structure), key, *out)
        return memory.raw[: size.value], self._value(made.value)

    def decapsulated(self, key: Any, mechanism: MlKem, ciphertext: bytes) -> bytes:
        made, handle = ULONG(), self._object(key, mechanism)
        given = (*self._secret_template(0), ciphertext, len(ciphertext), ctypes.byref(made))
        with in_c(outward(mechanism)) as structure:
            self._check("DecapsulateKey", ctypes.byref(structure), handle, *given)
        return self._value(made.value)

    @staticmethod
    def _secret_template(size: int) -> tuple[Any, int]:
        values: dict[int, Value] = {
            CKA.CLASS: CKO.SECRET_KEY,
            CKA.KEY_TYPE: CKK.GENERIC_SECRET,
            CKA.SENSITIVE: NO,
            CKA.EXTRACTABLE: YES,
        }
        return in_c_template(values | ({CKA.VALUE_LEN: size} if size else {}))

    def _value(self, handle: int) -> bytes:
        found = self.module.read(self.session, handle, CKA.VALUE, ROOM)
        self._check("DestroyObject", handle)
        return found

    # --- objects ---

    def _object(self, key: Any, mechanism: CoreMechanism, *, public: bool = False) -> int:
        known = self._objects.get((id(key), public))
        if known is None:
            if len(self._objects) >= MOST_OBJECTS:
                self._begin()
            given = key.public_key() if public and hasattr(key, "public_key") else key
            handle = ULONG()
            template = in_c_template(attributes_of(given, mechanism))
            self._check("CreateObject", *template, ctypes.byref(handle))
            known = self._objects[id(key), public] = Made(key, handle.value)
        return known.handle


def is_whole(mechanism: CoreMechanism) -> bool:
    """Whether the standard knows no parts of it."""
    return ROWS[outward(mechanism).type].whole


# --- in the memory of a C program --------------------------------------------------------


def in_c_template(values: dict[int, Value]) -> tuple[Any, int]:
    attributes = [attribute(cka, value) for cka, value in values.items()]
    template = (Attribute * len(attributes))(*attributes)
    template.memory = attributes  # type: ignore[attr-defined]  # lives as long as the array
    return template, len(attributes)


@contextmanager
def in_c(mechanism: wire.Mechanism) -> Iterator[Mechanism]:
    if mechanism.parameter is None:
        yield Mechanism(mechanism.type)
        return
    memory = in_memory(wire.FORMS[mechanism.type], mechanism.parameter)
    yield Mechanism(mechanism.type, ctypes.addressof(memory), ctypes.sizeof(memory))


PRFS: Final = {Hash.SHA1: CKP.PKCS5_PBKD2_HMAC_SHA1}


def password_based(key: SecretValue, mechanism: Pbkdf2) -> wire.Mechanism:
    parameter = parameters.Pbkdf2(
        CKZ.SALT_SPECIFIED,
        mechanism.salt,
        mechanism.rounds,
        PRFS[mechanism.hash],
        b"",
        memoryview(bytes(key.view)),
    )
    return wire.Mechanism(CKM.PKCS5_PBKD2, parameter)


# --- templates ---------------------------------------------------------------------------


def attributes_of(key: Any, mechanism: CoreMechanism) -> dict[int, Value]:
    if isinstance(key, SecretValue):
        own_type = CKK.AES_XTS if isinstance(mechanism, AesXts) else SECRETS[key.type]
        value = bytes(key.view)
        return of(CKO.SECRET_KEY, own_type, SECRET_USES) | {CKA.VALUE: value}
    is_private = hasattr(key, "public_key")
    public = key.public_key() if is_private else key
    form, bits = forms.form_and_bits(spki_of(public))
    own = dict(form.parameters)
    if is_private:
        return of(CKO.PRIVATE_KEY, form.key_type, form.private_uses) | own | private_parts(key)
    bits.pop(CKA.MODULUS_BITS, None)
    return of(CKO.PUBLIC_KEY, form.key_type, form.public_uses) | own | bits


def of(cko: int, key_type: int, uses: Iterable[int]) -> dict[int, Value]:
    return {CKA.CLASS: cko, CKA.KEY_TYPE: key_type, **dict.fromkeys(uses, YES)}


def spki_of(public: Any) -> bytes:
    written: bytes = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return written


def private_parts(key: Any) -> dict[int, Value]:
    match key:
        case rsa.RSAPrivateKey():
            return rsa_parts(key.private_numbers())
        case ec.EllipticCurvePrivateKey():
            return {CKA.VALUE: octets(key.private_numbers().private_value)}
        case _ if type(key).__name__.startswith("ML"):
            return {CKA.SEED: key.private_bytes_raw()}
        case _:
            return {CKA.VALUE: key.private_bytes_raw()}


def rsa_parts(numbers: rsa.RSAPrivateNumbers) -> dict[int, Value]:
    parts = {
        CKA.MODULUS: numbers.public_numbers.n,
        CKA.PUBLIC_EXPONENT: numbers.public_numbers.e,
        CKA.PRIVATE_EXPONENT: numbers.d,
        CKA.PRIME_1: numbers.p,
        CKA.PRIME_2: numbers.q,
        CKA.EXPONENT_1: numbers.dmp1,
        CKA.EXPONENT_2: numbers.dmq1,
        CKA.COEFFICIENT: numbers.iqmp,
    }
    return {cka: octets(number) for cka, number in parts.items()}


def octets(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8)


# --- the house ---------------------------------------------------------------------------


@contextmanager
def standing(built: Path, folder: Path) -> Iterator[Through]:
    """A token for old programs too, behind a door, and the module before it."""
    house = House(folder, Shield(idle=3600))  # its thread starts now, and stays
    before = os.environ.get("KEYHOLM_PKCS11")
    os.environ["KEYHOLM_PKCS11"] = str(house.path)
    module = Module(built)
    module.initialize()
    try:
        with Secret.of(b"12345678") as officer, Secret.of(PIN) as user:
            pins = NewPins(officer, user, application_login=True, legacy=True)
            house.store.make_pin_token(LABEL, os.getuid(), pins)
        through = Through(module, slot_of(module, LABEL))
        through.done(ed25519.Ed25519PrivateKey.generate(), Verb.SIGN, EdDsa(), b"")
        yield through
    finally:
        module.finalize()
        house.stop()
        if before is None:
            del os.environ["KEYHOLM_PKCS11"]
        else:
            os.environ["KEYHOLM_PKCS11"] = before


def slot_of(module: Module, label: str) -> int:
    info = ctypes.create_string_buffer(1024)
    for slot in module.slots():
        module.check("GetTokenInfo", slot, info)
        if info.raw[:32].rstrip() == label.encode():
            return slot
    raise LookupError(label)
