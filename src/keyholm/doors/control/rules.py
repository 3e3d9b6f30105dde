"""The methods about policies: get, set, explain."""

from keyholm.core import actions, mechanisms, model
from keyholm.core.caller import Caller, Door, Peer
from keyholm.core.errors import BadRequest, NotTheOwner
from keyholm.core.gate import Use
from keyholm.core.policy import policy_hash, write
from keyholm.doors.control import schema
from keyholm.doors.control.exchange import Request
from keyholm.doors.control.keys import key_named, mechanism_of, policy_of
from keyholm.wire.ssh import sshsig


def get(request: Request) -> schema.Policy:
    policy = request.gate.policy(key_named(request))
    return schema.Policy(toml=write(policy), hash=policy_hash(policy))


def put(request: Request) -> schema.Policy:
    policy = policy_of(request.params.toml)
    action = actions.SetPolicy(key_named(request), policy)
    request.manage(action, model.Key, request.secret())
    return schema.Policy(toml=write(policy), hash=policy_hash(policy))


def explain(request: Request) -> schema.Explanation:
    params: schema.Explain = request.params
    key = key_named(request)
    uid, process = request.door.look_up(params.pid)
    if request.caller.uid not in (0, uid):
        raise NotTheOwner(f"Process {params.pid} is not yours.")
    try:
        door = Door(params.door)
    except ValueError:
        doors = ", ".join(Door)
        raise BadRequest(
            f"No door is called {params.door[:64]!r}.", remedy=f"There are {doors}."
        ) from None
    asked = Caller(door, Peer(uid, uid, params.pid), lambda: process)
    data = None
    if params.namespace:
        data = mechanisms.Message(sshsig.to_be_signed(params.namespace, "sha512", b""))
    mechanism, _ = mechanism_of(key)
    steps = request.gate.explain(asked, Use(key, mechanism), data)
    return schema.Explanation(
        program=process.executable.path if process.executable else "",
        via=asked.via,
        allowed=all(step.outcome != "refuse" for step in steps),
        steps=[schema.Step(rule=s.rule, outcome=s.outcome, reason=s.reason) for s in steps],
    )
