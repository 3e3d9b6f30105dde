"""Signatures: those of OpenSSH's own, and what OpenSSH says to ours."""

import json
import subprocess
from base64 import b64decode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.programs import program
from tests.wire.ssh import samples

from keyholm.core.errors import MechanismUnsupported
from keyholm.core.mechanisms import (
    Dsa,
    Ecdsa,
    EdDsa,
    Hash,
    Mechanism,
    Message,
    MlDsa44Ed25519,
    RsaPkcs1,
    RsaPss,
)
from keyholm.stores.software import keys as software
from keyholm.stores.software import signing
from keyholm.stores.software.hashing import HASHES
from keyholm.wire.ssh import keys, signatures, sshsig
from keyholm.wire.ssh.private_keys import PrivateMlDsa44Ed25519

USUAL: dict[str, tuple[Mechanism, str]] = {
    "ed25519": (EdDsa(), "ssh-ed25519"),
    "ecdsa256": (Ecdsa(Hash.SHA256), "ecdsa-sha2-nistp256"),
    "ecdsa384": (Ecdsa(Hash.SHA384), "ecdsa-sha2-nistp384"),
    "ecdsa521": (Ecdsa(Hash.SHA512), "ecdsa-sha2-nistp521"),
    "rsa": (RsaPkcs1(Hash.SHA512), "rsa-sha2-512"),
    "dsa": (Dsa(), "ssh-dss"),
}


def signed(name: str, data: bytes) -> bytes:
    private = samples.private(name)
    key = software.load(private)
    return signing.signer(key, USUAL[name][0])(key, Message(data))


@pytest.mark.parametrize("name", ["ed25519", "rsa"])
def test_we_sign_as_openssh_signed(name: str) -> None:
    """Both kinds are deterministic: the bytes are the same."""
    theirs = sshsig.parse_armoured(samples.data(f"{name}.sshsig").decode())
    message = samples.data("message")
    to_be_signed = sshsig.to_be_signed(theirs.namespace, theirs.hash, message)

    ours = signatures.encode(USUAL[name][1], signed(name, to_be_signed))

    assert ours == theirs.signature


@pytest.mark.interop
@pytest.mark.parametrize("name", [name for name in USUAL if name != "dsa"])
def test_openssh_accepts_what_we_sign(name: str, tmp_path: Path) -> None:
    message = b"a file of mine"
    to_be_signed = sshsig.to_be_signed("file", "sha512", message)
    for _ in range(10):
        blob = signatures.encode(USUAL[name][1], signed(name, to_be_signed))
        signature = sshsig.SignatureFile(samples.blob(name), "file", "sha512", blob)
        (tmp_path / "signature").write_text(sshsig.armour(signature))
        (tmp_path / "allowed").write_text(f"me {keys.format_line(samples.blob(name))}\n")
        subprocess.run(
            [
                *(program("ssh-keygen"), "-qY", "verify", "-n", "file", "-I", "me"),
                *("-f", tmp_path / "allowed", "-s", tmp_path / "signature"),
            ],
            input=message,
            check=True,
        )


def test_the_seeds_of_the_composite_draft_give_its_public_key() -> None:
    vector = json.loads(samples.data("mldsa44-ed25519.json"))
    both, seeds = b64decode(vector["pk"]), memoryview(b64decode(vector["sk"]))
    public = keys.MlDsa44Ed25519(both[:1312], both[1312:])
    private = PrivateMlDsa44Ed25519(public, seeds[:32], seeds[32:])
    software.check(private)

    key = software.load(private)
    ours = signing.signer(key, MlDsa44Ed25519())(key, Message(b64decode(vector["m"])))
    theirs = b64decode(vector["s"])

    assert len(ours) == len(theirs)
    assert ours[2420:] == theirs[2420:]  # the Ed25519 half is deterministic


@pytest.mark.parametrize("width", [32, 48, 66, 20])
@pytest.mark.parametrize("short", [0, 1, 2, 15])
def test_r_and_s_keep_their_width_when_they_are_small(width: int, short: int) -> None:
    """One signature in 128 has a short half; OpenSSL gives no way to ask for one."""
    r, s = (1 << (8 * (width - short) - 1)) - 1 or 1, 1 << 8 * (width - short) - 1
    raw = r.to_bytes(width) + s.to_bytes(width)

    assert signing._split(signatures.rs_to_der(raw), width) == raw


def test_a_thousand_signatures_are_split_as_the_strict_reader_does() -> None:
    for name in ("ecdsa256", "ecdsa521"):
        private = samples.private(name)
        key, width = software.load(private), private.public.curve.width  # type: ignore[union-attr]
        how = ec.ECDSA(HASHES[Hash.SHA256])
        for number in range(500):
            der = key.sign(str(number).encode(), how)
            assert signing._split(der, width) == signatures.der_to_rs(der, width)


def test_a_salt_that_does_not_fit_is_refused_before_signing() -> None:
    public = samples.public("rsa")
    assert isinstance(public, keys.Rsa)
    room = (public.modulus.bit_length() + 6) // 8 - 32 - 2
    largest = RsaPss(Hash.SHA256, Hash.SHA256, room)
    key = software.load(samples.private("rsa"))
    signing.signer(key, largest)(key, Message(b""))

    with pytest.raises(MechanismUnsupported, match=f"at most {room} bytes"):
        signing.signer(key, RsaPss(Hash.SHA256, Hash.SHA256, room + 1))
