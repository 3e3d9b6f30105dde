"""What a daemon says about itself, for `keyholm status` and `keyholm doctor`."""

import os
from importlib.metadata import version

from keyholm.core.audit.trail import Trail
from keyholm.core.errors import DaemonFailed
from keyholm.daemon.configuration import Configuration
from keyholm.daemon.hardening import Hardening
from keyholm.daemon.keeper import Keeper
from keyholm.daemon.places import Places
from keyholm.daemon.steward.client import StewardClient
from keyholm.doors.control import schema
from keyholm.doors.control.server import Facts


def facts_of(keeper: Keeper, trail: schema.Trail) -> Facts:
    return Facts(
        version=version("keyholm"),
        pid=os.getpid(),
        uid=os.getuid(),
        started=keeper.started,
        doors=[
            schema.Door(name=name, path=door.path, connections=door.serving.connections)
            for name, door in keeper.doors.items()
        ],
        trail=trail,
        sandbox=sandbox(keeper.hardening),
        isolation=keeper.steward.isolation(),
        memory_locked=keeper.hardening.locked_memory,
        steward=keeper.steward.alive,
        prompters=prompters(keeper.steward),
    )


def sandbox(hardening: Hardening) -> dict[str, str]:
    return {
        "memory": "closed to other programs" if hardening.undumpable else "open to this user",
        "core dumps": "off" if hardening.no_core else "on",
        "privileges": "none to be had" if hardening.no_new_privileges else "as started",
        "new code": "refused" if hardening.no_new_code else "possible",
        "landlock": f"ABI {hardening.landlock}" if hardening.landlock else "none",
        "seccomp": "on" if hardening.seccomp else "none",
    }


def prompters(steward: StewardClient) -> dict[str, str]:
    """Why each could not ask now; empty: it could."""
    try:
        return {found.name: found.reason for found in steward.prompters()}
    except DaemonFailed as error:
        return {"all": error.what}


def trail_facts(trail: Trail, settings: Configuration, places: Places) -> schema.Trail:
    status = trail.status()
    return schema.Trail(
        directory=str(places.trail),
        origin=status.origin,
        records=status.records,
        durability=settings.trail.durability,
        reserve=status.reserve,
        available=not status.failure and not status.is_full,
    )
