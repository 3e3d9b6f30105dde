"""Whose screen: what a prompt's program may know of its surroundings.

Its environment is built from nothing. The display's variables are as the session manager has
them now, since the daemon may be older than the desktop; where there is no such manager, as
they were when the daemon was started. What is passed on, and why:

    DISPLAY WAYLAND_DISPLAY XAUTHORITY     where to show a window
    XDG_RUNTIME_DIR                        the Wayland socket lies in it
    DBUS_SESSION_BUS_ADDRESS               pinentry-gnome3 has the desktop shell ask
    HOME                                   of our uid, from the user database: X authority, fonts
    PATH                                   the system's own folders
    LANG LC_ALL LC_CTYPE LC_MESSAGES       as at the start: how to spell what is shown
"""

import os
import pwd
import re
import subprocess
from collections.abc import Mapping
from typing import Final

SCREEN: Final = (
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
)
LANGUAGE: Final = ("LANG", "LC_ALL", "LC_CTYPE", "LC_MESSAGES")
PATH: Final = "/usr/local/bin:/usr/bin:/bin"
MANAGER: Final = ("/usr/bin/systemctl", "/bin/systemctl")
SECONDS: Final = 2.0
# Anything else is quoted by systemctl, and is nothing that we would want to pass on.
PLAIN: Final = re.compile(r"[A-Za-z0-9_./:@%,=+-]*")


class Session:
    """The surroundings of the daemon's user. `start` is the daemon's own environment."""

    def __init__(self, start: Mapping[str, str]) -> None:
        self.start = dict(start)

    def environment(self) -> dict[str, str]:
        """For a program that is started now."""
        now = self.start if (managed := self._managed()) is None else managed
        found = {name: now[name] for name in SCREEN if now.get(name)}
        if runtime := self.start.get("XDG_RUNTIME_DIR"):
            found.setdefault("XDG_RUNTIME_DIR", runtime)
        found |= {name: self.start[name] for name in LANGUAGE if name in self.start}
        return {**found, "PATH": PATH, "HOME": _home()}

    def _managed(self) -> dict[str, str] | None:
        """What `systemctl --user show-environment` says; None if nobody manages the session."""
        runtime = self.start.get("XDG_RUNTIME_DIR", "")
        program = next((path for path in MANAGER if os.access(path, os.X_OK)), None)
        if program is None or not os.path.exists(f"{runtime}/systemd/private"):
            return None
        try:
            done = subprocess.run(
                [program, "--user", "show-environment"],
                env={"XDG_RUNTIME_DIR": runtime, "PATH": PATH, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=SECONDS,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return parse(done.stdout.decode(errors="replace"))


def parse(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: value for name, _, value in pairs if PLAIN.fullmatch(value)}


def has_screen(environment: Mapping[str, str]) -> bool:
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def _home() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return "/"
