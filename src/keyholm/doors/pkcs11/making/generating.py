"""C_GenerateKey and C_GenerateKeyPair: what the new key shall be."""

from typing import Final

from keyholm.core.model import Algorithm, KeyType, NewKey, RsaKey, SecretKey, SecretType, Value
from keyholm.cryptoki import mechanisms
from keyholm.cryptoki.forms import Form, parameters_of
from keyholm.cryptoki.mechanisms import ROWS
from keyholm.cryptoki.secrets import PLAIN, TYPES
from keyholm.cryptoki.wrong import Wrong
from keyholm.doors.pkcs11.making import keeping
from keyholm.doors.pkcs11.making.given import Given, bad_value, incomplete, inconsistent
from keyholm.wire.pkcs11.attributes import Template
from keyholm.wire.pkcs11.constants import CKA, CKF, CKK, CKM, CKO, CKR
from keyholm.wire.pkcs11.mechanisms import Mechanism

SIZES: Final[dict[int, range | tuple[int, ...]]] = {
    CKK.AES: (16, 24, 32),
    CKK.AES_XTS: (32, 64),
    CKK.CHACHA20: (32,),
    CKK.DES3: (24,),
}
GENERIC_SIZES: Final = range(1, 4097)
_RSA_NAMES: Final = {
    2048: Algorithm.RSA_2048,
    3072: Algorithm.RSA_3072,
    4096: Algorithm.RSA_4096,
}
_EXPONENTS: Final = (3, 65537)  # what cryptography makes
_USUAL_EXPONENT: Final = 65537


# --- secret keys ---------------------------------------------------------------------


def secret_key(mechanism: Mechanism, template: Template, *, legacy: bool = False) -> NewKey:
    row = mechanisms.chosen(mechanism, CKF.GENERATE, legacy=legacy).row
    given = Given(template)
    given.must_be(CKA.CLASS, CKO.SECRET_KEY)
    if len(row.key_types) != 1:
        raise Wrong(CKR.MECHANISM_INVALID, "This mechanism makes keys of something.")
    [made] = row.key_types
    key_type = _key_type(given, made)
    size = secret_size(given, key_type)
    if size is None:
        raise incomplete(CKA.VALUE_LEN)
    session = not given.flag(CKA.TOKEN, False)
    attributes, exportable = secret_attributes(given, key_type)
    if mechanism.type not in _USUAL_GENERATION:
        attributes[CKA.KEY_GEN_MECHANISM] = mechanism.type
    return NewKey(
        keeping.label(attributes),
        SecretKey(TYPES[key_type], size),
        exportable,
        attributes,
        None,
        session,
    )


_USUAL_GENERATION: Final = frozenset(
    {CKM.AES_KEY_GEN, CKM.CHACHA20_KEY_GEN, CKM.DES3_KEY_GEN, CKM.GENERIC_SECRET_KEY_GEN}
)


def _key_type(given: Given, made: int) -> int:
    key_type = given.number(CKA.KEY_TYPE)
    if key_type is None or key_type == made:
        return made
    # A generic secret may be called the key of one HMAC.
    if made == CKK.GENERIC_SECRET and TYPES.get(key_type) is SecretType.GENERIC:
        return key_type
    raise inconsistent("The mechanism makes keys of another type.")


def secret_size(given: Given, key_type: int) -> int | None:
    """VALUE_LEN, or what keys of the type always have; None where that is open."""
    sizes = SIZES.get(key_type, GENERIC_SIZES)
    size = given.number(CKA.VALUE_LEN)
    if size is None:
        return sizes[0] if len(sizes) == 1 else None
    check_size(key_type, size, CKA.VALUE_LEN)
    return size


def check_size(key_type: int, size: int, cka: int) -> None:
    if size not in SIZES.get(key_type, GENERIC_SIZES):
        raise bad_value(cka, f"A key of this type does not have {size} bytes.")


def secret_attributes(given: Given, key_type: int) -> tuple[dict[int, Value], bool]:
    """What is kept of a secret key's template, and whether the key may leave."""
    kept: dict[int, Value] = {CKA.LABEL: b""}
    exportable = keeping.protection(given, kept)
    kept.update(keeping.trust(given))
    kept.update(given.kept(keeping.KEPT[CKO.SECRET_KEY]))
    if key_type != PLAIN[TYPES[key_type]]:
        kept[CKA.KEY_TYPE] = key_type
    return kept, exportable


# --- key pairs -----------------------------------------------------------------------


def key_pair(mechanism: Mechanism, public: Template, private: Template) -> NewKey:
    row = mechanisms.chosen(mechanism, CKF.GENERATE_KEY_PAIR).row
    [key_type] = row.key_types
    of_public, of_private = Given(public), Given(private)
    for given, cko in ((of_public, CKO.PUBLIC_KEY), (of_private, CKO.PRIVATE_KEY)):
        given.must_be(CKA.CLASS, cko)
        given.must_be(CKA.KEY_TYPE, key_type)
    made = _rsa(of_public) if key_type == CKK.RSA else _other(key_type, of_public, of_private)
    # Where they are told apart, the public half goes where the private one goes.
    session = not of_private.flag(CKA.TOKEN, False)
    if of_public.flag(CKA.TOKEN, False) and session:
        raise inconsistent("A public half that outlives its private half is made by itself.")
    public_attributes = keeping.trust(of_public)
    public_attributes.update(of_public.kept(keeping.KEPT[CKO.PUBLIC_KEY]))
    attributes: dict[int, Value] = {}
    exportable = keeping.protection(of_private, attributes)
    attributes.update(of_private.kept(keeping.KEPT[CKO.PRIVATE_KEY]))
    attributes.setdefault(CKA.LABEL, public_attributes.get(CKA.LABEL, b""))
    return NewKey(
        keeping.label(attributes), made, exportable, attributes, public_attributes, session
    )


def _rsa(given: Given) -> KeyType:
    bits = given.needed(CKA.MODULUS_BITS)
    smallest, largest = ROWS[CKM.RSA_PKCS_KEY_PAIR_GEN].sizes
    if not smallest <= bits <= largest or bits % 2:
        raise bad_value(CKA.MODULUS_BITS, f"RSA keys of {smallest} to {largest} bits are made.")
    number = given.octets(CKA.PUBLIC_EXPONENT)
    exponent = _USUAL_EXPONENT if number is None else int.from_bytes(number)
    if exponent not in _EXPONENTS:
        raise bad_value(CKA.PUBLIC_EXPONENT, "RSA keys are made with the exponent 3 or 65537.")
    if exponent == _USUAL_EXPONENT and bits in _RSA_NAMES:
        return _RSA_NAMES[bits]
    return RsaKey(bits, exponent)


def _other(key_type: int, public: Given, private: Given) -> KeyType:
    form = named_form(key_type, public)
    if (
        any(cka in private for cka, _ in form.parameters)
        and named_form(key_type, private) is not form
    ):
        raise inconsistent("The halves of a key have the same parameters.")
    if form.made is None:
        raise inconsistent("There is no such key.")
    return form.made


def named_form(key_type: int, given: Given) -> Form:
    """What EC_PARAMS or PARAMETER_SET says that the key is."""
    if key_type in (CKK.ML_DSA, CKK.ML_KEM):
        form = parameters_of(key_type, CKA.PARAMETER_SET, given.needed(CKA.PARAMETER_SET))
        if form is None:
            raise Wrong(CKR.PARAMETER_SET_NOT_SUPPORTED, "There are no keys of this set here.")
        return form
    curve = given.octets(CKA.EC_PARAMS)
    if curve is None:
        raise incomplete(CKA.EC_PARAMS)
    form = parameters_of(key_type, CKA.EC_PARAMS, curve)
    if form is None:
        raise Wrong(CKR.CURVE_NOT_SUPPORTED, "There are no keys on this curve here.")
    return form
