"""Key files of OpenSSH and OpenSSL read, ours read by ssh-keygen, and nothing else goes in."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields, replace
from tests.programs import program
from tests.wire.ssh import samples
from tests.wire.ssh.samples import CERTIFIED, PASSPHRASE, PLAIN
from tests.wire.ssh.test_signatures import composite_vector

from keyholm.wire import der
from keyholm.wire.codec import STRING, TEXT, UINT32, Bytes, Malformed, decode
from keyholm.wire.ssh import certificates, keys
from keyholm.wire.ssh.openssh_file import MAGIC, MAX_FILE
from keyholm.wire.ssh.pem import MAX_ITERATIONS
from keyholm.wire.ssh.private_keys import (
    PRIVATE,
    PassphraseNeeded,
    PassphraseWrong,
    PrivateEcdsa,
    PrivateEd25519,
    PrivateKey,
    PrivateMlDsa44Ed25519,
    PrivateRsa,
    PrivateWithCertificate,
    halves_match,
    read_file,
    write_file,
    write_into,
)

CIPHERS = (
    "aes128-cbc",
    "aes128-ctr",
    "aes128-gcm",
    "aes192-ctr",
    "aes256-cbc",
    "aes256-ctr",
    "aes256-gcm",
    "chacha20-poly1305",
)
PEM = ("rsa.pem", "ecdsa256.pem", "ecdsa521.pem", "dsa.pem", "rsa.pkcs8", "ecdsa256.pkcs8")
ENCRYPTED_PEM = tuple(f"{name}_encrypted" for name in PEM)


def composite() -> PrivateMlDsa44Ed25519:

    seeds = base64.b64decode(json.loads(samples.data("mldsa44-ed25519.json"))["sk"])
    public, _, _ = composite_vector()
    return PrivateMlDsa44Ed25519(public, samples.view(seeds[:32]), samples.view(seeds[32:]))


def quick_kdf(passphrase: Bytes, salt: bytes, size: int, rounds: int) -> bytes:
    """Stands in where another test has shown that the real one is right."""

    return hashlib.scrypt(bytes(passphrase), salt=salt, n=2, r=1, p=1, dklen=size)


class Room:
    """Memory for secrets that remembers what it gave."""

    def __init__(self) -> None:
        self.given: list[bytearray] = []

    def __call__(self, size: int) -> memoryview:
        self.given.append(bytearray(size))
        return memoryview(self.given[-1])

    def wipe(self) -> None:
        for memory in self.given:
            memory[:] = bytes(len(memory))


# What others wrote


@pytest.mark.parametrize("name", PLAIN)
def test_a_file_of_openssh_reads(name: str) -> None:
    private, comment = read_file(samples.data(name), None)
    assert private.public == samples.public(name)
    assert comment == keys.parse_line(samples.data(f"{name}.pub").decode())[1]
    assert halves_match(private)


@pytest.mark.parametrize("cipher", CIPHERS)
def test_an_encrypted_file_of_openssh_opens_with_its_passphrase_alone(cipher: str) -> None:
    data = samples.data(f"encrypted_{cipher}")
    private, comment = read_file(data, PASSPHRASE)
    assert (private, comment) == read_file(samples.data("ed25519"), None)
    for none in (None, b""):
        with pytest.raises(PassphraseNeeded):
            read_file(data, none)
    with pytest.raises(PassphraseWrong):
        read_file(data, PASSPHRASE + b"!")


@pytest.mark.parametrize("name", PEM)
def test_a_pem_file_reads(name: str) -> None:
    private, comment = read_file(samples.data(name), None)
    assert private == samples.private(name.split(".", maxsplit=1)[0])
    assert comment == ""


@pytest.mark.parametrize("name", ENCRYPTED_PEM)
def test_an_encrypted_pem_file_opens_with_its_passphrase_alone(name: str) -> None:
    data = samples.data(name)
    assert read_file(data, PASSPHRASE)[0] == samples.private(name.split(".", maxsplit=1)[0])
    for none in (None, b""):
        with pytest.raises(PassphraseNeeded):
            read_file(data, none)
    with pytest.raises(PassphraseWrong):
        read_file(data, PASSPHRASE + b"!")


def test_files_of_openssl_read() -> None:
    info = b"".join(samples.data("openssl_ed25519.spki").splitlines()[1:-1])
    private, _ = read_file(samples.data("openssl_ed25519.pkcs8"), None)
    assert keys.spki(private.public) == base64.b64decode(info)
    assert read_file(samples.data("openssl_ed25519.pkcs8_scrypt"), PASSPHRASE)[0] == private
    curve, _ = read_file(samples.data("openssl_ec_with_parameters.pem"), None)
    assert isinstance(curve, PrivateEcdsa)
    assert halves_match(curve)


def test_a_passphrase_for_a_key_without_one_is_passed_over() -> None:
    for name in ("ed25519", "rsa.pem"):
        assert read_file(samples.data(name), b"needless") == read_file(samples.data(name), None)


def test_the_secrets_lie_in_the_memory_that_was_given_for_them() -> None:
    for name in ("ed25519", "ecdsa256", "encrypted_aes256-ctr", "rsa.pem"):
        room = Room()
        private, _ = read_file(samples.data(name), PASSPHRASE, allocate=room)
        seen = [value for value in _fields(private) if isinstance(value, memoryview)]
        assert seen
        assert all(any(value) for value in seen)
        room.wipe()
        assert not any(any(value) for value in seen)


# What we write


@pytest.mark.parametrize("name", PLAIN)
def test_what_we_lay_out_is_what_openssh_lays_out(name: str) -> None:
    encoded = b"".join(samples.data(name).splitlines()[1:-1])
    assert PRIVATE.write(samples.private(name)) in base64.b64decode(encoded)


@given(samples.private_keys)
def test_what_we_write_we_read(private: PrivateKey) -> None:
    written = PRIVATE.write(private)
    assert decode(PRIVATE, written) == private
    room = Room()
    assert write_into(private, room) == written
    assert len(room.given) == 1


@given(samples.private_keys)
def test_a_cut_or_padded_private_key_is_refused(private: PrivateKey) -> None:
    written = PRIVATE.write(private)
    for cut in range(0, len(written), max(1, len(written) // 300)):
        with pytest.raises(Malformed):
            decode(PRIVATE, written[:cut])
    with pytest.raises(Malformed, match="1 bytes left over"):
        decode(PRIVATE, written + b"\0")


NAMES = [*keys.FIELDS, *certificates.PLAIN_TYPES]


@given(st.sampled_from(NAMES), st.binary(max_size=300))
def test_arbitrary_bytes_give_a_private_key_or_malformed(name: str, data: bytes) -> None:
    written = TEXT.write(name) + data
    try:
        private = decode(PRIVATE, written)
    except Malformed:
        return
    assert PRIVATE.write(private) == written


@given(samples.private_keys, st.text(max_size=20), st.none() | st.binary(min_size=1))
def test_a_file_that_we_write_we_read(
    private: PrivateKey, comment: str, passphrase: bytes | None
) -> None:
    data = write_file(private, comment, passphrase, kdf=quick_kdf)
    assert read_file(data, passphrase, kdf=quick_kdf) == (private, comment)
    assert read_file(memoryview(data), passphrase, kdf=quick_kdf) == (private, comment)


def test_a_composite_key_is_read_from_its_file() -> None:
    private = composite()
    assert read_file(write_file(private, "pq", None), None) == (private, "pq")


@pytest.mark.parametrize("name", CERTIFIED)
def test_a_key_goes_with_its_certificate(name: str) -> None:
    certified = PrivateWithCertificate(samples.blob(f"{name}-cert"), samples.private(name))
    written = PRIVATE.write(certified)
    assert decode(PRIVATE, written) == certified
    assert certified.public == samples.public(name)
    assert halves_match(certified)
    assert write_into(certified, Room()) == written
    file = write_file(certified, "both", None)
    assert read_file(file, None) == (certified, "both")


# What no other program may hand us


@pytest.mark.parametrize("name", PLAIN)
def test_the_secret_half_of_another_key_does_not_match(name: str) -> None:
    private: Any = samples.private(name)
    if name.endswith("_sk"):
        assert halves_match(private)  # nobody but the authenticator can tell
        return
    for at in [field.name for field in fields(private) if field.name != "public"]:
        wrong = bytearray(getattr(private, at))
        wrong[-1] ^= 2
        assert not halves_match(replace(private, **{at: memoryview(wrong)}))


def test_either_half_of_a_composite_key_may_be_wrong() -> None:
    private = composite()
    assert halves_match(private)
    zero = samples.view(bytes(32))
    assert not halves_match(replace(private, mldsa_seed=zero))
    assert not halves_match(replace(private, ed25519_seed=zero))


def test_numbers_that_no_key_has_do_not_match() -> None:
    curve, rsa = samples.private("ecdsa256"), samples.private("rsa")
    assert isinstance(curve, PrivateEcdsa)
    assert isinstance(rsa, PrivateRsa)
    assert not halves_match(replace(curve, scalar=samples.view(b"\xff" * 32)))
    one = samples.view(b"\1")
    modulus = rsa.public.modulus
    whole = samples.view(modulus.to_bytes(256))
    assert not halves_match(replace(rsa, p=one, q=whole))
    assert not halves_match(replace(rsa, q=one, p=whole))
    # The same d, a multiple of the order more: right by arithmetic, and yet not d.
    d, p, q = (int.from_bytes(number) for number in (rsa.d, rsa.p, rsa.q))
    more = d + (p - 1) * (q - 1)
    assert not halves_match(replace(rsa, d=samples.view(more.to_bytes(257))))


def test_an_ed25519_key_with_two_public_halves_is_refused() -> None:
    private = samples.private("ed25519")
    assert isinstance(private, PrivateEd25519)
    written = bytearray(PRIVATE.write(private))
    written[-1] ^= 1
    with pytest.raises(Malformed, match="two public halves"):
        decode(PRIVATE, written)


def test_a_private_number_of_zero_is_refused() -> None:
    public = samples.public("ecdsa256")
    for name, fields_ in (
        ("ecdsa-sha2-nistp256", keys.FIELDS["ecdsa-sha2-nistp256"].write(public)),
        ("ssh-dss", keys.FIELDS["ssh-dss"].write(samples.public("dsa"))),
    ):
        with pytest.raises(Malformed, match="zero"):
            decode(PRIVATE, TEXT.write(name) + fields_ + STRING.write(b""))


def test_a_certificate_of_another_key_is_refused() -> None:
    other = certificates.decode(samples.blob("ed25519-cert"))
    wrong = replace(other, public=samples.public("ca"))
    key = PrivateWithCertificate(certificates.encode(wrong), samples.private("ed25519"))
    with pytest.raises(Malformed, match="not its certificate's"):
        decode(PRIVATE, PRIVATE.write(key))


@pytest.mark.parametrize("name", ["ed25519_sk", "ecdsa_sk"])
def test_a_certificate_for_another_application_is_refused(name: str) -> None:
    made = certificates.decode(samples.blob(f"{name}-cert"))
    public: Any = made.public
    wrong = replace(made, public=replace(public, application=b"ssh:another"))
    key = PrivateWithCertificate(certificates.encode(wrong), samples.private(name))
    with pytest.raises(Malformed, match="not its certificate's"):
        decode(PRIVATE, PRIVATE.write(key))


def test_a_certificate_of_another_type_is_refused() -> None:
    written = TEXT.write("ssh-rsa-cert-v01@openssh.com") + STRING.write(
        samples.blob("ed25519-cert")
    )
    with pytest.raises(Malformed, match="another type"):
        decode(PRIVATE, written)


def _file(
    secret: bytes,
    *,
    public: bytes = b"",
    cipher: str = "none",
    kdf: str = "none",
    options: bytes = b"",
    count: int = 1,
    checks: bytes = bytes(8),
    tail: bytes = b"",
) -> bytes:
    public = public or samples.blob("ed25519")
    body = checks + secret
    data = (
        MAGIC
        + TEXT.write(cipher)
        + TEXT.write(kdf)
        + STRING.write(options)
        + UINT32.write(count)
        + STRING.write(public)
        + STRING.write(body)
        + tail
    )
    return _armoured(data)


def _armoured(data: bytes) -> bytes:
    lines = b"\n".join(base64.b64encode(data)[at : at + 70] for at in range(0, len(data) * 2, 70))
    name = b"OPENSSH PRIVATE KEY-----\n"
    return b"-----BEGIN " + name + lines.strip() + b"\n-----END " + name


def _secret(pad: bytes | None = None) -> bytes:
    plain = PRIVATE.write(samples.private("ed25519")) + TEXT.write("comment")
    return plain + (bytes(range(1, -len(plain) % 8 + 1)) if pad is None else pad)


def _options(rounds: int, salt: bytes = b"salt") -> bytes:
    return STRING.write(salt) + UINT32.write(rounds)


BCRYPT = {"cipher": "aes256-ctr", "kdf": "bcrypt"}
WRONG_FILES: dict[str, tuple[str, bytes]] = {
    "two keys": ("2 keys", _file(_secret(), count=2)),
    "checks that differ": ("damaged", _file(_secret(), checks=b"aaaabbbb")),
    "another public key": ("halves differ", _file(_secret(), public=samples.blob("ca"))),
    "padding": ("padding", _file(_secret(pad=b"\2" * (len(_secret()) - len(_secret(b"")))))),
    "length": ("length", _file(_secret() + b"\1")),
    "tail": ("length", _file(_secret(), tail=b"\0")),
    "unknown cipher": ("rot13", _file(_secret(), cipher="rot13", kdf="bcrypt")),
    "unknown kdf": ("a way we do not know", _file(_secret(), cipher="aes256-ctr", kdf="md5")),
    "no kdf": ("a way we do not know", _file(_secret(), cipher="aes256-ctr")),
    "no rounds": ("0 times", _file(_secret(), options=_options(0), **BCRYPT)),  # type: ignore[arg-type]
    "rounds": ("4294967295 times", _file(_secret(), options=_options(2**32 - 1), **BCRYPT)),  # type: ignore[arg-type]
    "no salt": ("hashed 1 times", _file(_secret(), options=_options(1, b""), **BCRYPT)),  # type: ignore[arg-type]
    "no tag": (
        "length",
        _file(_secret(), options=_options(1), cipher="aes256-gcm@openssh.com", kdf="bcrypt"),
    ),
    "magic": ("not an OpenSSH", _armoured(b"openssh-key-v2\0")),
    "nothing": ("bytes wanted", _armoured(b"")),
    "not base64": ("not base64", _armoured(b"").replace(b"\n-", b"A===\n-", 1)),
    "no end": ("not an OpenSSH", _file(_secret())[:-30]),
    "too much": ("mebibyte", b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + b"A" * MAX_FILE),
    "too much PEM": ("mebibyte", b"-----BEGIN PRIVATE KEY-----\n" + b"A" * MAX_FILE),
    "empty": ("no format|a format", b""),
    "a public key": ("a format", samples.data("ed25519.pub")),
    "another PEM": ("a format", samples.data("rsa.spki")),
    "damaged PEM": ("damaged", samples.data("rsa.pem").replace(b"MII", b"MIA")),
}


@pytest.mark.parametrize("what", WRONG_FILES)
def test_a_file_that_is_not_right_is_refused(what: str) -> None:
    why, data = WRONG_FILES[what]
    with pytest.raises(Malformed, match=why):
        read_file(data, PASSPHRASE, kdf=quick_kdf)


def test_the_files_above_are_wrong_in_one_thing_alone() -> None:
    assert read_file(_file(_secret()), None)[0] == samples.private("ed25519")


def test_more_padding_than_needed_is_read_as_others_write_it() -> None:
    # PuTTY pads to 16 bytes where 8 would do.
    padding = bytes(range(1, len(_secret()) - len(_secret(b"")) + 9))
    assert read_file(_file(_secret(padding)), None)[0] == samples.private("ed25519")


def test_a_comment_that_is_not_utf_8_keeps_no_key_out() -> None:
    plain = PRIVATE.write(samples.private("ed25519")) + STRING.write(b"caf\xe9 ")
    padded = plain + bytes(range(1, -len(plain) % 8 + 1))
    assert read_file(_file(padded), None)[1] == "caf\ufffd "


def _encrypted_pkcs8(kdf: str, *numbers: int) -> bytes:
    """An EncryptedPrivateKeyInfo whose passphrase is to be hashed with these numbers."""
    parameters = der.sequence(der.tlv(0x04, bytes(8)), *map(der.integer, numbers))
    cipher = der.sequence(der.oid("2.16.840.1.101.3.4.1.42"), der.tlv(0x04, bytes(16)))
    scheme = der.sequence(der.sequence(der.oid(kdf), parameters), cipher)
    algorithm = der.sequence(der.oid("1.2.840.113549.1.5.13"), scheme)
    info = base64.b64encode(der.sequence(algorithm, der.tlv(0x04, bytes(32))))
    name = b"ENCRYPTED PRIVATE KEY-----\n"
    return b"-----BEGIN " + name + info + b"\n-----END " + name


PBKDF2, SCRYPT = "1.2.840.113549.1.5.12", "1.3.6.1.4.1.11591.4.11"


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("kdf", "numbers"),
    [
        (PBKDF2, (MAX_ITERATIONS + 1,)),
        (PBKDF2, (2**31 - 1,)),
        (PBKDF2, (2**64,)),
        (SCRYPT, (2**22, 8, 1)),  # 4 GiB
        (SCRYPT, (2**19, 8, 1)),  # 512 MiB
        (SCRYPT, (2, 2**24, 1)),
        (SCRYPT, (2**14, 8, 1000)),
        (SCRYPT, (2**63, 8, 1)),
    ],
)
def test_a_passphrase_to_be_hashed_for_hours_is_refused(kdf: str, numbers: tuple[int, ...]) -> None:
    with pytest.raises(Malformed, match="to be hashed"):
        read_file(_encrypted_pkcs8(kdf, *numbers), PASSPHRASE)


def test_hashing_as_it_should_be_is_done() -> None:
    for kdf, numbers in ((PBKDF2, (1,)), (PBKDF2, (2048, 32)), (SCRYPT, (2**14, 8, 1))):
        with pytest.raises(PassphraseWrong):
            read_file(_encrypted_pkcs8(kdf, *numbers), PASSPHRASE)
    # OpenSSL does not hash with these, and says so in its own way.
    for numbers in ((2**14 + 2, 8, 1), (2**14, 0, 1)):
        with pytest.raises(Malformed, match="not supported"):
            read_file(_encrypted_pkcs8(SCRYPT, *numbers), PASSPHRASE)


@pytest.mark.parametrize(
    "header",
    [
        "AES-128-CBC,67198200CC63E9F4",  # half a start value: cryptography panics
        "AES-128-CBC,",
        "DES-EDE3-CBC,67198200CC63E9F467198200CC63E9F4",
        "DES-CBC,67198200CC63E9F4",
    ],
)
def test_a_pem_header_that_is_not_right_is_refused(header: str) -> None:
    data = samples.data("ecdsa256.pem_encrypted")
    wrong = re.sub(rb"(?<=DEK-Info: ).*", header.encode(), data)
    for passphrase in (PASSPHRASE, None):
        with pytest.raises(Malformed, match="a way we do not know"):
            read_file(wrong, passphrase)


@given(st.sampled_from([*PLAIN, "encrypted_aes256-ctr", *PEM]), st.data())
def test_a_damaged_file_gives_a_key_or_says_that_it_is_damaged(name: str, data: Any) -> None:
    file = bytearray(samples.data(name))
    at = data.draw(st.integers(0, len(file) - 1))
    file[at] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.just(len(file)) | st.integers(0, len(file)))
    try:
        read_file(bytes(file[:cut]), PASSPHRASE, kdf=quick_kdf)
    except (Malformed, PassphraseNeeded, PassphraseWrong):
        return


# Secrets stay out of sight


@pytest.mark.parametrize("name", PLAIN)
def test_no_secret_is_shown(name: str) -> None:
    private = samples.private(name)
    certified = PrivateWithCertificate(b"", private)
    secret = [field.name for field in fields(private) if field.name not in ("public", "flags")]
    for shown in (repr(private), repr(certified), f"{private}"):
        assert "memory at" not in shown
        assert not any(f" {field}=" in shown for field in secret if field != "reserved")


def test_no_refusal_shows_the_secret() -> None:
    # Bytes of the secret as text, hex or base64 would all be found by their ends.
    seed = b"SECRET-SEED-SECRET-SEED-SECRET-S"
    public = keys.FIELDS["ssh-ed25519"].write(keys.Ed25519(bytes(32)))
    for tail in (bytes(32), bytes(31), b"\1" * 32):
        wrong = TEXT.write("ssh-ed25519") + public + STRING.write(seed + tail)[:-1]
        with pytest.raises(Malformed) as refusal:
            decode(PRIVATE, wrong)
        assert not re.search("secret|534543", str(refusal.value), re.IGNORECASE)


# The real peer


@pytest.mark.interop
@pytest.mark.parametrize("name", PLAIN)
def test_ssh_keygen_reads_the_file_that_we_write(name: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(write_file(samples.private(name), "a comment", None))
    file.chmod(0o600)
    printed = _keygen("-y", "-P", "", "-f", file)
    expected = keys.format_line(samples.blob(name), "a comment")
    # The comment of a FIDO key is not printed by every version.
    assert printed.strip() in (expected, keys.format_line(samples.blob(name)))


@pytest.mark.interop
def test_ssh_keygen_opens_the_file_that_we_encrypt(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(write_file(samples.private("ecdsa521"), "", b"a passphrase", rounds=1))
    file.chmod(0o600)
    assert _keygen("-y", "-P", "a passphrase", "-f", file).split()[1:2] == [
        keys.format_line(samples.blob("ecdsa521")).split()[1]
    ]
    with pytest.raises(subprocess.CalledProcessError):
        _keygen("-y", "-P", "another", "-f", file)


@pytest.mark.interop
def test_ssh_keygen_and_we_take_the_same_file_back_and_forth(tmp_path: Path) -> None:
    file = tmp_path / "key"
    shutil.copy(samples.VECTORS / "ed25519", file)
    file.chmod(0o600)
    _keygen("-p", "-P", "", "-N", "first", "-a", "2", "-f", file)
    private, comment = read_file(file.read_bytes(), b"first")
    file.write_bytes(write_file(private, comment, b"second", rounds=1))
    _keygen("-p", "-P", "second", "-N", "", "-f", file)
    assert read_file(file.read_bytes(), None) == (samples.private("ed25519"), "ed25519 vector")


def _keygen(*arguments: str | Path) -> str:
    done = subprocess.run(
        [program("ssh-keygen"), *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout


def _fields(private: Any) -> list[Any]:
    return [getattr(private, field.name) for field in fields(private)]
