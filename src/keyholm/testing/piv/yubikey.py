"""The two other applications by which Yubico's programs know a YubiKey."""

from typing import Final

from keyholm.testing.piv.names import INS, SW, Refused
from keyholm.wire.apdu import Command, tlv

PIV_CAPABILITY: Final = 0x10
USB_A_KEYCHAIN: Final = 0x01
SERIAL_SLOT: Final = 0x10


class Management:
    def __init__(self, serial: int, version: tuple[int, int, int]) -> None:
        self.serial, self.version = serial, version

    def select(self) -> bytes:
        return f"Virtual mgr - FW version {'.'.join(map(str, self.version))}".encode()

    def deselect(self) -> None:
        pass

    def answer(self, command: Command) -> bytes:
        if command.ins != INS.READ_CONFIG:
            raise Refused(SW.INSTRUCTION_NOT_SUPPORTED)
        if command.p1 or command.p2:
            raise Refused(SW.INCORRECT_P1_P2)
        config = b"".join(
            (
                tlv(0x01, PIV_CAPABILITY.to_bytes(2)),  # can do over USB
                tlv(0x02, self.serial.to_bytes(4)),
                tlv(0x03, PIV_CAPABILITY.to_bytes(2)),  # is enabled over USB
                tlv(0x04, bytes((USB_A_KEYCHAIN,))),
                tlv(0x05, bytes(self.version)),
                tlv(0x0A, b"\0"),  # not locked
            )
        )
        return bytes((len(config),)) + config


class Otp:
    """Which has no slot configured; it tells the serial number."""

    def __init__(self, serial: int, version: tuple[int, int, int]) -> None:
        self.serial, self.version = serial, version

    def select(self) -> bytes:
        return bytes(self.version) + b"\0\0\0"

    def deselect(self) -> None:
        pass

    def answer(self, command: Command) -> bytes:
        if command.ins != INS.OTP_REQUEST or command.p1 != SERIAL_SLOT:
            raise Refused(SW.INSTRUCTION_NOT_SUPPORTED)
        return self.serial.to_bytes(4)
