"""Vendors' modules: their files, what they need of this machine, and the tokens behind them.

What a module file names is looked at from outside first. A module for which all is well so far is
started once, in a worker of its own, and asked what it has; none is that nobody added.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from keyholm.cli.checks import machine
from keyholm.cli.checks.finding import BAD, GOOD, WARNING, Finding, Patient
from keyholm.cli.exit_status import CONFIGURATION, UNAVAILABLE, exit_status
from keyholm.cli.output import amount
from keyholm.core.errors import KeyholmError

if TYPE_CHECKING:
    from keyholm.cli.modules.trial import SlotSeen, TokenSeen, Trial
    from keyholm.daemon.module_files import ModuleSettings

CHECK: Final = "module"
LONGEST_START: Final = 10.0  # seconds that one may take to start, here
CLOCK_SECONDS: Final = 120.0
OURS: Final = "keyholm new NAME --type ecdsa-p256 makes one in keyholm's own store"


def modules_work(patient: Patient) -> Iterator[Finding]:
    from keyholm.daemon import module_files

    folder = module_files.folder(patient.places)
    try:
        modules = module_files.read_folder(folder)
    except KeyholmError as error:
        yield Finding(BAD, CHECK, error.what, "", error.remedy, exit_status(error))
        return
    for wrong in modules.bad.values():
        yield Finding(BAD, CHECK, wrong.what, "", wrong.remedy, CONFIGURATION)
    for name, settings in modules.good.items():
        if settings.enabled:
            yield from examined(name, settings, patient)


def examined(name: str, settings: "ModuleSettings", patient: Patient) -> Iterator[Finding]:
    from keyholm.cli.modules import trial
    from keyholm.daemon.steward.workers import spec_of

    found = list(from_outside(name, settings))
    yield from found
    if any(finding.level == BAD for finding in found):
        return
    seconds = min(settings.start_seconds, LONGEST_START)
    yield from of_trial(trial.run(spec_of(name, settings), seconds), settings, patient.now)


# --- from outside --------------------------------------------------------------------


def from_outside(name: str, settings: "ModuleSettings") -> Iterator[Finding]:
    """What keeps it from working, as far as that can be seen without loading it."""
    from keyholm.cli.modules.adding import check_library
    from keyholm.daemon import module_files

    try:
        module_files.check_library(name, settings)
        check_library(settings.path)
    except KeyholmError as error:
        what = error.what if error.what.startswith("Module ") else f"Module {name}: {error.what}"
        yield Finding(BAD, CHECK, what, "", error.remedy, CONFIGURATION)
        return
    yield from machine.silent_daemons(name, settings)
    yield from machine.out_of_reach(name, settings)


# --- what it has ---------------------------------------------------------------------


def of_trial(found: "Trial", settings: "ModuleSettings", now: float) -> Iterator[Finding]:
    name = found.name
    if found.failure is not None:
        why = f"It wrote: {found.lines[-1]}" if found.lines else ""
        failure = found.failure
        yield Finding(BAD, CHECK, failure.what, why, failure.remedy, UNAVAILABLE)
        return
    if not found.isolation.startswith("full"):
        what = f"The process of {name} is not shut in: {found.isolation}."
        why = "A crash of it harms nothing, but it could read and write what its user can."
        yield Finding(WARNING, CHECK, what, why)
    if found.tokens:
        tokens = ", ".join(each.who.label or each.who.serial for each in found.tokens)
        yield Finding(
            GOOD, CHECK, f"{name} works: {amount(len(found.tokens), 'token')} ({tokens})."
        )
    yield from of_slots(found, machine.card_holder(), reads_cards=machine.reads_cards(settings))
    for token in found.tokens:
        yield from _token(name, settings, token, now)


def of_slots(
    found: "Trial", holder: machine.Holder | None, *, reads_cards: bool = True
) -> Iterator[Finding]:
    """`holder`: who may have taken the cards for itself."""
    if not found.slots:
        if reads_cards:
            yield _no_reader(found.name, holder)
        else:
            yield Finding(WARNING, CHECK, f"{found.name} has no slot, and so no keys.")
        return
    for slot in found.slots:
        if slot.error:
            yield _unreadable(slot, holder if reads_cards else None)
        elif slot.token is None and slot.removable and not _elsewhere(found, slot):
            yield _no_card(slot, holder if reads_cards else None)
    yield from _uninitialised(found)


def _elsewhere(found: "Trial", slot: "SlotSeen") -> bool:
    """Whether another slot of the same reader has a card: OpenSC has several for each."""
    return any(
        other.token is not None and other.description == slot.description for other in found.slots
    )


def _no_reader(name: str, holder: machine.Holder | None) -> Finding:
    if holder is not None:
        return _held(f"{name} finds no card reader.", holder)
    why = "None is plugged in, or pcscd has no driver for it (libccid has most)."
    remedy = "pcsc_scan (of pcsc-tools) shows what pcscd sees"
    return Finding(WARNING, CHECK, f"{name} finds no card reader.", why, remedy)


def _no_card(slot: "SlotSeen", holder: machine.Holder | None) -> Finding:
    what = f"There is no card in {slot.description}."
    if holder is not None:
        return _held(f"{slot.description} shows no card.", holder)
    return Finding(WARNING, CHECK, what, "Its keys are there when the card is.", "Insert it.")


def _unreadable(slot: "SlotSeen", holder: machine.Holder | None) -> Finding:
    if holder is not None:
        return _held(slot.error, holder)
    why = "Another program may have taken the card for itself, or it is of an unknown kind."
    return Finding(WARNING, CHECK, slot.error, why, "End other programs that use the card.")


def _held(what: str, holder: machine.Holder) -> Finding:
    why = f"{holder.name} of GnuPG (process {holder.pid}) may hold it for itself."
    remedy = "gpgconf --kill scdaemon; `pcsc-shared` in ~/.gnupg/scdaemon.conf lets both use it"
    return Finding(WARNING, CHECK, what, why, remedy)


def _uninitialised(found: "Trial") -> Iterator[Finding]:
    """SoftHSM has always one such, to make the next token of."""
    blank = [slot for slot in found.slots if slot.token is not None and not slot.error]
    if blank and not found.tokens:
        what = f"{found.name} has no token that is initialised."
        why = "A blank one holds no keys, and takes none."
        yield Finding(WARNING, CHECK, what, why, machine.initialising(found.library))


def _token(
    name: str, settings: "ModuleSettings", token: "TokenSeen", now: float
) -> Iterator[Finding]:
    from keyholm.wire.pkcs11.constants import CKF

    label = token.who.label or token.who.serial
    unblock = machine.unblocking(settings.path)
    if token.has(CKF.USER_PIN_LOCKED):
        why = "It was wrong too often. Nothing opens the token but the security officer (PUK)."
        yield Finding(BAD, CHECK, f"The PIN of {label} is locked.", why, unblock, UNAVAILABLE)
    elif token.has(CKF.USER_PIN_FINAL_TRY):
        why = "The next wrong one locks it. keyholm sends none without telling you so."
        yield Finding(WARNING, CHECK, f"The PIN of {label} has one try left.", why, unblock)
    elif token.has(CKF.USER_PIN_COUNT_LOW):
        why = "The count starts anew with the right one."
        yield Finding(WARNING, CHECK, f"A PIN of {label} was wrong lately.", why)
    if token.has(CKF.LOGIN_REQUIRED) and not token.has(CKF.USER_PIN_INITIALIZED):
        why = "Nobody can log in to it, so its private keys cannot be used."
        remedy = f"pkcs11-tool --module {settings.path} --init-pin --login --login-type so"
        yield Finding(WARNING, CHECK, f"{label} has no PIN for its user yet.", why, remedy)
    if token.has(CKF.SO_PIN_LOCKED):
        why = "Should the user's PIN be locked as well, its keys are lost."
        yield Finding(WARNING, CHECK, f"The security officer's PIN of {label} is locked.", why)
    if not token.p256:
        why = "It has no CKM_ECDSA for 256 bits. RSA keys work if it has those."
        yield Finding(WARNING, CHECK, f"{name} cannot use P-256 keys with {label}.", why, OURS)
    if token.has(CKF.CLOCK_ON_TOKEN):
        yield from _clock(label, token.utc_time, now)


def _clock(label: str, utc_time: str, now: float) -> Iterator[Finding]:
    told = machine.time_of(utc_time)
    if told is not None and abs(told - now) > CLOCK_SECONDS:
        ahead = "ahead of" if told > now else "behind"
        what = f"The clock of {label} is {abs(told - now):.0f} s {ahead} this machine's."
        why = "What it dates, and keys that it lets be used for a time, are off by that."
        yield Finding(WARNING, "clock", what, why, "timedatectl status, or set the token's clock")


# --- not added -----------------------------------------------------------------------


def installed_ones_are_known(patient: Patient) -> Iterator[Finding]:
    """A suggestion: nothing is wrong, and nothing was loaded."""
    from keyholm.daemon import module_files
    from keyholm.daemon.vendors.known import installed
    from keyholm.daemon.vendors.needs import Here

    here = Here(environment=patient.environment)
    try:
        modules = module_files.read_folder(module_files.folder(patient.places))
    except KeyholmError:
        return
    added = {os.path.realpath(settings.path) for settings in modules.good.values()}
    names = [
        each.known.name
        for each in installed(here)
        if os.path.realpath(each.path) not in added and each.known.likely(here)
    ]
    if names:
        what = f"Installed, and not added: {', '.join(names)}."
        remedy = f"keyholm module add {names[0]} (or another), if you want its keys here"
        yield Finding(GOOD, CHECK, what, "", remedy)
