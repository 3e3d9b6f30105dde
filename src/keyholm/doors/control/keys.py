"""The methods about keys: list, show, new, import, export, remove, rename, sign, certificates."""

import base64
import binascii
import re
from typing import Final

from keyholm.core import actions, mechanisms, model
from keyholm.core.errors import (
    AlgorithmUnsupported,
    BadKeyFile,
    BadRequest,
    MechanismUnsupported,
    ProofNeeded,
)
from keyholm.core.naming import named
from keyholm.core.policy import OPEN, Policy, parse
from keyholm.core.secret import Secret
from keyholm.core.store import Handover
from keyholm.doors.control import describe, schema
from keyholm.doors.control.exchange import Request, Result
from keyholm.doors.control.tokens import token_named
from keyholm.wire.codec import Malformed
from keyholm.wire.ssh import keys, signatures
from keyholm.wire.ssh.private_keys import PassphraseNeeded, Private, read_file

LONGEST_NAME: Final = 128

# The usual mechanism of each kind of key, and the name of its SSH signature.
USUAL: Final[dict[str, tuple[mechanisms.Mechanism, str]]] = {
    "ssh-ed25519": (mechanisms.EdDsa(), "ssh-ed25519"),
    "ecdsa-sha2-nistp256": (mechanisms.Ecdsa(mechanisms.Hash.SHA256), "ecdsa-sha2-nistp256"),
    "ecdsa-sha2-nistp384": (mechanisms.Ecdsa(mechanisms.Hash.SHA384), "ecdsa-sha2-nistp384"),
    "ecdsa-sha2-nistp521": (mechanisms.Ecdsa(mechanisms.Hash.SHA512), "ecdsa-sha2-nistp521"),
    "ssh-rsa": (mechanisms.RsaPkcs1(mechanisms.Hash.SHA512), "rsa-sha2-512"),
    "ssh-mldsa44-ed25519@openssh.com": (
        mechanisms.MlDsa44Ed25519(),
        "ssh-mldsa44-ed25519@openssh.com",
    ),
}
# What else an RSA key does; SSH has no name for PSS.
RSA_OTHERS: Final[dict[str, tuple[mechanisms.Mechanism, str]]] = {
    "rsa-pkcs1-sha256": (mechanisms.RsaPkcs1(mechanisms.Hash.SHA256), "rsa-sha2-256"),
    "rsa-pss-sha256": (mechanisms.RsaPss(mechanisms.Hash.SHA256, mechanisms.Hash.SHA256, 32), ""),
    "rsa-pss-sha512": (mechanisms.RsaPss(mechanisms.Hash.SHA512, mechanisms.Hash.SHA512, 64), ""),
}


def key_named(request: Request) -> model.Key:
    gate = request.gate
    return named(gate.keys(request.caller), request.params.key, gate.inventory.token_of)


def every(request: Request) -> schema.KeyList:
    found = request.gate.keys(request.caller)
    return schema.KeyList(keys=[describe.key(request, key) for key in found])


def show(request: Request) -> schema.Key:
    return describe.key(request, key_named(request))


def new(request: Request) -> schema.Key:
    params: schema.NewKey = request.params
    try:
        algorithm = model.Algorithm(params.type)
    except ValueError:
        known = ", ".join(model.Algorithm)
        raise AlgorithmUnsupported(
            f"No key is of the type {params.type[:64]!r}.", remedy=f"Known are {known}."
        ) from None
    wanted = model.NewKey(_name(params.name), algorithm, params.exportable)
    token = token_named(request, params.token)
    return _made(request, actions.Generate(token, wanted, policy_of(params.policy)))


def take_over(request: Request) -> schema.Key:
    params: schema.ImportKey = request.params
    private, comment = _read(request)
    handover = Handover(_name(params.name or comment or "imported"), params.exportable)
    token = token_named(request, params.token)
    return _made(request, actions.ImportKey(token, private, handover, policy_of(params.policy)))


def _read(request: Request) -> tuple[Private, str]:
    file = request.needed("the file of the key")
    try:
        return read_file(file.view, None, allocate=request.room)
    except PassphraseNeeded as error:
        raise ProofNeeded(
            "This key file is encrypted, and it is the client who decrypts it.",
            remedy="`keyholm import` asks for its passphrase.",
        ) from error
    except Malformed as error:
        raise BadKeyFile(f"This is no private key that can be read: {error}.") from error


def export(request: Request) -> Result:
    action = actions.Export(key_named(request))
    exported = request.manage(action, Secret, request.secret())
    return Result(schema.Done(), (request.stack.enter_context(exported),))


def remove(request: Request) -> schema.Done:
    request.manage(actions.Destroy(key_named(request)), type(None), request.secret())
    return schema.Done()


def rename(request: Request) -> schema.Key:
    return _made(request, actions.Rename(key_named(request), _name(request.params.name)))


def sign(request: Request) -> schema.Signature:
    params: schema.Sign = request.params
    key = key_named(request)
    try:
        data = base64.b64decode(params.data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequest("What is to be signed is not base64.") from error
    mechanism, name = mechanism_of(key, params.mechanism)
    raw = request.gate.sign(request.caller, key, mechanism, mechanisms.Message(data))
    blob = signatures.blob(key.public, name, raw) if name else b""
    return schema.Signature(
        signature=base64.b64encode(raw).decode(),
        ssh=base64.b64encode(blob).decode(),
        mechanism=mechanisms.spelling(mechanism),
    )


def mechanism_of(key: model.Key, wanted: str = "") -> tuple[mechanisms.Mechanism, str]:
    """The mechanism that a policy spells `wanted`, or the usual one of the key."""
    kind = keys.type_name(key.public)
    usual = USUAL.get(kind)
    if usual is not None and wanted in ("", mechanisms.spelling(usual[0])):
        return usual
    if kind == "ssh-rsa" and wanted in RSA_OTHERS:
        return RSA_OTHERS[wanted]
    what = repr(wanted[:64]) if wanted else "through this door"
    raise MechanismUnsupported(f"A key of type {kind} does not sign {what}.")


# --- certificates --------------------------------------------------------------------


def add_certificate(request: Request) -> schema.Done:
    params: schema.AddCertificate = request.params
    try:
        blob = _certificate(params.certificate)
    except ValueError as error:
        raise BadRequest(f"This is no certificate: {error}.") from error
    request.manage(actions.AddCertificate(key_named(request), blob, params.name), type(None))
    return schema.Done()


def _certificate(text: str) -> bytes:
    """An SSH certificate in one line, or one of X.509 as PEM (RFC 7468). Raises `ValueError`."""
    found = _PEM.search(text)
    if found is None:
        return keys.parse_line(text)[0]
    return base64.b64decode("".join(found[1].split()), validate=True)


_PEM: Final = re.compile("-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----")


def remove_certificate(request: Request) -> schema.Done:
    action = actions.RemoveCertificate(key_named(request), request.params.name)
    request.manage(action, type(None))
    return schema.Done()


# --- what they share -----------------------------------------------------------------


def policy_of(toml: str) -> Policy:
    return parse(toml) if toml else OPEN


def _made(request: Request, action: actions.Action) -> schema.Key:
    return describe.key(request, request.manage(action, model.Key))


def _name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or "/" in name:
        raise BadRequest(
            f"{name[:LONGEST_NAME]!r} cannot be the name of a key.",
            remedy=f"Take 1 to {LONGEST_NAME} printable characters without a slash.",
        )
    return name
