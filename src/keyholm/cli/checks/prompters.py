"""Can anybody be asked for consent or a passphrase?"""

from collections.abc import Iterator

from keyholm.cli.checks.finding import BAD, GOOD, WARNING, Finding, Patient
from keyholm.cli.exit_status import NOT_ALLOWED, exit_status
from keyholm.client import connect
from keyholm.core.errors import KeyholmError


def somebody_can_be_asked(patient: Patient) -> Iterator[Finding]:
    if patient.status is None:
        return
    prompters = patient.status["prompters"]
    ready = [name for name, reason in prompters.items() if not reason]
    if not ready:
        reasons = " ".join(f"{name}: {reason}" for name, reason in prompters.items())
        what = "Nobody can be asked for consent or a passphrase."
        why = f"Keys that want it are refused. {reasons}".strip()
        remedy = "set prompters.askpass or prompters.pinentry; keyholm config path"
        yield Finding(BAD, "prompter", what, why, remedy, NOT_ALLOWED)
    elif patient.asks:
        yield _tested()
    else:
        yield Finding(GOOD, "prompter", f"{', '.join(ready)} can ask (not tried: --prompt tries).")


def _tested() -> Finding:
    """Ask for real: that a program is there does not say that its window opens."""
    try:
        with connect() as client:
            answer = client.call("prompt.test")
    except KeyholmError as error:
        what = f"The test of the prompters failed: {error.what}"
        return Finding(BAD, "prompter", what, "", error.remedy, exit_status(error))
    if answer["granted"] or answer["reason"] in ("denied", "cancelled"):
        return Finding(GOOD, "prompter", f"{answer['prompter']} asked and was answered.")
    what = f"{answer['prompter']} asked, and nobody answered ({answer['reason']})."
    why = "The question may be on a display that nobody sees."
    return Finding(WARNING, "prompter", what, why, "keyholm config path", NOT_ALLOWED)
