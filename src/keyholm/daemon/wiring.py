"""Puts one daemon together: which stores behind which doors. Only this module knows them all.

    steward  →  sandbox  →  trail  →  stores  →  inventory  →  gate  →  doors

The steward is forked before any of this is imported. Everything after the sandbox is opened
from inside it, so that what starts is known to go on working.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec import structs
from msgspec.structs import replace

from keyholm.core.audit.pool import Role, open_trail
from keyholm.core.audit.segments import Sizes
from keyholm.core.audit.trail import Settings as TrailSettings
from keyholm.core.audit.trail import Trail
from keyholm.core.caller import Door, Peer, Process
from keyholm.core.certificates import Certificates
from keyholm.core.consent import Consent
from keyholm.core.errors import DaemonFailed, KeyholmError
from keyholm.core.gate import Gate
from keyholm.core.inventory import Inventory
from keyholm.core.model import Key
from keyholm.core.policies import Policies
from keyholm.core.recording import Recorder
from keyholm.core.secret import Secret
from keyholm.core.store import Change, Event, ModuleLoader, Provided, Store, Token
from keyholm.core.usage import Counts
from keyholm.core.visibility import Rule, Selection, Visibility
from keyholm.daemon import configuration, descriptors, hardening
from keyholm.daemon.agent_line import CommandLine, FingerprintHash
from keyholm.daemon.agent_socket import Listening
from keyholm.daemon.asker import Asker, LooksUp
from keyholm.daemon.configuration import (
    AgentSettings,
    Configuration,
    Durability,
    LimitSettings,
    Selected,
    Witness,
)
from keyholm.daemon.keeper import Keeper, OpenDoor
from keyholm.daemon.places import Places
from keyholm.daemon.security_keys import SecurityKeys
from keyholm.daemon.spoken import SpokenTrail
from keyholm.daemon.steward import pidfd
from keyholm.daemon.steward.client import StewardClient
from keyholm.doors.serving import Connection, Limits, Serving
from keyholm.doors.ssh_agent.options import Options
from keyholm.doors.ssh_agent.server import AgentDoor
from keyholm.stores.memory.store import MemoryStore
from keyholm.stores.software.shield import Shield
from keyholm.wire.ssh import keys

if TYPE_CHECKING:
    from keyholm.daemon.module_wiring import ConfiguredModules
    from keyholm.stores.disk.store import DiskStore
    from keyholm.stores.disk.token import DiskToken
    from keyholm.stores.modules.providers import Providers
    from keyholm.stores.modules.token import ModuleToken
    from keyholm.stores.tpm.store import TpmStore
    from keyholm.stores.tpm.token import TpmToken

AGENT_FRAME: Final = 256 * 1024  # AGENT_MAX_LEN of OpenSSH
CONTROL_FRAME: Final = 1024 * 1024
PKCS11_FRAME: Final = 16 * 1024 * 1024 + 64  # a body and the options before it
MIB: Final = 1024 * 1024


def agent_only(
    places: Places,
    settings: Configuration,
    line: CommandLine,
    steward: StewardClient,
    listening: Listening,
) -> Keeper:
    """keyholm-agent: the agent door and the memory store."""
    own = os.getuid()
    steward.seconds = settings.prompters.seconds
    limits = limits_of(settings, doors=1)
    hardened = hardening.apply(writes=[places.data])
    trail = trail_of(places, settings, "agent", steward)
    asker = Asker()
    memory = memory_store(settings, steward, asker)
    told = SpokenTrail(trail) if line.debug else trail
    gate = gate_over([memory], told, steward, settings, fingerprint_hash=line.fingerprint_hash)
    options = agent_options(settings.agent, line)
    who = LooksUp(steward, asker, pidfd.kernel_gives_them())
    visibility = Visibility(visible_rules(settings))
    door = AgentDoor(
        gate,
        memory.token,
        options,
        who.identify,
        who.foresee,
        visibility=visibility,
        load=module_loader(steward, asker),
    )
    accepts = partial(admits, who, lambda peer: peer.uid in (0, own))
    serving = serve(listening, door.serve, accepts, limits, AGENT_FRAME, door.name)
    doors = {"ssh": OpenDoor(listening.path, serving)}
    return Keeper(gate, steward, hardened, memory, [memory], doors, trail.close)


def whole(
    places: Places,
    settings: Configuration,
    steward: StewardClient,
    listening: Mapping[str, Listening],
) -> Keeper:
    """keyholm serve: every store behind every door."""
    # Not for keyholm-agent, whose first answer somebody may be waiting for.
    from keyholm.daemon.facts import facts_of, trail_facts
    from keyholm.daemon.module_wiring import ConfiguredModules
    from keyholm.daemon.tpm_wiring import device_of, store_of
    from keyholm.doors.control.server import ControlDoor, Facts
    from keyholm.doors.pkcs11.server import Pkcs11Door
    from keyholm.stores.disk.store import DiskStore
    from keyholm.stores.tpm.device import Device
    from keyholm.stores.tpm.store import TpmStore

    limits = limits_of(settings, doors=len(listening))
    device = device_of(settings.tpm)
    hardened = hardening.apply(writes=[places.data], reads=[places.config.parent])
    trail = trail_of(places, settings, "serve", steward)
    asker = Asker()
    shield = Shield(idle=settings.memory.shield_seconds)
    sk_sign = SecurityKeys(steward, asker).sign
    disk = DiskStore(places.store, shield=shield, sk_sign=sk_sign)
    memory = MemoryStore(shield=shield, sk_sign=sk_sign)
    policies = Policies(places.data)
    modules = ConfiguredModules(places, steward, asker, policies)
    tpm = store_of(places, device, policies) if isinstance(device, Device) else device
    hardware = [tpm] if isinstance(tpm, TpmStore) else []
    stores: list[Store] = [disk, memory, *hardware, modules.store]
    live = Live(settings, disk, modules, hardware, system=places.system)
    gate = gate_over(stores, trail, steward, settings, places)
    who = LooksUp(steward, asker, pidfd.kernel_gives_them())
    options = agent_options(settings.agent)
    agent = AgentDoor(
        gate,
        memory.token,
        options,
        who.identify,
        who.foresee,
        visibility=live.visibility,
        load=module_loader(steward, asker),
    )
    pkcs11 = Pkcs11Door(gate, who.identify, live.visibility)
    doors: dict[str, OpenDoor] = {}

    def facts() -> Facts:
        return facts_of(keeper, trail_facts(trail, live.settings, places))

    def reload() -> None:
        keeper.reload(configuration.read(places.config))

    control = ControlDoor(
        gate,
        who.identify,
        partial(owner_of, steward),
        facts,
        agent,
        steward,
        os.getuid(),
        modules.told,
        reload,
    )
    keeper = Keeper(gate, steward, hardened, memory, stores, doors, trail.close)
    keeper.broken = tpm if isinstance(tpm, KeyholmError) else None
    keeper.apply = partial(live.apply, gate, agent, steward)
    steward.seconds = settings.prompters.seconds
    accepts = partial(admits, who, live.accepts)
    for name, door, frame in (
        ("ssh", agent, AGENT_FRAME),
        ("pkcs11", pkcs11, PKCS11_FRAME),
        ("control", control, CONTROL_FRAME),
    ):
        serving = serve(listening[name], door.serve, accepts, limits, frame, name)
        doors[name] = OpenDoor(listening[name].path, serving)
    return keeper


class Live:
    """What a reload can change while clients are connected: who may connect and see what."""

    def __init__(
        self,
        settings: Configuration,
        disk: "DiskStore",
        modules: "ConfiguredModules",
        hardware: "Sequence[TpmStore]",
        *,
        system: bool,
    ) -> None:
        self.settings, self._system = settings, system
        self._disk, self._modules, self._hardware = disk, modules, hardware
        self.visibility = Visibility()
        self.visibility.use(visible_rules(settings), modules.rules)
        self._own = os.getuid()
        self._give_access()
        # Before the inventory hears of a new token: who may see it is known by then.
        disk.listen(self._token_came)
        modules.store.listen(self._token_came)

    def accepts(self, peer: Peer) -> bool:
        uids = self.settings.uids
        if self._system and not uids:
            return True
        return peer.uid in (0, self._own) or peer.uid in uids

    def apply(
        self, gate: Gate, agent: AgentDoor, steward: StewardClient, changed: Configuration
    ) -> None:
        modules = self._modules.read()
        self.settings = changed
        self._modules.use(modules)
        steward.seconds = changed.prompters.seconds
        agent.options = agent_options(changed.agent)
        self.visibility.use(visible_rules(changed), self._modules.rules)
        for token in self._give_access():
            gate.inventory.changed(Event(token.store, token.name, Change.KEYS_CHANGED))

    def _give_access(self) -> list[Token]:
        """Who may see a token beside its owner and root; gives those where that changed."""
        changed: list[Token] = []
        for token in self._known():
            access = self.settings.tokens.get(token.name)
            uids = frozenset(access.uids if access else ())
            if token.accepted_uids != uids:
                token.accepted_uids = uids
                changed.append(token)
        return changed

    def _known(self) -> "list[DiskToken | TpmToken | ModuleToken]":
        # Not `tokens` of the modules, which starts them.
        hardware = [store.token for store in self._hardware]
        return [*self._disk.tokens(), *hardware, *self._modules.store.known_tokens()]

    def _token_came(self, event: Event) -> None:
        if event.change is Change.TOKEN_CAME:
            self._give_access()


# --- parts ---------------------------------------------------------------------------


def agent_options(settings: AgentSettings, line: CommandLine | None = None) -> Options:
    """What the configuration says, and above it what the command line says."""
    options = Options(
        default_lifetime=settings.lifetime or None,
        providers=settings.providers,
        remote_providers=settings.remote_providers,
        websafe=settings.websafe,
        restrict_websafe=settings.restrict_websafe,
    )
    if line is None:
        return options
    return replace(
        options,
        default_lifetime=line.lifetime or options.default_lifetime,
        providers=line.providers or options.providers,
        remote_providers=line.allow_remote_providers or options.remote_providers,
        websafe=line.websafe_allow or options.websafe,
        restrict_websafe=line.restrict_websafe and options.restrict_websafe,
    )


def visible_rules(settings: Configuration) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            each.programs,
            Door(each.door) if each.door else None,
            _selection(each.hide),
            _selection(each.only),
        )
        for each in settings.visible
    )


def _selection(selected: Selected | None) -> Selection | None:
    return None if selected is None else Selection(**structs.asdict(selected))


def trail_of(places: Places, settings: Configuration, role: Role, steward: StewardClient) -> Trail:
    """Raises `TrailUnavailable` and `TrailDamaged`: no daemon without a trail."""
    chosen = settings.trail
    sizes = Sizes(segment=chosen.segment_mib * MIB, reserve=chosen.reserve_mib * MIB)
    told = TrailSettings(
        sizes,
        keep=chosen.keep_mib * MIB,
        # Where a checkpoint goes, only the steward's own configuration says.
        witness=steward.witness if chosen.witness != Witness() else None,
    )
    return open_trail(places.trail, role, settings=told)


def memory_store(settings: Configuration, steward: StewardClient, asker: Asker) -> MemoryStore:
    shield = Shield(idle=settings.memory.shield_seconds)
    return MemoryStore(shield=shield, sk_sign=SecurityKeys(steward, asker).sign)


def module_loader(steward: StewardClient, asker: Asker) -> ModuleLoader:
    """For `ssh-add -s`. What it takes is imported when it is wanted: few agents ever are."""
    first = threading.Lock()
    made: list[Providers] = []

    def load(path: str, pin: Secret) -> Sequence[Provided]:
        with first:
            if not made:
                from keyholm.daemon import module_wiring

                made.append(module_wiring.providers_of(steward, asker))
        return made[0].load(path, pin)

    return load


def gate_over(
    stores: Sequence[Store],
    trail: Trail | SpokenTrail,
    steward: StewardClient,
    settings: Configuration,
    places: Places | None = None,
    fingerprint_hash: FingerprintHash = "sha256",
) -> Gate:
    """Without `places` nothing lasts: neither certificates nor counted uses."""
    return Gate(
        Inventory(stores),
        Recorder(trail, time.monotonic),
        Consent(steward, fingerprint=partial(keys.fingerprint, hash=fingerprint_hash)),
        files=partial(rule_file, steward),
        certificates=Certificates(places.certificates if places else None),
        counts=Counts(places.counts if places else None),
        durable=partial(_is_durable, settings),
        forbidden=frozenset() if settings.agent.sha1 else frozenset({"rsa-pkcs1-sha1"}),
    )


def _is_durable(settings: Configuration, key: Key) -> bool:
    return settings.trail.durability is Durability.DURABLE


def rule_file(steward: StewardClient, path: str) -> tuple[int, int, bool] | None:
    """Which file an executable rule's path names: what policies compare a caller with."""
    try:
        found = steward.resolve(path)
    except DaemonFailed:
        return None  # unknown: it matches nobody
    return None if found is None else (found.device, found.inode, found.trusted)


def owner_of(steward: StewardClient, pid: int) -> tuple[int, Process]:
    """Of any process, for `keyholm policy explain`. One that is not there is root's."""
    uid, process = steward.look_up_pid(pid)
    return 0 if uid is None else uid, process


def admits(who: LooksUp, accepts: Callable[[Peer], bool], peer: Peer) -> bool:
    if not accepts(peer):
        return False
    who.accepted(peer)
    # A program that the steward started has no business here: the pinentry of a hostile
    # configuration, or an ssh-sk-helper whose middleware went wrong.
    return not who.steward.started(peer)


def limits_of(settings: Configuration, *, doors: int) -> LimitSettings:
    """What each door may take, with room left for the daemon itself."""
    limits = settings.limits
    room = descriptors.room_for_clients(doors * limits.connections) // doors
    # One user's share stays what it was, so that a crowd of theirs locks out nobody else.
    share = limits.connections_of_uid * room // limits.connections
    return structs.replace(limits, connections=room, connections_of_uid=max(1, share))


def serve(
    listening: Listening,
    handle: Callable[[Connection], None],
    accepts: Callable[[Peer], bool],
    settings: LimitSettings,
    frame: int,
    name: str,
) -> Serving:
    limits = Limits(
        frame=frame,
        connections=settings.connections,
        connections_of_uid=settings.connections_of_uid,
        frame_seconds=settings.frame_seconds,
    )
    return Serving(listening.socket, handle, accepts=accepts, limits=limits, name=name)
