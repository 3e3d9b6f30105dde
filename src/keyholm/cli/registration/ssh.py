"""ssh, and git's signatures."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from keyholm.cli.files import PRIVATE
from keyholm.cli.registration.target import Edit, Target, Wish, block
from keyholm.core.errors import BadRequest

# What `git config` is told, and how it spells the answer.
SETTINGS: Final = ("gpg.format", "user.signingkey")


def ssh_word(path: str) -> str:
    return f'"{path}"' if any(letter.isspace() for letter in path) else path


def ssh_edits(wish: Wish) -> Sequence[Edit]:
    """At the end, for every host: what is said before it of a host wins."""
    if wish.provider:
        line = f"    PKCS11Provider {ssh_word(wish.needs_module())}"
    else:
        # % begins a token in this one's value, and not in the other's (ssh_config(5), TOKENS).
        line = f"    IdentityAgent {ssh_word(wish.agent.replace('%', '%%'))}"
    path = os.path.join(wish.home, ".ssh", "config")
    return [Edit(path, block("ssh", ("Host *", line)), PRIVATE)]


def ssh_usage(wish: Wish) -> Sequence[str]:
    return (
        "ssh -G HOST | grep -i -e identityagent -e pkcs11provider",
        "ssh HOST",
        "keyholm ssh-config --write HOST=KEY   # one key for one host",
    )


def git_edits(wish: Wish) -> Sequence[Edit]:
    if shutil.which("git") is None:
        raise BadRequest("git is not installed.")
    if not wish.key:
        raise BadRequest(
            "With which key shall git sign?", remedy="`keyholm enable git --key KEY` says so."
        )
    values = dict(zip(SETTINGS, ("ssh", f"key::{wish.key}"), strict=True))

    def with_ours(before: bytes | None) -> bytes:
        """git writes it itself, into a copy: it knows its own format best."""
        with tempfile.TemporaryDirectory(prefix="keyholm-") as folder:
            copy = Path(folder) / "config"
            copy.write_bytes(before or b"")
            for name, value in values.items():
                _git_config(copy, name, value)
            return copy.read_bytes()

    return [Edit(_git_file(wish), with_ours)]


def _git_config(file: Path, name: str, value: str) -> None:
    done = subprocess.run(
        ["git", "config", "--file", str(file), "--replace-all", name, value],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = done.stderr.strip().replace(str(file), "the file")
        raise BadRequest(f"git cannot change its configuration: {reason}.")


def _git_file(wish: Wish) -> str:
    """Where `git config --global` writes."""
    own, other = os.path.join(wish.home, ".gitconfig"), os.path.join(wish.config, "git", "config")
    return other if os.path.exists(other) and not os.path.exists(own) else own


def git_usage(wish: Wish) -> Sequence[str]:
    return (
        'eval "$(keyholm env)"',
        "git commit -S",
        "git config --global commit.gpgsign true   # to sign each one",
    )


SSH: Final = Target(
    "ssh", "logins, by the agent or with --provider by the module", "", ssh_edits, ssh_usage
)
GIT: Final = Target("git", "signed commits and tags", "", git_edits, git_usage, wants_key=True)
