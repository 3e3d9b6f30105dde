"""Copies of the trail's checkpoints, for somebody who cannot be talked into changing them."""

import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keyholm.core.errors import TrailUnavailable
from keyholm.prompters.session import PATH

JOURNAL: Final = "/run/systemd/journal/socket"
SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Witnesses:
    """Where each checkpoint goes. Only the configuration says so, never a request."""

    file: str = ""
    journal: bool = False
    command: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        return bool(self.file or self.journal or self.command)

    def tell(self, checkpoint: bytes) -> None:
        """Every one of them is tried. Raises `TrailUnavailable` if one did not take it."""
        failed = []
        for wanted, name, give in (
            (self.file, self.file, self._append),
            (self.journal, "the journal", self._log),
            (self.command, "the witness command", self._run),
        ):
            if wanted:
                try:
                    give(checkpoint)
                except (OSError, subprocess.SubprocessError) as error:
                    failed.append(f"{name} ({error})")
        if failed:
            raise TrailUnavailable(
                f"A checkpoint was not taken by {', '.join(failed)}.",
                remedy="Check trail.witness in config.toml.",
            )

    def _append(self, checkpoint: bytes) -> None:
        file = os.open(
            Path(self.file), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            # A blank line ends one checkpoint: a note's own text has none after its signatures.
            left = memoryview(checkpoint.rstrip(b"\n") + b"\n\n")
            while left:
                left = left[os.write(file, left) :]
            os.fsync(file)
        finally:
            os.close(file)

    def _log(self, checkpoint: bytes) -> None:
        """The journal's native protocol: a field of several lines has its size before it."""
        entry = (
            b"PRIORITY=6\nSYSLOG_IDENTIFIER=keyholm\nMESSAGE=checkpoint of the trail\n"
            b"KEYHOLM_CHECKPOINT\n" + len(checkpoint).to_bytes(8, "little") + checkpoint + b"\n"
        )
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
            journal.settimeout(SECONDS)
            journal.sendto(entry, JOURNAL)

    def _run(self, checkpoint: bytes) -> None:
        subprocess.run(
            self.command,
            input=checkpoint,
            env={"PATH": PATH},
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=True,
            start_new_session=True,
        )
