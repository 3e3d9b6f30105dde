"""Two operations over the same data: digest and encrypt, decrypt and verify, and their like."""

from keyholm.doors.pkcs11.client import Client
from keyholm.doors.pkcs11.handlers import digesting, using
from keyholm.doors.pkcs11.running import Kind

_encrypt, _decrypt = using.update(Kind.ENCRYPT), using.update(Kind.DECRYPT)
_sign, _verify = using.take(Kind.SIGN), using.take(Kind.VERIFY)


def digest_encrypt_update(
    client: Client, handle: int, part: bytes | None, room: int
) -> tuple[object, ...]:
    client.session(handle).digest()
    (given,) = _encrypt(client, handle, part, room)
    if isinstance(given, bytes):  # else the caller comes again with the same part
        digesting.digest_update(client, handle, part)
    return (given,)


def sign_encrypt_update(
    client: Client, handle: int, part: bytes | None, room: int
) -> tuple[object, ...]:
    client.session(handle).running(Kind.SIGN)
    (given,) = _encrypt(client, handle, part, room)
    if isinstance(given, bytes):
        _sign(client, handle, part)
    return (given,)


def decrypt_digest_update(
    client: Client, handle: int, part: bytes | None, room: int
) -> tuple[object, ...]:
    client.session(handle).digest()
    (given,) = _decrypt(client, handle, part, room)
    if isinstance(given, bytes):
        digesting.digest_update(client, handle, given)
    return (given,)


def decrypt_verify_update(
    client: Client, handle: int, part: bytes | None, room: int
) -> tuple[object, ...]:
    client.session(handle).running(Kind.VERIFY)
    (given,) = _decrypt(client, handle, part, room)
    if isinstance(given, bytes):
        _verify(client, handle, given)
    return (given,)
