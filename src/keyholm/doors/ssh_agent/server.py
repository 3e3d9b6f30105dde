"""The ssh-agent door: frames of one connection in, answers out (RFC 9987, PROTOCOL.agent)."""

import os
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from socket import socket
from typing import Any, Final

from keyholm.core.actions import (
    CloseDoor,
    Destroy,
    ImportKey,
    LoadModule,
    OpenDoor,
    UnloadModule,
    Withdraw,
)
from keyholm.core.caller import Caller, Door, Peer, Process, Via
from keyholm.core.destination import Binding
from keyholm.core.errors import (
    BadRequest,
    DoorLocked,
    KeyholmError,
    KeyNotFound,
    LimitExceeded,
    PolicyForbids,
    name_in,
)
from keyholm.core.gate import Gate
from keyholm.core.mechanisms import Message
from keyholm.core.model import Key
from keyholm.core.secret import Secret
from keyholm.core.store import ModuleLoader, Token
from keyholm.core.visibility import Visibility
from keyholm.doors.serving import Connection
from keyholm.doors.ssh_agent import mechanisms
from keyholm.doors.ssh_agent.adding import (
    LoadRequest,
    allowed_path,
    handover_of,
    module_terms_of,
    no_modules,
    policy_of,
)
from keyholm.doors.ssh_agent.errors import EXTENSION_FAILURES, FAILURES, Refusals
from keyholm.doors.ssh_agent.listing import Listing
from keyholm.doors.ssh_agent.lock import DoorLock
from keyholm.doors.ssh_agent.options import Options
from keyholm.wire.codec import Malformed
from keyholm.wire.ssh import agent, certificates, keys, signatures

MAX_BINDINGS: Final = 16
MAX_SESSION_ID: Final = 128
SUCCESS: Final = agent.encode(agent.Success())
FAILURE: Final = agent.encode(agent.Failure())
EXTENSION_FAILURE: Final = agent.encode(agent.ExtensionFailure())
EMPTY_LIST: Final = agent.encode(agent.IdentitiesAnswer(()))
# Whoever sends one of these uses a key as soon as one is found that its server likes, or now.
LIST, SIGN = 11, 13
# Frames of these numbers hold a private key, a password or a PIN.
SECRET_FRAMES: Final = frozenset({17, 20, 21, 22, 23, 25, 26})
# What still works while the agent is locked (OpenSSH 10.5).
WHILE_LOCKED: Final = (agent.RequestIdentities, agent.Unlock, agent.Extension)


@dataclass(eq=False)
class AgentDoor:
    """What all connections share."""

    gate: Gate
    memory: Token
    options: Options
    identify: Callable[[Peer, socket], Process]
    foresee: Callable[[Peer, socket], None] = lambda peer, connection: None
    """`identify` will be called; until then this client is looked up beside what we do."""
    name: str = "agent"
    lock: DoorLock = field(default_factory=DoorLock)
    withdrawn: set[str] = field(default_factory=set)
    visibility: Visibility = field(default_factory=Visibility)
    load: ModuleLoader = no_modules

    def __post_init__(self) -> None:
        self.listing = Listing(self.gate, self.withdrawn, self.visibility)
        self._changing = threading.Lock()

    def serve(self, connection: Connection) -> None:
        """Answer one client until it leaves."""
        identify = partial(self.identify, connection.peer, connection.socket)
        caller = Caller(Door.AGENT, connection.peer, identify)
        foreseen = False
        for frame in connection.frames():
            number = frame[0]
            if number == SIGN and not foreseen:
                foreseen = True
                self.foresee(connection.peer, connection.socket)
            if number in SECRET_FRAMES:
                try:
                    answer = self.answer(caller, frame)
                finally:
                    connection.wipe(frame)
            else:
                answer = self.answer(caller, bytes(frame))
            connection.send(answer)
            if number == LIST and not foreseen:  # while the client looks at its answer
                foreseen = True
                self.foresee(connection.peer, connection.socket)

    def answer(self, caller: Caller, frame: bytes | memoryview) -> bytes:
        """The answer to one frame, for any bytes whatever."""
        refusals: Refusals = FAILURES
        try:
            request = agent.decode(frame)
            if isinstance(request, agent.Extension) and request.name == agent.SESSION_BIND:
                refusals = EXTENSION_FAILURES
            if self.lock.closed and not isinstance(request, WHILE_LOCKED):
                raise DoorLocked("The agent is locked.", remedy="`ssh-add -X` unlocks it.")
            return HANDLERS[type(request)](self, caller, request)
        except (Malformed, KeyError):
            return FAILURE
        except KeyholmError as error:
            return agent.encode(name_in(refusals, error))

    # --- listing and signing -----------------------------------------------------------

    def list(self, caller: Caller, request: agent.RequestIdentities) -> bytes:
        return EMPTY_LIST if self.lock.closed else self.listing.answer(caller)

    def sign(self, caller: Caller, request: agent.SignRequest) -> bytes:
        key = self.key(caller, request.key_blob)
        mechanism, name = mechanisms.chosen(key.public, request.flags)
        raw = self.gate.sign(caller, key, mechanism, Message(request.data))
        return agent.encode(agent.SignResponse(signatures.blob(key.public, name, raw)))

    def key(self, caller: Caller, identity: bytes) -> Key:
        """The key behind a public key or certificate that this door offers."""
        key = self.gate.key_of_identity(caller, identity)
        if key is None:
            # A certificate from the folder beside the keys: its key answers for it.
            try:
                plain = certificates.plain_blob(identity)
            except Malformed:
                plain = b""
            key = self.gate.key_of_identity(caller, plain) if plain else None
            if key is not None and not self.listing.offers(key, identity):
                key = None
        if key is None or key.id in self.withdrawn:
            raise KeyNotFound("The agent has no such key.", remedy="`ssh-add -L` lists its keys.")
        sight = self.visibility.of(caller)
        if sight is not None and not sight.shows(key):
            raise KeyNotFound(
                f"{key.label!r} is not shown to this program.",
                remedy="See the [[visible]] rules of the configuration.",
            )
        return key

    # --- the memory store --------------------------------------------------------------

    def add(self, caller: Caller, request: agent.AddIdentity) -> bytes:
        handover = handover_of(request, self.options, remote=_remote(caller))
        policy = policy_of(request, self.options)
        self.gate.manage(caller, ImportKey(self.memory, request.private, handover, policy))
        return SUCCESS

    def remove(self, caller: Caller, request: agent.RemoveIdentity) -> bytes:
        key = self.key(caller, request.key_blob)
        if key.place.store == self.memory.store:
            self.gate.manage(caller, Destroy(key))
        else:
            self.gate.manage(caller, Withdraw(self, key))
        return SUCCESS

    def remove_all(self, caller: Caller, request: object) -> bytes:
        for key in self.gate.keys(caller):
            if key.place.store == self.memory.store:
                self.gate.manage(caller, Destroy(key))
            elif key.id not in self.withdrawn and caller.via is not Via.UNBOUND:
                # Of a client that cannot be known, only the memory store is reached.
                self.gate.manage(caller, Withdraw(self, key))
        return SUCCESS

    def withdraw(self, key: Key) -> None:
        with self._changing:
            self.withdrawn.add(key.id)
            self.listing.changed()

    def restore_withdrawn(self, keys: Collection[Key]) -> int:
        with self._changing:
            restored = self.withdrawn.intersection(key.id for key in keys)
            self.withdrawn -= restored
            self.listing.changed()
            return len(restored)

    # --- lock --------------------------------------------------------------------------

    def close(self, caller: Caller, request: agent.Lock) -> bytes:
        with Secret.of(request.password) as password:
            self.gate.manage(caller, CloseDoor(self, password))
        return SUCCESS

    def open(self, caller: Caller, request: agent.Unlock) -> bytes:
        with Secret.of(request.password) as password:
            self.gate.manage(caller, OpenDoor(self, password))
        return SUCCESS

    def close_with(self, password: Secret) -> None:
        self.lock.close(password)

    def open_with(self, password: Secret) -> None:
        self.lock.open(password)

    # --- extensions --------------------------------------------------------------------

    def extension(self, caller: Caller, request: agent.Extension) -> bytes:
        if request.name == agent.SESSION_BIND:
            return self.bind(caller, request.contents)
        if request.name == agent.QUERY and not self.lock.closed:
            return agent.encode(agent.query_answer((agent.SESSION_BIND,)))
        return FAILURE

    def bind(self, caller: Caller, contents: bytes) -> bytes:
        """Prove which server a connection speaks for (PROTOCOL.agent, section 1)."""
        # Even a failed attempt marks the connection: a local client makes none.
        caller.bind_attempted = True
        try:
            asked = agent.decode_session_bind(contents)
            _check_signature(asked)
        except (Malformed, signatures.BadSignature):
            return EXTENSION_FAILURE
        known = caller.bindings
        if len(asked.session_id) > MAX_SESSION_ID:
            raise LimitExceeded(f"A session id has at most {MAX_SESSION_ID} bytes.")
        for binding in known:
            if not binding.is_forwarding:
                raise BadRequest("This connection is bound for a login and takes no more hosts.")
            if binding.session_id == asked.session_id:
                if binding.host_key == asked.host_key:
                    return SUCCESS
                raise BadRequest("This session id was bound to another host.")
        if len(known) >= MAX_BINDINGS:
            raise LimitExceeded(f"A connection is bound to at most {MAX_BINDINGS} hosts.")
        known.append(Binding(asked.host_key, asked.session_id, asked.is_forwarding))
        caller.memory.clear()  # what was decided before, was decided for another connection
        return SUCCESS

    # --- PKCS#11 modules ---------------------------------------------------------------

    def load_module(self, caller: Caller, request: LoadRequest) -> bytes:
        remotely = self.options.remote_providers
        if _remote(caller) and not remotely:
            raise PolicyForbids("A forwarded client cannot have a module loaded.")
        path = allowed_path(request.provider, self.options)
        terms, policy = module_terms_of(request, self.options)
        with Secret.of(request.pin) as pin:
            self.gate.manage(
                caller, LoadModule(self.memory, self.load, path, pin, terms, policy, remotely)
            )
        return SUCCESS

    def unload_module(self, caller: Caller, request: agent.RemoveSmartcardKey) -> bytes:
        """A module that is not loaded is gone already (OpenSSH 10.5)."""
        try:
            path = os.path.realpath(request.provider)
        except ValueError:
            return SUCCESS  # a NUL is in no path
        self.gate.manage(caller, UnloadModule(self.memory, path))
        return SUCCESS


def _remote(caller: Caller) -> bool:
    return caller.bind_attempted


def _check_signature(asked: agent.SessionBind) -> None:
    blob = asked.host_key
    if certificates.is_certificate(blob):
        key = certificates.decode(blob).public
    else:
        key = keys.decode(blob)
    signatures.verify(key, asked.signature, asked.session_id)


HANDLERS: Final[dict[type, Callable[[AgentDoor, Caller, Any], bytes]]] = {
    agent.RequestIdentities: AgentDoor.list,
    agent.SignRequest: AgentDoor.sign,
    agent.AddIdentity: AgentDoor.add,
    agent.AddIdentityConstrained: AgentDoor.add,
    agent.RemoveIdentity: AgentDoor.remove,
    agent.RemoveAll: AgentDoor.remove_all,
    agent.RemoveAllV1: AgentDoor.remove_all,
    agent.Lock: AgentDoor.close,
    agent.Unlock: AgentDoor.open,
    agent.Extension: AgentDoor.extension,
    agent.AddSmartcardKey: AgentDoor.load_module,
    agent.AddSmartcardKeyConstrained: AgentDoor.load_module,
    agent.RemoveSmartcardKey: AgentDoor.unload_module,
}
