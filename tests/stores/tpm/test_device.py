"""Commands to a TPM in software, and to links that fail."""

import os
import pty
import socket
import threading
import tty
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.rigs import swtpm

from keyholm.core.errors import (
    BadConfiguration,
    KeyholmError,
    StoreFailed,
    TokenBusy,
    TokenNotPresent,
)
from keyholm.stores.tpm import errors, links
from keyholm.stores.tpm.device import TRIES, Device
from keyholm.wire.tpm2 import commands as tpm
from keyholm.wire.tpm2.commands import Refused
from keyholm.wire.tpm2.constants import PT

STARTED = bytes.fromhex("8001 0000000a 00000000")
RANDOM = bytes.fromhex("8001 00000010 00000000 0004 61626364")


def refusing(code: int) -> bytes:
    return bytes.fromhex("8001 0000000a") + code.to_bytes(4)


class Scripted:
    """A link that gives these answers, one after the other; an exception is raised."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = [STARTED, *answers]
        self.sent: list[bytes] = []
        self.closed = 0

    def exchange(self, frame: bytes) -> bytes:
        self.sent.append(frame)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self.closed += 1

    def device(
        self, where: str = "swtpm:/scripted", sleep: Callable[..., None] | None = None
    ) -> Device:
        return Device(where, lambda _: self, sleep or (lambda seconds: None))


def test_a_tpm_on_a_unix_socket_and_by_tcp(tmp_path: Path) -> None:
    with swtpm.on_socket(tmp_path / "unix") as where:
        device = Device(where)
        [random] = device.run(tpm.GET_RANDOM, (), 16)
        assert len(random) == 16
        assert device.properties(PT.MAX_AUTH_FAIL, 1)[PT.MAX_AUTH_FAIL] > 0
        device.close()
        with pytest.raises(StoreFailed, match="closed"):
            device.run(tpm.GET_RANDOM, (), 16)
    with swtpm.on_tcp(tmp_path / "tcp") as (where, _):
        device = Device(where)
        assert len(device.run(tpm.GET_RANDOM, (), 8)[0]) == 8
        device.close()


def test_threads_get_each_its_own_answer(tmp_path: Path) -> None:
    with swtpm.on_socket(tmp_path) as where:
        device = Device(where)
        wrong: list[int] = []

        def work(size: int) -> None:
            wrong.extend(
                size for _ in range(50) if len(device.run(tpm.GET_RANDOM, (), size)[0]) != size
            )

        threads = [threading.Thread(target=work, args=(size,)) for size in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        device.close()
        assert wrong == []


def test_a_tpm_of_our_own_is_shut_down_in_order_and_a_shared_one_is_not() -> None:
    own = Scripted(STARTED)
    own.device().close()
    assert [frame[6:10].hex() for frame in own.sent] == ["00000144", "00000145"]
    assert own.closed == 1
    shared = Scripted()
    shared.device("/dev/tpmrm0").close()
    assert shared.sent == []


@pytest.mark.parametrize("code", [0x908, 0x90A, 0x922])
def test_what_it_cannot_do_yet_is_asked_again(code: int) -> None:
    link, slept = Scripted(refusing(code), refusing(code), RANDOM), list[float]()
    assert link.device(sleep=slept.append).run(tpm.GET_RANDOM, (), 4) == (b"abcd",)
    assert slept == [0.005, 0.01]
    assert len(set(link.sent[1:])) == 1


def test_but_not_for_ever() -> None:
    link = Scripted(*[refusing(0x922)] * TRIES, RANDOM)
    with pytest.raises(Refused):
        link.device().run(tpm.GET_RANDOM, (), 4)
    assert len(link.sent) == 1 + TRIES


@pytest.mark.parametrize(
    "bad",
    [
        RANDOM[:-1],
        RANDOM + b"x",
        b"",
        bytes.fromhex("8001 ffffffff 00000000"),
        ConnectionError("gone"),
        TimeoutError("late"),
    ],
)
def test_a_link_that_broke_is_not_used_again(bad: bytes | Exception) -> None:
    """Its late answer would be taken for the next."""
    links_made = [Scripted(bad), Scripted(RANDOM)]
    links_made[1].answers = [RANDOM]
    made = iter(links_made)
    device = Device("swtpm:/scripted", lambda _: next(made))
    with pytest.raises(StoreFailed, match="does not answer"):
        device.run(tpm.GET_RANDOM, (), 4)
    assert links_made[0].closed == 1
    assert device.run(tpm.GET_RANDOM, (), 4) == (b"abcd",)
    assert device.links == 2


def test_an_answer_is_never_longer_than_a_tpm_gives() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(bytes.fromhex("8001 00100000 00000000"))
        with pytest.raises(ValueError, match="answer of 1048576 bytes"):
            links.SocketLink(ours).exchange(b"")


@pytest.mark.parametrize(
    "where", ["", "tpm", "swtpm:", "swtpm:host", "swtpm:host:99999", "swtpm:h:x"]
)
def test_what_is_no_way_to_a_tpm(where: str) -> None:
    with pytest.raises(BadConfiguration, match="no way to a TPM"):
        links.connect(where)


def test_contract_fake_of_a_device_of_the_kernel_gets_whole_commands() -> None:
    """A terminal in raw mode, since there is no TPM's device here: a file that is written, waited
    for and read."""
    ours, its = pty.openpty()
    tty.setraw(its)
    try:
        link = links.DeviceLink(os.ttyname(its), seconds=5)
        os.write(ours, RANDOM)
        assert link.exchange(b"a command") == RANDOM
        assert os.read(ours, 100) == b"a command"
        link.close()
        silent = links.DeviceLink(os.ttyname(its), seconds=0.01)
        with pytest.raises(TimeoutError, match="nothing came"):
            silent.exchange(b"a command")
        silent.close()
    finally:
        os.close(ours)
        os.close(its)


def test_no_tpm_is_said(tmp_path: Path) -> None:
    for where in (str(tmp_path / "tpmrm0"), f"swtpm:{tmp_path}/tpm.sock"):
        with pytest.raises(TokenNotPresent, match="There is no TPM at") as found:
            Device(where)
        assert "firmware" in found.value.remedy


def test_no_permission_is_said() -> None:
    def forbidden(path: str) -> links.Link:
        raise PermissionError(path)

    with pytest.raises(TokenNotPresent, match="may not use") as found:
        links.connect("/dev/tpmrm0", forbidden)
    assert "usermod -aG tss" in found.value.remedy


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (0x101, StoreFailed, "failure mode"),
        (0x902, TokenBusy, "no room"),
        (0x922, TokenBusy, "stayed busy"),
        (0x1DF, KeyholmError, "did not make this key file"),
        (0x2C4, StoreFailed, "TPM_RC_VALUE"),
    ],
)
def test_refusals_are_told_with_a_remedy(code: int, kind: type[KeyholmError], words: str) -> None:
    error = errors.refusal(code, "sign")
    assert isinstance(error, kind)
    assert words in error.what
    assert error.remedy or code == 0x2C4
