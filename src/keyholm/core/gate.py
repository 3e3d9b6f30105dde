"""The gate: the one place where a key is used or managed.

    policy  →  consent  →  use  →  record  →  and only then the result leaves

Every door comes here, so every use is allowed and written down; no other file calls an
ability of a token. A refusal or a failure is recorded as well, and is one exception with
a sentence and a remedy. What cannot be recorded does not happen.
"""

# An ability is abstract on purpose: that a token has it is all that is asked.
# mypy: disable-error-code="type-abstract"

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from keyholm.core import actions, management
from keyholm.core.caller import Caller, Via
from keyholm.core.certificates import Certificates
from keyholm.core.consent import Consent
from keyholm.core.destination import visible
from keyholm.core.errors import (
    AbilityMissing,
    BadRequest,
    KeyholmError,
    KeyNotFound,
    LimitExceeded,
    ManagementForbidden,
    NoPrompter,
    NotTheOwner,
    PolicyForbids,
    ProofNeeded,
    TokenLocked,
)
from keyholm.core.inventory import Inventory
from keyholm.core.mechanisms import Input, Mechanism, Message, spelling
from keyholm.core.model import Key, KeyId
from keyholm.core.policy import (
    OPEN,
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
from keyholm.core.recording import Recorder
from keyholm.core.secret import Secret
from keyholm.core.store import (
    BacksUp,
    Describes,
    Destroys,
    Exports,
    Generates,
    HasSlots,
    Imports,
    MakesTokens,
    Restores,
    Signs,
    Token,
    Unlocks,
)
from keyholm.core.usage import Counts
from keyholm.wire.ssh import keys
from keyholm.wire.ssh.sshsig import SshSig
from keyholm.wire.ssh.userauth import UserAuth

MAX_MESSAGE: Final = 64 * 1024 * 1024  # of an operation in parts
Ability = TypeVar("Ability")


@dataclass(frozen=True, slots=True)
class Use:
    """One key, and what is done with it."""

    key: Key
    mechanism: Mechanism
    operation: str = "sign"


@dataclass(slots=True)
class _Permit:
    """What was decided for one connection, key and mechanism, and holds until `epoch` passes."""

    epoch: int
    key: Key  # held, so that its id() stays its own
    mechanism: Mechanism
    spelled: str
    token: Signs
    policy: Policy
    policy_hash: str
    rule: str
    context: UserAuth | SshSig | None = None
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
        constrained = any(self.policy(key).is_constrained for key in found)
        self._visible[caller.uid] = (epoch, found, constrained)
        return found, constrained

    def _shown(self, caller: Caller, key: Key) -> bool:
        now = self._wall()
        return all(
            visible(part.destinations, caller.bindings, caller.bind_attempted, now=now)
            for part in self.policy(key).parts
        )

    def key_of_identity(self, caller: Caller, identity: bytes) -> Key | None:
        """The key that an agent's client names by a blob: a public key or a certificate."""
        for token in self.tokens(caller):
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
        if permit is None or permit.epoch != self.inventory.epoch:
            permit = self._permit(caller, Use(key, mechanism), data, begun)
            if not permit.again:
                caller.memory[slot] = permit
        try:
            result = permit.token.sign(key, mechanism, data)
        except TokenLocked as error:
            permit, result = self._sign_after_unlock(caller, permit, data, error, begun)
        except KeyholmError as error:
            self._failed(caller, Use(key, mechanism), data, error, begun)
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
            context=permit.context,
            consent=permit.consent,
        )
        return result

    def begin(self, caller: Caller, uses: Sequence[Use]) -> "Operation":
        """An operation in parts. What can be decided without its data is decided here."""
        if len(uses) != 1:
            raise BadRequest("An operation of more than one key is not offered yet.")
        (use,) = uses
        begun = self._clock()
        _ability(self.inventory.token_of(use.key), Signs)
        decision = decide(self.policy(use.key), self._request(caller, use, None), self._files)
        if not decision.allowed:
            error = PolicyForbids(decision.reason, remedy=decision.remedy)
            self._failed(caller, use, None, error, begun, rule=decision.rule)
            raise error
        return Operation(self, caller, use)

    def explain(self, caller: Caller, use: Use, data: Input | None) -> tuple[Step, ...]:
        """Each rule of the key's policy with what it says; nothing is used or recorded."""
        return explain(self.policy(use.key), self._request(caller, use, data), self._files)

    def _permit(self, caller: Caller, use: Use, data: Input, begun: float) -> _Permit:
        key = use.key
        epoch = self.inventory.epoch  # before the policy is read: a change in between shows
        try:
            token = self.inventory.token_of(key)
            if not _may_see(caller, token):
                raise KeyNotFound(f"There is no key {key.label!r} for you.")
            signer = _ability(token, Signs)
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
            request.context,
            again=not decision.cacheable,
        )
        self._agree(caller, use, data, decision, permit, begun)
        return permit

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
        data: Input,
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
                    caller, use.key, decision.consent, permit.context
                )
            if permit.again and permit.policy.is_counted:
                self._count(use.key, permit.policy)
        except KeyholmError as error:
            rule = decision.rule
            self._failed(caller, use, data, error, begun, rule=rule, context=permit.context)
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
        context = context_of(data.data) if isinstance(data, Message) else None
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
            context=context,
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
        context: UserAuth | SshSig | None = None,
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
        return self._ended(intent, lambda: _PERFORM[type(action)](self, action))

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
        if token is not None and caller.uid not in (0, token.owner):
            # A token that a uid may not even see does not exist for it.
            if not _may_see(caller, token):
                raise KeyNotFound("There is no such token for you.")
            raise NotTheOwner(f"{token.label} belongs to uid {token.owner}.")
        match action:
            case actions.MakeToken(owner=owner) | actions.Restore(owner=owner):
                if caller.uid not in (0, owner):
                    raise NotTheOwner("Only root makes tokens for others.")
            case _:
                pass
        if reason := self._wants_proof(action):
            self._prove(token, proof, reason)

    def _check_way(self, caller: Caller, action: actions.Action) -> None:
        via = caller.via
        if via is Via.DIRECT:
            return
        if via is Via.UNBOUND and management.reaches_memory_only(action):
            return
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
            case actions.Destroy(key) if key.place.store != "memory":
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
                f"{reason} wants the passphrase of {_label(token)}.",
                remedy="Give the passphrase of the token.",
            )
        token.verify(proof)


class Operation:
    """A use of a key whose data comes in parts."""

    def __init__(self, gate: Gate, caller: Caller, use: Use) -> None:
        self._gate, self._caller, self._use = gate, caller, use
        self._parts: list[bytes] = []
        self._size = 0
        self._ended = False

    def update(self, data: bytes) -> None:
        if self._ended:
            raise BadRequest("This operation has ended.")
        self._size += len(data)
        if self._size > MAX_MESSAGE:
            self.abort()
            raise LimitExceeded(f"A message of more than {MAX_MESSAGE >> 20} MiB is not signed.")
        self._parts.append(data)

    def finish(self) -> bytes:
        if self._ended:
            raise BadRequest("This operation has ended.")
        message = Message(b"".join(self._parts))
        self.abort()
        return self._gate.sign(self._caller, self._use.key, self._use.mechanism, message)

    def abort(self) -> None:
        self._ended = True
        self._parts.clear()


def _may_see(caller: Caller, token: Token) -> bool:
    return caller.uid in (0, token.owner) or caller.uid in token.accepted_uids


def _label(owner: object) -> str:
    return getattr(owner, "label", "") or getattr(owner, "name", "") or "This store"


def _ability(owner: object, ability: type[Ability]) -> Ability:
    if isinstance(owner, ability):
        return owner
    raise AbilityMissing(
        f"{_label(owner)} cannot do this: it has no {ability.__name__.lower()} ability."
    )


# Each performs one action, and gives what `manage` gives for it.


def _generate(gate: Gate, action: actions.Generate) -> Key:
    return _ability(action.token, Generates).generate(action.new, action.policy)


def _import(gate: Gate, action: actions.ImportKey) -> Key:
    token = _ability(action.token, Imports)
    gate.forget_uses(action)
    return token.import_key(action.private, action.handover, action.policy)


def _export(gate: Gate, action: actions.Export) -> Secret:
    return _ability(gate.inventory.token_of(action.key), Exports).export(action.key)


def _destroy(gate: Gate, action: actions.Destroy) -> None:
    _ability(gate.inventory.token_of(action.key), Destroys).destroy(action.key)


def _rename(gate: Gate, action: actions.Rename) -> Key:
    token = _ability(gate.inventory.token_of(action.key), Describes)
    return token.rename(action.key, action.label)


def _set_policy(gate: Gate, action: actions.SetPolicy) -> Key:
    token = _ability(gate.inventory.token_of(action.key), Describes)
    return token.set_policy(action.key, action.policy)


def _unlock(gate: Gate, action: actions.Unlock) -> None:
    _ability(action.token, Unlocks).unlock(action.passphrase)


def _lock(gate: Gate, action: actions.Lock) -> None:
    _ability(action.token, Unlocks).lock()


def _make_token(gate: Gate, action: actions.MakeToken) -> Token:
    store = _ability(action.store, MakesTokens)
    return store.make_token(action.name, action.owner, action.passphrase)


def _remove_token(gate: Gate, action: actions.RemoveToken) -> None:
    store = gate.inventory.store(action.token.store)
    _ability(store, MakesTokens).remove_token(action.token)


def _change_passphrase(gate: Gate, action: actions.ChangePassphrase) -> None:
    _ability(action.token, HasSlots).change_passphrase(action.old, action.new)


def _add_recovery_code(gate: Gate, action: actions.AddRecoveryCode) -> Secret:
    return _ability(action.token, HasSlots).add_recovery_code(action.passphrase)


def _remove_slot(gate: Gate, action: actions.RemoveSlot) -> None:
    _ability(action.token, HasSlots).remove_slot(action.passphrase, action.slot)


def _backup(gate: Gate, action: actions.Backup) -> bytes:
    return _ability(action.token, BacksUp).backup(action.passphrase)


def _restore(gate: Gate, action: actions.Restore) -> Token:
    store = _ability(action.store, Restores)
    return store.restore(action.backup, action.passphrase, action.name, action.owner)


def _close_door(gate: Gate, action: actions.CloseDoor) -> None:
    action.door.close_with(action.password)


def _open_door(gate: Gate, action: actions.OpenDoor) -> None:
    action.door.open_with(action.password)


def _withdraw(gate: Gate, action: actions.Withdraw) -> None:
    action.door.withdraw(action.key)


def _restore_withdrawn(gate: Gate, action: actions.RestoreWithdrawn) -> int:
    return action.door.restore_withdrawn(action.keys)


def _load_module(gate: Gate, action: actions.LoadModule) -> None:
    raise AbilityMissing(
        f"{action.provider!r} was not loaded: the agent does not load PKCS#11 modules yet.",
        remedy="Use it with `PKCS11Provider` in ssh_config meanwhile.",
    )


def _add_certificate(gate: Gate, action: actions.AddCertificate) -> None:
    gate.certificates.add(action.key, action.blob, action.name)


def _remove_certificate(gate: Gate, action: actions.RemoveCertificate) -> None:
    gate.certificates.remove(action.key, action.name)


_PERFORM: Final[dict[type, Callable[[Gate, Any], object]]] = {
    actions.Generate: _generate,
    actions.ImportKey: _import,
    actions.Export: _export,
    actions.Destroy: _destroy,
    actions.Rename: _rename,
    actions.SetPolicy: _set_policy,
    actions.Unlock: _unlock,
    actions.Lock: _lock,
    actions.MakeToken: _make_token,
    actions.RemoveToken: _remove_token,
    actions.ChangePassphrase: _change_passphrase,
    actions.AddRecoveryCode: _add_recovery_code,
    actions.RemoveSlot: _remove_slot,
    actions.Backup: _backup,
    actions.Restore: _restore,
    actions.CloseDoor: _close_door,
    actions.OpenDoor: _open_door,
    actions.Withdraw: _withdraw,
    actions.RestoreWithdrawn: _restore_withdrawn,
    actions.LoadModule: _load_module,
    actions.AddCertificate: _add_certificate,
    actions.RemoveCertificate: _remove_certificate,
}
