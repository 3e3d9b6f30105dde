"""A module that `ssh-add -s` names: what it may see, as nobody has written it down.

OpenSSH's helper has the environment of the agent, and so a module there finds its configuration.
Of that a worker gets the variables that a well-known module reads, and sees what they name.
"""

import os
from collections.abc import Mapping

from keyholm.daemon.vendors import known
from keyholm.daemon.vendors.needs import Here, Kind, values
from keyholm.worker.spec import Spec


def spec_of(library: str, environment: Mapping[str, str]) -> Spec:
    """`environment` is that of the daemon's start."""
    found = known.of_file(library)
    names = found.variables if found else ()
    env = {name: environment[name] for name in names if name in environment}
    needs = known.needs_of_module(library, Here(env, environment=environment))
    for need in needs:
        if need.kind is Kind.ENV:
            name, _, value = need.value.partition("=")
            env.setdefault(name, value)
    kinds = {need.kind for need in needs}
    return Spec(
        os.path.basename(library),
        library,
        env=env,
        reads=values(needs, Kind.READS),
        writes=values(needs, Kind.WRITES),
        devices=values(needs, Kind.DEVICES),
        sockets=values(needs, Kind.SOCKETS),
        network=Kind.NETWORK in kinds,
        ipc=Kind.IPC in kinds,
    )
