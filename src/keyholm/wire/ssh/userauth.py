"""What an SSH client signs to log in (RFC 4252 section 7; PROTOCOL, publickey-hostbound).

Whoever signs such a request logs `user` in, so the parser takes nothing but the exact form:
the gate decides by what it says, and a server reads the same bytes.
"""

from msgspec import Struct

from keyholm.wire.codec import STRING, TEXT, Bytes, Malformed, Reader
from keyholm.wire.ssh import certificates, keys
from keyholm.wire.ssh.signatures import ALGORITHMS

USERAUTH_REQUEST = 50
_BEGINS = bytes((USERAUTH_REQUEST,))
SERVICE = "ssh-connection"
PUBLICKEY = "publickey"
HOSTBOUND = "publickey-hostbound-v00@openssh.com"
# Which algorithms a key of each type signs by; certificates have names of their own.
_FITTING = frozenset(
    pair
    for name, algorithms in ALGORITHMS.items()
    for algorithm in algorithms
    for pair in (
        (algorithm, name),
        (certificates.certified(algorithm), certificates.certified(name)),
    )
)


class UserAuth(Struct, frozen=True):
    session_id: bytes
    user: str
    service: str
    method: str
    algorithm: str
    key_blob: bytes
    # The key of the server that is logged in to: only a host-bound request names it.
    host_key: bytes | None = None


def begins(data: Bytes) -> bool:
    """Whether `data` begins as a request does: a look that is cheaper than what `parse` raises."""
    end = 4 + int.from_bytes(data[:4])
    return data[end : end + 1] == _BEGINS


def parse(data: Bytes) -> UserAuth:
    reader = Reader(data)
    session_id = STRING.read(reader)
    if not session_id:
        raise Malformed("a login without a session")
    if reader.take(1)[0] != USERAUTH_REQUEST:
        raise Malformed("not a userauth request")
    user, service, method = _text(reader), _text(reader), _text(reader)
    if service != SERVICE:
        raise Malformed("a login for another service")
    if method not in (PUBLICKEY, HOSTBOUND):
        raise Malformed("not a login by public key")
    if reader.take(1) != b"\1":
        raise Malformed("a login request that no signature follows")
    algorithm, key_blob = _text(reader), STRING.read(reader)
    if (algorithm, keys.blob_type(key_blob)) not in _FITTING:
        raise Malformed("a login whose algorithm is not its key's")
    host_key = STRING.read(reader) if method == HOSTBOUND else None
    reader.end()
    return UserAuth(session_id, user, service, method, algorithm, key_blob, host_key)


def encode(request: UserAuth) -> bytes:
    """The bytes to be signed."""
    strings = (request.user, request.service, request.method)
    parts = [STRING.write(request.session_id), bytes((USERAUTH_REQUEST,))]
    parts += map(TEXT.write, strings)
    parts += [b"\1", TEXT.write(request.algorithm), STRING.write(request.key_blob)]
    if request.host_key is not None:
        parts.append(STRING.write(request.host_key))
    return b"".join(parts)


def _text(reader: Reader) -> str:
    value = TEXT.read(reader)
    # A string of C on the server: what follows a NUL would go unseen there.
    if "\0" in value:
        raise Malformed("text with a NUL in it")
    return value
