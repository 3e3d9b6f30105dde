"""What NIST, the RFCs and others publish, as the package cryptography-vectors has it."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeVar

import cryptography_vectors
from cryptography.hazmat.primitives.asymmetric import rsa

from keyholm.core.mechanisms import Mechanism, MlKem, Verb
from keyholm.core.model import SecretType
from keyholm.core.secret import Secret
from keyholm.stores.software import using
from keyholm.stores.software.deriving import derive
from keyholm.stores.software.encapsulating import decapsulate, encapsulate
from keyholm.stores.software.secret_keys import SecretValue

Item = TypeVar("Item")
Record = dict[str, str]


def lines(name: str) -> Iterator[str]:
    with cryptography_vectors.open_vector_file(name, "r") as file:
        for line in file:
            yield line.split("#")[0].strip()


def records(name: str, *, first: str = "count", anew: str = "key") -> list[Record]:
    """Each block of `NAME = value` lines; `first` is the name that begins one.

    What stands before it, or in brackets, holds for all that follow, until `anew` comes again. A word without a value is
    the value of the name "word"."""
    found: list[Record] = []
    shared: Record = {}
    current = shared
    for line in lines(name):
        inside = line.startswith("[")
        for part in line.strip("[]").split(",") if inside else [line]:
            key, equals, value = (each.strip() for each in part.partition("="))
            if not key:
                continue
            if not equals:
                key, value = "word", key
            if inside:
                current = shared
            elif key.lower() == first:
                current = dict(shared)
                found.append(current)
            elif key.lower() == anew and anew in current:
                current = shared  # a new key for the records that follow
            current[key.lower()] = value
    return found


def some(doing: "Doing", items: Iterable[Item], most: int = 60) -> list[Item]:
    """Of a long list as many as are worth their time, from all parts of it."""
    listed = list(items)
    assert listed
    return listed[:: max(1, -(-len(listed) // min(most, doing.most)))]


ALL = 1 << 20  # for `most`: of those that cost little


def octets(record: Record, *names: str) -> bytes:
    """Hexadecimal digits, or a text in quotes."""
    if record[names[0]].startswith('"'):
        return record[names[0]].strip('"').encode()
    return bytes.fromhex("".join(record[name] for name in names))


def number(record: Record, name: str) -> int:
    return int(record[name], 16)


def examples(name: str) -> Iterator[tuple[rsa.RSAPrivateKey, Record]]:
    """RSA Laboratories' own: a key, and blocks under the headings of what they are."""
    key: rsa.RSAPrivateKey | None = None
    heading, found = "", Record()
    with cryptography_vectors.open_vector_file(name, "r") as file:
        for line in (*map(str.strip, file), "# end"):
            if not line.startswith("#"):
                found[heading] = found.get(heading, "") + line.replace(" ", "")
                continue
            title = line.strip("#: ").lower()
            if not title or title.startswith("---"):
                continue
            if heading == "coefficient":
                key, found = _rsa(found), Record()
            elif heading in ("signature", "encryption") and key is not None:
                yield key, found
                found = Record()
            heading = title
            found.pop(heading, None)


def _rsa(found: Record) -> rsa.RSAPrivateKey:
    n, e, d, p, q = (
        number(found, each)
        for each in ("modulus", "public exponent", "exponent", "prime 1", "prime 2")
    )
    public = rsa.RSAPublicNumbers(e, n)
    halves = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(p, q, d, *halves, public).private_key()


def secret(kind: SecretType, value: bytes) -> SecretValue:
    return SecretValue(kind, Secret.of(value))


# --- who does it ---------------------------------------------------------------------


class Doing(Protocol):
    """The keys of these vectors are used by it: by the store's software alone, or by a program
    at the other end of the house. What is wrong raises as the store does."""

    most: int  # vectors of a file, or a part of one, that are worth their time

    def done(
        self, key: Any, verb: Verb, mechanism: Mechanism, data: bytes, signature: bytes = b""
    ) -> bytes:
        """In one part; what comes of it."""

    def in_parts(
        self,
        key: Any,
        verb: Verb,
        mechanism: Mechanism,
        data: bytes,
        size: int,
        signature: bytes = b"",
    ) -> bytes:
        """The same, in parts of `size` bytes."""

    def derived(self, key: Any, mechanism: Mechanism, size: int) -> bytes:
        """A secret of so many bytes; 0: of as many as there are."""

    def encapsulated(self, public: Any, mechanism: MlKem) -> tuple[bytes, bytes]:
        """Ciphertext and secret."""

    def decapsulated(self, key: Any, mechanism: MlKem, ciphertext: bytes) -> bytes: ...


class Software:
    """The store's software alone."""

    most = 1 << 20

    def done(
        self, key: Any, verb: Verb, mechanism: Mechanism, data: bytes, signature: bytes = b""
    ) -> bytes:
        running = using.begin(key, verb, mechanism)
        return running.update(data) + running.finish(signature)

    def in_parts(
        self,
        key: Any,
        verb: Verb,
        mechanism: Mechanism,
        data: bytes,
        size: int,
        signature: bytes = b"",
    ) -> bytes:
        running = using.begin(key, verb, mechanism)
        given = [running.update(data[at : at + size]) for at in range(0, len(data), size)]
        return b"".join(given) + running.finish(signature)

    def derived(self, key: Any, mechanism: Mechanism, size: int) -> bytes:
        with derive(key, mechanism, size) as made:
            assert len(made) == size or not size
            return bytes(made.view)

    def encapsulated(self, public: Any, mechanism: MlKem) -> tuple[bytes, bytes]:
        ciphertext, made = encapsulate(public, mechanism)
        with made:
            return ciphertext, bytes(made.view)

    def decapsulated(self, key: Any, mechanism: MlKem, ciphertext: bytes) -> bytes:
        with decapsulate(key, mechanism, ciphertext) as made:
            return bytes(made.view)
