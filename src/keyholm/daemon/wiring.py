"""Puts one daemon together: which stores behind which doors. Only this module knows them all.

    steward  →  sandbox  →  trail  →  stores  →  inventory  →  gate  →  doors

The steward is forked before any of this is imported. Everything after the sandbox is opened
from inside it, so that what starts is known to go on working.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from socket import socket
from typing import Final

from keyholm.core.audit.trail import open_trail
from keyholm.core.caller import Peer, Process
from keyholm.core.certificates import Certificates
from keyholm.core.consent import Consent
from keyholm.core.errors import DaemonFailed
from keyholm.core.gate import Gate
from keyholm.core.inventory import Inventory
from keyholm.core.recording import Recorder
from keyholm.core.store import Store
from keyholm.core.usage import Counts
from keyholm.daemon import hardening
from keyholm.daemon.agent import CommandLine
from keyholm.daemon.configuration import AgentSettings, Configuration, LimitSettings
from keyholm.daemon.keeper import Keeper
from keyholm.daemon.places import Places
from keyholm.daemon.security_keys import Asker, SecurityKeys
from keyholm.daemon.steward.client import StewardClient
from keyholm.doors.serving import Limits, Serving
from keyholm.doors.ssh_agent.options import Options
from keyholm.doors.ssh_agent.server import AgentDoor
from keyholm.stores.memory.store import MemoryStore
from keyholm.stores.software.shield import Shield

AGENT_FRAME: Final = 256 * 1024  # AGENT_MAX_LEN of OpenSSH


@dataclass(frozen=True, slots=True)
class Plan:
    """What one daemon is to be."""

    role: str  # whose trail it continues: `serve` or `agent`
    places: Places
    configuration: Configuration
    options: Options
    accepts: Callable[[Peer], bool]


def agent_only(plan: Plan, steward: StewardClient, listener: socket) -> Keeper:
    """keyholm-agent: the agent door and the memory store."""
    hardened = hardening.apply(writes=[plan.places.data], reads=[])
    trail = open_trail(plan.places.trail, plan.role)
    asker = Asker()
    memory = memory_store(plan, steward, asker)
    gate = gate_over([memory], trail, steward, certificates=None, counts=None)
    door = AgentDoor(gate, memory.token, plan.options, identify(steward, asker))
    serving = Serving(
        listener,
        door.serve,
        accepts=partial(accepts, plan, steward),
        limits=limits(plan.configuration.limits, AGENT_FRAME),
        name=door.name,
    )
    return Keeper(gate, steward, hardened, memory, [memory], [serving], trail.close)


def agent_options(settings: AgentSettings, line: CommandLine | None = None) -> Options:
    """What the configuration says, and above it what the command line says."""
    options = Options(
        default_lifetime=settings.lifetime or None,
        providers=settings.providers,
        remote_providers=settings.remote_providers,
        websafe=settings.websafe,
        restrict_websafe=settings.restrict_websafe,
        sha1=settings.sha1,
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


def memory_store(plan: Plan, steward: StewardClient, asker: Asker) -> MemoryStore:
    keys = SecurityKeys(steward, asker)
    shield = Shield(idle=plan.configuration.memory.shield_seconds)
    return MemoryStore(shield=shield, sk_sign=keys.sign)


def gate_over(
    stores: list[Store],
    trail: object,
    steward: StewardClient,
    *,
    certificates: Path | None,
    counts: Path | None,
) -> Gate:
    return Gate(
        Inventory(stores),
        Recorder(trail, trail.limiter, time.monotonic),
        Consent(steward),
        files=rule_file(steward),
        certificates=Certificates(certificates),
        counts=Counts(counts),
    )


def rule_file(steward: StewardClient) -> Callable[[str], tuple[int, int, bool] | None]:
    """Which file an executable rule's path names: what policies are compared with."""

    def resolve(path: str) -> tuple[int, int, bool] | None:
        try:
            found = steward.resolve(path)
        except DaemonFailed:
            return None  # unknown: it matches nobody
        return None if found is None else (found.device, found.inode, found.trusted)

    return resolve


def identify(steward: StewardClient, asker: Asker) -> Callable[[Peer, socket], Process]:
    def look_up(peer: Peer, connection: socket) -> Process:
        asker.peer = peer
        return steward.identify(peer, connection)

    return look_up


def accepts(plan: Plan, steward: StewardClient, peer: Peer) -> bool:
    # A program that the steward started has no business here: the pinentry of a hostile
    # configuration, or an ssh-sk-helper whose middleware went wrong.
    return plan.accepts(peer) and not steward.started(peer)


def limits(settings: LimitSettings, frame: int) -> Limits:
    return Limits(
        frame=frame,
        connections=settings.connections,
        connections_of_uid=settings.connections_of_uid,
        frame_seconds=settings.frame_seconds,
    )
