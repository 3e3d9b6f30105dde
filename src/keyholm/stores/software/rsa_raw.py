"""The bare RSA operation (PKCS#11's CKM_RSA_X_509), which no library call offers.

Python's numbers take a time that depends on their values, so what is computed is another
number, by another exponent, each time: both are blinded. That hides which number was asked
for and most of what a clock could learn of the key; it is no constant-time code (SECURITY.md).
Every result is checked by the public exponent before it leaves, because one wrong bit of it
would give the key away.
"""

import secrets
from math import gcd
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import rsa

from keyholm.core.errors import DataInvalid, DataLengthInvalid, MechanismUnsupported, StoreFailed
from keyholm.core.mechanisms import Input, Opaque, RsaRaw, spelling

EXPONENT_BLINDING: Final = 64  # bits


def size_of(key: rsa.RSAPrivateKey | rsa.RSAPublicKey) -> int:
    return (key.key_size + 7) // 8


def private_operation(key: rsa.RSAPrivateKey, data: bytes | bytearray) -> bytes:
    """data ** d mod n. Raises `DataLengthInvalid`, `DataInvalid`."""
    numbers = key.private_numbers()
    public = numbers.public_numbers
    n, e = public.n, public.e
    value = _number(data, n, size_of(key))
    order = (numbers.p - 1) * (numbers.q - 1)
    factor = _invertible(n)
    exponent = numbers.d + secrets.randbits(EXPONENT_BLINDING) * order
    blinded = pow(value * pow(factor, e, n) % n, exponent, n)
    result = blinded * pow(factor, -1, n) % n
    if pow(result, e, n) != value:
        raise StoreFailed("RSA gave a wrong result, which was kept back.")
    return result.to_bytes(size_of(key))


def public_operation(key: rsa.RSAPublicKey, data: bytes | bytearray) -> bytes:
    """data ** e mod n. Raises `DataLengthInvalid`, `DataInvalid`."""
    public = key.public_numbers()
    return pow(_number(data, public.n, size_of(key)), public.e, public.n).to_bytes(size_of(key))


def signer(_: Any, mechanism: RsaRaw) -> Any:
    def sign(key: rsa.RSAPrivateKey, data: Input) -> bytes:
        if not isinstance(data, Opaque):
            raise MechanismUnsupported(f"{spelling(mechanism)} takes one number.")
        return private_operation(key, data.data)

    return sign


def _number(data: bytes | bytearray, n: int, size: int) -> int:
    if not 0 < len(data) <= size:
        raise DataLengthInvalid(f"Raw RSA takes 1 to {size} bytes with this key.")
    value = int.from_bytes(data)
    if value >= n:
        raise DataInvalid("The number is larger than the modulus of this RSA key.")
    return value


def _invertible(n: int) -> int:
    while True:
        factor = 2 + secrets.randbelow(n - 2)
        if gcd(factor, n) == 1:
            return factor
