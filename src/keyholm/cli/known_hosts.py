"""Host keys out of known_hosts, for a policy that names destinations."""

import json
import os
import subprocess
from collections.abc import Sequence

from keyholm.core.errors import BadRequest
from keyholm.wire.codec import Malformed
from keyholm.wire.ssh import keys


def destinations(named: Sequence[str], file: str | None) -> str:
    """The TOML of a policy that allows logins to these and nothing else."""
    path = file or os.path.expanduser("~/.ssh/known_hosts")
    entries = []
    for each in named:
        user, _, host = each.rpartition("@")
        plain, authorities = host_keys(host, path)
        fields = [f"host = {json.dumps(host)}"]
        if user:
            fields.append(f"user = {json.dumps(user)}")
        if plain:
            fields.append(f"keys = {json.dumps(plain)}")
        if authorities:
            fields.append(f"ca = {json.dumps(authorities)}")
        entries.append(f"{{{', '.join(fields)}}}")
    return f"destinations = [{', '.join(entries)}]\n"


def host_keys(host: str, path: str) -> tuple[list[str], list[str]]:
    """Fingerprints of the host's keys and of the CAs for it, as ssh-keygen finds them."""
    command = ["ssh-keygen", "-F", host, "-f", path]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except OSError as error:
        raise BadRequest(f"ssh-keygen cannot be run: {error.strerror}.") from error
    plain: list[str] = []
    authorities: list[str] = []
    for line in found.stdout.splitlines():
        if not line or line.startswith(("#", "@revoked")):
            continue
        is_ca = line.startswith("@cert-authority")
        words = line.split()[2 if is_ca else 1 :]
        try:
            blob, _ = keys.parse_line(" ".join(words[:2]))
        except Malformed:
            continue
        (authorities if is_ca else plain).append(keys.fingerprint(blob))
    if not plain and not authorities:
        raise BadRequest(
            f"{path} has no key of {host}.",
            remedy=f"`ssh {host}` once, and check the fingerprint that it shows.",
        )
    return plain, authorities
