"""Private SSH keys as values.

Secret fields are `memoryview`s into the buffer that the key was received in, big-endian and
without sign byte if they are numbers. Whoever owns that buffer wipes it; a value here is good
for as long as it is not. `repr` never shows them.
"""

from dataclasses import dataclass, field

from keyholm.wire.ssh.keys import (
    Dsa,
    Ecdsa,
    Ed25519,
    MlDsa44Ed25519,
    PublicKey,
    Rsa,
    SkEcdsa,
    SkEd25519,
)


@dataclass(frozen=True, slots=True)
class PrivateEd25519:
    public: Ed25519
    seed: memoryview = field(repr=False)


@dataclass(frozen=True, slots=True)
class PrivateEcdsa:
    public: Ecdsa
    scalar: memoryview = field(repr=False)


@dataclass(frozen=True, slots=True)
class PrivateRsa:
    public: Rsa
    d: memoryview = field(repr=False)
    iqmp: memoryview = field(repr=False)
    p: memoryview = field(repr=False)
    q: memoryview = field(repr=False)


@dataclass(frozen=True, slots=True)
class PrivateDsa:
    public: Dsa
    x: memoryview = field(repr=False)


@dataclass(frozen=True, slots=True)
class PrivateSkEd25519:
    """What the authenticator needs to find its key again; the key itself never leaves it."""

    public: SkEd25519
    flags: int
    key_handle: memoryview = field(repr=False)
    reserved: bytes = b""


@dataclass(frozen=True, slots=True)
class PrivateSkEcdsa:
    """As `PrivateSkEd25519`."""

    public: SkEcdsa
    flags: int
    key_handle: memoryview = field(repr=False)
    reserved: bytes = b""


@dataclass(frozen=True, slots=True)
class PrivateMlDsa44Ed25519:
    public: MlDsa44Ed25519
    mldsa_seed: memoryview = field(repr=False)
    ed25519_seed: memoryview = field(repr=False)


PrivateKey = (
    PrivateEd25519
    | PrivateEcdsa
    | PrivateRsa
    | PrivateDsa
    | PrivateSkEd25519
    | PrivateSkEcdsa
    | PrivateMlDsa44Ed25519
)


@dataclass(frozen=True, slots=True)
class PrivateWithCertificate:
    """A private key with the certificate of its public half."""

    certificate: bytes
    private: PrivateKey

    @property
    def public(self) -> PublicKey:
        return self.private.public


Private = PrivateKey | PrivateWithCertificate
