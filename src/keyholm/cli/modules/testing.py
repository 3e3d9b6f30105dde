"""`keyholm module test`: each step that a module takes, and what it has, as findings."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from keyholm.cli.checks import vendors
from keyholm.cli.checks.finding import BAD, GOOD, Finding
from keyholm.cli.modules import trial
from keyholm.cli.modules.trial import SlotSeen, Trial
from keyholm.cli.output import amount
from keyholm.daemon.module_files import ModuleSettings
from keyholm.daemon.steward.workers import spec_of
from keyholm.stores.modules.info import ModuleInfo
from keyholm.wire.pkcs11.constants import CKF

# Of CK_TOKEN_INFO, in the order of their bits.
FLAGS = {
    name: getattr(CKF, name)
    for name in (
        "RNG",
        "WRITE_PROTECTED",
        "LOGIN_REQUIRED",
        "USER_PIN_INITIALIZED",
        "CLOCK_ON_TOKEN",
        "PROTECTED_AUTHENTICATION_PATH",
        "TOKEN_INITIALIZED",
        "USER_PIN_COUNT_LOW",
        "USER_PIN_FINAL_TRY",
        "USER_PIN_LOCKED",
        "USER_PIN_TO_BE_CHANGED",
        "SO_PIN_COUNT_LOW",
        "SO_PIN_FINAL_TRY",
        "SO_PIN_LOCKED",
        "SO_PIN_TO_BE_CHANGED",
        "ERROR_STATE",
    )
}


class Report(NamedTuple):
    findings: list[Finding]
    trial: Trial | None  # None: it was not even started


def tested(name: str, settings: ModuleSettings) -> Report:
    found = list(vendors.from_outside(name, settings))
    if any(finding.level == BAD for finding in found):
        return Report(found, None)
    tried = trial.run(spec_of(name, settings), settings.start_seconds)
    return Report([*found, *_findings(tried, settings)], tried)


def _findings(tried: Trial, settings: ModuleSettings) -> Iterator[Finding]:
    yield Finding(GOOD, "file", f"{settings.path} can be loaded here.")
    if tried.info is not None:
        yield Finding(GOOD, "process", f"It started. Isolation: {tried.isolation}.")
        yield Finding(GOOD, "library", _introduced(tried.info))
    for slot in tried.slots:
        yield Finding(GOOD, "slot", _described(slot))
    for line in tried.lines:
        yield Finding(GOOD, "stderr", line)
    for finding in vendors.of_trial(tried, settings, time.time()):
        step = tried.failure.step if tried.failure is not None else finding.check
        if finding.level != GOOD:
            yield finding._replace(check=step)


def _introduced(info: ModuleInfo) -> str:
    interface = ".".join(map(str, info.interface_version))
    version = "{}.{}".format(*info.library_version)
    return (
        f"{info.manufacturer}, {info.library_description}, version {version}; PKCS#11 "
        f"{'{}.{}'.format(*info.cryptoki_version)}, interface {interface}, "
        f"{amount(len(info.functions), 'function')}."
    )


def _described(slot: SlotSeen) -> str:
    where = f"{slot.description or 'slot'} ({slot.number:#x})"
    token = slot.token
    if token is None:
        return f"{where}: no token."
    if not token.has(CKF.TOKEN_INITIALIZED):
        return f"{where}: a token that is not initialised."
    who = token.who
    maker = " ".join(filter(None, (who.manufacturer, who.model)))
    flags = ", ".join(name for name, flag in FLAGS.items() if token.has(flag))
    serial = f", serial {who.serial}" if who.serial else ""
    mechanisms = amount(len(token.mechanisms), "mechanism")
    return f"{where}: token {who.label!r}, {maker}{serial}; {mechanisms}; {flags}."


def as_json(report: Report) -> dict[str, Any]:
    tried = report.trial
    told: dict[str, Any] = {
        "findings": [finding._asdict() for finding in report.findings],
        "isolation": tried.isolation if tried else "",
        "info": None,
        "slots": [_slot_json(slot) for slot in tried.slots] if tried else [],
        "stderr": list(tried.lines) if tried else [],
    }
    if tried and tried.info:
        info = tried.info
        told["info"] = {
            "manufacturer": info.manufacturer,
            "description": info.library_description,
            "version": "{}.{}".format(*info.library_version),
            "cryptoki": "{}.{}".format(*info.cryptoki_version),
            "interface": "{}.{}".format(*info.interface_version),
            "functions": list(info.functions),
        }
    return told


def _slot_json(slot: SlotSeen) -> dict[str, Any]:
    token = slot.token
    return {
        "slot": slot.number,
        "description": slot.description,
        "error": slot.error,
        "token": None
        if token is None
        else {
            **token.who._asdict(),
            "flags": [name for name, flag in FLAGS.items() if token.has(flag)],
            "mechanisms": len(token.mechanisms),
        },
    }
