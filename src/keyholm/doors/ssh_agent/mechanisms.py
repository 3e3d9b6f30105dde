"""Which mechanism and which signature name a sign request means."""

from typing import Final

from keyholm.core.errors import AlgorithmUnsupported
from keyholm.core.mechanisms import (
    Dsa,
    Ecdsa,
    EdDsa,
    Hash,
    Mechanism,
    MlDsa44Ed25519,
    RsaPkcs1,
    SecurityKey,
)
from keyholm.wire.ssh import keys
from keyholm.wire.ssh.agent import SignFlag

# One object each: the gate remembers its decisions by them.
_RSA: Final[tuple[tuple[SignFlag, Mechanism, str], ...]] = (
    # With both flags OpenSSH makes a SHA-256 signature; with none one by SHA-1.
    (SignFlag.RSA_SHA2_256, RsaPkcs1(Hash.SHA256), "rsa-sha2-256"),
    (SignFlag.RSA_SHA2_512, RsaPkcs1(Hash.SHA512), "rsa-sha2-512"),
    (SignFlag(0), RsaPkcs1(Hash.SHA1), "ssh-rsa"),
)
_SECURITY_KEY: Final = SecurityKey()
_BY_TYPE: Final[dict[str, Mechanism]] = {
    "ssh-ed25519": EdDsa(),
    "ecdsa-sha2-nistp256": Ecdsa(Hash.SHA256),
    "ecdsa-sha2-nistp384": Ecdsa(Hash.SHA384),
    "ecdsa-sha2-nistp521": Ecdsa(Hash.SHA512),
    "ssh-dss": Dsa(),
    "sk-ssh-ed25519@openssh.com": _SECURITY_KEY,
    "sk-ecdsa-sha2-nistp256@openssh.com": _SECURITY_KEY,
    "ssh-mldsa44-ed25519@openssh.com": MlDsa44Ed25519(),
}


def chosen(key: keys.PublicKey, flags: SignFlag) -> tuple[Mechanism, str]:
    """The mechanism, and what the signature is called."""
    name = keys.type_name(key)
    if name == "ssh-rsa":
        return next((what, called) for flag, what, called in _RSA if flags & flag == flag)
    if name not in _BY_TYPE:
        raise AlgorithmUnsupported(f"The agent cannot sign with a key of type {name}.")
    return _BY_TYPE[name], name
