"""The methods of the control protocol, one function each, and the table of them."""

import base64
import binascii
from collections.abc import Sequence
from typing import Final

from keyholm.core import actions, model
from keyholm.core.caller import Caller, Door, Peer, Via
from keyholm.core.errors import (
    AlgorithmUnsupported,
    BadKeyFile,
    BadRequest,
    MechanismUnsupported,
    NotTheOwner,
    PassphraseIncorrect,
    ProofNeeded,
    TokenNotFound,
)
from keyholm.core.gate import Use
from keyholm.core.inventory import named
from keyholm.core.policy import OPEN, Policy, parse, policy_hash, write
from keyholm.core.prompt import Kind, Question
from keyholm.core.secret import Secret
from keyholm.core.store import Handover, HasSlots, Token, Unlocks
from keyholm.doors.control import schema
from keyholm.doors.control.server import Method, Request, Result
from keyholm.wire.codec import Malformed
from keyholm.wire.ssh import certificates, keys, signatures, sshsig
from keyholm.wire.ssh.private_keys import PassphraseNeeded, PassphraseWrong, read_file

DONE: Final = schema.Done()

# The usual mechanism of each kind of key, and the name of its SSH signature.
USUAL: Final[dict[str, tuple[model.Mechanism, str]]] = {
    "ssh-ed25519": (model.EdDsa(), "ssh-ed25519"),
    "ecdsa-sha2-nistp256": (model.Ecdsa(model.Hash.SHA256), "ecdsa-sha2-nistp256"),
    "ecdsa-sha2-nistp384": (model.Ecdsa(model.Hash.SHA384), "ecdsa-sha2-nistp384"),
    "ecdsa-sha2-nistp521": (model.Ecdsa(model.Hash.SHA512), "ecdsa-sha2-nistp521"),
    "ssh-rsa": (model.RsaPkcs1(model.Hash.SHA512), "rsa-sha2-512"),
    "ssh-mldsa44-ed25519@openssh.com": (
        model.MlDsa44Ed25519(),
        "ssh-mldsa44-ed25519@openssh.com",
    ),
}
RSA_OTHERS: Final[dict[str, tuple[model.Mechanism, str]]] = {
    "rsa-pkcs1-sha256": (model.RsaPkcs1(model.Hash.SHA256), "rsa-sha2-256"),
    "rsa-pss-sha256": (model.RsaPss(model.Hash.SHA256, model.Hash.SHA256, 32), ""),
    "rsa-pss-sha512": (model.RsaPss(model.Hash.SHA512, model.Hash.SHA512, 64), ""),
}


# --- keys ----------------------------------------------------------------------------


def list_keys(request: Request) -> schema.KeyList:
    gate = request.door.gate
    return schema.KeyList(keys=[_key(request, key) for key in gate.keys(request.caller)])


def show_key(request: Request) -> schema.Key:
    return _key(request, _named(request))


def new_key(request: Request) -> schema.Key:
    params: schema.NewKey = request.params
    try:
        algorithm = model.Algorithm(params.type)
    except ValueError:
        known = ", ".join(model.Algorithm)
        raise AlgorithmUnsupported(
            f"No key is of the type {params.type!r}.", remedy=f"Known are {known}."
        ) from None
    new = model.NewKey(_label(params.name), algorithm, params.exportable)
    action = actions.Generate(_token(request, params.token), new, _policy(params.policy))
    return _made(request, action)


def import_key(request: Request) -> schema.Key:
    params: schema.ImportKey = request.params
    file = request.needed("the file of the key")
    passphrase = request.secret(1)
    try:
        private, comment = read_file(
            file.view,
            passphrase.view if passphrase else None,
            allocate=lambda size: request.stack.enter_context(Secret(size)).view,
        )
    except PassphraseNeeded as error:
        raise ProofNeeded("This key file is encrypted.", remedy="Give its passphrase.") from error
    except PassphraseWrong as error:
        raise PassphraseIncorrect("The passphrase of the key file is wrong.") from error
    except Malformed as error:
        raise BadKeyFile(f"This is not a private key that can be read: {error}.") from error
    handover = Handover(_label(params.name or comment or "imported"), params.exportable)
    token = _token(request, params.token)
    return _made(request, actions.ImportKey(token, private, handover, _policy(params.policy)))


def export_key(request: Request) -> Result:
    proof = request.secret()
    exported = request.door.gate.manage(request.caller, actions.Export(_named(request)), proof)
    assert isinstance(exported, Secret)  # noqa: S101 - what `Export` gives
    request.stack.enter_context(exported)
    return Result(DONE, (exported,))


def remove_key(request: Request) -> schema.Done:
    action = actions.Destroy(_named(request))
    request.door.gate.manage(request.caller, action, request.secret())
    return DONE


def rename_key(request: Request) -> schema.Key:
    return _made(request, actions.Rename(_named(request), _label(request.params.name)))


def sign(request: Request) -> schema.Signature:
    params: schema.Sign = request.params
    key = _named(request)
    try:
        data = base64.b64decode(params.data, validate=True)
    except binascii.Error as error:
        raise BadRequest("What is to be signed is not base64.") from error
    mechanism, name = _mechanism(key, params.mechanism)
    raw = request.door.gate.sign(request.caller, key, mechanism, model.Message(data))
    blob = signatures.blob(key.public, name, raw) if name else b""
    return schema.Signature(
        signature=base64.b64encode(raw).decode(),
        ssh=base64.b64encode(blob).decode(),
        mechanism=model.spelling(mechanism),
    )


def _mechanism(key: model.Key, wanted: str) -> tuple[model.Mechanism, str]:
    kind = keys.type_name(key.public)
    usual = USUAL.get(kind)
    if usual is not None and wanted in ("", model.spelling(usual[0])):
        return usual
    if kind == "ssh-rsa" and wanted in RSA_OTHERS:
        return RSA_OTHERS[wanted]
    raise MechanismUnsupported(f"A key of type {kind} does not sign by {wanted or 'this door'!r}.")


# --- tokens --------------------------------------------------------------------------


def list_tokens(request: Request) -> schema.Status:
    return status(request)


def unlock(request: Request) -> schema.Done:
    token = _lockable(request)
    request.door.gate.manage(
        request.caller, actions.Unlock(token, request.needed("the passphrase"))
    )
    return DONE


def lock(request: Request) -> schema.Done:
    if request.params.token:
        chosen: Sequence[Token] = [_token(request, request.params.token)]
    else:
        chosen = [
            token
            for token in request.door.gate.tokens(request.caller)
            if isinstance(token, Unlocks) and request.caller.uid in (0, token.owner)
        ]
    for token in chosen:
        request.door.gate.manage(request.caller, actions.Lock(token))
    return DONE


def new_token(request: Request) -> schema.Done:
    params: schema.NewToken = request.params
    store = request.door.gate.inventory.store("disk")
    owner = request.caller.uid if params.owner is None else params.owner
    action = actions.MakeToken(store, params.name, owner, request.secret())
    request.door.gate.manage(request.caller, action)
    return DONE


def remove_token(request: Request) -> schema.Done:
    action = actions.RemoveToken(_token(request, request.params.token))
    request.door.gate.manage(request.caller, action, request.secret())
    return DONE


def change_passphrase(request: Request) -> schema.Done:
    old, new = request.needed("the old passphrase"), request.needed("the new passphrase", 1)
    action = actions.ChangePassphrase(_lockable(request), old, new)
    request.door.gate.manage(request.caller, action)
    return DONE


def recovery_code(request: Request) -> Result:
    action = actions.AddRecoveryCode(_lockable(request), request.needed("the passphrase"))
    code = request.door.gate.manage(request.caller, action)
    assert isinstance(code, Secret)  # noqa: S101 - what `AddRecoveryCode` gives
    request.stack.enter_context(code)
    return Result(DONE, (code,))


def backup(request: Request) -> Result:
    action = actions.Backup(_lockable(request), request.needed("a passphrase for the file"))
    made = request.door.gate.manage(request.caller, action, request.secret(1))
    assert isinstance(made, bytes)  # noqa: S101 - what `Backup` gives
    return Result(DONE, blobs=(made,))


def restore(request: Request) -> schema.Done:
    if not request.given.blobs:
        raise BadRequest("This method needs the backup.")
    store = request.door.gate.inventory.store("disk")
    passphrase = request.needed("the passphrase of the backup")
    action = actions.Restore(
        store, request.given.blobs[0], passphrase, request.params.name, request.caller.uid
    )
    request.door.gate.manage(request.caller, action)
    return DONE


# --- policy --------------------------------------------------------------------------


def get_policy(request: Request) -> schema.Policy:
    policy = request.door.gate.policy(_named(request))
    return schema.Policy(toml=write(policy), hash=policy_hash(policy))


def set_policy(request: Request) -> schema.Policy:
    policy = parse(request.params.toml)
    action = actions.SetPolicy(_named(request), policy)
    request.door.gate.manage(request.caller, action, request.secret())
    return schema.Policy(toml=write(policy), hash=policy_hash(policy))


def explain_policy(request: Request) -> schema.Explanation:
    params: schema.Explain = request.params
    key = _named(request)
    uid, process = request.door.look_up(params.pid)
    if request.caller.uid not in (0, uid):
        raise NotTheOwner(f"Process {params.pid} is not yours.")
    try:
        door = Door(params.door)
    except ValueError:
        raise BadRequest(f"No door is called {params.door!r}.") from None
    asked = Caller(door, Peer(uid, uid, params.pid), lambda: process)
    data = None
    if params.namespace:
        data = model.Message(sshsig.to_be_signed(params.namespace, "sha512", b""))
    mechanism, _ = _mechanism(key, "")
    steps = request.door.gate.explain(asked, Use(key, mechanism), data)
    return schema.Explanation(
        program=process.executable.path if process.executable else "",
        via=asked.via if process.start else Via.UNBOUND,
        allowed=all(step.outcome != "refuse" for step in steps),
        steps=[schema.Step(rule=s.rule, outcome=s.outcome, reason=s.reason) for s in steps],
    )


# --- certificates, agent, daemon -----------------------------------------------------


def add_certificate(request: Request) -> schema.Done:
    params: schema.AddCertificate = request.params
    try:
        blob, _ = keys.parse_line(params.certificate)
    except Malformed as error:
        raise BadRequest(f"This is not a certificate: {error}.") from error
    action = actions.AddCertificate(_named(request), blob, params.name)
    request.door.gate.manage(request.caller, action)
    return DONE


def remove_certificate(request: Request) -> schema.Done:
    action = actions.RemoveCertificate(_named(request), request.params.name)
    request.door.gate.manage(request.caller, action)
    return DONE


def restore_agent(request: Request) -> schema.Restore:
    action = actions.RestoreWithdrawn(request.door.agent)
    count = request.door.gate.manage(request.caller, action)
    assert isinstance(count, int)  # noqa: S101 - what `RestoreWithdrawn` gives
    return schema.Restore(restored=count)


def status(request: Request) -> schema.Status:
    facts = request.door.facts()
    return schema.Status(
        version=facts.version,
        pid=facts.pid,
        uid=facts.uid,
        started=facts.started,
        tokens=[_described(request, token) for token in request.door.gate.tokens(request.caller)],
        doors=facts.doors,
        trail=facts.trail,
        sandbox=facts.sandbox,
        memory_locked=facts.memory_locked,
        steward=facts.steward,
        prompters=facts.prompters,
    )


def test_prompt(request: Request) -> schema.Prompted:
    answer = request.door.prompters.ask(
        Question(
            Kind.CONFIRM,
            "keyholm",
            "This is a test. Nothing is signed, whatever you answer.",
            pid=request.caller.peer.pid,
            uid=request.caller.uid,
        )
    )
    return schema.Prompted(prompter=answer.prompter, granted=answer.granted)


# --- what they share -----------------------------------------------------------------


def _named(request: Request) -> model.Key:
    return named(request.door.gate.keys(request.caller), request.params.key)


def _made(request: Request, action: actions.Action) -> schema.Key:
    key = request.door.gate.manage(request.caller, action)
    assert isinstance(key, model.Key)  # noqa: S101 - what these actions give
    return _key(request, key)


def _token(request: Request, name: str) -> Token:
    """The token called `name`, or the only one that can make and keep keys."""
    tokens = request.door.gate.tokens(request.caller)
    if name:
        found = [t for t in tokens if name in (t.name, f"{t.store}/{t.name}")]
    else:
        found = [t for t in tokens if isinstance(t, HasSlots) and t.owner == request.caller.uid]
        found = [t for t in found if t.name == "main"] or found
    if len(found) == 1:
        return found[0]
    if not found and not name:
        raise TokenNotFound("There is no token yet.", remedy="`keyholm init` makes one.")
    if not found:
        raise TokenNotFound(f"There is no token {name!r}.", remedy="`keyholm status` lists them.")
    names = ", ".join(token.name for token in found)
    raise TokenNotFound(f"There are several tokens: {names}.", remedy="Say which by --token.")


def _lockable(request: Request) -> Token:
    return _token(request, request.params.token)


def _label(name: str) -> str:
    name = name.strip()
    if not name or len(name) > 128 or not name.isprintable() or "/" in name:
        raise BadRequest(
            f"{name!r} cannot be the name of a key.",
            remedy="Take 1 to 128 printable characters without a slash.",
        )
    return name


def _policy(toml: str) -> Policy:
    return parse(toml) if toml else OPEN


def _key(request: Request, key: model.Key) -> schema.Key:
    token = request.door.gate.inventory.token_of(key)
    kind = keys.type_name(key.public)
    return schema.Key(
        name=key.label,
        id=key.id,
        place=str(key.place),
        uri=_uri(key),
        store=key.place.store,
        token=key.place.token,
        algorithm=_algorithm(key.public, kind),
        type=kind,
        fingerprint=keys.fingerprint(key.blob),
        public=keys.format_line(key.identity, key.label),
        origin=key.origin,
        exportable=key.exportable,
        created=key.created,
        usable=not (isinstance(token, Unlocks) and token.locked),
        verified=key.verified,
        policy=key.policy_hash,
        certificates=[_certificate(held) for held in request.door.gate.certificates.of(key)],
    )


def _certificate(held: object) -> schema.Certificate:
    name, blob = held.name, held.blob  # type: ignore[attr-defined]
    found = certificates.decode(blob)
    return schema.Certificate(
        name=name,
        key_id=found.key_id,
        principals=list(found.principals),
        valid_after=found.valid_after,
        valid_before=found.valid_before,
    )


def _algorithm(public: keys.PublicKey, kind: str) -> str:
    match public:
        case keys.Rsa(_, modulus):
            return f"rsa-{modulus.bit_length()}"
        case keys.Ecdsa(curve):
            return f"ecdsa-p{curve.value.removeprefix('nistp')}"
        case keys.Ed25519():
            return "ed25519"
        case keys.MlDsa44Ed25519():
            return "mldsa44-ed25519"
        case _:
            return kind


def _uri(key: model.Key) -> str:
    """RFC 7512: the canonical text of a key."""
    label = "".join(
        chr(byte) if (chr(byte).isalnum() and byte < 128) or chr(byte) in "-._~" else f"%{byte:02X}"
        for byte in key.label.encode()
    )
    return f"pkcs11:token={key.place.token};object={label};type=private"


def _described(request: Request, token: Token) -> schema.Token:
    locked = isinstance(token, Unlocks) and token.locked
    slots = token.slots() if isinstance(token, HasSlots) else ()
    damage = getattr(token, "damage", None)
    return schema.Token(
        name=token.name,
        store=token.store,
        label=token.label,
        owner=token.owner,
        locked=locked,
        guarded=isinstance(token, Unlocks) and token.guarded,
        keys=len(token.keys()),
        slots=[schema.Slot(name=s.name, kind=s.kind, cost=s.cost) for s in slots],
        damage=list(damage()) if damage is not None else [],
    )


METHODS: Final[dict[str, Method]] = {
    "status": Method(schema.Nothing, schema.Status, status, about="The daemon and its tokens."),
    "keys.list": Method(schema.Nothing, schema.KeyList, list_keys, about="Every key."),
    "keys.show": Method(schema.KeyName, schema.Key, show_key, about="One key."),
    "keys.new": Method(schema.NewKey, schema.Key, new_key, about="Make a key."),
    "keys.import": Method(
        schema.ImportKey, schema.Key, import_key, "the file, its passphrase", "Take over a key."
    ),
    "keys.export": Method(
        schema.KeyName, schema.Done, export_key, "proof", "The private half, as a secret."
    ),
    "keys.remove": Method(schema.KeyName, schema.Done, remove_key, "proof", "Destroy a key."),
    "keys.rename": Method(schema.Rename, schema.Key, rename_key, about="Call it otherwise."),
    "keys.sign": Method(schema.Sign, schema.Signature, sign, about="Sign a message."),
    "tokens.unlock": Method(schema.TokenName, schema.Done, unlock, "the passphrase", "Open it."),
    "tokens.lock": Method(schema.TokenName, schema.Done, lock, about="Close it, or all."),
    "tokens.new": Method(schema.NewToken, schema.Done, new_token, "its passphrase", "Make one."),
    "tokens.remove": Method(
        schema.TokenName, schema.Done, remove_token, "proof", "Destroy it with all its keys."
    ),
    "tokens.passphrase": Method(
        schema.TokenName, schema.Done, change_passphrase, "the old, the new", "Change it."
    ),
    "tokens.recovery": Method(
        schema.TokenName, schema.Done, recovery_code, "the passphrase", "A new recovery code."
    ),
    "tokens.backup": Method(
        schema.TokenName, schema.Done, backup, "one for the file, proof", "All of it as a blob."
    ),
    "tokens.restore": Method(
        schema.Restored, schema.Done, restore, "that of the backup", "A token from a backup."
    ),
    "policy.get": Method(schema.KeyName, schema.Policy, get_policy, about="A key's policy."),
    "policy.set": Method(
        schema.SetPolicy, schema.Policy, set_policy, "proof where it loosens", "Give it another."
    ),
    "policy.explain": Method(
        schema.Explain, schema.Explanation, explain_policy, about="Which rule decides, and why."
    ),
    "certificates.add": Method(
        schema.AddCertificate, schema.Done, add_certificate, about="Put one beside its key."
    ),
    "certificates.remove": Method(
        schema.CertificateName, schema.Done, remove_certificate, about="Take it away."
    ),
    "agent.restore": Method(
        schema.Nothing, schema.Restore, restore_agent, about="Offer withdrawn keys again."
    ),
    "prompt.test": Method(
        schema.Nothing, schema.Prompted, test_prompt, about="Ask somebody for nothing."
    ),
}
