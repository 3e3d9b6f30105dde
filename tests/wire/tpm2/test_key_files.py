"""Key files: those of others, and ours."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyholm.wire import der
from keyholm.wire.codec import Malformed
from keyholm.wire.tpm2.constants import ALG, CC, CURVE, HANDLE
from keyholm.wire.tpm2.key_files import (
    MOST,
    Alternative,
    KeyFile,
    Kind,
    Step,
    looks_like_one,
    read,
    read_pem,
    write,
    write_pem,
)
from keyholm.wire.tpm2.structures import EccParameters, RsaParameters

KEYS = Path(__file__).parents[2] / "vectors" / "tpm2" / "keys"
NAMES = sorted(path.stem for path in KEYS.glob("*.tpm"))


def stored(name: str) -> KeyFile:
    return read_pem((KEYS / f"{name}.tpm").read_bytes())


def test_the_files_of_others_are_there() -> None:
    assert len(NAMES) == 6


@pytest.mark.parametrize("name", NAMES)
def test_files_of_others_are_read_and_written_alike(name: str) -> None:
    data = (KEYS / f"{name}.tpm").read_bytes()
    assert looks_like_one(data)
    assert write_pem(read_pem(data)) == data


def test_what_they_say() -> None:
    plain = stored("ecc-prime256v1")
    assert (plain.kind, plain.empty_auth, plain.parent) == (Kind.LOADABLE, True, HANDLE.OWNER)
    assert plain.public.parameters == EccParameters()
    assert stored("ecc-secp384r1").public.parameters == EccParameters(curve=CURVE.NIST_P384)
    assert stored("rsa-key").public.parameters == RsaParameters()
    assert not stored("rsa-tpm-password").empty_auth


def test_policies() -> None:
    steps = stored("p256-authvalue").policy
    assert [step.code for step in steps] == [CC.PolicyPCR, CC.PolicyAuthValue]
    signed = stored("skey")
    assert [step.code for step in signed.policy] == [CC.PolicyAuthorize]
    (alternative,) = signed.alternatives
    assert alternative.name == "secret"
    codes = [step.code for step in alternative.policy]
    assert codes == [CC.PolicySecret, CC.PolicyAuthorize]
    assert signed.public.type is ALG.RSA


# --- variants ------------------------------------------------------------------------------


def test_a_true_that_is_not_der_is_read_and_not_written() -> None:
    key = stored("ecc-prime256v1")
    data = write(key).replace(b"\1\1\xff", b"\1\1\1", 1)
    assert read(data) == key
    assert write(read(data)) == write(key)
    with pytest.raises(Malformed, match="neither true nor false"):
        read(data.replace(b"\1\1\1", b"\1\1\2", 1))


def test_a_parent_of_zero_is_the_owner() -> None:
    key = stored("ecc-prime256v1")
    assert read(write(replace(key, parent=0))).parent == HANDLE.OWNER


@pytest.mark.parametrize(
    "changed",
    [
        {"description": "a laptop's key, größer"},
        {"rsa_parent": True},
        {"empty_auth": False},
        {"kind": Kind.IMPORTABLE, "secret": b"seed"},
        {"kind": Kind.SEALED},
        {"kind": Kind.OLD_LOADABLE},
        {"parent": 0x81000001},
        {"policy": (Step(CC.PolicyPCR, b"parameters"),)},
        {"alternatives": (Alternative("", (Step(CC.PolicyPCR, b""),)),)},
    ],
)
def test_what_we_write_we_read(changed: dict[str, object]) -> None:
    key = replace(stored("ecc-prime256v1"), **changed)  # type: ignore[arg-type]
    assert read_pem(write_pem(key)) == key


# --- what is refused -----------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_what_is_cut_or_goes_on_is_refused(name: str) -> None:
    data = write(stored(name))
    for size in range(0, len(data), 3):
        with pytest.raises(Malformed):
            read(data[:size])
    with pytest.raises(Malformed):
        read(data + b"\0")


@given(st.binary(max_size=200))
def test_any_bytes_give_a_key_or_malformed(data: bytes) -> None:
    for given_bytes in (data, der.sequence(data), write_pem(stored("rsa-key"))[:40] + data):
        with pytest.raises(Malformed):
            read(given_bytes)
        with pytest.raises(Malformed):
            read_pem(given_bytes)


@pytest.mark.parametrize("value", [b"\0", b"\1\2"])
@given(at=st.integers(0, 500))
def test_a_changed_byte_never_raises_anything_else(value: bytes, at: int) -> None:
    data = bytearray(write(stored("skey")))
    data[at % len(data)] ^= value[-1] or 0xFF
    try:
        read(bytes(data))
    except Malformed:
        return


def test_an_importable_key_has_a_seed_and_no_other_does() -> None:
    key = stored("ecc-prime256v1")
    for wrong in (replace(key, kind=Kind.IMPORTABLE), replace(key, secret=b"seed")):
        with pytest.raises(Malformed, match="a seed"):
            read(write(wrong))


def test_other_things_are_no_key_file() -> None:
    with pytest.raises(Malformed, match="no TSS2 PRIVATE KEY"):
        read_pem(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    with pytest.raises(Malformed, match="no kind of key file"):
        read(der.sequence(der.oid("1.2.3")))
    with pytest.raises(Malformed, match="more than"):
        read_pem(bytes(MOST + 1))
    with pytest.raises(Malformed, match="no base64"):
        read_pem(b"-----BEGIN TSS2 PRIVATE KEY-----\nAAA\n-----END TSS2 PRIVATE KEY-----\n")
