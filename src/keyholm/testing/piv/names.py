"""Numbers of SP 800-73-4, SP 800-78-4 and of Yubico's additions, by their names there."""

from enum import IntEnum
from typing import Final

PIV_AID: Final = bytes.fromhex("a000000308000010000100")
PIV_RID: Final = PIV_AID[:5]
MANAGEMENT_AID: Final = bytes.fromhex("a000000527471117")
OTP_AID: Final = bytes.fromhex("a0000005272001")

# What a YubiKey 5 says of itself on USB; OpenSC and ykman know cards by it.
YUBIKEY_ATR: Final = bytes.fromhex("3bfd1300008131fe158073c021c057597562694b657940")


class SW(IntEnum):
    """The status that ends each answer (ISO 7816-4, 5.6)."""

    OK = 0x9000
    MORE = 0x6100  # low byte: how many bytes more, 0 for 256 or more
    TRIES_LEFT = 0x63C0  # low digit: how many
    WRONG_LENGTH = 0x6700
    LAST_COMMAND_OF_CHAIN_EXPECTED = 0x6883
    SECURITY_STATUS_NOT_SATISFIED = 0x6982
    AUTHENTICATION_METHOD_BLOCKED = 0x6983
    CONDITIONS_OF_USE_NOT_SATISFIED = 0x6985
    INCORRECT_DATA = 0x6A80
    FILE_NOT_FOUND = 0x6A82
    NOT_ENOUGH_MEMORY = 0x6A84
    INCORRECT_P1_P2 = 0x6A86
    REFERENCED_DATA_NOT_FOUND = 0x6A88
    INSTRUCTION_NOT_SUPPORTED = 0x6D00
    CLASS_NOT_SUPPORTED = 0x6E00


class INS(IntEnum):
    VERIFY = 0x20
    CHANGE_REFERENCE_DATA = 0x24
    RESET_RETRY_COUNTER = 0x2C
    GENERATE_ASYMMETRIC_KEY_PAIR = 0x47
    GENERAL_AUTHENTICATE = 0x87
    SELECT = 0xA4
    GET_RESPONSE = 0xC0
    GET_DATA = 0xCB
    PUT_DATA = 0xDB
    # Yubico's
    OTP_REQUEST = 0x01
    READ_CONFIG = 0x1D
    GET_METADATA = 0xF7
    GET_SERIAL = 0xF8
    SET_PIN_RETRIES = 0xFA
    RESET = 0xFB
    GET_VERSION = 0xFD
    IMPORT_ASYMMETRIC_KEY = 0xFE
    SET_MANAGEMENT_KEY = 0xFF


class Algorithm(IntEnum):
    TDES = 0x03
    RSA_2048 = 0x07
    AES_128 = 0x08
    AES_192 = 0x0A
    AES_256 = 0x0C
    P256 = 0x11
    P384 = 0x14


class Slot(IntEnum):
    """Key references of asymmetric keys; RETIRED_1 to 20 follow each other."""

    AUTHENTICATION = 0x9A
    SIGNATURE = 0x9C
    KEY_MANAGEMENT = 0x9D
    CARD_AUTHENTICATION = 0x9E
    RETIRED_1 = 0x82
    RETIRED_20 = 0x95


PIN: Final = 0x80
PUK: Final = 0x81
MANAGEMENT_KEY: Final = 0x9B
ASYMMETRIC: Final = frozenset(
    {0x9A, 0x9C, 0x9D, 0x9E} | set(range(Slot.RETIRED_1, Slot.RETIRED_20 + 1))
)


class PinPolicy(IntEnum):
    DEFAULT = 0
    NEVER = 1
    ONCE = 2
    ALWAYS = 3


class TouchPolicy(IntEnum):
    DEFAULT = 0
    NEVER = 1
    ALWAYS = 2
    CACHED = 3


class Tag(IntEnum):
    """Data objects (SP 800-73-4 part 1, table 3)."""

    DISCOVERY = 0x7E
    CHUID = 0x5FC102
    CCC = 0x5FC107
    KEY_HISTORY = 0x5FC10C
    CERTIFICATE_9A = 0x5FC105
    CERTIFICATE_9C = 0x5FC10A
    CERTIFICATE_9D = 0x5FC10B
    CERTIFICATE_9E = 0x5FC101
    CERTIFICATE_82 = 0x5FC10D


def certificate_tag(slot: int) -> int:
    """Where the certificate for a key lies."""
    named: dict[int, int] = {
        Slot.AUTHENTICATION: Tag.CERTIFICATE_9A,
        Slot.SIGNATURE: Tag.CERTIFICATE_9C,
        Slot.KEY_MANAGEMENT: Tag.CERTIFICATE_9D,
        Slot.CARD_AUTHENTICATION: Tag.CERTIFICATE_9E,
    }
    return named[slot] if slot in named else Tag.CERTIFICATE_82 + slot - Slot.RETIRED_1


class Refused(Exception):
    """The command is answered with this status and changed nothing."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status:04x}")
        self.status = status
