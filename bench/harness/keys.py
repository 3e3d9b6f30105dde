"""Keys to load into an agent, made once a run; both agents get the same ones."""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from keyholm.wire.ssh import agent, keys
from keyholm.wire.ssh.agent import SignFlag
from keyholm.wire.ssh.private_types import PrivateEcdsa, PrivateEd25519, PrivateKey, PrivateRsa

# What ssh asks to be signed at a login is about this long.
LOGIN_DATA = b"\x5a" * 320


@dataclass(frozen=True, slots=True)
class TestKey:
    """Two framed requests: hand the key over, and sign with it as a login does."""

    blob: bytes
    add: bytes
    sign: bytes


def framed(message: agent.Message) -> bytes:
    frame = agent.encode(message)
    return len(frame).to_bytes(4) + frame


def _number(value: int) -> memoryview:
    return memoryview(value.to_bytes((value.bit_length() + 7) // 8))


def make_ed25519() -> PrivateKey:
    key = ed25519.Ed25519PrivateKey.generate()
    public = keys.Ed25519(key.public_key().public_bytes_raw())
    return PrivateEd25519(public, memoryview(key.private_bytes_raw()))


def make_p256() -> PrivateKey:
    numbers = ec.generate_private_key(ec.SECP256R1()).private_numbers()
    x, y = numbers.public_numbers.x, numbers.public_numbers.y
    point = b"\x04" + x.to_bytes(32) + y.to_bytes(32)
    public = keys.Ecdsa(keys.Curve.NISTP256, point)
    return PrivateEcdsa(public, _number(numbers.private_value))


def make_rsa2048() -> PrivateKey:
    numbers = rsa.generate_private_key(65537, 2048).private_numbers()
    public = keys.Rsa(numbers.public_numbers.e, numbers.public_numbers.n)
    return PrivateRsa(
        public, *(_number(part) for part in (numbers.d, numbers.iqmp, numbers.p, numbers.q))
    )


KINDS = {"ed25519": make_ed25519, "ecdsa-p256": make_p256, "rsa-2048": make_rsa2048}


def make(kind: str, comment: str) -> TestKey:
    private = KINDS[kind]()
    blob = keys.encode(private.public)
    flags = SignFlag.RSA_SHA2_512 if kind.startswith("rsa") else SignFlag(0)
    return TestKey(
        blob=blob,
        add=framed(agent.AddIdentity(private, comment.encode())),
        sign=framed(agent.SignRequest(blob, LOGIN_DATA, flags)),
    )


LIST = framed(agent.RequestIdentities())
