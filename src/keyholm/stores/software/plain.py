"""Private keys in the clear: only in memory that is locked and wiped, and no longer than needed."""

from collections.abc import Iterator
from contextlib import contextmanager

from keyholm.core.secret import Secret
from keyholm.wire.ssh.private_keys import Private, PrivateWithCertificate, write_into


def plain_form(private: Private) -> Secret:
    """`private` as `PRIVATE` writes it."""
    made: list[Secret] = []

    def allocate(size: int) -> memoryview:
        made.append(Secret(size))
        return made[0].view

    write_into(private, allocate).release()
    return made[0]


@contextmanager
def released(private: Private) -> Iterator[Private]:
    """Ends the views of `private` afterwards: what they showed belongs to somebody else then."""
    try:
        yield private
    finally:
        for view in _views(private):
            view.release()


@contextmanager
def wiped(private: Private) -> Iterator[Private]:
    """Overwrites the secret parts of a key that was just made, where they can be."""
    try:
        yield private
    finally:
        for view in _views(private):
            if not view.readonly:
                view[:] = bytes(len(view))


def _views(private: Private) -> list[memoryview]:
    if isinstance(private, PrivateWithCertificate):
        private = private.private
    values = (getattr(private, name) for name in private.__struct_fields__)
    return [value for value in values if isinstance(value, memoryview)]
