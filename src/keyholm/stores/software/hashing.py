"""The hashes of `core.mechanisms` as cryptography has them."""

from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import utils

from keyholm.core.mechanisms import Hash

HASHES: Final[dict[Hash, hashes.HashAlgorithm]] = {
    Hash.SHA1: hashes.SHA1(),  # noqa: S303 - ssh-rsa and ssh-dss are SHA-1
    Hash.SHA224: hashes.SHA224(),
    Hash.SHA256: hashes.SHA256(),
    Hash.SHA384: hashes.SHA384(),
    Hash.SHA512: hashes.SHA512(),
    Hash.SHA3_224: hashes.SHA3_224(),
    Hash.SHA3_256: hashes.SHA3_256(),
    Hash.SHA3_384: hashes.SHA3_384(),
    Hash.SHA3_512: hashes.SHA3_512(),
}
PREHASHED: Final = {name: utils.Prehashed(algorithm) for name, algorithm in HASHES.items()}
