"""Keys in a TPM in software; tpm2-tools and OpenSSL's TPM provider judge, and are judged."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from tests.rigs import swtpm
from tests.rigs.rig import run
from tests.rigs.swtpm import Wire

from keyholm.core.errors import (
    AlgorithmUnsupported,
    KeyholmError,
    LoginNeeded,
    MechanismUnsupported,
    PinIncorrect,
    PinLocked,
    PinUnsuitable,
    StoreDamaged,
    StoreFailed,
)
from keyholm.core.mechanisms import Input, Mechanism, Opaque, RsaRaw
from keyholm.core.model import Algorithm, OtherAlgorithm, RsaKey
from keyholm.core.secret import Secret
from keyholm.stores.tpm import signing, templates
from keyholm.stores.tpm.device import Device
from keyholm.stores.tpm.keys import Keys, guarded
from keyholm.stores.tpm.parents import PERSISTENT, create_primary
from keyholm.testing import samples
from keyholm.wire.tpm2 import commands as tpm
from keyholm.wire.tpm2 import key_files
from keyholm.wire.tpm2.commands import Authorization, parameters_of
from keyholm.wire.tpm2.constants import ALG, CAP, HANDLE, PT, SESSION
from keyholm.wire.tpm2.key_files import KeyFile
from keyholm.wire.tpm2.structures import PUBLIC_2B, EcSignature, Scheme
from keyholm.wire.tpm2.types import write_sized

DIGEST = hashlib.sha256(b"what is signed").digest()
P256 = Scheme(ALG.ECDSA, ALG.SHA256)
EC = (Algorithm.ECDSA_P256, Algorithm.ECDSA_P384)


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    with swtpm.on_socket(tmp_path / "tpm") as where:
        between = Wire(where)
        yield between
        between.end()


@pytest.fixture
def keys(wire: Wire) -> Keys:
    return Keys(Device("swtpm:/wire", wire.connect))


def sign(keys: Keys, file: KeyFile, mechanism: Mechanism, data: Input) -> bytes:
    return signing.sign(
        file,
        mechanism,
        data,
        lambda scheme, digest: keys.sign(file, scheme, digest, None, "k"),
        lambda block: keys.raw(file, block, None, "k"),
    )


def check(keys: Keys, file: KeyFile, pin: Secret | None) -> None:
    """It signs, and the signature is good."""
    signature = keys.sign(file, P256, DIGEST, pin, "k")
    assert isinstance(signature, EcSignature)
    r, s = int.from_bytes(signature.r), int.from_bytes(signature.s)
    how = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
    _ec_key(file).verify(utils.encode_dss_signature(r, s), DIGEST, how)


def loaded(keys: Keys) -> int:
    _, found = keys.device.run(tpm.GET_CAPABILITY, (), CAP.HANDLES, HANDLE.TRANSIENT, 10)
    return len(found.data)


@pytest.mark.parametrize("algorithm", [*EC, Algorithm.RSA_2048])
def test_a_new_key_signs_by_all_that_it_has(algorithm: Algorithm, keys: Keys) -> None:
    file = keys.create(algorithm)
    public = templates.ssh_key(file.public)
    assert templates.was_born_here(file.public)
    assert not guarded(file)
    for mechanism, data in samples.uses(public, b"what is signed"):
        samples.verify(public, mechanism, data, sign(keys, file, mechanism, data))
    for mechanism, data in samples.misuses(public, b"what is signed"):
        with pytest.raises(MechanismUnsupported):
            sign(keys, file, mechanism, data)
    assert loaded(keys) == 0


def test_raw_rsa(keys: Keys) -> None:
    file = keys.create(Algorithm.RSA_2048)
    public = templates.ssh_key(file.public)
    block = b"\0\1" + bytes(range(1, 255))
    signed = int.from_bytes(sign(keys, file, RsaRaw(), Opaque(block)))
    assert pow(signed, public.exponent, public.modulus) == int.from_bytes(block)  # type: ignore[union-attr]
    for wrong in (b"", bytes(257), b"\xff" * 256):
        with pytest.raises(KeyholmError):
            sign(keys, file, RsaRaw(), Opaque(wrong))


@pytest.mark.parametrize(
    "wanted",
    [Algorithm.ED25519, OtherAlgorithm.X25519, RsaKey(1024), RsaKey(2048, 3), RsaKey(2049)],
)
def test_kinds_that_no_tpm_has(wanted: Algorithm, keys: Keys) -> None:
    with pytest.raises(AlgorithmUnsupported):
        keys.create(wanted)


@pytest.mark.parametrize("number", [1, 2, 4])
def test_an_imported_key_signs_and_can_never_say_that_it_was_born_here(
    number: int, keys: Keys, wire: Wire
) -> None:
    private = samples.privates()[number]
    file = keys.take(private)
    assert not templates.was_born_here(file.public)
    assert templates.ssh_key(file.public) == private.public
    for mechanism, data in list(samples.uses(private.public, b"m"))[:3]:
        samples.verify(private.public, mechanism, data, sign(keys, file, mechanism, data))
    for part in ("scalar", "d", "p", "q"):
        secret = bytes(getattr(private, part, b"")).lstrip(b"\0")
        assert not secret or secret not in wire.crossed
    assert loaded(keys) == 0


# --- PINs ------------------------------------------------------------------------------


def test_a_pin_is_needed_and_right_and_never_crosses(keys: Keys, wire: Wire) -> None:
    pin_bytes = b"a PIN of 25 bytes, unread"
    with Secret.of(pin_bytes) as pin, Secret.of(b"wrong") as wrong:
        file = keys.create(Algorithm.ECDSA_P256, pin)
        assert guarded(file)
        with pytest.raises(LoginNeeded):
            keys.sign(file, P256, DIGEST, None, "k")
        with pytest.raises(PinIncorrect, match=r"\d+ attempts are left") as refused:
            keys.sign(file, P256, DIGEST, wrong, "k")
        left = refused.value.attempts_left
        with pytest.raises(PinIncorrect) as refused:
            keys.sign(file, P256, DIGEST, wrong, "k")
        assert left is not None
        assert refused.value.attempts_left == left - 1
        check(keys, file, pin)
    assert pin_bytes not in wire.crossed
    assert loaded(keys) == 0


def test_a_lock_out_is_of_the_whole_tpm_but_not_of_keys_without_a_pin(keys: Keys) -> None:
    with Secret.of(b"1234") as pin, Secret.of(b"wrong") as wrong:
        file, other = (keys.create(Algorithm.ECDSA_P256, pin) for _ in range(2))
        free = keys.create(Algorithm.ECDSA_P256)
        for _ in range(keys.device.properties(PT.MAX_AUTH_FAIL, 1)[PT.MAX_AUTH_FAIL]):
            with pytest.raises(PinIncorrect):
                keys.sign(file, P256, DIGEST, wrong, "k")
        with pytest.raises(PinLocked, match="whoever's it is") as locked:
            keys.sign(other, P256, DIGEST, pin, "k")
        assert "17 minutes" in locked.value.remedy, "1000 seconds, of swtpm"
        check(keys, free, None)
        owner = Authorization(HANDLE.PASSWORD, b"", SESSION.CONTINUESESSION, b"")
        keys.device.send(tpm.DICTIONARY_ATTACK_LOCK_RESET, (HANDLE.LOCKOUT,), b"", (owner,))
        check(keys, other, pin)


@pytest.mark.parametrize("pin", [b"", b"x" * 33, b"1234\0"])
def test_pins_that_a_tpm_could_not_keep_apart_are_refused(pin: bytes, keys: Keys) -> None:
    with Secret.of(pin) as given, pytest.raises(PinUnsuitable):
        keys.create(Algorithm.ECDSA_P256, given)


# --- what goes wrong -------------------------------------------------------------------


def test_a_lost_session_is_made_anew(keys: Keys) -> None:
    file = keys.create(Algorithm.ECDSA_P256)
    assert keys._session is not None
    keys.device.flush(keys._session.handle)
    check(keys, file, None)


def test_an_altered_answer_is_refused_and_the_next_is_not(keys: Keys, wire: Wire) -> None:
    file = keys.create(Algorithm.ECDSA_P256)
    keys.sign(file, P256, DIGEST, None, "k")

    def alter(frame: bytes, answer: bytes) -> bytes:
        return answer[:-1] + bytes((answer[-1] ^ 1,)) if frame[8:10] == b"\x01\x5d" else answer

    wire.on_answer = alter
    with pytest.raises(StoreFailed, match="altered on its way"):
        keys.sign(file, P256, DIGEST, None, "k")
    wire.on_answer = lambda frame, answer: answer
    check(keys, file, None)
    assert loaded(keys) == 0


def test_a_key_of_another_tpm_is_refused(keys: Keys, tmp_path: Path) -> None:
    with swtpm.on_socket(tmp_path / "other") as where:
        other = Keys(Device(where))
        file = other.create(Algorithm.ECDSA_P256)
        other.close()
    with pytest.raises(StoreDamaged, match="did not make this key file"):
        keys.sign(file, P256, DIGEST, None, "k")


def test_a_tpm_that_is_started_again_has_the_same_keys(tmp_path: Path) -> None:
    with swtpm.on_socket(tmp_path) as where:
        keys = Keys(Device(where))
        file, name = keys.create(Algorithm.ECDSA_P256), keys.parent_name
        keys.close()
    with swtpm.on_socket(tmp_path) as where:
        keys = Keys(Device(where))
        assert keys.parent_name == name
        check(keys, file, None)
        keys.close()


def test_a_parent_that_is_kept_in_the_tpm_is_used(wire: Wire) -> None:
    device = Device("swtpm:/wire", wire.connect)
    handle, _ = create_primary(device)
    owner = Authorization(HANDLE.PASSWORD, b"", SESSION.CONTINUESESSION, b"")
    device.send(
        tpm.EVICT_CONTROL,
        (HANDLE.OWNER, handle),
        parameters_of(tpm.EVICT_CONTROL, PERSISTENT),
        (owner,),
    )
    device.flush(handle)
    keys = Keys(device)
    file = keys.create(Algorithm.ECDSA_P256)
    wire.record.clear()
    check(keys, file, None)
    assert file.parent == HANDLE.OWNER
    codes = [frame[8:10].hex() for frame, _ in wire.record]
    assert codes == ["0157", "015d", "0165"], "Load, Sign, FlushContext"


def test_what_was_measured_at_start_is_read(keys: Keys) -> None:
    measured = keys.measurements()
    assert sorted(measured) == list(range(8))
    assert {len(value) for value in measured.values()} == {32}


# --- other programs ----------------------------------------------------------------------


def test_openssl_and_tpm2_tools_use_our_file_and_we_theirs(tmp_path: Path) -> None:
    with swtpm.on_tcp(tmp_path) as (where, tools):
        keys = Keys(Device(where))
        file = keys.create(Algorithm.ECDSA_P256)
        keys.close()
        (tmp_path / "key.pem").write_bytes(key_files.write_pem(file))
        (tmp_path / "message").write_bytes(b"what is signed")
        (tmp_path / "public").write_bytes(PUBLIC_2B.write(file.public))
        (tmp_path / "private").write_bytes(write_sized(file.private))

        def tool(*command: str) -> None:
            run(*command, environment=tools, folder=tmp_path)

        provider = ("-provider", "tpm2", "-provider", "default", "-propquery", "?provider=tpm2")
        tool("openssl", "dgst", *provider, "-sha256", "-sign", "key.pem", "-out", "one", "message")
        primary = (
            "-a",
            "restricted|decrypt|fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda",
        )
        tool("tpm2_createprimary", "-Q", "-C", "o", "-G", "ecc", *primary, "-c", "parent")
        tool("tpm2_load", "-Q", "-C", "parent", "-u", "public", "-r", "private", "-c", "loaded")
        tool("tpm2_flushcontext", "-t")
        tool(
            "tpm2_sign", "-Q", "-c", "loaded", "-g", "sha256", "-f", "plain", "-o", "two", "message"
        )
        tool("tpm2_flushcontext", "-t")
        key = _ec_key(file)
        for name in ("one", "two"):
            key.verify((tmp_path / name).read_bytes(), b"what is signed", ec.ECDSA(hashes.SHA256()))

        tool(
            "openssl",
            "genpkey",
            "-provider",
            "tpm2",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "group:P-256",
            "-out",
            "theirs.pem",
        )
        theirs = key_files.read_pem((tmp_path / "theirs.pem").read_bytes())
        keys = Keys(Device(where))
        check(keys, theirs, None)
        keys.close()


def _ec_key(file: KeyFile) -> ec.EllipticCurvePublicKey:
    public = templates.ssh_key(file.public)
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public.point)  # type: ignore[union-attr]
