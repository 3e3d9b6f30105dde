"""Hosts with their keys, and an authority that certifies them."""

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric import dsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA1

from keyholm.wire.ssh import certificates, keys, signatures
from keyholm.wire.ssh.certificates import FOREVER, Certificate, Kind, Option


class Holder:
    """Somebody with an Ed25519 key."""

    def __init__(self, number: int) -> None:
        self.seed = bytes((number,)) * 32
        self._key = Ed25519PrivateKey.from_private_bytes(self.seed)
        self.public = keys.Ed25519(self._key.public_key().public_bytes_raw())
        self.blob = keys.encode(self.public)
        self.fingerprint = keys.fingerprint(self.blob)

    def sign(self, data: bytes) -> bytes:
        return signatures.encode("ssh-ed25519", self._key.sign(data))

    def certify(
        self,
        host: "Holder",
        principals: Sequence[str],
        *,
        kind: Kind = Kind.HOST,
        valid_after: int = 0,
        valid_before: int = FOREVER,
        critical_options: tuple[Option, ...] = (),
    ) -> bytes:
        certificate = Certificate(
            nonce=b"n" * 32,
            public=host.public,
            kind=kind,
            key_id="host",
            principals=tuple(principals),
            valid_after=valid_after,
            valid_before=valid_before,
            critical_options=critical_options,
            signature_key=self.blob,
        )
        return certificates.encode(certificates.sign(certificate, self.sign))


class OldHolder(Holder):
    """Somebody whose key is DSA, which no certificate should be signed with any more."""

    def __init__(self) -> None:
        self._dsa = dsa.generate_private_key(1024)
        numbers = self._dsa.private_numbers().public_numbers
        group = numbers.parameter_numbers
        self.blob = keys.encode(keys.Dsa(group.p, group.q, group.g, numbers.y))
        self.fingerprint = keys.fingerprint(self.blob)

    def sign(self, data: bytes) -> bytes:
        der = self._dsa.sign(data, SHA1())
        return signatures.encode("ssh-dss", signatures.der_to_rs(der, 20))


H0, H1, H2, AUTHORITY, STRANGER, USER = map(Holder, range(1, 7))
