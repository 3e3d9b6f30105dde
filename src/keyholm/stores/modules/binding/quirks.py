"""What single modules have otherwise than the standard, where it is about memory.

All else that is peculiar to a module is known on the other side of the channel.
"""

from typing import Final

from keyholm.wire.pkcs11.constants import CKM
from keyholm.wire.pkcs11.mechanisms import FORMS
from keyholm.wire.pkcs11.parameters import PBKDF2, Form

# Until an erratum of 2.40 a password's length was behind a pointer. NSS stays with that, and
# follows the length wherever it leads.
_OLD_PBKDF2: Final = {CKM.PKCS5_PBKD2: PBKDF2._replace(structure="CK_PKCS5_PBKD2_PARAMS")}

_OF_MANUFACTURERS: Final[dict[str, dict[int, Form]]] = {"Mozilla Foundation": _OLD_PBKDF2}


def forms_of(manufacturer: str) -> dict[int, Form]:
    """The parameters of mechanisms, as a module by that manufacturer takes them."""
    return FORMS | _OF_MANUFACTURERS.get(manufacturer, {})
