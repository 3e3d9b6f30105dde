"""Calls to a worker: what is sent, and that a secret in it is wiped."""

from typing import Any

import pytest

from keyholm.core.secret import Secret
from keyholm.stores.modules.line import CALLS, with_secrets
from keyholm.wire.pkcs11.constants import CKA, CKU
from keyholm.wire.pkcs11.dialect import OWN_VERSION, Dialect
from keyholm.wire.pkcs11.messages import Protocol

CODEC = Protocol(Dialect(OWN_VERSION))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Login", (7, CKU.USER, b"1234")),
        ("Login", (7, CKU.USER, b"")),
        ("SetPIN", (7, b"\x00\xff\x00", b"\xff\xff")),
        ("CreateObject", (7, ((CKA.LABEL, b"label"), (CKA.VALUE, bytes(range(256)))))),
    ],
)
def test_a_secret_is_sent_as_bytes_would_be(name: str, values: tuple[Any, ...]) -> None:
    call = CALLS[name]

    def sealed(value: Any) -> Any:
        if isinstance(value, bytes) and value != b"label":
            return Secret.of(value)
        if isinstance(value, tuple):
            return tuple(sealed(each) for each in value)
        return value

    frame = with_secrets(lambda given: CODEC.encode_request(call, *given), sealed(values))
    assert bytes(frame) == CODEC.encode_request(call, *values)
