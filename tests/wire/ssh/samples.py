"""The vectors by name, and strategies that build every kind of key."""

from pathlib import Path

from hypothesis import strategies as st

from keyholm.wire.ssh import keys
from keyholm.wire.ssh.keys import (
    Curve,
    Dsa,
    Ecdsa,
    Ed25519,
    MlDsa44Ed25519,
    PublicKey,
    Rsa,
    SkEcdsa,
    SkEd25519,
)
from keyholm.wire.ssh.private_keys import (
    PrivateDsa,
    PrivateEcdsa,
    PrivateEd25519,
    PrivateKey,
    PrivateMlDsa44Ed25519,
    PrivateRsa,
    PrivateSkEcdsa,
    PrivateSkEd25519,
    PrivateWithCertificate,
    read_file,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "ssh"
PASSPHRASE = b"keyholm-test"
PLAIN = ("ed25519", "ecdsa256", "ecdsa384", "ecdsa521", "rsa", "dsa", "ed25519_sk", "ecdsa_sk")
CERTIFIED = ("ed25519", "ecdsa256", "ecdsa521", "rsa", "dsa", "ed25519_sk", "ecdsa_sk")


def data(name: str) -> bytes:
    return (VECTORS / name).read_bytes()


def blob(name: str) -> bytes:
    return keys.parse_line(data(f"{name}.pub").decode())[0]


def public(name: str) -> PublicKey:
    return keys.decode(blob(name))


def private(name: str) -> PrivateKey:
    key, _ = read_file(data(name), None)
    assert not isinstance(key, PrivateWithCertificate)
    return key


def view(secret: bytes) -> memoryview:
    return memoryview(secret)


applications = st.binary(max_size=20).map(lambda value: value.replace(b"\0", b""))


@st.composite
def _rsa(draw: st.DrawFn) -> Rsa:
    exponent = draw(st.integers(1, 2**40)) * 2 + 1
    return Rsa(exponent, (exponent + draw(st.integers(1, 2**500)) * 2) | 1)


@st.composite
def _dsa(draw: st.DrawFn) -> Dsa:
    p = draw(st.integers(2**1023, 2**1024 - 1))
    return Dsa(
        p,
        draw(st.integers(2**159, 2**160 - 1)),
        draw(st.integers(2, p - 1)),
        draw(st.integers(2, p - 1)),
    )


def _points(curve: Curve) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=2 * curve.width, max_size=2 * curve.width).map(b"\x04".__add__)


def _ecdsa(curve: Curve) -> st.SearchStrategy[Ecdsa]:
    return st.builds(Ecdsa, st.just(curve), _points(curve))


def _exactly(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


ed25519_keys = st.builds(Ed25519, _exactly(32))
ecdsa_keys = st.sampled_from(Curve).flatmap(_ecdsa)
sk_ed25519_keys = st.builds(SkEd25519, _exactly(32), applications)
sk_ecdsa_keys = st.builds(SkEcdsa, _points(Curve.NISTP256), applications)
# The long half is one value: what it holds changes nothing, and drawing it is slow.
composite_keys = st.builds(MlDsa44Ed25519, st.just(bytes(range(256)) * 5 + bytes(32)), _exactly(32))
public_keys: st.SearchStrategy[PublicKey] = st.one_of(
    ed25519_keys, ecdsa_keys, _rsa(), _dsa(), sk_ed25519_keys, sk_ecdsa_keys, composite_keys
)

secrets = st.binary(min_size=1, max_size=80).map(view)
numbers = st.integers(1, 2**300).map(
    lambda value: view(value.to_bytes((value.bit_length() + 7) // 8))
)
seeds = _exactly(32).map(view)
private_keys: st.SearchStrategy[PrivateKey] = st.one_of(
    st.builds(PrivateEd25519, ed25519_keys, seeds),
    st.builds(PrivateEcdsa, ecdsa_keys, numbers),
    st.builds(PrivateRsa, _rsa(), numbers, numbers, numbers, numbers),
    st.builds(PrivateDsa, _dsa(), numbers),
    st.builds(PrivateSkEd25519, sk_ed25519_keys, st.integers(0, 255), secrets, st.binary()),
    st.builds(PrivateSkEcdsa, sk_ecdsa_keys, st.integers(0, 255), secrets, st.binary()),
    st.builds(PrivateMlDsa44Ed25519, composite_keys, seeds, seeds),
)
