"""The published schema of the control protocol, made from its table."""

import json
from typing import Any, Final

import msgspec

from keyholm.doors.control import schema
from keyholm.doors.control.errors import KINDS
from keyholm.doors.control.handlers import METHODS

REF: Final = "#/$defs/{name}"


def document() -> str:
    """JSON Schema of every method's parameters and result, with the kinds of errors."""
    shapes = [shape for method in METHODS.values() for shape in (method.params, method.result)]
    _, definitions = msgspec.json.schema_components(dict.fromkeys(shapes), ref_template=REF)
    methods: dict[str, Any] = {
        name: {
            "about": method.about,
            "params": REF.format(name=method.params.__name__),
            "result": REF.format(name=method.result.__name__),
            **({"secrets": method.secrets} if method.secrets else {}),
        }
        for name, method in METHODS.items()
    }
    told = {
        "v": schema.VERSION,
        "methods": methods,
        "errors": sorted(KINDS.values()),
        "$defs": dict(sorted(definitions.items())),
    }
    return json.dumps(told, indent=2) + "\n"
