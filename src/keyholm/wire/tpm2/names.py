"""Names: what a TPM calls an object by (Part 1, 16). A name cannot be forged, since it is a digest
of the whole public area."""

import hashlib

from keyholm.wire.codec import Malformed
from keyholm.wire.tpm2.constants import ALG, HASHES
from keyholm.wire.tpm2.structures import ALGORITHM, NV_PUBLIC, PUBLIC, NvPublic, Public
from keyholm.wire.tpm2.types import UINT32


def digest(algorithm: ALG, *data: bytes) -> bytes:
    """Raises `Malformed`: there is no such hash."""
    name = HASHES.get(algorithm)
    if name is None:
        raise Malformed(f"{algorithm.name} is no hash that we know")
    hasher = hashlib.new(name, usedforsecurity=False)
    for part in data:
        hasher.update(part)
    return hasher.digest()


def size_of(algorithm: ALG) -> int:
    """Bytes of a digest."""
    return len(digest(algorithm))


def name_of(public: Public) -> bytes:
    """The name of an object. Raises `Malformed`: one without a name algorithm has none."""
    algorithm = public.name_algorithm
    return ALGORITHM.write(algorithm) + digest(algorithm, PUBLIC.write(public))


def name_of_nv(public: NvPublic) -> bytes:
    algorithm = public.name_algorithm
    return ALGORITHM.write(algorithm) + digest(algorithm, NV_PUBLIC.write(public))


def name_of_handle(handle: int) -> bytes:
    """Of what has no public area: hierarchies, PCRs, sessions."""
    return UINT32.write(handle)


def qualified(parent: bytes, name: bytes) -> bytes:
    """The qualified name of what has that name under a parent of that qualified name."""
    algorithm = ALG(int.from_bytes(name[:2]))
    return name[:2] + digest(algorithm, parent, name)
