"""An init and its operation in one: when it is folded, when not, and that nobody can tell."""

import ctypes
import hashlib

import pytest
from tests.native.driver import ULONG, Failed, Mechanism, Module, attribute
from tests.native.fake_daemon import LENGTH_UNKNOWN, Failure, FakeDaemon, signature

from keyholm.wire.pkcs11.constants import CKA, CKF, CKM, CKR

ECDSA = (CKM.ECDSA, 0, None)


def calls(daemon: FakeDaemon) -> list[str]:
    return [name for name in daemon.names() if name != "OpenSession"]


def rv_of(module: Module, function: str, *arguments: object) -> int:
    rv: int = getattr(module, function)(*arguments)
    return rv


def sign_with_room(module: Module, session: int, room: int | None) -> tuple[int, int]:
    memory, length = ctypes.create_string_buffer(256), ULONG(room or 0)
    to = None if room is None else memory
    return module.Sign(session, b"data", 4, to, ctypes.byref(length)), length.value


def test_the_second_init_with_a_key_needs_no_trip(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    for _ in range(3):
        assert module.sign_at_once(session, 1, b"data") == signature(ECDSA, 1, b"data")
    assert calls(daemon) == ["Begin", "Sign", "SignOnce", "SignOnce"]


def test_another_key_or_mechanism_or_session_is_told_to_the_daemon_first(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    module.sign_at_once(session, 1, b"data")
    module.sign_at_once(session, 2, b"data")
    module.sign_init(session, 1, CKM.ECDSA_SHA256)
    module.sign(session, b"data")
    module.sign_at_once(module.open_session(7), 1, b"data")
    assert calls(daemon) == ["Begin", "Sign"] * 4
    module.sign_at_once(session, 1, b"data")
    module.sign_at_once(session, 2, b"data")
    assert calls(daemon)[-2:] == ["SignOnce"] * 2


def test_a_daemon_that_does_not_allow_it_gets_every_init(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    daemon.begin_flags = 0
    for _ in range(3):
        module.sign_at_once(session, 1, b"data")
    assert calls(daemon) == ["Begin", "Sign"] * 3


def test_the_error_of_a_first_init_comes_with_the_init(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    with pytest.raises(Failed) as refused:
        module.sign_init(session, 99)
    assert refused.value.rv == CKR.KEY_HANDLE_INVALID


def test_an_operation_that_goes_on_is_active(module: Module, session: int) -> None:
    mechanism = ctypes.byref(Mechanism(CKM.ECDSA))
    module.sign_init(session, 1)
    assert module.SignInit(session, mechanism, 1) == CKR.OPERATION_ACTIVE
    module.sign(session, b"data")
    module.sign_init(session, 1)
    module.sign(session, b"data")
    module.sign_init(session, 1)
    assert module.SignInit(session, mechanism, 1) == CKR.OPERATION_ACTIVE


def test_without_an_init_there_is_no_operation(module: Module, session: int) -> None:
    assert sign_with_room(module, session, 256)[0] == CKR.OPERATION_NOT_INITIALIZED
    module.sign_at_once(session, 1, b"data")
    module.sign_at_once(session, 1, b"data")
    assert sign_with_room(module, session, 256)[0] == CKR.OPERATION_NOT_INITIALIZED


@pytest.mark.parametrize("folded", [False, True])
def test_a_length_that_is_known_is_told_without_a_trip(
    module: Module, session: int, daemon: FakeDaemon, folded: bool
) -> None:
    if folded:
        module.sign_at_once(session, 1, b"data")
    module.sign_init(session, 1)
    daemon.requests.clear()
    assert sign_with_room(module, session, None) == (CKR.OK, 64)
    assert sign_with_room(module, session, 63) == (CKR.BUFFER_TOO_SMALL, 64)
    assert sign_with_room(module, session, 0) == (CKR.BUFFER_TOO_SMALL, 64)
    assert daemon.requests == []
    assert sign_with_room(module, session, 64) == (CKR.OK, 64)


@pytest.mark.parametrize("folded", [False, True])
def test_a_length_that_is_not_known_is_asked_for_and_ends_nothing(
    module: Module, session: int, daemon: FakeDaemon, folded: bool
) -> None:
    daemon.begin_length = LENGTH_UNKNOWN
    if folded:
        module.sign_at_once(session, 1, b"data")
    module.sign_init(session, 1)
    assert sign_with_room(module, session, None) == (CKR.OK, 64)
    assert sign_with_room(module, session, 10) == (CKR.BUFFER_TOO_SMALL, 64)
    assert sign_with_room(module, session, 64) == (CKR.OK, 64)
    assert sign_with_room(module, session, 64)[0] == CKR.OPERATION_NOT_INITIALIZED


def test_data_in_parts_sends_what_was_held(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    module.sign_at_once(session, 1, b"data")
    daemon.requests.clear()
    module.sign_init(session, 1)
    assert daemon.requests == []
    module.check("SignUpdate", session, b"da", 2)
    module.check("SignUpdate", session, b"ta", 2)
    memory, length = ctypes.create_string_buffer(64), ULONG(64)
    module.check("SignFinal", session, memory, ctypes.byref(length))
    assert memory.raw == signature(ECDSA, 1, b"data")
    assert calls(daemon) == ["Begin", "SignUpdate", "SignUpdate", "SignFinal"]


def test_nothing_at_all_can_be_signed(module: Module, session: int, daemon: FakeDaemon) -> None:
    for _ in range(2):
        assert module.sign_at_once(session, 1, b"") == signature(ECDSA, 1, b"")
        module.sign_init(session, 1)
        memory, length = ctypes.create_string_buffer(64), ULONG(64)
        module.check("Sign", session, None, 0, memory, ctypes.byref(length))
        assert memory.raw == signature(ECDSA, 1, b"")


def test_an_error_ends_the_operation_and_what_was_known(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    def handler(*_: object) -> tuple[()]:
        raise Failure(CKR.FUNCTION_REJECTED)

    module.sign_at_once(session, 1, b"data")
    once, daemon.handlers["SignOnce"] = daemon.handlers["SignOnce"], handler
    module.sign_init(session, 1)
    assert sign_with_room(module, session, 64)[0] == CKR.FUNCTION_REJECTED
    assert sign_with_room(module, session, 64)[0] == CKR.OPERATION_NOT_INITIALIZED
    daemon.handlers["SignOnce"] = once
    daemon.requests.clear()
    module.sign_at_once(session, 1, b"data")
    assert calls(daemon) == ["Begin", "Sign"]


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("wrong", ["length", "data", "too much"])
def test_an_argument_that_is_wrong_ends_the_operation_everywhere(
    module: Module, session: int, daemon: FakeDaemon, folded: bool, wrong: str
) -> None:
    if folded:
        module.sign_at_once(session, 1, b"data")
    module.sign_init(session, 1)
    memory, length = ctypes.create_string_buffer(64), ULONG(64)
    arguments: dict[str, tuple[object, ...]] = {
        "length": (b"data", 4, memory, None),
        "data": (None, 4, memory, ctypes.byref(length)),
        "too much": (b"", 1 << 50, memory, ctypes.byref(length)),
    }
    expected = CKR.DATA_LEN_RANGE if wrong == "too much" else CKR.ARGUMENTS_BAD
    assert rv_of(module, "Sign", session, *arguments[wrong]) == expected
    assert sign_with_room(module, session, 64)[0] == CKR.OPERATION_NOT_INITIALIZED
    assert module.sign_at_once(session, 1, b"data") == signature(ECDSA, 1, b"data")


CHANGES = {
    "login": lambda module, session: module.login(session),
    "logout": lambda module, session: module.check("Logout", session),
    "an object that changes": lambda module, session: module.check(
        "SetAttributeValue", session, 2, ctypes.byref(attribute(CKA.LABEL, b"x")), 1
    ),
    "an object that is destroyed": lambda module, session: module.DestroyObject(session, 2),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_known_is_forgotten_with(
    module: Module, session: int, daemon: FakeDaemon, change: str
) -> None:
    module.sign_at_once(session, 1, b"data")
    CHANGES[change](module, session)
    daemon.requests.clear()
    module.sign_at_once(session, 1, b"data")
    assert calls(daemon) == ["Begin", "Sign"]


@pytest.mark.parametrize("folded", [False, True])
def test_an_init_without_a_mechanism_ends_what_goes_on(
    module: Module, session: int, daemon: FakeDaemon, folded: bool
) -> None:
    if folded:
        module.sign_at_once(session, 1, b"data")
    module.sign_init(session, 1)
    module.check("SignInit", session, None, 0)
    assert daemon.count("SessionCancel") == (not folded)
    assert sign_with_room(module, session, 64)[0] == CKR.OPERATION_NOT_INITIALIZED


def test_c_session_cancel_ends_what_is_held(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    module.sign_at_once(session, 1, b"data")
    module.sign_init(session, 1)
    module.check("SessionCancel", session, CKF.SIGN | CKF.DIGEST)
    assert daemon.requests[-1][1][1] == CKF.DIGEST
    assert sign_with_room(module, session, 64)[0] == CKR.OPERATION_NOT_INITIALIZED


def test_a_pin_for_one_operation_means_one_that_the_daemon_knows(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    module.sign_at_once(session, 1, b"data")
    module.sign_init(session, 1)
    daemon.requests.clear()
    module.check("Login", session, 2, b"1234", 4)
    assert calls(daemon) == ["Begin", "Login"]


def test_a_mechanism_that_is_too_long_to_be_kept_is_sent_each_time(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    parameter = ctypes.create_string_buffer(b"x" * 500)
    mechanism = Mechanism(0x80000001, ctypes.addressof(parameter), 500)
    for _ in range(2):
        module.check("SignInit", session, ctypes.byref(mechanism), 1)
        made = module.sign(session, b"data")
        assert made == signature((0x80000001, 2, b"x" * 500), 1, b"data")
    assert calls(daemon) == ["Begin", "Sign"] * 2


def test_verifying_and_digesting_fold_as_well(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    made = signature(ECDSA, 1, b"data")
    for _ in range(2):
        module.check("VerifyInit", session, ctypes.byref(Mechanism(CKM.ECDSA)), 1)
        module.check("Verify", session, b"data", 4, made, len(made))
    for _ in range(2):
        module.check("DigestInit", session, ctypes.byref(Mechanism(CKM.SHA512)))
        memory, length = ctypes.create_string_buffer(64), ULONG(64)
        module.check("Digest", session, b"data", 4, memory, ctypes.byref(length))
        assert memory.raw == hashlib.sha512(b"data").digest()
    assert calls(daemon) == ["Begin", "Verify", "VerifyOnce", "Begin", "Digest", "DigestOnce"]
    module.check("VerifyInit", session, ctypes.byref(Mechanism(CKM.ECDSA)), 1)
    rv = module.Verify(session, b"else", 4, made, len(made))
    assert rv == CKR.SIGNATURE_INVALID


def test_two_kinds_of_operation_go_on_side_by_side(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    module.sign_at_once(session, 1, b"data")
    module.sign_init(session, 1)
    module.check("DigestInit", session, ctypes.byref(Mechanism(CKM.SHA512)))
    assert module.sign(session, b"data") == signature(ECDSA, 1, b"data")
