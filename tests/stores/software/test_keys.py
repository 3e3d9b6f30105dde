"""Private keys: which are taken, and what is made."""

import pytest
from msgspec.structs import replace
from tests.wire.ssh import samples

from keyholm.core.errors import AlgorithmUnsupported, BadKeyFile
from keyholm.core.model import Algorithm
from keyholm.stores.software import keys as software
from keyholm.stores.software.plain import plain_form, released, wiped
from keyholm.wire.codec import Reader
from keyholm.wire.ssh import keys
from keyholm.wire.ssh.private_keys import (
    PRIVATE,
    PrivateDsa,
    PrivateEcdsa,
    PrivateEd25519,
    PrivateRsa,
)

# Small primes from the start of the list: what is wrong is the numbers, not their size.
P, Q = 2**89 - 1, 2**107 - 1


@pytest.mark.parametrize("name", samples.PLAIN)
def test_keys_of_openssh_are_taken(name: str) -> None:
    software.check(samples.private(name))


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_new_key_is_of_the_kind_that_was_asked_for(algorithm: Algorithm) -> None:
    private = software.generate(algorithm)

    software.check(private)
    assert {
        keys.Ed25519: "ed25519",
        keys.Rsa: f"rsa-{getattr(private.public, 'modulus', 0).bit_length()}",
        keys.MlDsa44Ed25519: "mldsa44-ed25519",
        keys.Ecdsa: f"ecdsa-p{getattr(private.public, 'curve', '')[5:]}",
    }[type(private.public)] == algorithm


def rsa(**changes: int) -> PrivateRsa:
    private = samples.private("rsa")
    assert isinstance(private, PrivateRsa)
    views = {
        name: memoryview(value.to_bytes((value.bit_length() + 7) // 8))
        for name, value in changes.items()
    }
    return replace(private, **views)


def number(view: memoryview) -> int:
    return int.from_bytes(view)


@pytest.mark.parametrize(
    "changes",
    [
        {"d": 3},
        {"p": P},
        {"p": P, "q": Q},
        {"iqmp": 2},
        {"d": number(rsa().d) + 2},
        {"p": number(rsa().q), "q": number(rsa().q)},
        {"p": 1, "q": rsa().public.modulus},
        {"p": 2**2048 + 1},
    ],
)
def test_rsa_numbers_that_do_not_belong_together_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(BadKeyFile):
        software.check(rsa(**changes))


def test_a_short_rsa_key_is_refused() -> None:
    short = replace(rsa(), public=keys.Rsa(65537, P * Q))

    with pytest.raises(AlgorithmUnsupported, match=f"{(P * Q).bit_length()} bits"):
        software.check(short)


@pytest.mark.parametrize("scalar", [0, 2**256 - 1, 2**600])
def test_a_scalar_beyond_its_curve_is_refused(scalar: int) -> None:
    private = samples.private("ecdsa256")
    assert isinstance(private, PrivateEcdsa)
    bad = replace(private, scalar=memoryview(scalar.to_bytes(80)))

    with pytest.raises(BadKeyFile):
        software.check(bad)


def test_a_dsa_key_of_another_size_than_ssh_has_is_refused() -> None:
    private = samples.private("dsa")
    assert isinstance(private, PrivateDsa)
    large = replace(private, public=replace(private.public, p=private.public.p << 1024 | 1))

    with pytest.raises(AlgorithmUnsupported, match="1024"):
        software.check(large)


def test_a_fido_key_does_not_sign_in_this_process() -> None:
    with pytest.raises(AlgorithmUnsupported):
        software.load(samples.private("ed25519_sk"))


@pytest.mark.parametrize("name", samples.PLAIN)
def test_the_plain_form_is_read_again(name: str) -> None:
    private = samples.private(name)
    with plain_form(private) as plain, released(PRIVATE.read(Reader(plain.view))) as again:
        assert again == private
    views = [getattr(again, each) for each in again.__struct_fields__]
    for view in views:
        if isinstance(view, memoryview):
            with pytest.raises(ValueError, match="released"):
                bytes(view)


def test_what_was_made_is_wiped_when_it_was_stored() -> None:
    with wiped(software.generate(Algorithm.ED25519)) as private:
        assert isinstance(private, PrivateEd25519)
        assert any(private.seed)
    assert not any(private.seed)
