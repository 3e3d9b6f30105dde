"""May this caller use this key this way? Pure: facts in, a decision with its reason out.

`model` says what a policy is, `text` how it is written, `request` what a decision is made
from, `decide` what follows, `combine` how two policies compare.
"""

from keyholm.core.policy.combine import loosens, tighten
from keyholm.core.policy.decide import decide, explain
from keyholm.core.policy.hours import Hours
from keyholm.core.policy.model import (
    OPEN,
    CallerRule,
    Confirm,
    Policy,
    Rate,
    from_constraints,
)
from keyholm.core.policy.request import (
    ConsentNeeded,
    Context,
    Decision,
    Files,
    Request,
    Step,
    Usage,
    context_of,
)
from keyholm.core.policy.text import from_table, load, parse, policy_hash, write

__all__ = [
    "OPEN",
    "CallerRule",
    "Confirm",
    "ConsentNeeded",
    "Context",
    "Decision",
    "Files",
    "Hours",
    "Policy",
    "Rate",
    "Request",
    "Step",
    "Usage",
    "context_of",
    "decide",
    "explain",
    "from_constraints",
    "from_table",
    "load",
    "loosens",
    "parse",
    "policy_hash",
    "tighten",
    "write",
]
