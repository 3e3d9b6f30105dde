import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.programs import program
from tests.wire.ssh import samples
from tests.wire.ssh.samples import CERTIFIED
from tests.wire.ssh.test_signatures import sign

from keyholm.wire.codec import STRING, TEXT, Malformed
from keyholm.wire.ssh import certificates, keys
from keyholm.wire.ssh.certificates import FOREVER, Certificate, Kind, Option
from keyholm.wire.ssh.keys import PublicKey
from keyholm.wire.ssh.signatures import BadSignature

AUTHORITY = samples.blob("ca")


def certificate(name: str) -> Certificate:
    return certificates.decode(samples.blob(f"{name}-cert"))


def new(public: PublicKey, **more: object) -> Certificate:
    values = {"nonce": b"nonce", "public": public, "signature_key": AUTHORITY, **more}
    return Certificate(**values)  # type: ignore[arg-type]


def signed(public: PublicKey, **more: object) -> Certificate:
    private = samples.private("ca")
    return certificates.sign(
        new(public, **more),
        lambda data: sign(private, data, "ssh-ed25519"),
    )


@pytest.mark.parametrize("name", CERTIFIED)
def test_a_certificate_of_openssh_reads_and_writes(name: str) -> None:
    blob = samples.blob(f"{name}-cert")
    read = certificates.decode(blob)
    assert certificates.encode(read) == blob
    assert read.type_name == keys.blob_type(blob)
    assert read.public == samples.public(name)
    assert certificates.is_certificate(blob)
    assert certificates.plain_blob(blob) == samples.blob(name)


@pytest.mark.parametrize("name", CERTIFIED)
def test_a_certificate_of_openssh_was_signed_by_its_ca(name: str) -> None:
    read = certificate(name)
    certificates.verify(read)
    with pytest.raises(BadSignature):
        certificates.verify(replace(read, serial=read.serial ^ 1))


def test_every_field_of_a_user_certificate_is_read() -> None:
    read = certificate("ed25519")
    assert (read.kind, read.serial, read.key_id) == (Kind.USER, 42, "user certificate")
    assert read.principals == ("alice", "bob")
    # 2024-01-01 and 2034-01-01, UTC.
    assert (read.valid_after, read.valid_before) == (1704067200, 2019686400)
    assert [option.name for option in read.critical_options] == [
        "force-command",
        "known-nowhere@example.com",
        "source-address",
    ]
    assert read.critical_options[0].data == STRING.write(b"/bin/true")
    assert read.critical_options[1].data == STRING.write(b"data")
    assert Option("flag@example.com") in read.extensions
    assert "permit-pty" not in {option.name for option in read.extensions}
    assert (read.reserved, read.signature_key) == (b"", AUTHORITY)


def test_every_field_of_a_host_certificate_is_read() -> None:
    read = certificate("ecdsa256")
    assert (read.kind, read.serial) == (Kind.HOST, 2**64 - 1)
    assert read.principals == ("host.example.com",)
    assert (read.valid_after, read.valid_before) == (0, FOREVER)
    assert read.critical_options == read.extensions == ()


def test_a_certificate_is_in_force_from_its_first_second_to_before_its_last() -> None:
    read = new(samples.public("ed25519"), valid_after=10, valid_before=20)
    assert [read.valid_at(second) for second in (9, 10, 19, 20)] == [False, True, True, False]


def test_a_plain_key_is_no_certificate() -> None:
    blob = samples.blob("ed25519")
    assert not certificates.is_certificate(blob)
    assert not certificates.is_certificate(b"")
    assert certificates.plain_blob(blob) == blob
    with pytest.raises(Malformed, match="no certificate"):
        certificates.decode(blob)


names = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12)
options = st.lists(st.builds(Option, names, st.binary(max_size=20)), max_size=4).map(tuple)
moments = st.integers(0, 2**64 - 1)
all_certificates = st.builds(
    Certificate,
    nonce=st.binary(max_size=40),
    public=samples.public_keys,
    serial=moments,
    kind=st.sampled_from(Kind),
    key_id=names,
    principals=st.lists(names, max_size=4).map(tuple),
    valid_after=moments,
    valid_before=moments,
    critical_options=options,
    extensions=options,
    reserved=st.binary(max_size=4),
    signature_key=samples.ed25519_keys.map(keys.encode),
    signature=st.binary(max_size=40),
)


@given(all_certificates)
def test_what_we_write_we_read(certificate: Certificate) -> None:
    blob = certificates.encode(certificate)
    assert certificates.decode(blob) == certificate
    assert blob.startswith(certificates.signed_part(certificate))


@given(all_certificates)
def test_a_cut_or_padded_certificate_is_refused(certificate: Certificate) -> None:
    blob = certificates.encode(certificate)
    for cut in range(0, len(blob), max(1, len(blob) // 300)):
        with pytest.raises(Malformed):
            certificates.decode(blob[:cut])
    with pytest.raises(Malformed, match="1 bytes left over"):
        certificates.decode(blob + b"\0")


@given(st.sampled_from(sorted(certificates.PLAIN_TYPES)), st.binary(max_size=400))
def test_arbitrary_bytes_give_a_certificate_or_malformed(name: str, data: bytes) -> None:
    blob = TEXT.write(name) + data
    try:
        read = certificates.decode(blob)
    except Malformed:
        return
    assert certificates.encode(read) == blob


def _broken(**more: object) -> bytes:
    return certificates.encode(new(samples.public("ed25519"), **more))


@pytest.mark.parametrize(
    ("why", "blob"),
    [
        ("kind 3", _broken(kind=3)),
        ("NUL", _broken(key_id="alice\0")),
        ("NUL", _broken(principals=("alice\0bob",))),
        ("more than 256", _broken(principals=("a",) * 257)),
        ("more than 256", _broken(extensions=(Option("a"),) * 257)),
        ("no plain public key", _broken(signature_key=samples.blob("ed25519-cert"))),
        ("bytes wanted", _broken(signature_key=b"")),
    ],
)
def test_a_certificate_that_cannot_be_is_refused(why: str, blob: bytes) -> None:
    with pytest.raises(Malformed, match=why):
        certificates.decode(blob)


def test_nobody_signed_a_new_certificate_yet() -> None:
    with pytest.raises(BadSignature):
        certificates.verify(new(samples.public("ed25519")))


@pytest.mark.interop
@pytest.mark.parametrize("name", samples.PLAIN)
def test_ssh_keygen_reads_what_we_sign(name: str, tmp_path: Path) -> None:
    made = signed(
        samples.public(name),
        serial=7,
        key_id="made by keyholm",
        principals=("alice", "bob"),
        valid_after=1704067200,
        valid_before=2019686400,
        critical_options=(
            Option("force-command", STRING.write(b"/bin/true")),
            Option("unknown@example.com", b"\1\2"),
        ),
        extensions=(Option("permit-pty"),),
    )
    file = tmp_path / "made-cert.pub"
    file.write_text(keys.format_line(certificates.encode(made), "comment") + "\n")
    # ssh-keygen checks the CA's signature before it prints anything.
    printed = subprocess.run(
        [program("ssh-keygen"), "-L", "-f", file],
        check=True,
        capture_output=True,
        text=True,
        env={"TZ": "UTC", "PATH": "/usr/bin:/bin"},
    ).stdout
    for line in (
        f"Type: {made.type_name} user certificate",
        f"CERT {keys.fingerprint(samples.blob(name))}",
        f"Signing CA: ED25519 {keys.fingerprint(AUTHORITY)}",
        'Key ID: "made by keyholm"',
        "Serial: 7",
        "Valid: from 2024-01-01T00:00:00 to 2034-01-01T00:00:00",
        "alice",
        "bob",
        "force-command /bin/true",
        "unknown@example.com UNKNOWN OPTION: 0102",
        "permit-pty",
    ):
        assert line in printed, printed


@pytest.mark.interop
def test_ssh_keygen_refuses_what_nobody_signed(tmp_path: Path) -> None:
    made = replace(signed(samples.public("ed25519")), key_id="another")
    file = tmp_path / "made-cert.pub"
    file.write_text(keys.format_line(certificates.encode(made)) + "\n")
    done = subprocess.run(
        [program("ssh-keygen"), "-L", "-f", file], capture_output=True, check=False
    )
    assert done.returncode != 0


def test_a_signer_gets_what_the_certificate_says() -> None:
    seen: list[bytes] = []

    def signer(data: bytes) -> bytes:
        seen.append(data)
        return b"signature"

    unsigned = new(samples.public("ecdsa_sk"), principals=("alice",))
    made = certificates.sign(unsigned, signer)
    assert seen == [certificates.signed_part(unsigned)]
    assert made == replace(unsigned, signature=b"signature")
