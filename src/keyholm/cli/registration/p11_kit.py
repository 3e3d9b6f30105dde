"""p11-kit: GnuTLS, GNOME, wget, OpenSSL's engine and whatever else loads p11-kit-proxy."""

import os
from collections.abc import Sequence
from typing import Final

from keyholm.cli.registration.target import Edit, Target, Wish, whole

NAME: Final = "keyholm.module"
SYSTEM: Final = "/etc/pkcs11/modules"
PACKAGED: Final = "/usr/share/p11-kit/modules"


def folder(wish: Wish) -> str:
    """p11-kit does not look into root's home (0.24.1, conf.c)."""
    return SYSTEM if wish.root else os.path.join(wish.config, "pkcs11", "modules")


def module_file(wish: Wish) -> str:
    if wish.native:
        how = f"module: {wish.needs_module()}"
    else:
        how = f"remote: |{_word(wish.command)} p11 --stdio"
    return f"""\
# Written by `keyholm enable p11-kit`; `keyholm disable p11-kit` takes it away.
{how}
critical: no
priority: 1
trust-policy: no
"""


def _word(path: str) -> str:
    """p11-kit splits a command at blanks that no quotes are around."""
    if not any(letter in " \t\\\"'" for letter in path):
        return path
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def edits(wish: Wish) -> Sequence[Edit]:
    return [Edit(os.path.join(folder(wish), NAME), whole(module_file(wish)))]


def usage(wish: Wish) -> Sequence[str]:
    return ("p11-kit list-modules", "p11tool --list-all 'pkcs11:manufacturer=keyholm'")


P11_KIT: Final = Target(
    "p11-kit", "GnuTLS, GNOME, wget, OpenSSL's engine", "/usr/lib/*/libp11-kit.so.0", edits, usage
)
