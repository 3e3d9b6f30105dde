import base64
import hashlib
import re

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.ssh import samples
from tests.wire.ssh.samples import PLAIN

from keyholm.wire.codec import MPINT, STRING, Malformed
from keyholm.wire.ssh import keys
from keyholm.wire.ssh.keys import Curve, Ecdsa, Ed25519, PublicKey, SkEcdsa, SkEd25519

# OpenSSH writes one line a hash: size, fingerprint, comment, type.
FINGERPRINTS = [line.split() for line in samples.data("fingerprints").decode().splitlines()]


@pytest.mark.parametrize("name", PLAIN)
def test_a_blob_of_openssh_reads_and_writes(name: str) -> None:
    blob = samples.blob(name)
    key = keys.decode(blob)
    assert keys.encode(key) == blob
    assert keys.type_name(key) == keys.blob_type(blob)


def test_every_type_but_the_newest_has_a_vector() -> None:
    with_vector = {keys.type_name(samples.public(name)) for name in PLAIN}
    assert set(keys.FIELDS) - with_vector == {"ssh-mldsa44-ed25519@openssh.com"}


@pytest.mark.parametrize("name", PLAIN)
def test_a_line_of_openssh_reads_and_writes(name: str) -> None:
    line = samples.data(f"{name}.pub").decode()
    blob, comment = keys.parse_line(line)
    assert comment
    assert keys.format_line(blob, comment) + "\n" == line
    assert keys.format_line(keys.decode(blob), comment) + "\n" == line


@pytest.mark.parametrize("name", PLAIN)
def test_a_fingerprint_is_that_of_openssh(name: str) -> None:
    printed = {words[1] for words in FINGERPRINTS}
    blob = samples.blob(name)
    assert keys.fingerprint(blob) in printed
    assert keys.fingerprint(blob, "md5") in printed


@pytest.mark.parametrize("name", ["ecdsa256", "ecdsa384", "ecdsa521", "rsa", "dsa"])
def test_the_public_key_info_is_that_of_others(name: str) -> None:
    pem = samples.data(f"{name}.spki")
    info = load_pem_public_key(pem).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert base64.b64decode(b"".join(pem.splitlines()[1:-1])) == info
    assert keys.spki(samples.public(name)) == info
    assert keys.key_id(samples.public(name)) == hashlib.sha256(info).hexdigest()


def test_the_public_key_info_of_ed25519_is_that_of_openssl() -> None:
    pem = samples.data("openssl_ed25519.spki")
    info = base64.b64decode(b"".join(pem.splitlines()[1:-1]))
    assert keys.spki(Ed25519(info[-32:])) == info


def test_a_fido_key_is_another_for_another_application() -> None:
    point = bytes(32)
    plain = keys.spki(Ed25519(point))
    assert plain is not None
    ours = SkEd25519(point, b"ssh:")
    assert keys.spki(ours) == plain
    assert keys.key_id(ours) == hashlib.sha256(plain + b"ssh:").hexdigest()
    ids = {keys.key_id(SkEd25519(point, application)) for application in (b"ssh:", b"ssh:a", b"")}
    assert len(ids) == 3


def test_a_fido_p256_key_has_the_public_key_info_of_its_point() -> None:
    point = samples.public("ecdsa256")
    assert isinstance(point, Ecdsa)
    assert keys.spki(SkEcdsa(point.point, b"ssh:")) == keys.spki(point)


@given(samples.composite_keys)
def test_a_composite_key_is_known_by_its_blob(key: PublicKey) -> None:
    assert keys.spki(key) is None
    assert keys.key_id(key) == hashlib.sha256(keys.encode(key)).hexdigest()


@given(samples.public_keys)
def test_what_we_write_we_read(key: PublicKey) -> None:
    assert keys.decode(keys.encode(key)) == key
    assert re.fullmatch("[0-9a-f]{64}", keys.key_id(key))


@given(samples.public_keys)
def test_a_cut_or_padded_blob_is_refused(key: PublicKey) -> None:
    blob = keys.encode(key)
    for cut in range(len(blob)):
        with pytest.raises(Malformed):
            keys.decode(blob[:cut])
    with pytest.raises(Malformed, match="1 bytes left over"):
        keys.decode(blob + b"\0")


@given(st.sampled_from(sorted(keys.FIELDS)), st.binary())
def test_arbitrary_fields_give_a_key_or_malformed(name: str, fields: bytes) -> None:
    blob = STRING.write(name.encode()) + fields
    try:
        key = keys.decode(blob)
    except Malformed:
        return
    assert keys.encode(key) == blob


def _blob(name: bytes, *fields: bytes) -> bytes:
    return STRING.write(name) + b"".join(fields)


def _ecdsa(curve: bytes, point: bytes) -> bytes:
    return _blob(b"ecdsa-sha2-nistp256", STRING.write(curve), STRING.write(point))


DSA = samples.public("dsa")
BAD_BLOBS = {
    "no plain public key": _blob(b"ssh-ed448", STRING.write(bytes(57))),
    "has 31 bytes": _blob(b"ssh-ed25519", STRING.write(bytes(31))),
    "has 33 bytes": _blob(b"ssh-ed25519", STRING.write(bytes(33))),
    "names another curve": _ecdsa(b"nistp384", b"\x04" + bytes(64)),
    "not an uncompressed point": _ecdsa(b"nistp256", b"\x02" + bytes(32)),
    "an uncompressed point": _ecdsa(b"nistp256", b"\x06" + bytes(64)),
    "point of nistp256": _ecdsa(b"nistp256", b"\x04" + bytes(63)),
    "exponent that cannot be": _blob(b"ssh-rsa", MPINT.write(4), MPINT.write(15)),
    "RSA exponent": _blob(b"ssh-rsa", MPINT.write(1), MPINT.write(15)),
    "an RSA exponent": _blob(b"ssh-rsa", MPINT.write(17), MPINT.write(15)),
    "even RSA modulus": _blob(b"ssh-rsa", MPINT.write(3), MPINT.write(16)),
    "more than 16384 bits": _blob(b"ssh-rsa", MPINT.write(3), MPINT.write(2**16384 + 1)),
    "not 1024 bits": _blob(b"ssh-dss", *[MPINT.write(2**2047 + n) for n in range(4)]),
    "out of range": _blob(
        b"ssh-dss",
        *[MPINT.write(n) for n in (2**1023 + 1, 2**159 + 1, 1, 2)],
    ),
    "NUL": _blob(b"sk-ssh-ed25519@openssh.com", STRING.write(bytes(32)), STRING.write(b"ssh:\0")),
    "ML-DSA": _blob(b"ssh-mldsa44-ed25519@openssh.com", STRING.write(bytes(1343))),
}


@pytest.mark.parametrize(("why", "blob"), BAD_BLOBS.items())
def test_a_key_that_cannot_be_is_refused(why: str, blob: bytes) -> None:
    with pytest.raises(Malformed, match=why):
        keys.decode(blob)


LINE = samples.data("ed25519.pub").decode().strip()
KEY = " ".join(LINE.split()[:2])


@pytest.mark.parametrize(
    "line",
    [
        LINE,
        f"  {LINE}\n",
        f'no-pty,command="echo \\"hello world\\"" {LINE}',
        f'from="192.0.2.0/24,host name",restrict\t{LINE}',
        f"cert-authority {LINE}",
    ],
)
def test_a_line_of_authorized_keys_reads(line: str) -> None:
    assert keys.parse_line(line) == (samples.blob("ed25519"), "ed25519 vector")


def test_a_comment_may_be_missing_and_keeps_its_spaces() -> None:
    assert keys.parse_line(KEY)[1] == ""
    assert keys.parse_line(f"{KEY} two  spaces")[1] == "two  spaces"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "# comment",
        "ssh-ed25519",
        "ssh-ed25519 !!!!",
        "ssh-ed25519 AAAA",
        KEY.replace("ssh-ed25519", "ssh-rsa"),
        f"{LINE}\n{LINE}",
        f'command="open {LINE}',
        f"ssh-ed25519 {LINE}x".replace(" AAAA", " \u00e9AAA"),
    ],
)
def test_a_line_without_a_key_is_refused(line: str) -> None:
    with pytest.raises(Malformed):
        keys.parse_line(line)


@given(st.text())
def test_arbitrary_text_gives_a_line_or_malformed(text: str) -> None:
    try:
        blob, comment = keys.parse_line(text)
    except Malformed:
        return
    assert keys.parse_line(keys.format_line(blob, comment)) == (blob, comment)


@pytest.mark.parametrize("comment", ["two\nlines", "carriage\rreturn", "nul\0"])
def test_a_comment_cannot_start_another_line(comment: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        keys.format_line(samples.blob("ed25519"), comment)


def test_options_with_many_quotes_are_told_quickly() -> None:
    # Quadratic time would be minutes here.
    with pytest.raises(Malformed):
        keys.parse_line('"' * 100_001 + " x")


def test_each_curve_knows_its_width() -> None:
    assert [curve.width for curve in Curve] == [32, 48, 66]
