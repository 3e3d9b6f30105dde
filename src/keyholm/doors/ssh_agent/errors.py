"""What the agent protocol calls each failure: it has two words and no reasons.

The sentence is in the trail (`keyholm why`).
"""

from collections.abc import Mapping
from typing import Final

from keyholm.core.errors import KeyholmError, leaves
from keyholm.wire.ssh.agent import ExtensionFailure, Failure

Refusals = Mapping[type[KeyholmError], Failure | ExtensionFailure]

_KINDS: Final[tuple[type[KeyholmError], ...]] = (KeyholmError, *leaves())

FAILURES: Final[Refusals] = {kind: Failure() for kind in _KINDS}
# An extension that is known and refused says so (RFC 9987, section 3.8).
EXTENSION_FAILURES: Final[Refusals] = {kind: ExtensionFailure() for kind in _KINDS}
