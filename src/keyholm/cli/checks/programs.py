"""Do the programs that are here know keyholm, and do they know it once?"""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from keyholm.cli.checks.finding import BAD, GOOD, WARNING, Finding, Patient
from keyholm.cli.exit_status import DATA, UNAVAILABLE

if TYPE_CHECKING:
    from keyholm.cli.registration.here import State
    from keyholm.cli.registration.target import Wish

OUR_MODULE: Final = re.compile(r"(/[^\n\"]*keyholm-pkcs11\.(?:so|dylib))")
USER_MODULES: Final = "pkcs11/modules"


def _wish(patient: Patient) -> "Wish":
    from keyholm.cli.module_file import module_file
    from keyholm.cli.registration.here import usual_wish

    return usual_wish(patient.environment, patient.places, module_file())


def programs_know_keyholm(patient: Patient) -> Iterator[Finding]:
    """Only those that are installed, and that look for modules by themselves."""
    from keyholm.cli.registration.here import state
    from keyholm.cli.registration.ledger import Ledger
    from keyholm.cli.registration.targets import TARGETS

    ledger, wish = Ledger(patient.places.data), _wish(patient)
    for target in TARGETS.values():
        if target.program and glob.glob(target.program):
            yield from findings_of(state(ledger, target, target.name, wish))


def findings_of(found: "State") -> Iterator[Finding]:
    from keyholm.cli.registration.here import CHANGED, OFF, ON

    name = found.program
    called = name if "-" in name else name.capitalize()
    if found.state == OFF:
        why = "It sees none of keyholm's keys."
        what = f"{called} does not know keyholm."
        yield Finding(WARNING, "programs", what, why, f"keyholm enable {name}")
    elif found.state == CHANGED:
        what = f"Somebody changed {', '.join(found.paths)} since keyholm wrote there."
        why = f"Whether {called} still knows keyholm is not known."
        remedy = f"keyholm disable {name} --force; keyholm enable {name}"
        yield Finding(WARNING, "programs", what, why, remedy)
    elif found.state == ON:
        yield from _is_there(called, name, found.paths)


def _is_there(called: str, name: str, paths: list[str]) -> Iterator[Finding]:
    for path in paths:
        for module in OUR_MODULE.findall(_text(path)):
            if not os.path.exists(module):
                what = f"{called} is told of {module}, which is not there."
                why = "keyholm was moved or removed after `keyholm enable`."
                remedy = f"keyholm enable {name}"
                yield Finding(BAD, "programs", what, why, remedy, UNAVAILABLE)
                return
    yield Finding(GOOD, "programs", f"{called} knows keyholm.")


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return ""


# --- p11-kit -------------------------------------------------------------------------


def known_once(patient: Patient) -> Iterator[Finding]:
    """Two modules that show the same keys: programs take the wrong one of each, or none."""
    from keyholm.cli.registration.p11_kit import PACKAGED, SYSTEM

    wish = _wish(patient)
    own = () if wish.root else (os.path.join(wish.config, USER_MODULES),)
    found = registered((PACKAGED, SYSTEM, *own), str(patient.places.socket("pkcs11")))
    if len(found) > 1:
        what = f"p11-kit shows keyholm's keys {len(found)} times: {', '.join(found)}."
        why = "Programs find each key more than once, and many of them fail then."
        yield Finding(WARNING, "p11-kit", what, why, f"rm {found[-1]}")


def nss_knows_once(patient: Patient) -> Iterator[Finding]:
    """A browser that loads p11-kit's proxy has our keys from there as well."""
    from keyholm.cli.registration import nss
    from keyholm.cli.registration.p11_kit import NAME, folder

    wish = _wish(patient)
    if not os.path.exists(os.path.join(folder(wish), NAME)):
        return
    for path in nss.databases(wish):
        if lists_both(_text(path)):
            what = f"{path} lists keyholm, and p11-kit, which shows its keys too."
            why = "The browser finds each key twice."
            yield Finding(WARNING, "programs", what, why, "keyholm disable firefox, or chromium")


def lists_both(content: str) -> bool:
    modules = [line.removeprefix("library=") for line in content.splitlines()]
    return "p11-kit-proxy.so" in map(os.path.basename, modules) and any(
        map(OUR_MODULE.fullmatch, modules)
    )


def registered(folders: Sequence[str], socket: str) -> list[str]:
    """Module files that lead to keyholm. A name counts once: p11-kit merges files by it."""
    found: dict[str, str] = {}
    for folder in folders:
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), "*.module"))):
            if leads_to_us(_text(path), socket):
                found[os.path.basename(path)] = path
    return sorted(found.values())


def leads_to_us(content: str, socket: str) -> bool:
    lines = (line.partition(":") for line in content.splitlines())
    fields = {name.strip(): value.strip() for name, _, value in lines}
    named = os.path.basename(fields.get("module", ""))
    remote, address = fields.get("remote", ""), fields.get("server-address", "")
    return (
        named.startswith("keyholm-pkcs11.")
        or (remote.startswith("|") and "keyholm" in remote)
        or socket in (remote.removeprefix("unix:path="), address.removeprefix("unix:path="))
    )


def root_is_heard(patient: Patient) -> Iterator[Finding]:
    from keyholm.cli.registration.p11_kit import NAME

    wish = _wish(patient)
    path = os.path.join(wish.config, USER_MODULES, NAME)
    if wish.root and os.path.exists(path):
        what = f"p11-kit does not look at {path}."
        why = "It ignores the configuration in root's home."
        yield Finding(WARNING, "p11-kit", what, why, f"rm {path}; keyholm enable p11-kit", DATA)
