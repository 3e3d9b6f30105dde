"""Which key a token has, from what real modules tell of it."""

import subprocess
from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.programs import program

from keyholm.core.model import Value
from keyholm.stores.modules import public
from keyholm.wire import der
from keyholm.wire.pkcs11.constants import CKA, CKK

CURVES = {"prime256v1": ec.SECP256R1(), "secp384r1": ec.SECP384R1()}


def written_out(name: str, *options: str) -> bytes:
    words = ["ecparam", "-name", name, "-param_enc", "explicit", "-outform", "DER", *options]
    return subprocess.run([program("openssl"), *words], capture_output=True, check=True).stdout


def told(curve: ec.EllipticCurve, parameters: bytes) -> tuple[Mapping[int, Value], bytes]:
    """What a token tells of a key, and its SubjectPublicKeyInfo."""
    key = ec.generate_private_key(curve).public_key()
    point = key.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    spki = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    attributes: dict[int, Value] = {
        CKA.KEY_TYPE: CKK.EC,
        CKA.EC_PARAMS: parameters,
        CKA.EC_POINT: der.octet_string(point),
    }
    return attributes, spki


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("options", [(), ("-no_seed",)], ids=["seed", "no seed"])
def test_a_curve_of_which_all_numbers_are_told_is_known(
    name: str, options: tuple[str, ...]
) -> None:
    """YKCS11 2.2.0 tells it so of its public keys."""
    attributes, spki = told(CURVES[name], written_out(name, *options))
    assert public.spki_of(attributes) == spki


def test_a_curve_that_differs_in_one_bit_is_not_taken_for_it() -> None:
    parameters = bytearray(written_out("prime256v1"))
    parameters[100] ^= 1
    attributes, spki = told(CURVES["prime256v1"], bytes(parameters))
    assert public.spki_of(attributes) != spki
