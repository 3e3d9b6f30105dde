"""What a daemon says about itself, for `keyholm status` and `keyholm doctor`."""

import os
from importlib.metadata import version

from keyholm.core.audit.trail import Trail
from keyholm.core.errors import DaemonFailed
from keyholm.daemon.hardening import Hardening
from keyholm.daemon.keeper import Keeper
from keyholm.daemon.steward.client import StewardClient
from keyholm.doors.control import schema
from keyholm.doors.control.server import Facts


def facts_of(keeper: Keeper, trail: Trail) -> Facts:
    return Facts(
        version=version("keyholm"),
        pid=os.getpid(),
        uid=os.getuid(),
        started=keeper.started,
        doors=[
            schema.Door(name=name, path=door.path, connections=door.serving.connections)
            for name, door in keeper.doors.items()
        ],
        trail=_trail(trail),
        sandbox=sandbox(keeper.hardening),
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


def _trail(trail: Trail) -> schema.Trail:
    raise NotImplementedError
