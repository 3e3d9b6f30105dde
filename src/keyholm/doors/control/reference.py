"""The published schema of the control protocol, made from its table."""

import json
from typing import Any, Final

import msgspec

from keyholm.doors.control import schema
from keyholm.doors.control.errors import KINDS
from keyholm.doors.control.exchange import Method
from keyholm.doors.control.methods import METHODS

REF: Final = "#/$defs/{name}"


def document() -> str:
    """JSON Schema of every method's parameters and result, with the kinds of errors."""
    shapes = [shape for method in METHODS.values() for shape in (method.params, method.result)]
    _, definitions = msgspec.json.schema_components(dict.fromkeys(shapes), ref_template=REF)
    told = {
        "v": schema.VERSION,
        "methods": {name: _described(method) for name, method in METHODS.items()},
        "errors": sorted(KINDS.values()),
        "$defs": dict(sorted(definitions.items())),
    }
    return json.dumps(told, indent=2) + "\n"


def _described(method: Method) -> dict[str, Any]:
    told: dict[str, Any] = {
        "about": method.about,
        "needs": method.needs,
        "params": REF.format(name=method.params.__name__),
        "result": REF.format(name=method.result.__name__),
    }
    for name in ("secrets", "blob", "gives", "gives_blob"):
        if value := getattr(method, name):
            told[name] = value
    return told
