"""Private SSH keys as values.

Secret fields are `memoryview`s into the buffer that the key was received in, big-endian and
without sign byte if they are numbers. Whoever owns that buffer wipes it; a value here is good
for as long as it is not. `repr` never shows them.
"""

from msgspec import Struct

from keyholm.wire.codec import HoldsSecrets
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


class PrivateEd25519(HoldsSecrets, frozen=True):
    public: Ed25519
    seed: memoryview


class PrivateEcdsa(HoldsSecrets, frozen=True):
    public: Ecdsa
    scalar: memoryview


class PrivateRsa(HoldsSecrets, frozen=True):
    public: Rsa
    d: memoryview
    iqmp: memoryview
    p: memoryview
    q: memoryview


class PrivateDsa(HoldsSecrets, frozen=True):
    public: Dsa
    x: memoryview


class PrivateSkEd25519(HoldsSecrets, frozen=True):
    """What the authenticator needs to find its key again; the key itself never leaves it."""

    public: SkEd25519
    flags: int
    key_handle: memoryview
    reserved: bytes = b""


class PrivateSkEcdsa(HoldsSecrets, frozen=True):
    """As `PrivateSkEd25519`."""

    public: SkEcdsa
    flags: int
    key_handle: memoryview
    reserved: bytes = b""


class PrivateMlDsa44Ed25519(HoldsSecrets, frozen=True):
    public: MlDsa44Ed25519
    mldsa_seed: memoryview
    ed25519_seed: memoryview


PrivateKey = (
    PrivateEd25519
    | PrivateEcdsa
    | PrivateRsa
    | PrivateDsa
    | PrivateSkEd25519
    | PrivateSkEcdsa
    | PrivateMlDsa44Ed25519
)


class PrivateWithCertificate(Struct, frozen=True):
    """A private key with the certificate of its public half."""

    certificate: bytes
    private: PrivateKey

    @property
    def public(self) -> PublicKey:
        return self.private.public


Private = PrivateKey | PrivateWithCertificate
