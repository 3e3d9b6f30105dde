"""The methods about vendors' modules: how each of them does, and reading their files again."""

from msgspec.structs import replace

from keyholm.core import actions
from keyholm.doors.control import schema
from keyholm.doors.control.exchange import Request


def every(request: Request) -> schema.ModuleList:
    """Who is not the daemon's user learns of what it may see, and of no paths or processes."""
    caller, seen = request.caller, {token.name for token in request.gate.tokens(request.caller)}
    modules = request.door.modules()
    if caller.uid in (0, request.door.owner):
        return schema.ModuleList(modules=modules)
    return schema.ModuleList(
        modules=[
            replace(
                module,
                library="",
                pid=None,
                isolation="",
                tokens=[name for name in module.tokens if name in seen],
                error="",
                remedy="",
            )
            for module in modules
            if seen.intersection(module.tokens)
        ]
    )


def reload(request: Request) -> schema.Done:
    request.manage(actions.Reload(request.door.owner, request.door.reload), type(None))
    return schema.Done()
