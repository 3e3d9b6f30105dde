import hashlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.programs import program
from tests.wire.ssh import samples
from tests.wire.ssh.test_signatures import SIGNED, sign

from keyholm.wire.codec import STRING, UINT32, Malformed
from keyholm.wire.ssh import keys, signatures, sshsig
from keyholm.wire.ssh.signatures import BadSignature
from keyholm.wire.ssh.sshsig import SignatureFile, SshSig

MESSAGE = samples.data("message")
# PROTOCOL.sshsig, written out by hand.
SIGNED_PART = (
    b"SSHSIG"
    + STRING.write(b"file")
    + STRING.write(b"")
    + STRING.write(b"sha512")
    + STRING.write(hashlib.sha512(MESSAGE).digest())
)

namespaces = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=20)
hash_names = st.sampled_from(["sha256", "sha512"])
files = st.builds(
    SignatureFile, st.binary(max_size=60), namespaces, hash_names, st.binary(max_size=99)
)


@pytest.mark.parametrize("name", SIGNED)
def test_a_file_of_openssh_reads_writes_and_is_good(name: str) -> None:
    text = samples.data(f"{name}.sshsig").decode()
    file = sshsig.parse_armoured(text)
    assert (file.key_blob, file.namespace, file.hash) == (samples.blob(name), "file", "sha512")
    assert sshsig.armour(file) == text
    sshsig.verify(file, MESSAGE, "file")


def test_a_file_may_be_hashed_with_sha_256() -> None:
    file = sshsig.parse_armoured(samples.data("ed25519_sha256.sshsig").decode())
    assert (file.hash, file.namespace) == ("sha256", "git")
    sshsig.verify(file, MESSAGE, "git")


def test_a_signature_is_good_for_its_message_and_purpose_alone() -> None:
    file = sshsig.parse_armoured(samples.data("ed25519.sshsig").decode())
    with pytest.raises(BadSignature, match="purpose"):
        sshsig.verify(file, MESSAGE, "git")
    with pytest.raises(BadSignature, match="did not make"):
        sshsig.verify(file, MESSAGE + b"\n", "file")
    with pytest.raises(BadSignature, match="did not make"):
        sshsig.verify(replace(file, namespace="git"), MESSAGE, "git")
    with pytest.raises(BadSignature, match="did not make"):
        sshsig.verify(replace(file, hash="sha256"), MESSAGE, "file")


def test_what_is_signed_reads_and_writes_by_the_standard() -> None:
    assert sshsig.to_be_signed("file", "sha512", MESSAGE) == SIGNED_PART
    digest = hashlib.sha512(MESSAGE).digest()
    assert sshsig.parse_signed(SIGNED_PART) == SshSig("file", "sha512", digest)


@given(namespaces, hash_names, st.binary())
def test_what_we_ask_to_sign_we_read(namespace: str, hash_name: str, message: bytes) -> None:
    data = sshsig.to_be_signed(namespace, hash_name, message)
    read = sshsig.parse_signed(data)
    assert (read.namespace, read.hash) == (namespace, hash_name)
    for cut in range(len(data)):
        with pytest.raises(Malformed):
            sshsig.parse_signed(data[:cut])
    with pytest.raises(Malformed, match="1 bytes left over"):
        sshsig.parse_signed(data + b"\0")


@given(files)
def test_a_file_that_we_write_we_read(file: SignatureFile) -> None:
    data = sshsig.encode(file)
    assert sshsig.decode(data) == file
    assert sshsig.parse_armoured(sshsig.armour(file)) == file
    for cut in range(len(data)):
        with pytest.raises(Malformed):
            sshsig.decode(data[:cut])
    with pytest.raises(Malformed, match="1 bytes left over"):
        sshsig.decode(data + b"\0")


@given(st.binary())
def test_arbitrary_bytes_give_a_value_or_malformed(data: bytes) -> None:
    with pytest.raises(Malformed, match="not an SSHSIG"):
        sshsig.parse_signed(b"x" + data)
    for read in (sshsig.parse_signed, sshsig.decode):
        try:
            read(b"SSHSIG" + data)
        except Malformed:
            continue


@given(st.text())
def test_arbitrary_text_gives_a_file_or_malformed(text: str) -> None:
    framed = f"-----BEGIN SSH SIGNATURE-----\n{text}\n-----END SSH SIGNATURE-----\n"
    for armoured in (text, framed):
        with pytest.raises(Malformed):
            sshsig.parse_armoured(armoured)


def changed(old: bytes, new: bytes) -> bytes:
    assert SIGNED_PART.count(old) == 1
    return SIGNED_PART.replace(old, new)


@pytest.mark.parametrize(
    ("why", "data"),
    [
        ("without a namespace", changed(STRING.write(b"file"), STRING.write(b""))),
        ("without a namespace", changed(STRING.write(b"file"), STRING.write(b"file\0git"))),
        ("reserved", changed(b"file" + STRING.write(b""), b"file" + STRING.write(b"x"))),
        ("no SSHSIG hash", changed(STRING.write(b"sha512"), STRING.write(b"md5"))),
        ("not of its hash", changed(STRING.write(b"sha512"), STRING.write(b"sha256"))),
        ("not an SSHSIG", b"SSHSI"),
    ],
)
def test_what_another_could_read_otherwise_is_refused(why: str, data: bytes) -> None:
    with pytest.raises(Malformed, match=why):
        sshsig.parse_signed(data)


def test_a_file_of_another_version_is_refused() -> None:
    data = sshsig.encode(SignatureFile(b"key", "file", "sha512", b"signature"))
    with pytest.raises(Malformed, match="version 2"):
        sshsig.decode(data.replace(UINT32.write(1), UINT32.write(2), 1))


@pytest.mark.interop
def test_ssh_keygen_verifies_what_we_sign(tmp_path: Path) -> None:
    signed = sshsig.to_be_signed("file", "sha512", MESSAGE)
    blob = sign(samples.private("ed25519"), signed, "ssh-ed25519")
    file = SignatureFile(samples.blob("ed25519"), "file", "sha512", blob)
    signature = tmp_path / "message.sig"
    signature.write_text(sshsig.armour(file))
    allowed = tmp_path / "allowed"
    allowed.write_text(f"alice {keys.format_line(samples.blob('ed25519'))}\n")
    assert _verify(MESSAGE, signature, allowed).stdout.startswith(b'Good "file" signature')
    assert _verify(MESSAGE + b"\n", signature, allowed).returncode != 0


def _verify(message: bytes, signature: Path, allowed: Path) -> subprocess.CompletedProcess[bytes]:
    command = (program("ssh-keygen"), "-Y", "verify", "-n", "file", "-I", "alice")
    files = ("-s", signature, "-f", allowed)
    return subprocess.run((*command, *files), input=message, capture_output=True, check=False)


def test_a_signature_with_a_certificate_is_that_of_its_key() -> None:
    signed = sshsig.to_be_signed("file", "sha512", MESSAGE)
    blob = sign(samples.private("ed25519"), signed, "ssh-ed25519")
    file = SignatureFile(samples.blob("ed25519-cert"), "file", "sha512", blob)
    assert sshsig.verify(file, MESSAGE, "file") == signatures.Verified("ssh-ed25519")
