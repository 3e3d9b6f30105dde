"""The gate: the one place where a key is used or managed.

    policy  →  consent  →  use  →  record  →  and only then the result leaves

Every door comes here, so every use is allowed and written down; no other file calls an
ability of a token (`core.performing` holds the acts of management). A refusal or a failure is recorded as well, and is one exception with
a sentence and a remedy. What cannot be recorded does not happen.
"""

# An ability is abstract on purpose: that a token has it is all that is asked.
# mypy: disable-error-code="type-abstract"

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar, cast

from msgspec import Struct

from keyholm.core import actions, management
from keyholm.core.caller import Caller, Via
from keyholm.core.certificates import Certificates
from keyholm.core.consent import Consent
from keyholm.core.destination import visible
from keyholm.core.errors import (
    KeyholmError,
    KeyNotFound,
    LoginNeeded,
    ManagementForbidden,
    NoPrompter,
    NotTheOwner,
    PolicyForbids,
    ProofNeeded,
    TokenLocked,
)
from keyholm.core.inventory import Inventory
from keyholm.core.mechanisms import Input, Mechanism, Message, Value, Verb, spelling
from keyholm.core.model import Key, KeyId, Kind, NewObject, Object
from keyholm.core.operation import Collected, Operation, Public, Streamed
from keyholm.core.performing import PERFORM, ability, label_of
from keyholm.core.policy import (
    OPEN,
    Context,
    Decision,
    Files,
    Policy,
    Request,
    Step,
    Usage,
    context_of,
    decide,
    explain,
    loosens,
    policy_hash,
    tighten,
)
from keyholm.core.recording import Account, Recorder
from keyholm.core.secret import Secret
from keyholm.core.session import Role
from keyholm.core.store import (
    Derives,
    Describes,
    HasPins,
    HoldsObjects,
    Operates,
    Signs,
    Token,
    Unlocks,
)
from keyholm.core.usage import Counts
from keyholm.wire.ssh import keys

_PUBLIC: Final = frozenset({Verb.VERIFY, Verb.ENCRYPT, Verb.ENCAPSULATE})
_EMPTY: Final = hashlib.sha256().digest()  # of a use that nothing went into
MOST_OPEN: Final = 1024  # what is remembered of keys that anybody may use who sees them
Made = TypeVar("Made")


class Use(Struct, frozen=True):
    """One key, and what is done with it."""

    key: Key
    mechanism: Mechanism
    operation: Verb = Verb.SIGN

    @property
    def is_public(self) -> bool:
        """Whether it needs the public half of a key pair only."""
        return self.operation in _PUBLIC and self.key.kind is not Kind.SECRET


@dataclass(slots=True)
class _Permit:
    """What was decided for one connection, key and mechanism, and holds until `epoch` passes.

    Of a key whose policy says nothing it holds for every connection of the same uid.
    """

    epoch: int
    key: Key  # held, so that its id() stays its own
    mechanism: Mechanism
    spelled: str
    token: Any  # that it has the ability was asked
    policy: Policy
    policy_hash: str
    rule: str
    consent: str = ""
    again: bool = False  # good for this one use only


class Gate:
    def __init__(
        self,
        inventory: Inventory,
        recorder: Recorder,
        consent: Consent,
        *,
        files: Files,
        certificates: Certificates,
        counts: Counts,
        durable: Callable[[Key], bool] = lambda key: False,
        forbidden: frozenset[str] = frozenset(),
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.inventory, self.certificates = inventory, certificates
        self._recorder, self._consent, self._files = recorder, consent, files
        self._counts, self._durable = counts, durable
        self._forbidden = forbidden  # mechanisms that no key may use here
        self._wall, self._clock = wall, clock
        self._visible: dict[int, tuple[int, tuple[Key, ...], bool]] = {}
        self._policies: tuple[int, dict[int, tuple[Key, Policy]]] = (-1, {})
        self._open_permits: dict[tuple[object, ...], _Permit] = {}

    # --- what there is -----------------------------------------------------------------

    def tokens(self, caller: Caller) -> list[Token]:
        return [token for token in self.inventory.tokens() if _may_see(caller, token)]

    def keys(self, caller: Caller) -> tuple[Key, ...]:
        """The keys that `caller` may know of. The same tuple, until something changes."""
        keys, constrained = self._keys_of_uid(caller)
        if not constrained or not (caller.bindings or caller.bind_attempted):
            return keys
        return tuple(key for key in keys if self._shown(caller, key))

    def _keys_of_uid(self, caller: Caller) -> tuple[tuple[Key, ...], bool]:
        tokens = self.tokens(caller)  # first: what has expired changes the epoch
        epoch = self.inventory.epoch
        known = self._visible.get(caller.uid)
        if known is not None and known[0] == epoch:
            return known[1], known[2]
        found = tuple(key for token in tokens for key in self.inventory.snapshot(token).keys)
        constrained = any(policy.is_constrained for policy in map(self._readable, found))
        self._visible[caller.uid] = (epoch, found, constrained)
        return found, constrained

    def _readable(self, key: Key) -> Policy:
        """A key whose policy cannot be read is listed: whoever uses it is told."""
        try:
            return self.policy(key)
        except KeyholmError:
            return OPEN

    def _shown(self, caller: Caller, key: Key) -> bool:
        for part in self._readable(key).parts:
            if part.destinations and not visible(
                part.destinations, caller.bindings, caller.bind_attempted, now=self._wall()
            ):
                return False
        return True

    def key_of_identity(self, caller: Caller, identity: bytes) -> Key | None:
        """The key that an agent's client names by a blob: a public key or a certificate."""
        for token in self.inventory.tokens():
            if not _may_see(caller, token):
                continue
            key = self.inventory.snapshot(token).by_identity.get(identity)
            if key is not None:
                return key if self._shown(caller, key) else None
        return None

    def policy(self, key: Key) -> Policy:
        """The strictest of all policies that the key has in the places where it is."""
        epoch, known = self._policies
        if epoch != self.inventory.epoch:
            epoch, known = self._policies = (self.inventory.epoch, {})
        found = known.get(id(key))
        if found is not None and found[0] is key:
            return found[1]
        policy = self._policy_at(key)
        for other in self.inventory.with_id(key.id):
            if other.place != key.place:
                policy = tighten(policy, self._policy_at(other))
        known[id(key)] = (key, policy)
        return policy

    def _policy_at(self, key: Key) -> Policy:
        token = self.inventory.token_of(key)
        return token.policy_of(key) if isinstance(token, Describes) else OPEN

    # --- use ---------------------------------------------------------------------------

    def sign(self, caller: Caller, key: Key, mechanism: Mechanism, data: Input) -> bytes:
        """The signature in PKCS#11 form, once its record is written."""
        begun = self._clock()
        slot = (id(key), id(mechanism), data.__class__)
        permit = cast("_Permit | None", caller.memory.get(slot))
        if permit is None and caller.logins is None:
            permit = self._open_permits.get((caller.uid, *slot))
        if permit is None or permit.epoch != self.inventory.epoch:
            permit = self._permit(caller, Use(key, mechanism), data, begun)
            if not permit.again:
                self._remember(caller, slot, permit)
        try:
            result: bytes = permit.token.sign(key, mechanism, data)
        except TokenLocked as error:
            permit, result = self._sign_after_unlock(caller, permit, data, error, begun)
        except KeyholmError as error:
            self._failed(caller, Use(key, mechanism), data, error, begun, context=_context(data))
            raise
        self._recorder.used(
            caller,
            key,
            "sign",
            permit.spelled,
            data,
            result,
            rule=permit.rule,
            policy=permit.policy_hash,
            begun=begun,
            durable=self._durable(key),
            context=_context(data),
            consent=permit.consent,
        )
        return result

    def begin(self, caller: Caller, use: Use) -> Operation:
        """A use whose data comes in parts. What can be decided without them is decided here."""
        begun = self._clock()
        if use.is_public:
            return Public(self._operates(caller, use.key).begin_use(*_what(use)))
        token = self._seen(caller, use.key)
        if use.operation is Verb.SIGN and (
            not isinstance(token, Operates) or self._policy_for(caller, use, begun).is_bound
        ):
            return self._collected(caller, use, begun)
        account = self._admit(caller, use, begun)
        start = partial(ability(token, Operates).begin_use, *_what(use))
        return Streamed(self._with(account, start), account)

    def _policy_for(self, caller: Caller, use: Use, begun: float) -> Policy:
        try:
            return self.policy(use.key)
        except KeyholmError as error:
            self._failed(caller, use, None, error, begun)
            raise

    def begin_with(
        self, caller: Caller, key: Object, verb: Verb, mechanism: Mechanism
    ) -> Operation:
        """The same with a public key that stands alone."""
        return Public(self._operates(caller, key).begin_use(key, verb, mechanism))

    def _collected(self, caller: Caller, use: Use, begun: float) -> Operation:
        """What is signed decides, so it is collected; what forbids it anyway is said now."""
        policy = self._policy_for(caller, use, begun)
        decision = decide(policy, self._request(caller, use, None), self._files)
        if not decision.allowed:
            error = PolicyForbids(decision.reason, remedy=decision.remedy)
            self._failed(caller, use, None, error, begun, rule=decision.rule)
            raise error
        return Collected(
            lambda message: self.sign(caller, use.key, use.mechanism, Message(message))
        )

    # Keys out of keys: each use is decided and recorded like any other, and the new key has
    # the strictest policy of those that it was made of.

    def derive(self, caller: Caller, key: Key, mechanism: Mechanism, new: NewObject) -> Key:
        token, policy = self._derives(caller, key), self.policy(key)
        return self._made(
            caller,
            [Use(key, mechanism, Verb.DERIVE)],
            lambda: token.derive(key, mechanism, new, policy),
        )

    def unwrap(
        self, caller: Caller, key: Key, mechanism: Mechanism, wrapped: bytes, new: NewObject
    ) -> Key:
        token, policy = self._derives(caller, key), self.policy(key)
        return self._made(
            caller,
            [Use(key, mechanism, Verb.UNWRAP)],
            lambda: token.unwrap(key, mechanism, wrapped, new, policy),
        )

    def wrap(self, caller: Caller, wrapping: Key, key: Key, mechanism: Mechanism) -> bytes:
        """`key` leaves its token, so it is exported: the gate asks both keys' policies."""
        token = self._derives(caller, wrapping)
        uses = [Use(wrapping, mechanism, Verb.WRAP), Use(key, mechanism, Verb.EXPORT)]
        return self._made(caller, uses, lambda: token.wrap(wrapping, key, mechanism))

    def decapsulate(
        self, caller: Caller, key: Key, mechanism: Mechanism, ciphertext: bytes, new: NewObject
    ) -> Key:
        token, policy = self._derives(caller, key), self.policy(key)
        return self._made(
            caller,
            [Use(key, mechanism, Verb.DECAPSULATE)],
            lambda: token.decapsulate(key, mechanism, ciphertext, new, policy),
        )

    def encapsulate(
        self, caller: Caller, key: Key | Object, mechanism: Mechanism, new: NewObject
    ) -> tuple[bytes, Key]:
        """Uses a public half only, so nothing of it is recorded."""
        return self._derives(caller, key).encapsulate(key, mechanism, new, OPEN)

    def value(self, caller: Caller, key: Key) -> Secret:
        """The secret itself, of a key that may leave. Raises `NotExportable`."""
        token = ability(self._seen(caller, key), HoldsObjects)
        use = Use(key, Value(), Verb.EXPORT)
        return self._made(caller, [use], lambda: token.value_of(key))

    def _made(self, caller: Caller, uses: Sequence[Use], act: Callable[[], Made]) -> Made:
        begun = self._clock()
        accounts = [self._admit(caller, use, begun) for use in uses]
        made = self._with(accounts[0], act)
        for account in accounts:
            account.done(_EMPTY, 0, _EMPTY)
        return made

    def _admit(self, caller: Caller, use: Use, begun: float) -> Account:
        token = self._seen(caller, use.key)
        if use.operation is Verb.EXPORT:
            self._prove_export(caller, use, token, begun)
        permit = self._permit(caller, use, None, begun)
        if isinstance(token, Unlocks) and token.locked:
            self._open(caller, use, token, begun)
            # What a locked token says of a policy was not verified.
            permit = self._permit(caller, use, None, begun)
        return Account(
            self._recorder,
            caller,
            use.key,
            use.operation,
            permit.spelled,
            permit.rule,
            permit.policy_hash,
            begun,
            self._durable(use.key),
            permit.consent,
        )

    def _open(self, caller: Caller, use: Use, token: Token, begun: float) -> None:
        locked = TokenLocked(f"{token.label} is locked.", remedy="`keyholm unlock`")
        try:
            self._unlock_by_prompt(caller, use.key, locked)
        except KeyholmError as error:
            self._failed(caller, use, None, error, begun)
            raise

    def _prove_export(self, caller: Caller, use: Use, token: Token, begun: float) -> None:
        """A key that lasts leaves only for those who logged in; one of a session is its own."""
        if use.key.place.is_session or _is_user(caller, token):
            return
        error = ProofNeeded(
            f"{use.key.label or 'A key'} leaves {token.label} only after a login.",
            remedy="Log in to the token first.",
        )
        self._failed(caller, use, None, error, begun)
        raise error

    def _with(self, account: Account, act: Callable[[], Made]) -> Made:
        try:
            return act()
        except KeyholmError as error:
            account.failed(_EMPTY, 0, error)
            raise

    def _seen(self, caller: Caller, key: Key | Object) -> Token:
        token = self.inventory.token_of(key)
        if not _may_see(caller, token):
            raise KeyNotFound("There is no such key for you.")
        return token

    def _operates(self, caller: Caller, key: Key | Object) -> Operates:
        return ability(self._seen(caller, key), Operates)

    def _derives(self, caller: Caller, key: Key | Object) -> Derives:
        return ability(self._seen(caller, key), Derives)

    def ask_pin(self, caller: Caller, token: Token) -> Secret:
        """What opens `token`, from a human instead of the program.

        Raises `ConsentDenied`, `NoPrompter`."""
        return self._consent.pin(caller, token)

    def explain(self, caller: Caller, use: Use, data: Input | None) -> tuple[Step, ...]:
        """Each rule of the key's policy with what it says; nothing is used or recorded."""
        return explain(self.policy(use.key), self._request(caller, use, data), self._files)

    def _permit(self, caller: Caller, use: Use, data: Input | None, begun: float) -> _Permit:
        key = use.key
        epoch = self.inventory.epoch  # before the policy is read: a change in between shows
        try:
            token = self.inventory.token_of(key)
            if not _may_see(caller, token):
                raise KeyNotFound(f"There is no key {key.label!r} for you.")
            signer = ability(token, Signs) if use.operation is Verb.SIGN else token
            _check_login(caller, token)
            policy = self.policy(key)
        except KeyholmError as error:
            self._failed(caller, use, data, error, begun)
            raise
        request = self._request(caller, use, data)
        decision = self._decide(policy, request)
        permit = _Permit(
            epoch,
            key,
            use.mechanism,
            spelling(use.mechanism),
            signer,
            policy,
            key.policy_hash or policy_hash(policy),
            decision.rule,
            again=not decision.cacheable,
        )
        self._agree(caller, use, request, decision, permit, begun)
        return permit

    def _remember(self, caller: Caller, slot: tuple[object, ...], permit: _Permit) -> None:
        if permit.policy != OPEN or caller.logins is not None:
            caller.memory[slot] = permit
            return
        # Who asks is not needed before the use of such a key, only before its record.
        if len(self._open_permits) >= MOST_OPEN:
            self._open_permits.clear()
        self._open_permits[caller.uid, *slot] = permit

    def _decide(self, policy: Policy, request: Request) -> Decision:
        name = spelling(request.mechanism)
        if name in self._forbidden:
            reason = f"{name} is switched off in the configuration."
            return Decision(False, "configuration", reason, cacheable=False)
        return decide(policy, request, self._files)

    def _agree(
        self,
        caller: Caller,
        use: Use,
        request: Request,
        decision: Decision,
        permit: _Permit,
        begun: float,
    ) -> None:
        """Refuse, ask, and count, as the decision says."""
        try:
            if not decision.allowed:
                raise PolicyForbids(decision.reason, remedy=decision.remedy)
            if isinstance(permit.token, Unlocks) and permit.token.locked:
                # Nothing is used yet: once it is open, all is decided and asked anew.
                permit.again = True
                return
            if decision.consent is not None:
                permit.consent = self._consent.obtain(
                    caller, use.key, decision.consent, request.context
                )
            if permit.again and permit.policy.is_counted:
                self._count(use.key, permit.policy)
        except KeyholmError as error:
            rule, context = decision.rule, request.context
            self._failed(caller, use, request.input, error, begun, rule=rule, context=context)
            raise

    def _count(self, key: Key, policy: Policy) -> None:
        """Counted before the use, so that neither a crash nor a race gives one more."""
        most = policy.most_uses
        # A key that ssh-add handed over ends with the daemon, and its count with it.
        lasting = most > 0 and key.place.store != management.MEMORY
        if not self._counts.count(key.id, self._clock(), most=most, lasting=lasting):
            raise PolicyForbids(
                f"{key.label} was good for {most} uses, and all are used up.",
                remedy="`keyholm policy` can give it more.",
            )

    def forget_uses(self, action: actions.ImportKey) -> None:
        """A key that is handed over anew begins to count anew, unless it lasts elsewhere."""
        key_id = KeyId(keys.key_id(action.private.public))
        if all(key.place.store == management.MEMORY for key in self.inventory.with_id(key_id)):
            self._counts.forget(key_id)

    def _sign_after_unlock(
        self, caller: Caller, permit: _Permit, data: Input, error: TokenLocked, begun: float
    ) -> tuple[_Permit, bytes]:
        """Ask for the passphrase of the key's token, if somebody can be asked, and sign then.

        What a locked token says of a policy was not verified, so it is decided anew.
        """
        use = Use(permit.key, permit.mechanism)
        try:
            self._unlock_by_prompt(caller, permit.key, error)
        except KeyholmError as failure:
            self._failed(caller, use, data, failure, begun)
            raise
        permit = self._permit(caller, use, data, begun)
        try:
            return permit, permit.token.sign(permit.key, permit.mechanism, data)
        except KeyholmError as failure:
            self._failed(caller, use, data, failure, begun)
            raise

    def _unlock_by_prompt(self, caller: Caller, key: Key, error: TokenLocked) -> None:
        token = self.inventory.token_of(key)
        if not isinstance(token, Unlocks):
            raise error
        try:
            passphrase = self._consent.passphrase(caller, token, key)
        except NoPrompter:
            raise error from None
        with passphrase:
            intent = self._recorder.intends(
                caller, "unlock", management.place(token), {"by": "prompt"}
            )
            self._ended(intent, lambda: token.unlock(passphrase))

    def _request(self, caller: Caller, use: Use, data: Input | None) -> Request:
        key = use.key
        return Request(
            uid=caller.uid,
            door=caller.door,
            via=caller.via,
            process=caller.process,
            bindings=tuple(caller.bindings),
            bind_attempted=caller.bind_attempted,
            operation=use.operation,
            key_blob=key.blob,
            mechanism=use.mechanism,
            input=data,
            context=_context(data),
            now=self._wall(),
            usage=Usage(self._counts.uses(key.id), self._counts.recent(key.id), self._clock()),
        )

    def _failed(
        self,
        caller: Caller,
        use: Use,
        data: Input | None,
        error: KeyholmError,
        begun: float,
        *,
        rule: str = "",
        context: Context = None,
    ) -> None:
        self._recorder.not_used(
            caller,
            use.key,
            use.operation,
            spelling(use.mechanism),
            data,
            error,
            rule=rule,
            begun=begun,
            context=context,
        )

    # --- management --------------------------------------------------------------------

    def manage(self, caller: Caller, action: actions.Action, proof: Secret | None = None) -> object:
        """Do `action`, if `caller` may; what it gives is said in `_PERFORM`.

        `proof` is the passphrase of the token: loosening a policy, exporting and
        destroying a lasting key want it, since a program of the same user has the uid too.
        """
        name, target = management.name(action), management.target(action)
        try:
            self._may_manage(caller, action, proof)
        except KeyholmError as error:
            self._recorder.refused(caller, name, target, error)
            raise
        detail = management.detail(action)
        intent = self._recorder.intends(caller, name, target, detail, management.key_id(action))
        result = self._ended(intent, lambda: PERFORM[type(action)](self, action))
        if isinstance(action, actions.LogIn) and caller.logins is not None:
            caller.logins.roles[action.token.store, action.token.name] = action.role
        return result

    def _ended(self, intent: int, perform: Callable[[], object]) -> object:
        begun = self._clock()
        try:
            result = perform()
        except KeyholmError as error:
            self._recorder.not_managed(intent, error, begun=begun)
            raise
        key = result.id if isinstance(result, Key) else ""
        self._recorder.managed(intent, begun=begun, key=key)
        return result

    def _may_manage(self, caller: Caller, action: actions.Action, proof: Secret | None) -> None:
        self._check_way(caller, action)
        token = self._token(action)
        if token is not None and caller.uid not in (0, token.owner) and not _is_own(action):
            # A token that a uid may not even see does not exist for it.
            if not _may_see(caller, token):
                raise KeyNotFound("There is no such token for you.")
            raise NotTheOwner(f"{token.label} belongs to uid {token.owner}.")
        match action:
            case (
                actions.MakeToken(owner=owner)
                | actions.MakePinToken(owner=owner)
                | actions.Restore(owner=owner)
            ):
                if caller.uid not in (0, owner):
                    raise NotTheOwner("Only root makes tokens for others.")
            case actions.Reload(owner=owner) if caller.uid not in (0, owner):
                raise NotTheOwner("Only the daemon's own user and root configure it.")
            case actions.InitPin(opened) if _role(caller, opened) is not Role.OFFICER:
                raise LoginNeeded("Only the security officer gives the user a PIN.")
            case _:
                pass
        if token is not None and not _may_see(caller, token):
            raise KeyNotFound("There is no such token for you.")
        reason = self._wants_proof(action)
        if reason and not (token is not None and _is_user(caller, token)):
            self._prove(token, proof, reason)

    def _check_way(self, caller: Caller, action: actions.Action) -> None:
        via = caller.via
        if via is Via.DIRECT:
            return
        if via is Via.UNBOUND and management.reaches_memory_only(action):
            return
        if isinstance(action, actions.LoadModule) and action.remotely:
            return
        if isinstance(action, actions.LogIn) and action.role is Role.USER:
            return  # it lets this program use keys, which it may; `ssh -I` is such a program
        raise ManagementForbidden(
            f"Keys are not managed over a connection that is {via}.",
            remedy="Do it on the machine where the keys are.",
        )

    def _token(self, action: actions.Action) -> Token | None:
        token = getattr(action, "token", None)
        if token is not None:
            return cast(Token, token)
        key = getattr(action, "key", None)
        return self.inventory.token_of(key) if key is not None else None

    def _wants_proof(self, action: actions.Action) -> str:
        """Why fresh proof is wanted; empty where it is not."""
        match action:
            case actions.Export():
                return "Exporting a private key"
            case actions.Destroy(key) if not (
                key.place.store == management.MEMORY or key.place.is_session
            ):
                return "Destroying a key"
            case actions.RemoveToken():
                return "Removing a token"
            case actions.Backup():
                return "Taking a backup"
            case actions.SetPolicy(key, policy):
                looser = loosens(policy, self._policy_at(key))
                return f"Loosening a policy ({'; '.join(looser)})" if looser else ""
            case _:
                return ""

    def _prove(self, token: object, proof: Secret | None, reason: str) -> None:
        if not isinstance(token, Unlocks):
            raise ProofNeeded(f"{reason} wants fresh proof, and this token has none to give.")
        if not token.guarded:
            return  # a throw-away token: its file is as open as its owner's uid
        if proof is None:
            raise ProofNeeded(
                f"{reason} wants the passphrase of {label_of(token)}.",
                remedy="Give the passphrase of the token.",
            )
        token.verify(proof)


def _context(data: Input | None) -> Context:
    return context_of(data.data) if data.__class__ is Message else None


def _what(use: Use) -> tuple[Key, Verb, Mechanism]:
    return use.key, use.operation, use.mechanism


def _is_user(caller: Caller, token: Token) -> bool:
    """Whether the caller's application proved, by its PIN, that the owner is there."""
    return _role(caller, token) is Role.USER


def _role(caller: Caller, token: Token) -> Role | None:
    return caller.logins.roles.get((token.store, token.name)) if caller.logins else None


def _is_own(action: actions.Action) -> bool:
    """Whether it needs no right over the token: what a session makes for itself, and PINs,
    which are a proof of their own."""
    match action:
        case actions.Generate(_, new) | actions.Create(_, new):
            return new.session
        case actions.Change(key) | actions.Destroy(key) | actions.Remove(key):
            return key.place.is_session
        case actions.LogIn() | actions.SetPin() | actions.InitPin() | actions.InitToken():
            return True
        case _:
            return False


def _check_login(caller: Caller, token: Token) -> None:
    """Where programs ask for the PIN, one must have; other doors have the daemon ask."""
    if caller.logins is None or not isinstance(token, HasPins) or not token.application_login:
        return
    if not _is_user(caller, token):
        raise LoginNeeded(f"{token.label} wants its PIN first.", remedy="Log in to the token.")


def _may_see(caller: Caller, token: Token) -> bool:
    return caller.uid in (0, token.owner) or caller.uid in token.accepted_uids
