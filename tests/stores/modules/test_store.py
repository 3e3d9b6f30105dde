"""The contract of stores, kept by tokens of SoftHSM2 behind a worker."""

from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
)
from tests.stores.modules.certificates import NAME, certificate_of
from tests.stores.modules.softhsm import SoftHsm, library

from keyholm.core.errors import DataInvalid, KeyholmError, StoreFailed
from keyholm.core.mechanisms import Hash, Mechanism, RsaPss
from keyholm.core.model import (
    Algorithm,
    Attributes,
    Key,
    KeyType,
    Kind,
    NewObject,
    OtherAlgorithm,
    RsaKey,
    SecretKey,
    SecretType,
)
from keyholm.core.store import Store
from keyholm.stores.modules.logins import WithPin
from keyholm.testing import samples
from keyholm.testing.store_contract import PASSPHRASE, QUICK, StoreContract, secret
from keyholm.wire.pkcs11.constants import CKA
from keyholm.wire.ssh import keys

QUICK_ONES = tuple(each for each in QUICK if each is not Algorithm.MLDSA44_ED25519)
_SHA1_AND_2 = (Hash.SHA1, Hash.SHA224, Hash.SHA256, Hash.SHA384, Hash.SHA512)
pytestmark = pytest.mark.skipif(not library(), reason="SoftHSM2 is not installed")


def real_objects() -> list[NewObject]:
    """A token looks at what it is given."""
    (_, pkcs8), *_ = samples.pkcs8()
    key = load_der_private_key(pkcs8, None)
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    kinds: list[tuple[Kind, Attributes]] = [
        (Kind.CERTIFICATE, certificate()),
        (Kind.DATA, {CKA.LABEL: "Etikett für ein Ding".encode(), CKA.VALUE: bytes(range(256))}),
        (Kind.PUBLIC, {CKA.LABEL: b"public", CKA.ID: b"7", CKA.PUBLIC_KEY_INFO: spki}),
    ]
    return [
        NewObject(kind, attributes, private=private)
        for kind, attributes in kinds
        for private in (False, True)
    ]


def certificate() -> Attributes:
    name = NAME.public_bytes()
    return {
        CKA.LABEL: b"a certificate",
        CKA.VALUE: certificate_of(ec.generate_private_key(ec.SECP256R1())),
        CKA.SUBJECT: name,
        CKA.ISSUER: name,
        CKA.SERIAL_NUMBER: b"\2\1\1",
    }


class TestModulesStore(StoreContract):
    algorithms: Sequence[Algorithm] = QUICK_ONES
    kinds: Sequence[KeyType] = (
        *QUICK_ONES,
        OtherAlgorithm.ED448,
        OtherAlgorithm.ECDSA_P224,
        OtherAlgorithm.SECP256K1,
        RsaKey(2048, 3),
        *(SecretKey(SecretType.AES, size) for size in (16, 24, 32)),
        SecretKey(SecretType.GENERIC, 64),
        SecretKey(SecretType.GENERIC, 512),
    )
    offered: tuple[type, ...] = (keys.Ed25519, keys.Ecdsa, keys.Rsa)
    has_own_attributes = True
    leaving: Sequence[KeyType] = (Algorithm.ECDSA_P256, Algorithm.RSA_2048)
    odd_size = 24  # SoftHSM2 keeps the padding of what it unwraps
    oaep = Hash.SHA1
    # SoftHSM2 has no word for what it cannot unwrap (its issue 689).
    bad_wrapping: tuple[type[KeyholmError], ...] = (DataInvalid, StoreFailed)

    def told_of(self, key: Key) -> Attributes:
        """A token wants to know the type before it looks inside."""
        if key.kind is not Kind.PRIVATE:
            return {}
        return {CKA.KEY_TYPE: key.attributes[CKA.KEY_TYPE]}

    def works(self, mechanism: Mechanism) -> bool:
        """SoftHSM2 takes PSS with the same hash twice only, and knows no SHA-3."""
        if isinstance(mechanism, RsaPss):
            return mechanism.hash is mechanism.mgf and mechanism.hash in _SHA1_AND_2
        return True

    def objects_to_make(self) -> list[NewObject]:
        return real_objects()

    @pytest.fixture(autouse=True)
    def _in_a_folder(self, tmp_path: Path) -> None:
        self.folder, self.count = tmp_path, count()

    def open(self) -> Store:
        folder = self.folder / str(next(self.count))
        folder.mkdir()
        hsm = SoftHsm(folder)
        hsm.make_token("contract", PASSPHRASE)
        store = hsm.store()
        [token] = store.tokens()
        assert isinstance(token, WithPin)
        with secret(PASSPHRASE) as pin:
            token.unlock(pin)
        return store
