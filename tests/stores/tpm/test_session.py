"""Sessions with a TPM in software, with something in between that reads and alters."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.rigs import swtpm
from tests.rigs.swtpm import Wire

from keyholm.core.errors import StoreFailed
from keyholm.stores.tpm.device import Device
from keyholm.stores.tpm.parents import TEMPLATE, create_primary
from keyholm.stores.tpm.session import Named, Session
from keyholm.wire.tpm2 import commands as tpm
from keyholm.wire.tpm2.commands import Refused, Sensitive
from keyholm.wire.tpm2.constants import ALG, CURVE, HANDLE, OBJECT
from keyholm.wire.tpm2.names import name_of
from keyholm.wire.tpm2.structures import (
    AES_128_CFB,
    EccParameters,
    KeyedHashParameters,
    Point,
    Public,
    RsaParameters,
)

PARENTS = {
    "p256": TEMPLATE,
    "p384": Public(
        ALG.SHA256,
        TEMPLATE.attributes,
        b"",
        EccParameters(AES_128_CFB, curve=CURVE.NIST_P384),
        Point(),
    ),
    "rsa": Public(ALG.SHA256, TEMPLATE.attributes, b"", RsaParameters(AES_128_CFB), b""),
}
SEALED = Public(
    ALG.SHA256,
    OBJECT.FIXEDTPM | OBJECT.FIXEDPARENT | OBJECT.USERWITHAUTH,
    b"",
    KeyedHashParameters(),
    b"",
)
PIN, DATA = b"a PIN that nobody may read", b"data that nobody may read"


class Bench:
    """A session salted to a primary key, and something sealed under it."""

    def __init__(self, wire: Wire, parent: str) -> None:
        self.wire, self.device = wire, Device("swtpm:/wire", wire.connect)
        handle, self.public = create_primary(self.device, PARENTS[parent])
        self.parent = Named(handle, name_of(self.public))
        self.session = Session(self.device, handle, self.public)

    def sealed(self) -> Named:
        private, public, *_ = self.session.run(
            tpm.CREATE, (self.parent,), Sensitive(PIN, DATA), SEALED, b"", ()
        )
        handle, name = self.session.run(tpm.LOAD, (self.parent,), private, public)
        assert name == name_of(public)
        return Named(handle, name)

    def unseal(self, sealed: Named, pin: bytes = PIN) -> bytes:
        [data] = self.session.run(tpm.UNSEAL, (sealed,), pin=pin)
        return bytes(data)


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    with swtpm.on_socket(tmp_path / "tpm") as where:
        between = Wire(where)
        yield between
        between.end()


@pytest.mark.parametrize("parent", PARENTS)
def test_nothing_secret_crosses_in_the_clear(parent: str, wire: Wire) -> None:
    bench = Bench(wire, parent)
    sealed = bench.sealed()
    assert [bench.unseal(sealed) for _ in range(3)] == [DATA] * 3
    assert len(wire.record) >= 7
    assert PIN not in wire.crossed
    assert DATA not in wire.crossed
    bench.session.close()


def test_a_wrong_pin_is_refused_and_the_session_goes_on(wire: Wire) -> None:
    bench = Bench(wire, "p256")
    sealed = bench.sealed()
    with pytest.raises(Refused) as refused:
        bench.unseal(sealed, b"wrong")
    assert refused.value.number == 0x98E
    assert bench.unseal(sealed) == DATA


def test_zeros_at_the_end_of_a_pin_do_not_count_as_the_tpm_has_it(wire: Wire) -> None:
    bench = Bench(wire, "p256")
    assert bench.unseal(bench.sealed(), PIN + b"\0\0") == DATA


def test_every_bit_of_an_answer_matters(wire: Wire) -> None:
    """Each bit is flipped, and not one changes what we take for the answer."""
    bench = Bench(wire, "p256")
    sealed = bench.sealed()
    bench.unseal(sealed)
    bits = 8 * len(wire.record[-1][1])
    unnoticed = [bit for bit in range(bits) if not _noticed(bench, sealed, bit)]
    assert unnoticed == []


def _noticed(bench: Bench, sealed: Named, bit: int) -> bool:
    bench.wire.on_answer = lambda frame, answer: _flipped(answer, bit)
    try:
        bench.unseal(sealed)
    except (StoreFailed, Refused):
        return True
    finally:
        bench.wire.on_answer = lambda frame, answer: answer
        bench.session.close()
        bench.session = Session(bench.device, bench.parent.handle, bench.public)
    return False


def _flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_a_command_that_was_altered_is_refused_by_the_tpm(wire: Wire) -> None:
    """In the handle of the key, in the nonce, the attributes, the proof and the parameters."""
    bench = Bench(wire, "p256")
    sealed = bench.sealed()
    bench.unseal(sealed)
    size = len(wire.record[-1][0])
    for at in range(18, size):
        wire.on_command = lambda frame, at=at: _flipped(frame, 8 * at)  # type: ignore[misc]
        with pytest.raises((StoreFailed, Refused)):
            bench.unseal(sealed)
        wire.on_command = lambda frame: frame
        bench.session.close()
        bench.session = Session(bench.device, bench.parent.handle, bench.public)


def test_an_old_answer_is_no_answer(wire: Wire) -> None:
    bench = Bench(wire, "p256")
    sealed = bench.sealed()
    bench.unseal(sealed)
    old = wire.record[-1][1]
    wire.on_answer = lambda frame, answer: old
    with pytest.raises(StoreFailed, match="proof is wrong"):
        bench.unseal(sealed)


@pytest.mark.parametrize(
    "strip",
    [
        lambda answer: b"\x80\1" + (12).to_bytes(4) + bytes(6),
        lambda answer: answer[:2] + answer[2:],
    ],
)
def test_an_answer_without_its_proof_is_none(strip: Callable[[bytes], bytes], wire: Wire) -> None:
    bench = Bench(wire, "p256")
    sealed = bench.sealed()
    other = strip(wire.record[-1][1])
    wire.on_answer = lambda frame, answer: other
    with pytest.raises(StoreFailed):
        bench.unseal(sealed)


def test_another_tpm_cannot_play_ours(wire: Wire, tmp_path: Path) -> None:
    """A session that is salted to our key is none that another TPM could hold."""
    bench = Bench(wire, "p256")
    with swtpm.on_socket(tmp_path / "other") as where:
        other = Wire(where)
        elsewhere = Bench(other, "p256")
        sealed = elsewhere.sealed()
        assert elsewhere.unseal(sealed) == DATA
        elsewhere.session.close()
        with pytest.raises((Refused, StoreFailed)):
            Session(elsewhere.device, elsewhere.parent.handle, bench.public).run(
                tpm.UNSEAL, (sealed,), pin=PIN
            )
        other.end()


def test_a_session_says_nothing_of_its_key(wire: Wire) -> None:
    bench = Bench(wire, "p256")
    assert "Secret of" in repr(bench.session._key)
    assert HANDLE.HMAC_SESSION <= bench.session.handle < HANDLE.POLICY_SESSION
