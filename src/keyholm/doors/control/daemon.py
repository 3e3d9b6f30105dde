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
        doors=facts.doors,
        trail=facts.trail,
        sandbox=facts.sandbox,
        memory_locked=facts.memory_locked,
        steward=facts.steward,
        prompters=facts.prompters,
    )


def restore_withdrawn(request: Request) -> schema.Restore:
    count = request.manage(actions.RestoreWithdrawn(request.door.agent), int)
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
