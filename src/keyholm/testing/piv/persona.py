"""Cards that somebody has set up: keys in their slots, each with a certificate that names it."""

import datetime as dt
from collections.abc import Mapping
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from keyholm.testing.piv import keys
from keyholm.testing.piv.card import Card
from keyholm.testing.piv.keys import CardKey, PrivateKey
from keyholm.testing.piv.names import Algorithm, PinPolicy, Slot

USUAL: Final = {Slot.AUTHENTICATION: Algorithm.P256, Slot.KEY_MANAGEMENT: Algorithm.RSA_2048}
VALID_FROM: Final = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
VALID_TO: Final = dt.datetime(2049, 12, 31, tzinfo=dt.UTC)


def personalised(
    serial: int, slots: Mapping[Slot, Algorithm] = USUAL, version: tuple[int, int, int] = (5, 4, 3)
) -> Card:
    card = Card(serial, version)
    for slot, algorithm in slots.items():
        private = keys.generate(algorithm)
        card.piv.keys[slot] = CardKey(private, keys.pin_policy(slot, PinPolicy.DEFAULT))
        card.piv.put_certificate(slot, certificate(private, f"card {serial} slot {slot:x}"))
    return card


def certificate(private: PrivateKey, common_name: str) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(VALID_FROM)
        .not_valid_after(VALID_TO)
    )
    return builder.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
