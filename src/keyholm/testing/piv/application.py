"""The PIV application of a card: SP 800-73-4 part 2, with Yubico's commands beside it.

Each instruction is one method, found in the table at the end; who asks for what must not be,
gets a status as `Refused`, and nothing has changed.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from keyholm.testing.piv import keys
from keyholm.testing.piv.keys import CardKey, ManagementKey
from keyholm.testing.piv.names import (
    ASYMMETRIC,
    INS,
    MANAGEMENT_KEY,
    PIN,
    PIV_AID,
    PIV_RID,
    PUK,
    SW,
    Algorithm,
    PinPolicy,
    Refused,
    Tag,
    TouchPolicy,
    certificate_tag,
)
from keyholm.testing.piv.pins import SIZE, Pin
from keyholm.wire.apdu import Command, elements, tlv
from keyholm.wire.codec import Malformed

DEFAULT_PIN: Final = "123456"
DEFAULT_PUK: Final = "12345678"
MOST_OBJECT: Final = 3072
# Printed information, fingerprints and the face are read after the PIN only.
BEHIND_THE_PIN: Final = frozenset({0x5FC109, 0x5FC103, 0x5FC108})
PROPERTIES: Final = tlv(0x61, tlv(0x4F, PIV_AID[5:]), tlv(0x79, tlv(0x4F, PIV_RID)))
DISCOVERY: Final = tlv(0x7E, tlv(0x4F, PIV_AID), tlv(0x5F2F, b"\x40\x00"))


@dataclass(slots=True)
class Login:
    """What this session of the card has proved."""

    pin: bool = False
    fresh: bool = False  # no key was used since the PIN
    administrator: bool = False
    witness: bytes = b""  # what the other side must have decrypted or encrypted
    challenge: bytes = b""

    def forget(self) -> None:
        self.pin = self.fresh = self.administrator = False
        self.witness = self.challenge = b""


class PivApplication:
    def __init__(self, serial: int, version: tuple[int, int, int]) -> None:
        self.serial, self.version = serial, version
        self.login = Login()
        self._initialise()

    def _initialise(self) -> None:
        self.login.forget()
        self.pin, self.puk = Pin.of(DEFAULT_PIN), Pin.of(DEFAULT_PUK)
        self.management = ManagementKey()
        self.keys: dict[int, CardKey] = {}
        self.objects: dict[int, bytes] = {
            Tag.CHUID: _chuid(secrets.token_bytes(16)),
            Tag.CCC: _capabilities(self.serial),
            Tag.KEY_HISTORY: tlv(0xC1, b"\0") + tlv(0xC2, b"\0") + tlv(0xFE),
        }

    # --- for tests -----------------------------------------------------------------------

    def put_certificate(self, slot: int, der: bytes) -> None:
        self.objects[certificate_tag(slot)] = tlv(0x70, der) + tlv(0x71, b"\0") + tlv(0xFE)

    # --- for clients ---------------------------------------------------------------------

    def select(self) -> bytes:
        return PROPERTIES

    def deselect(self) -> None:
        self.login.forget()

    def answer(self, command: Command) -> bytes:
        method = METHODS.get(command.ins)
        if method is None:
            raise Refused(SW.INSTRUCTION_NOT_SUPPORTED)
        if command.cla:
            raise Refused(SW.CLASS_NOT_SUPPORTED)
        try:
            return method(self, command)
        except Malformed:
            raise Refused(SW.INCORRECT_DATA) from None

    def verify(self, command: Command) -> bytes:
        if command.p2 != PIN:
            raise Refused(SW.REFERENCED_DATA_NOT_FOUND)
        if command.p1 == 0xFF and not command.data:
            self.login.pin = self.login.fresh = False
            return b""
        _parameters(command, 0, PIN)
        if not command.data:
            if self.login.pin:
                return b""
            raise Refused(self.pin.state())
        self.login.pin = self.login.fresh = False
        self.pin.check(command.data)
        self.login.pin = self.login.fresh = True
        return b""

    def change(self, command: Command) -> bytes:
        which = self._reference(command)
        old, new = _halves(command.data)
        which.check(old)
        which.change(new)
        return b""

    def unblock(self, command: Command) -> bytes:
        _parameters(command, 0, PIN)
        puk, new = _halves(command.data)
        self.puk.check(puk)
        self.pin.change(new)
        return b""

    def _reference(self, command: Command) -> Pin:
        if command.p1 != 0 or command.p2 not in (PIN, PUK):
            raise Refused(SW.REFERENCED_DATA_NOT_FOUND)
        return self.pin if command.p2 == PIN else self.puk

    # --- data objects --------------------------------------------------------------------

    def get_data(self, command: Command) -> bytes:
        _parameters(command, 0x3F, 0xFF)
        tag = _object_tag(elements(command.data))
        if tag == Tag.DISCOVERY:
            return DISCOVERY
        if tag in BEHIND_THE_PIN and not self.login.pin:
            raise Refused(SW.SECURITY_STATUS_NOT_SATISFIED)
        if tag not in self.objects:
            raise Refused(SW.FILE_NOT_FOUND)
        return tlv(0x53, self.objects[tag])

    def put_data(self, command: Command) -> bytes:
        _parameters(command, 0x3F, 0xFF)
        self._administrator()
        parts = elements(command.data)
        tag = _object_tag({name: value for name, value in parts.items() if name != 0x53})
        if 0x53 not in parts:
            raise Refused(SW.INCORRECT_DATA)
        if len(parts[0x53]) > MOST_OBJECT:
            raise Refused(SW.NOT_ENOUGH_MEMORY)
        if parts[0x53]:
            self.objects[tag] = parts[0x53]
        else:
            self.objects.pop(tag, None)
        return b""

    def _administrator(self) -> None:
        if not self.login.administrator:
            raise Refused(SW.SECURITY_STATUS_NOT_SATISFIED)

    # --- keys ----------------------------------------------------------------------------

    def generate(self, command: Command) -> bytes:
        self._administrator()
        slot = _slot(command.p2)
        template = elements(command.data)
        if command.p1 != 0 or set(template) != {0xAC}:
            raise Refused(SW.INCORRECT_DATA)
        control = elements(template[0xAC])
        pin, touch = _policies(slot, control)
        key = CardKey(keys.generate(_byte(control, 0x80)), pin, touch)
        self.keys[slot] = key
        return tlv(0x7F49, key.public())

    def import_key(self, command: Command) -> bytes:
        self._administrator()
        slot = _slot(command.p2)
        parts = elements(command.data)
        pin, touch = _policies(slot, parts)
        private = keys.load(command.p1, parts)
        self.keys[slot] = CardKey(private, pin, touch, keys.IMPORTED)
        return b""

    def authenticate(self, command: Command) -> bytes:
        template = elements(command.data)
        if set(template) != {0x7C}:
            raise Refused(SW.INCORRECT_DATA)
        parts = elements(template[0x7C])
        if command.p2 == MANAGEMENT_KEY:
            return tlv(0x7C, self._prove_administrator(command.p1, parts))
        return tlv(0x7C, tlv(0x82, self._use(command, parts)))

    def _use(self, command: Command, parts: dict[int, bytes]) -> bytes:
        key = self.keys.get(_slot(command.p2))
        if key is None or command.p1 != key.algorithm:
            raise Refused(SW.INCORRECT_DATA)
        self._may_use(key)
        if set(parts) == {0x81, 0x82} and not parts[0x82]:
            return key.answer(parts[0x81])
        if set(parts) == {0x82, 0x85} and not parts[0x82]:
            return key.agree(parts[0x85])
        raise Refused(SW.INCORRECT_DATA)

    def _may_use(self, key: CardKey) -> None:
        fresh, self.login.fresh = self.login.fresh, False
        allowed = {
            PinPolicy.NEVER: True,
            PinPolicy.ONCE: self.login.pin,
            PinPolicy.ALWAYS: self.login.pin and fresh,
        }[key.pin]
        if not allowed:
            raise Refused(SW.SECURITY_STATUS_NOT_SATISFIED)

    def _prove_administrator(self, algorithm: int, parts: dict[int, bytes]) -> bytes:
        """Each side shows that it has the management key (SP 800-73-4 part 2, A.1 and A.2)."""
        key = self.management
        # 3DES is what a client says that names no algorithm.
        if (algorithm or Algorithm.TDES) != key.algorithm:
            raise Refused(SW.INCORRECT_P1_P2)
        match parts:
            case {0x80: b"", **rest} if not rest:
                self.login.witness = secrets.token_bytes(key.block)
                return tlv(0x80, key.encrypt(self.login.witness))
            case {0x81: b"", **rest} if not rest:
                self.login.challenge = secrets.token_bytes(key.block)
                return tlv(0x81, self.login.challenge)
            case {0x80: witness, 0x81: challenge} if len(challenge) == key.block:
                self._settle(witness, self.login.witness)
                return tlv(0x82, key.encrypt(challenge))
            case {0x82: response, **rest} if not rest:
                challenge = self.login.challenge
                self._settle(response, key.encrypt(challenge) if challenge else b"")
                return b""
        raise Refused(SW.INCORRECT_DATA)

    def _settle(self, given: bytes, wanted: bytes) -> None:
        self.login.witness = self.login.challenge = b""  # each is good for one try
        self.login.administrator = bool(wanted) and given == wanted
        self._administrator()

    # --- Yubico's ------------------------------------------------------------------------

    def get_version(self, command: Command) -> bytes:
        _parameters(command, 0, 0)
        return bytes(self.version)

    def get_serial(self, command: Command) -> bytes:
        _parameters(command, 0, 0)
        return self.serial.to_bytes(4)

    def get_metadata(self, command: Command) -> bytes:
        slot = command.p2
        if slot in (PIN, PUK):
            pin = self.pin if slot == PIN else self.puk
            tries = bytes((pin.tries, pin.left))
            return tlv(1, b"\xff") + tlv(5, bytes((pin.default,))) + tlv(6, tries)
        if slot == MANAGEMENT_KEY:
            default = self.management == ManagementKey()
            algorithm = bytes((self.management.algorithm,))
            return tlv(1, algorithm) + tlv(2, b"\0\1") + tlv(5, bytes((default,)))
        key = self.keys.get(_slot(slot))
        if key is None:
            raise Refused(SW.REFERENCED_DATA_NOT_FOUND)
        policies = tlv(1, bytes((key.algorithm,))) + tlv(2, bytes((key.pin, key.touch)))
        return policies + tlv(3, bytes((key.origin,))) + tlv(4, key.public())

    def set_retries(self, command: Command) -> bytes:
        self._administrator()
        if not self.login.pin:
            raise Refused(SW.SECURITY_STATUS_NOT_SATISFIED)
        if not command.p1 or not command.p2:
            raise Refused(SW.INCORRECT_P1_P2)
        self.pin, self.puk = Pin.of(DEFAULT_PIN), Pin.of(DEFAULT_PUK)
        self.pin.limit(command.p1)
        self.puk.limit(command.p2)
        return b""

    def reset(self, command: Command) -> bytes:
        _parameters(command, 0, 0)
        if self.pin.left or self.puk.left:
            raise Refused(SW.CONDITIONS_OF_USE_NOT_SATISFIED)
        self._initialise()
        return b""

    def set_management_key(self, command: Command) -> bytes:
        self._administrator()
        algorithm, reference, size = command.data[:3] if len(command.data) > 3 else (0, 0, 0)
        if command.p1 != 0xFF or reference != MANAGEMENT_KEY or size != len(command.data) - 3:
            raise Refused(SW.INCORRECT_DATA)
        self.management = keys.management_key(algorithm, command.data[3:])
        return b""


METHODS: Final[dict[int, Callable[[PivApplication, Command], bytes]]] = {
    INS.VERIFY: PivApplication.verify,
    INS.CHANGE_REFERENCE_DATA: PivApplication.change,
    INS.RESET_RETRY_COUNTER: PivApplication.unblock,
    INS.GENERATE_ASYMMETRIC_KEY_PAIR: PivApplication.generate,
    INS.GENERAL_AUTHENTICATE: PivApplication.authenticate,
    INS.GET_DATA: PivApplication.get_data,
    INS.PUT_DATA: PivApplication.put_data,
    INS.GET_METADATA: PivApplication.get_metadata,
    INS.GET_SERIAL: PivApplication.get_serial,
    INS.SET_PIN_RETRIES: PivApplication.set_retries,
    INS.RESET: PivApplication.reset,
    INS.GET_VERSION: PivApplication.get_version,
    INS.IMPORT_ASYMMETRIC_KEY: PivApplication.import_key,
    INS.SET_MANAGEMENT_KEY: PivApplication.set_management_key,
}


def _parameters(command: Command, p1: int, p2: int) -> None:
    if (command.p1, command.p2) != (p1, p2):
        raise Refused(SW.INCORRECT_P1_P2)


def _slot(reference: int) -> int:
    if reference not in ASYMMETRIC:
        raise Refused(SW.INCORRECT_P1_P2)
    return reference


def _halves(data: bytes) -> tuple[bytes, bytes]:
    if len(data) != 2 * SIZE:
        raise Refused(SW.WRONG_LENGTH)
    return data[:SIZE], data[SIZE:]


def _byte(parts: dict[int, bytes], tag: int, default: int | None = None) -> int:
    value = parts.get(tag, b"" if default is None else bytes((default,)))
    if len(value) != 1:
        raise Refused(SW.INCORRECT_DATA)
    return value[0]


def _policies(slot: int, parts: dict[int, bytes]) -> tuple[PinPolicy, TouchPolicy]:
    try:
        pin = PinPolicy(_byte(parts, 0xAA, PinPolicy.DEFAULT))
        touch = TouchPolicy(_byte(parts, 0xAB, TouchPolicy.DEFAULT))
    except ValueError:
        raise Refused(SW.INCORRECT_DATA) from None
    return keys.pin_policy(slot, pin), touch or TouchPolicy.NEVER


def _object_tag(parts: dict[int, bytes]) -> int:
    if set(parts) != {0x5C} or not 1 <= len(parts[0x5C]) <= 3:
        raise Refused(SW.INCORRECT_DATA)
    return int.from_bytes(parts[0x5C])


def _chuid(guid: bytes) -> bytes:
    """The one that Yubico's tools write: FASC-N of no agency, a random GUID, valid to 2050."""
    fasc_n = bytes.fromhex("d4e739da739ced39ce739da1685a1082108ce73984108ca3fc")
    return b"".join(
        (tlv(0x30, fasc_n), tlv(0x34, guid), tlv(0x35, b"20500101"), tlv(0x3E), tlv(0xFE))
    )


def _capabilities(serial: int) -> bytes:
    """The card's identifier (GSC-IS, Yubico's as manufacturer), and the rest empty."""
    identifier = bytes.fromhex("a000000116ff02") + serial.to_bytes(14)
    fixed = bytes.fromhex("f10121f20121f300f40100f50110f600f700fa00fb00fc00fd00fe00")
    return tlv(0xF0, identifier) + fixed
