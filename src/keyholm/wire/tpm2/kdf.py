"""Keys out of secrets (Part 1, 11.4.10): KDFa by HMAC (SP 800-108), KDFe by a hash (SP 800-56A)."""

import hashlib
import hmac

from keyholm.wire.codec import Bytes
from keyholm.wire.tpm2.constants import ALG, HASHES


def kdfa(
    algorithm: ALG, key: Bytes, label: bytes, context_u: bytes, context_v: bytes, bits: int
) -> bytes:
    """`bits`, a multiple of 8. `label` is given without the zero that ends it."""
    fixed = label + b"\0" + context_u + context_v + bits.to_bytes(4)
    name = HASHES[algorithm]
    blocks = b""
    counter = 0
    while 8 * len(blocks) < bits:
        counter += 1
        blocks += hmac.digest(key, counter.to_bytes(4) + fixed, name)
    return blocks[: bits // 8]


def kdfe(
    algorithm: ALG, shared: Bytes, label: bytes, party_u: bytes, party_v: bytes, bits: int
) -> bytes:
    """Of an ECDH: `shared` is the x-coordinate of its point; the parties are those of theirs."""
    fixed = label + b"\0" + party_u + party_v
    blocks = b""
    counter = 0
    while 8 * len(blocks) < bits:
        counter += 1
        hasher = hashlib.new(HASHES[algorithm], counter.to_bytes(4), usedforsecurity=False)
        hasher.update(shared)
        hasher.update(fixed)
        blocks += hasher.digest()
    return blocks[: bits // 8]
