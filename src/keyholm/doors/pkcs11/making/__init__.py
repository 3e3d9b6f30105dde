"""Templates that programs give, made into what the core takes; and back out of what it gives.

Each function checks the whole template before anything is done, and raises `Wrong` with the
standard's word for what is the matter. A secret in a template is a view of the frame, which is
wiped: it is copied into a `Secret` and nowhere else.
"""

from keyholm.doors.pkcs11.making.changing import changed, copied
from keyholm.doors.pkcs11.making.creating import new_object
from keyholm.doors.pkcs11.making.deriving import (
    check_wrappable,
    class_of,
    derived,
    password_key,
    stretched,
    unwrapped,
)
from keyholm.doors.pkcs11.making.generating import key_pair, secret_key
from keyholm.doors.pkcs11.making.private_keys import secret_value

__all__ = [
    "changed",
    "check_wrappable",
    "class_of",
    "copied",
    "derived",
    "key_pair",
    "new_object",
    "password_key",
    "secret_key",
    "secret_value",
    "stretched",
    "unwrapped",
]
