"""Private keys from the attributes of a template, and the attributes from private keys.

All of it happens in locked memory (`Secret`), but for numbers that have to be computed: an RSA
key without its primes, and what a program reads, which is on its way out.
"""

import math
from collections.abc import Callable
from typing import Final

from keyholm.core.caller import Caller
from keyholm.core.gate import Gate
from keyholm.core.model import Key
from keyholm.core.secret import Secret
from keyholm.cryptoki.forms import RSA, Form, form_of
from keyholm.cryptoki.private_keys import RSA_PARTS, parts_of, pkcs8_of, stripped
from keyholm.cryptoki.wrong import Wrong
from keyholm.doors.pkcs11.making.generating import named_form
from keyholm.doors.pkcs11.making.given import Given, bad_value, incomplete, inconsistent
from keyholm.wire.codec import Malformed
from keyholm.wire.pkcs11.constants import CKA, CKK, CKR

_SEEDS: Final = {CKK.ML_DSA: 32, CKK.ML_KEM: 64}
_RSA_BYTES: Final = range(1024 // 8, 16384 // 8 + 1)


# --- in ------------------------------------------------------------------------------


def pkcs8(key_type: int, given: Given) -> Secret:
    """Takes the parts of a private key from a template. Whether they belong together is found
    out by the store, which looks at every key once."""
    if key_type == CKK.RSA:
        return _rsa(given)
    if key_type in (CKK.EC, CKK.EC_EDWARDS, CKK.EC_MONTGOMERY, *_SEEDS):
        form = named_form(key_type, given)
        return _FROM_VALUE[key_type](form, given)
    raise bad_value(CKA.KEY_TYPE, "There are no private keys of this type here.")


def _needed(given: Given, cka: int) -> memoryview:
    value = given.secret(cka)
    if value is None:
        raise incomplete(cka)
    return value


def _ec(form: Form, given: Given) -> Secret:
    value, width = stripped(_needed(given, CKA.VALUE)), (form.size - 1) // 2
    if not 0 < len(value) <= width:
        raise bad_value(CKA.VALUE, "This is no private key of its curve.")
    return pkcs8_of(form, {CKA.VALUE: value})


def _modern(form: Form, given: Given) -> Secret:
    value = _needed(given, CKA.VALUE)
    if len(value) != form.size:
        raise bad_value(CKA.VALUE, f"A private key of this curve has {form.size} bytes.")
    return pkcs8_of(form, {CKA.VALUE: value})


def _lattice(form: Form, given: Given) -> Secret:
    seed, expanded = given.secret(CKA.SEED), given.secret(CKA.VALUE)
    if seed is None:
        if expanded is not None:
            raise bad_value(CKA.VALUE, "Keys of this type are taken by their CKA_SEED only.")
        raise incomplete(CKA.SEED)
    if expanded is not None:
        raise inconsistent("Give the seed alone: it is the whole key.")
    if len(seed) != _SEEDS[form.key_type]:
        raise bad_value(CKA.SEED, f"A seed has {_SEEDS[form.key_type]} bytes.")
    return pkcs8_of(form, {CKA.SEED: seed})


_FROM_VALUE: Final[dict[int, Callable[[Form, Given], Secret]]] = {
    CKK.EC: _ec,
    CKK.EC_EDWARDS: _modern,
    CKK.EC_MONTGOMERY: _modern,
    CKK.ML_DSA: _lattice,
    CKK.ML_KEM: _lattice,
}


def _rsa(given: Given) -> Secret:
    parts = {cka: value for cka in RSA_PARTS if (value := given.secret(cka)) is not None}
    for cka in (CKA.MODULUS, CKA.PUBLIC_EXPONENT, CKA.PRIVATE_EXPONENT):
        if cka not in parts:
            raise incomplete(cka)
    if len(stripped(parts[CKA.MODULUS])) not in _RSA_BYTES:
        raise bad_value(CKA.MODULUS, "RSA keys of 1024 to 16384 bits are taken.")
    if (CKA.PRIME_1 in parts) != (CKA.PRIME_2 in parts):
        raise incomplete(CKA.PRIME_1 if CKA.PRIME_2 in parts else CKA.PRIME_2)
    if len(parts) < len(RSA_PARTS):
        parts |= _computed(parts)
    return pkcs8_of(RSA, parts)


def _computed(parts: dict[int, memoryview]) -> dict[int, memoryview]:
    """What is missing beside n, e and d, or beside those and the primes (RFC 8017, 3.2)."""
    n, e, d = (
        int.from_bytes(parts[cka])
        for cka in (CKA.MODULUS, CKA.PUBLIC_EXPONENT, CKA.PRIVATE_EXPONENT)
    )
    if CKA.PRIME_1 in parts:
        p, q = int.from_bytes(parts[CKA.PRIME_1]), int.from_bytes(parts[CKA.PRIME_2])
    else:
        p, q = _primes(n, e, d)
    if p < 3 or q < 3 or p * q != n or math.gcd(p, q) != 1:
        raise bad_value(CKA.PRIME_1, "The primes are not those of the modulus.")
    found = {
        CKA.PRIME_1: p,
        CKA.PRIME_2: q,
        CKA.EXPONENT_1: d % (p - 1),
        CKA.EXPONENT_2: d % (q - 1),
        CKA.COEFFICIENT: pow(q, -1, p),
    }
    return {cka: _view(number) for cka, number in found.items() if cka not in parts}


def _view(number: int) -> memoryview:
    return memoryview(number.to_bytes((number.bit_length() + 7) // 8))


def _primes(n: int, e: int, d: int) -> tuple[int, int]:
    """NIST SP 800-56B, appendix C.1: from a square root of one that is neither 1 nor -1."""
    bad = bad_value(CKA.PRIVATE_EXPONENT, "This is not the private exponent of that modulus.")
    if n.bit_length() > _MOST_WITHOUT_PRIMES or not n % 2 or not 0 < d < n or not 1 < e < n:
        raise bad
    k = e * d - 1
    twos = (k & -k).bit_length() - 1
    for base in _BASES:
        root = pow(base, k >> twos, n)
        for _ in range(twos):
            square = root * root % n
            if square == 1 and root not in (1, n - 1):
                p = math.gcd(root - 1, n)
                return max(p, n // p), min(p, n // p)
            root = square
        if root != 1:  # it would be, whatever the base, if d were its exponent
            break
    raise bad


# Each finds the primes of half of all keys.
_BASES: Final = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71)
_MOST_WITHOUT_PRIMES: Final = 4096  # bits: numbers this size take a third of a second


# --- out -----------------------------------------------------------------------------


def secret_value(gate: Gate, caller: Caller, key: Key, cka: int) -> bytes:
    """The secret attribute of a key that may be told: an export, which the gate decides and
    records. What is told is on its way out, so nothing is left to protect in these bytes."""
    with gate.value(caller, key) as secret:
        if key.secret is not None:
            return bytes(secret.view)
        form = form_of(key)
        if form is None:
            raise Wrong(CKR.ATTRIBUTE_TYPE_INVALID)
        return bytes(part(form, secret.view, cka))


def part(form: Form, pkcs8: memoryview, cka: int) -> memoryview:
    """The part of a private key that an attribute holds. Raises `Wrong` where it has no such."""
    try:
        found = parts_of(form, pkcs8).get(cka)
    except Malformed as error:
        raise Wrong(CKR.FUNCTION_FAILED, "The store gave a key that cannot be read.") from error
    if found is None:
        raise Wrong(CKR.ATTRIBUTE_TYPE_INVALID)
    return found
