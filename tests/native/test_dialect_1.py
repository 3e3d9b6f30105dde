"""The module of now against a daemon of then, and one that knows less: recorded answers."""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.native.driver import Failed, Module
from tests.native.frames import DIALECT_1, Player, Recording, listening
from tests.native.usual import SLOT, Usual

from keyholm.wire.pkcs11 import handshake
from keyholm.wire.pkcs11.constants import CKR

THEN = Recording.read(DIALECT_1)


@pytest.fixture(params=["as it was", "with more in its hello"])
def hello(request: pytest.FixtureRequest) -> bytes:
    """That of then, and one of a daemon to come: features that nobody asked for, and a tail."""
    then = THEN.daemon_hello
    if request.param == "as it was":
        return then
    features = struct.pack(">Q", (1 << 64) - 1)
    rest = features + then[handshake.HEAD.size + 8 :] + b"of a later version"
    return then[:1] + struct.pack(">I", len(rest)) + rest


@contextmanager
def played(place: Path, hello: bytes, unknown: tuple[str, ...] = ()) -> Iterator[Player]:
    with listening(place) as listener:
        player = Player(listener, THEN, hello=hello, unknown=unknown)
        player.start()
        yield player


def run(loaded: Module, work: Callable[[Module], None]) -> None:
    loaded.initialize()
    try:
        work(loaded)
    finally:
        loaded.finalize()


def test_a_program_sees_the_same_of_a_daemon_of_then(
    loaded: Module, place: Path, hello: bytes
) -> None:
    """Byte for byte: they are the answers that were recorded."""
    seen = {}
    with played(place, hello) as player:
        run(loaded, lambda module: seen.update(Usual(module).run()))
        player.join()
    assert seen == THEN.seen
    assert handshake.decode_client_hello(player.client_hello[handshake.HEAD.size :]).token == (
        handshake.NO_TOKEN
    )


def test_a_call_that_the_daemon_does_not_know_is_not_supported(loaded: Module, place: Path) -> None:
    def work(module: Module) -> None:
        session = module.open_session(SLOT)
        with pytest.raises(Failed) as refused:
            module.check("SeedRandom", session, b"seed", 4)
        assert refused.value.rv == CKR.FUNCTION_NOT_SUPPORTED
        assert module.session_info(session).slot == SLOT

    with played(place, THEN.daemon_hello) as player:
        run(loaded, work)
        player.join()
    assert len(player.refused) == 1
