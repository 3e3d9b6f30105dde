"""Will a server see the right key before it has seen too many?"""

from collections.abc import Iterator
from typing import Final

from keyholm.cli.checks.finding import GOOD, WARNING, Finding, Patient

MAX_AUTH_TRIES: Final = 6  # sshd's default
FOLDER: Final = ".ssh/keyholm"


def few_enough_keys(patient: Patient) -> Iterator[Finding]:
    if patient.status is None:
        return
    # ssh offers a key, then each of its certificates.
    offered = sum(1 + len(key["certificates"]) for key in patient.keys)
    if offered <= MAX_AUTH_TRIES:
        yield Finding(GOOD, "keys", f"{offered} are offered to a server, which is few enough.")
        return
    yield Finding(
        WARNING,
        "keys",
        f"{offered} keys and certificates are offered to every server.",
        f"sshd ends after MaxAuthTries {MAX_AUTH_TRIES}: 'Too many authentication failures'.",
        "keyholm ssh-config --write HOST=KEY ...",
    )
