"""Every call of the table, with the values it was sent with, arrives at its function; and back."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace
from tests.native.test_parameters import example
from tests.stores.modules.binding.vendor import Line, Session, Vendor

from keyholm.stores.modules.answering import PROTOCOL
from keyholm.wire.pkcs11.calls import BY_NAME, CALLS, Call, Parameter, Type, Version
from keyholm.wire.pkcs11.constants import CKA, CKF, CKG, CKM, CKO, CKR, names
from keyholm.wire.pkcs11.mechanisms import (
    FORMS,
    MESSAGE_FORMS,
    NO_MECHANISM,
    WRAP_FORMS,
    Mechanism,
    write_message,
    write_wrap_parameter,
)
from keyholm.wire.pkcs11.parameters import Gcm, GcmMessage, GcmWrap

# Those that are not one function, and those that a stock client alone has.
OTHERWISE: Final = ("Initialize", "Finalize", "GetAttributeValue", "InitToken", "DeriveKey2")
PASSED_ON: Final = [
    call
    for call in CALLS
    if call.ours is not None and call.since is not Version.OURS and call.name not in OTHERWISE
]
IV: Final = bytes(range(12))
TAG: Final = bytes(range(50, 66))
RESULT: Final = b"result"
A: Final = 0x4141414141414141
TEMPLATE: Final = (
    (CKA.CLASS, CKO.SECRET_KEY),
    (CKA.TOKEN, True),
    (CKA.PRIVATE, False),
    (CKA.LABEL, "Schlüssel".encode()),
    (CKA.ID, b""),
    (CKA.START_DATE, b"20260101"),
    (CKA.ALLOWED_MECHANISMS, (CKM.AES_GCM, 0x8000_0001)),
    (CKA.WRAP_TEMPLATE, ((CKA.CLASS, 3), (CKA.UNWRAP_TEMPLATE, ((CKA.LABEL, b"deep"),)))),
    (0x8000_1234, b"vendor's"),
)


@dataclass(slots=True)
class Echo:
    vendor: Vendor
    line: Line
    file: Path

    def heard(self) -> list[tuple[str, bytes]]:
        """The functions since it was asked last, and what they were given."""
        lines = [each.split(" ") for each in self.file.read_text().splitlines()]
        self.file.write_text("")
        return [(name, bytes.fromhex(told)) for name, told in lines]


@pytest.fixture
def echoing(echo_module: Path, tmp_path: Path) -> Iterator[Echo]:
    file = tmp_path / "told"
    file.touch()
    vendor = Vendor(
        str(echo_module),
        env={"ECHO_FILE": str(file)},
        init_args="a string = 'ours'",
        writes=[tmp_path],
    )
    yield Echo(vendor, vendor.line(), file)
    vendor.close()


def value_of(call: Call, parameter: Parameter, number: int) -> Any:
    """A value that is no other parameter's."""
    match parameter.type:
        case Type.ULONG:
            return 5 if parameter.c == "hSession" else 100 + number
        case Type.BYTE:
            return 1
        case Type.SPACED:
            return "läbel"
        case Type.BYTES:
            return f"bytes of {parameter.name} {number}".encode()
        case Type.ROOM | Type.ULONG_ROOM:
            return 100 + number
        case Type.ATTRIBUTES:
            return TEMPLATE
        case Type.MECHANISM if parameter.authenticated:
            wrapped = GcmWrap(IV, 32, CKG.GENERATE_COUNTER, b"seen", 96)
            return Mechanism(CKM.AES_GCM, wrapped)
        case Type.MECHANISM if call.name.startswith("Message"):
            return Mechanism(CKM.AES_GCM)
        case Type.MECHANISM:
            return Mechanism(CKM.AES_GCM, Gcm(IV, 96, b"seen", 128))
        case Type.MESSAGE:
            return write_message(CKM.AES_GCM, message(call))
        case other:
            raise ValueError(f"{call.name}: {other}")


def message(call: Call) -> GcmMessage:
    return GcmMessage(IV, 32, CKG.GENERATE_COUNTER, 128, b"" if "Encrypt" in call.name else TAG)


def values_of(call: Call) -> tuple[Any, ...]:
    sent = [parameter for parameter in call.takes if parameter.type]
    return tuple(value_of(call, parameter, n) for n, parameter in enumerate(sent))


def given_back(call: Call) -> tuple[Any, ...]:
    """What the echo module gives."""
    handle = 0x10
    found: list[Any] = []
    for parameter in call.gives:
        match parameter.type:
            case Type.NOTHING:
                continue
            case Type.ULONG if "->" in parameter.c:
                found.append(A)
            case Type.ULONG:
                handle += 1
                found.append(handle)
            case Type.VERSION:
                found.append((0x41, 0x41))
            case Type.SPACED:
                found.append("A" * parameter.width)
            case Type.ULONGS:
                found.append((7, 8))
            case Type.BYTES if call.name == "GenerateRandom":
                found.append(b"r" * values_of(call)[1])
            case Type.BYTES:
                found.append(RESULT)
            case Type.MESSAGE if "->" in parameter.c:
                wrapped = GcmWrap(b"\xaa" * 12, 32, CKG.GENERATE_COUNTER, b"seen", 96)
                found.append(write_wrap_parameter(CKM.AES_GCM, wrapped))
            case Type.MESSAGE:
                after = message(call)
                if "Encrypt" in call.name:
                    after = replace(after, iv=b"\xaa" * 12, tag=b"\xbb" * 16)
                found.append(write_message(CKM.AES_GCM, after))
            case other:
                raise ValueError(f"{call.name}: {other}")
    return tuple(found)


def sent(call: Call, values: tuple[Any, ...]) -> bytes:
    """The values of a request, as they cross."""
    return PROTOCOL.encode_request(call, *values)[8 + len(call.signature[0]) :]


def test_it_is_initialised_for_threads_and_with_the_string_of_its_configuration(
    echoing: Echo,
) -> None:
    assert echoing.vendor.info.interface_version == (3, 2)
    (name, told), *_ = echoing.heard()
    assert name == "C_Initialize"
    assert told == CKF.OS_LOCKING_OK.to_bytes(8) + b"\0a string = 'ours'"


def test_every_call_reaches_its_function_with_its_values_and_comes_back(echoing: Echo) -> None:
    line = echoing.line
    # What messages need that come alone.
    for verb in ("Encrypt", "Decrypt", "Sign", "Verify"):
        line(f"Message{verb}Init", 5, Mechanism(CKM.AES_GCM), 1)
    echoing.heard()
    for call in PASSED_ON:
        values = values_of(call)
        frame = PROTOCOL.encode_request(call, *values)
        body = line.channel.call(frame, 30, call.name)
        assert PROTOCOL.decode_answer(call, body) == given_back(call), call.name
        assert echoing.heard() == [(call.function, sent(call, values))], call.name
    assert len(PASSED_ON) == 93


@pytest.mark.parametrize(
    ("name", "second"),
    [
        ("SignOnce", "Sign"),
        ("VerifyOnce", "Verify"),
        ("EncryptOnce", "Encrypt"),
        ("DecryptOnce", "Decrypt"),
        ("DigestOnce", "Digest"),
    ],
)
def test_an_operation_in_one_is_an_init_and_the_operation(
    echoing: Echo, name: str, second: str
) -> None:
    mechanism, data = Mechanism(CKM.AES_GCM, Gcm(IV, 96, b"", 128)), b"some data"
    key = () if name == "DigestOnce" else (77,)
    last: tuple[Any, ...] = (b"a signature",) if name == "VerifyOnce" else (300,)
    echoing.heard()
    answer = echoing.line(name, 5, mechanism, *key, data, *last)
    assert answer == (() if name == "VerifyOnce" else RESULT)
    room = last if name == "VerifyOnce" else (len(data) + 65536,)
    assert echoing.heard() == [
        (f"C_{second}Init", sent(BY_NAME[f"{second}Init"], (5, mechanism, *key))),
        (f"C_{second}", sent(BY_NAME[second], (5, data, *room))),
    ]


def test_the_parameter_of_every_mechanism_is_as_c_has_it(echoing: Echo) -> None:
    init = BY_NAME["DigestInit"]
    for number, form in sorted(FORMS.items()):
        parameter = example(form)
        if hasattr(parameter, "additional_keys"):
            parameter = replace(parameter, additional_keys=0)
        values = (5, Mechanism(number, parameter))
        echoing.heard()
        echoing.line("DigestInit", *values)
        assert echoing.heard() == [("C_DigestInit", sent(init, values))], names(CKM)[number]
    for raw in (Mechanism(0x8000_0005, b"a vendor's"), Mechanism(CKM.SHA256), NO_MECHANISM):
        echoing.line("DigestInit", 5, raw)
        assert echoing.heard() == [("C_DigestInit", sent(init, (5, raw)))]


def test_the_parameters_of_authenticated_wraps_are_as_c_has_them(echoing: Echo) -> None:
    unwrap = BY_NAME["UnwrapKeyAuthenticated"]
    for number, form in sorted(WRAP_FORMS.items()):
        values = (5, Mechanism(number, example(form)), 1, b"wrapped", TEMPLATE, b"seen")
        echoing.heard()
        echoing.line("UnwrapKeyAuthenticated", *values)
        assert echoing.heard() == [("C_UnwrapKeyAuthenticated", sent(unwrap, values))]
    assert MESSAGE_FORMS


def test_what_is_null_stays_null_and_what_is_empty_is_not(echoing: Echo) -> None:
    digest, login = BY_NAME["Digest"], BY_NAME["Login"]
    echoing.heard()
    for data in (None, b"", b"x"):
        echoing.line("Digest", 5, data, 100)
        assert echoing.heard() == [("C_Digest", sent(digest, (5, data, 100)))]
    for pin in (None, b"", b"1234", b"x" * 10_000):
        echoing.line("Login", 5, 1, pin)
        assert echoing.heard() == [("C_Login", sent(login, (5, 1, pin)))]


def test_rooms_are_those_that_the_caller_has(echoing: Echo) -> None:
    line = echoing.line
    assert line("Sign", 5, b"x", 0) == len(RESULT)
    assert line("Sign", 5, b"x", 3) == len(RESULT)
    assert line("Sign", 5, b"x", 0xFFFFFFFF) == len(RESULT)
    assert line("Sign", 5, b"x", 6) == RESULT
    assert line("EncapsulateKey", 5, Mechanism(CKM.ML_KEM), 1, (), 0) == (len(RESULT), 0x11)
    assert line("GetSlotList", 1, 0) == 2
    assert line("GetSlotList", 1, 1) == 2
    assert line("GetSlotList", 1, 2) == (7, 8)


def test_a_part_of_a_message_that_is_not_the_last_has_no_signature(echoing: Echo) -> None:
    line, given = echoing.line, write_message(CKM.AES_GCM, message(BY_NAME["SignMessage"]))
    line("MessageSignInit", 5, Mechanism(CKM.AES_GCM), 1)
    echoing.heard()
    assert line("SignMessageNext", 5, given, b"part", 0, 100) == (given, b"")
    (_, told) = echoing.heard()[0]
    values = (5, given, b"part", 0, 0)
    assert told == sent(BY_NAME["SignMessageNext"], values)
    assert line("SignMessageNext", 5, given, b"part", 1, 100) == (given, RESULT)


def test_messages_are_those_of_their_session(echoing: Echo) -> None:
    session = Session.open(echoing.line, 1)
    session("MessageDecryptInit", Mechanism(CKM.AES_GCM), 1)
    parameter = write_message(CKM.AES_GCM, message(BY_NAME["DecryptMessage"]))
    assert session("DecryptMessage", parameter, b"", b"sealed", 100) == RESULT
    other = echoing.line.status("DecryptMessage", 6, parameter, b"", b"sealed", 100)
    assert other == CKR.OPERATION_NOT_INITIALIZED
    session("CloseSession")
    closed = session.status("DecryptMessage", parameter, b"", b"sealed", 100)
    assert closed == CKR.OPERATION_NOT_INITIALIZED
