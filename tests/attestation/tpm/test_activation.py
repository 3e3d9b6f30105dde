"""Credential activation, and the chain of a TPM's own certificates: with what a real TPM made.

The TPM is swtpm's, in the pictures that tests/vectors/tpm2 keep of it, and alive.
"""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from tests.attestation.tpm.machine import Machine, ec_key, rsa_key
from tests.rigs.rig import run
from tests.rigs.tpm import _neighbours, _swtpm, running, until

from keyholm.attestation.tpm.activation import Challenge, challenge, make_credential
from keyholm.attestation.tpm.certificates import Trust, anchor, check_endorsement
from keyholm.attestation.tpm.objects import Found, check_attestation_key, check_key
from keyholm.attestation.tpm.objects import check_endorsement as check_endorsement_key
from keyholm.attestation.tpm.pins import BY_KEY, PINS
from keyholm.attestation.tpm.refusals import Reason, Refused
from keyholm.wire.tpm2.structures import PUBLIC
from keyholm.wire.tpm2.types import write_sized

VECTORS = Path(__file__).parents[2] / "vectors" / "tpm2"
NOW = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)


def public(name: str) -> bytes:
    return (VECTORS / f"{name}.pub").read_bytes()[2:]


# --- what a real TPM made ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ek", "ekrsa", "ek384"])
def test_endorsement_keys_of_a_tpm_are_of_the_templates(name: str) -> None:
    check_endorsement_key(public(name))


def test_its_other_keys_are_what_they_are_for() -> None:
    check_attestation_key(public("ak"))
    check_key(public("key"))
    for name, reason in (
        ("key", Reason.ATTESTATION_UNRESTRICTED),
        ("ek", Reason.ATTESTATION_SIGNS_NOT),
    ):
        with pytest.raises(Refused) as found:
            check_attestation_key(public(name))
        assert found.value.reason in (reason, Reason.ATTESTATION_DECRYPTS)


@pytest.mark.parametrize("name", ["ekrsa", "ek384"])
def test_the_certificate_that_its_maker_gave_it(name: str) -> None:
    """swtpm's SAN is critical, and its names are empty but for that."""
    certificate = (VECTORS / f"{name}.crt").read_bytes()
    issuer = (VECTORS / "issuer.crt").read_bytes()
    root = anchor((VECTORS / "root.crt").read_bytes(), allowed_as="swtpm-localca")
    endorsement = check_endorsement_key(public(name))
    found = check_endorsement(certificate, endorsement, (issuer,), Trust((root,)), NOW)
    assert found.name == "swtpm-localca"
    other = check_endorsement_key(public("ek"))
    with pytest.raises(Refused) as refused:
        check_endorsement(certificate, other, (issuer,), Trust((root,)), NOW)
    assert refused.value.reason in (Reason.ENDORSEMENT_OTHER_KEY, Reason.CERTIFICATE_KEY_USAGE)


def test_pins_are_whole() -> None:
    assert len(PINS) == 51
    assert len(BY_KEY) == 45, "some certificates are of the same key"
    assert {len(key) for key in BY_KEY} == {32}
    assert all(pin.name and pin.subject and pin.until > "2020" for pin in PINS)


# --- activation ----------------------------------------------------------------------------


def found_of(machine: Machine) -> tuple[Found, Found]:
    return (
        check_endorsement_key(PUBLIC.write(machine.ek_public)),
        check_attestation_key(PUBLIC.write(machine.ak_public)),
    )


def test_the_right_secret_is_right_once_and_in_time() -> None:
    endorsement, attestation = found_of(Machine())
    made, expected = challenge(endorsement, attestation, now=100.0)
    assert made.secret
    names = endorsement.name, attestation.name
    secret = bytes(32)
    for wrong, reason in ((secret, Reason.ACTIVATION_WRONG), (b"", Reason.ACTIVATION_WRONG)):
        with pytest.raises(Refused) as refused:
            expected.check(wrong, *names, now=101.0)
        assert refused.value.reason is reason
    with pytest.raises(Refused) as refused:
        expected.check(secret, *names, now=161.0)
    assert refused.value.reason is Reason.ACTIVATION_LATE


def test_a_secret_reaches_the_endorsement_key_alone() -> None:
    """The seed of RSA, decrypted as the TPM does."""
    machine = Machine()
    endorsement, attestation = found_of(machine)
    made = make_credential(endorsement, attestation.name, b"secret")
    assert isinstance(machine.ek, rsa.RSAPrivateKey)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"IDENTITY\0")
    assert len(machine.ek.decrypt(made.secret, oaep)) == 32
    with pytest.raises(ValueError, match=r"(?i)decryption"):
        rsa_key(9).decrypt(made.secret, oaep)
    on_curve = found_of(Machine(ek=ec_key(1, ec.SECP384R1)))[0]
    one = make_credential(on_curve, attestation.name, b"secret")
    assert one.credential != make_credential(on_curve, attestation.name, b"secret").credential


# --- a TPM that is alive -------------------------------------------------------------------

HEADER = bytes.fromhex("badcc0de00000001")  # of tpm2-tools' credential files


@pytest.fixture
def tpm(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of tpm2-tools."""
    folder = tmp_path / "tpm"
    (folder / "state").mkdir(parents=True)
    port = _neighbours()
    environment = {"TPM2TOOLS_TCTI": f"swtpm:host=127.0.0.1,port={port}"}
    with running(folder, *_swtpm(folder, port), environment={}):
        until(lambda: "swtpm" in environment["TPM2TOOLS_TCTI"], folder)
        yield environment


@pytest.mark.parametrize("kind", ["ecc", "rsa"])
def test_a_tpm_gives_the_secret_for_the_key_that_was_meant(
    kind: str, tpm: dict[str, str], tmp_path: Path
) -> None:
    def tool(*command: str) -> str:
        return run(*command, environment=tpm, folder=tmp_path)

    def flush() -> None:
        tool("tpm2_flushcontext", "-t")

    tool("tpm2_createek", "-c", "ek.ctx", "-G", kind, "-u", "ek.pub")
    flush()
    for name in ("ak", "other"):
        made = [
            "-c",
            f"{name}.ctx",
            "-G",
            "ecc",
            "-g",
            "sha256",
            "-s",
            "ecdsa",
            "-u",
            f"{name}.pub",
        ]
        tool("tpm2_createak", "-C", "ek.ctx", *made)
        flush()
    endorsement = check_endorsement_key((tmp_path / "ek.pub").read_bytes()[2:])
    attestation = check_attestation_key((tmp_path / "ak.pub").read_bytes()[2:])
    made_one, expected = challenge(endorsement, attestation, now=0.0)
    write_credential(tmp_path / "credential", made_one)

    def activate(name: str) -> bytes:
        tool("tpm2_startauthsession", "--policy-session", "-S", "session.ctx")
        try:
            tool("tpm2_policysecret", "-S", "session.ctx", "-c", "e")
            words = ["-c", f"{name}.ctx", "-C", "ek.ctx", "-i", "credential", "-o", "secret"]
            tool("tpm2_activatecredential", *words, "-P", "session:session.ctx")
        finally:
            tool("tpm2_flushcontext", "session.ctx")
            flush()
        return (tmp_path / "secret").read_bytes()

    expected.check(activate("ak"), endorsement.name, attestation.name, now=1.0)
    with pytest.raises(AssertionError, match="tpm2_activatecredential"):
        activate("other")


def write_credential(path: Path, made: Challenge) -> None:
    path.write_bytes(HEADER + write_sized(made.credential) + write_sized(made.secret))
