"""What a module answers is held against what it was given: a lie is an error, never a bad read."""

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.stores.modules.binding.vendor import ROOM, Line, Refused, Session, Vendor

from keyholm.wire.pkcs11.constants import CKA, CKF, CKM, CKR
from keyholm.wire.pkcs11.mechanisms import Mechanism
from keyholm.worker.proxy import NotLoaded
from native import build

HERE = Path(__file__).parent
MECHANISM = Mechanism(CKM.ECDSA)
Lying = Callable[[str], Vendor]


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = build.system_compiler()
    if compiler is None:
        pytest.skip("no C compiler: the lying module is made with cc, gcc or clang")
    made = tmp_path_factory.mktemp("liar") / "liar.so"
    flags = (
        "-std=c11",
        "-D_GNU_SOURCE",
        "-g1",
        "-O1",
        "-fPIC",
        "-shared",
        *build.STRICT,
        "-Werror",
    )
    source = HERE / "liar.c"
    command = [*compiler, *flags, f"-I{build.SOURCES}", "-o", made, source]
    subprocess.run([str(word) for word in command], check=True)
    return made


@pytest.fixture
def lying(module: Path) -> Iterator[Lying]:
    made: list[Vendor] = []

    def vendor(about: str) -> Vendor:
        made.append(Vendor(str(module), env={"LIE": about}))
        return made[-1]

    yield vendor
    for each in made:
        each.close()


def refusal(line: Line, name: str, *values: object) -> tuple[int, str]:
    with pytest.raises(Refused) as caught:
        line(name, *values)
    return caught.value.status, caught.value.what


def test_a_code_of_nobody_is_a_device_error(lying: Lying) -> None:
    line = lying("").line()
    nobodys = refusal(line, "GetSlotInfo", 0x12345)
    what = "C_GetSlotInfo of the module returned 0x12345, which is no code of the standard."
    assert nobodys == (CKR.DEVICE_ERROR, what)
    assert refusal(line, "GetSlotInfo", 0x1_0000_0005)[0] == CKR.DEVICE_ERROR
    vendors = refusal(line, "GetSlotInfo", 0x8000_1234)
    assert vendors == (0x8000_1234, "C_GetSlotInfo of the module said CKR 0x80001234.")
    assert refusal(line, "GetSlotInfo", CKR.TOKEN_NOT_PRESENT)[0] == CKR.TOKEN_NOT_PRESENT


def test_a_function_that_is_not_there_is_not_called(lying: Lying) -> None:
    vendor = lying("")
    line = vendor.line()
    told = refusal(line, "Login", 5, 1, b"1234")
    assert told == (CKR.FUNCTION_NOT_SUPPORTED, "The module has no C_Login.")
    assert refusal(line, "VerifyOnce", 5, MECHANISM, 1, b"", b"")[0] == CKR.FUNCTION_NOT_SUPPORTED
    assert "Login" not in vendor.info.functions


@pytest.mark.parametrize("lie", ["length", "endless"])
def test_a_length_beyond_the_room_is_not_read(lying: Lying, lie: str) -> None:
    line = lying(lie).line()
    line("SignInit", 5, MECHANISM, 1)
    for room in (1, 100, 1 << 20):
        code, what = refusal(line, "Sign", 5, b"x", room)
        assert code == CKR.DEVICE_ERROR
        assert what.startswith("C_Sign of the module ")
    if lie == "endless":
        assert refusal(line, "Sign", 5, b"x", 0)[0] == CKR.DEVICE_ERROR
    code, what = refusal(lying(lie).line(), "SignOnce", 5, MECHANISM, 1, b"x", ROOM)
    assert code == CKR.DEVICE_ERROR


def test_a_result_that_is_larger_than_expected_gets_its_room(lying: Lying) -> None:
    for lie in ("large", "unsaid"):
        line = lying(lie).line()
        line("SignInit", 5, MECHANISM, 1)
        assert line("Sign", 5, b"x", 1 << 20) == b"s" * 200_000
    line = lying("large").line()
    assert line("SignOnce", 5, MECHANISM, 1, b"x", 1 << 20) == b"s" * 200_000
    assert line("SignOnce", 5, MECHANISM, 1, b"x", 1000) == 200_000
    line("SignInit", 5, MECHANISM, 1)
    assert line("Sign", 5, b"x", 1000) == 200_000


def test_room_that_is_never_enough_has_an_end(lying: Lying) -> None:
    line = lying("never").line()
    line("SignInit", 5, MECHANISM, 1)
    code, what = refusal(line, "Sign", 5, b"x", 0xFFFFFFF0)
    assert code == CKR.DEVICE_ERROR
    assert "too few" in what
    assert refusal(line, "Sign", 5, b"x", 100)[0] == CKR.DEVICE_ERROR


@pytest.mark.parametrize("lie", ["many", "endless", "fewer"])
def test_a_count_that_cannot_be_is_not_read(lying: Lying, lie: str) -> None:
    line = lying(lie).line()
    assert refusal(line, "GetSlotList", 1, 10)[0] == CKR.DEVICE_ERROR


def test_handles_that_are_none_are_refused(lying: Lying) -> None:
    line = lying("handle").line()
    told = refusal(line, "OpenSession", 1, 4)
    assert told == (
        CKR.DEVICE_ERROR,
        "C_OpenSession of the module gave the handle 0, which is none.",
    )
    assert line("FindObjects", 5, 10) == ()  # YKCS11 has such an object
    assert refusal(lying("many").line(), "FindObjects", 5, 10)[0] == CKR.DEVICE_ERROR


def test_text_that_is_no_utf8_is_text_all_the_same(lying: Lying) -> None:
    info = lying("text").info
    assert info.manufacturer == "M\ufffdller"
    assert set(info.library_description) == {"\ufffd"}


def test_attributes_after_one_that_is_not_told_are_asked_for_again(lying: Lying) -> None:
    session = Session.open(lying("stops").line(), 1)
    told = session.read(9, CKA.LABEL, CKA.MODULUS, CKA.ID, CKA.VALUE)
    assert told == {CKA.LABEL: b"abc", CKA.MODULUS: None, CKA.ID: b"abc", CKA.VALUE: b"abc"}


def test_what_a_module_writes_into_a_template_is_not_followed(lying: Lying) -> None:
    session = Session.open(lying("pointers").line(), 1)
    told = session.read(9, CKA.LABEL, CKA.ID, CKA.TOKEN, CKA.KEY_TYPE)
    # Three bytes are no number.
    assert told == {CKA.LABEL: b"abc", CKA.ID: b"abc", CKA.TOKEN: True, CKA.KEY_TYPE: None}


@pytest.mark.parametrize("lie", ["beyond", "long value"])
def test_a_value_beyond_its_room_is_not_read(lying: Lying, lie: str) -> None:
    session = Session.open(lying(lie).line(), 1)
    for wanted in (CKA.LABEL, CKA.TOKEN, CKA.CLASS):
        code, what = refusal(session.line, "GetAttributeValue", 5, 9, ((wanted, 0),))
        assert code == CKR.DEVICE_ERROR
        assert what.startswith("C_GetAttributeValue of the module gave ")


@pytest.mark.parametrize("lie", ["cut template", "deep", "long value", "changing"])
def test_a_template_that_cannot_be_is_not_read(lying: Lying, lie: str) -> None:
    line = lying(lie).line()
    code, _ = refusal(line, "GetAttributeValue", 5, 9, ((CKA.WRAP_TEMPLATE, 0),))
    assert code == CKR.DEVICE_ERROR


def test_an_operation_that_failed_does_not_stay(lying: Lying) -> None:
    line = lying("stays").line()
    assert refusal(line, "SignOnce", 5, MECHANISM, 1, b"", ROOM)[0] == CKR.FUNCTION_FAILED
    assert line("SignOnce", 5, MECHANISM, 1, b"x", ROOM) == b"ssss"


@pytest.mark.parametrize(
    ("lie", "step", "code"),
    [
        ("no list", "interface", CKR.FUNCTION_FAILED),
        ("list of nothing", "interface", CKR.OK),
        ("version", "interface", CKR.OK),
        ("nothing in it", "interface", CKR.OK),
        ("not initialised", "initialize", CKR.DEVICE_ERROR),
    ],
)
def test_a_module_that_cannot_be_used_says_at_which_step(
    lying: Lying, lie: str, step: str, code: int
) -> None:
    with pytest.raises(NotLoaded) as caught:
        lying(lie).line()
    assert (caught.value.step, caught.value.code) == (step, code)
    assert caught.value.text


def test_what_is_no_module_is_said_to_be_none(tmp_path: Path) -> None:
    text = tmp_path / "text.so"
    text.write_text("not a library")
    for path, step, word in (
        (str(tmp_path / "missing.so"), "load", "No such file"),
        (str(text), "load", "text.so"),
        ("libm.so.6", "interface", "C_GetFunctionList"),
    ):
        vendor = Vendor(path)
        with pytest.raises(NotLoaded) as caught:
            vendor.line()
        vendor.close()
        assert caught.value.step == step
        assert word in caught.value.text


def test_a_library_that_initialised_itself_is_as_good(lying: Lying) -> None:
    assert lying("already").line()("GetSlotList", 1, 10) == (1, 0)


@pytest.mark.parametrize(("lie", "is_serial"), [("no locks", True), ("", False)])
def test_a_module_without_locks_gets_one_call_at_a_time(
    lying: Lying, lie: str, is_serial: bool
) -> None:
    vendor = lying(lie)
    assert vendor.info.is_serial is is_serial
    lines = [vendor.line() for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        for _ in threads.map(lambda line: line("SeedRandom", 5, b"x"), lines):
            pass
    assert lines[0]("GenerateRandom", 5, 1) == (b"\0" if is_serial else b"\1")
    if is_serial:
        assert lines[0].status("WaitForSlotEvent", 0) == CKR.FUNCTION_NOT_SUPPORTED


def test_who_waits_for_a_slot_keeps_nobody_else_waiting(lying: Lying) -> None:
    vendor = lying("")
    waiting, other = vendor.line(), vendor.line()
    assert other.status("WaitForSlotEvent", CKF.DONT_BLOCK) == CKR.NO_EVENT
    with ThreadPoolExecutor(1) as threads:
        event = threads.submit(waiting, "WaitForSlotEvent", 0)
        assert other("GetSlotList", 1, 10) == (1, 0)
        assert not event.done()
        other("GenerateRandom", 5, 1)
        assert event.result() == 3
