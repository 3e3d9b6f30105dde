"""The methods about the daemon itself: status, the agent's withdrawn keys, a test of prompts."""

from keyholm.core import actions
from keyholm.core.prompt import Kind, Question
from keyholm.doors.control import describe, schema
from keyholm.doors.control.exchange import Request


def status(request: Request) -> schema.Status:
    facts = request.door.facts()
    return schema.Status(
        version=facts.version,
        pid=facts.pid,
        uid=facts.uid,
        started=facts.started,
        tokens=[describe.token(token) for token in request.gate.tokens(request.caller)],
        damage=_damage(request, facts.uid),
        doors=facts.doors,
        trail=facts.trail,
        sandbox=facts.sandbox,
        isolation=facts.isolation,
        memory_locked=facts.memory_locked,
        steward=facts.steward,
        prompters=facts.prompters,
    )


def _damage(request: Request, daemon: int) -> dict[str, str]:
    """Whose such a token was cannot be read, so it is told to the daemon's own user and root."""
    if request.caller.uid not in (0, daemon):
        return {}
    found: dict[str, str] = {}
    for store in request.gate.inventory.stores:
        damage = getattr(store, "damage", None)
        if damage is not None:
            found |= {f"{store.name}/{name}": why for name, why in damage().items()}
    return found


def restore_withdrawn(request: Request) -> schema.Restore:
    keys = request.door.gate.keys(request.caller)
    count = request.manage(actions.RestoreWithdrawn(request.door.agent, keys), int)
    return schema.Restore(restored=count)


def test_prompt(request: Request) -> schema.Prompted:
    answer = request.door.prompters.ask(
        Question(
            Kind.CONFIRM,
            "keyholm",
            "This is a test. Nothing is signed, whatever you answer.",
            pid=request.caller.peer.pid,
            uid=request.caller.uid,
        )
    )
    return schema.Prompted(prompter=answer.prompter, granted=answer.granted, reason=answer.reason)
