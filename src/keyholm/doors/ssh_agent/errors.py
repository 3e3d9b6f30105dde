"""What the agent protocol calls each failure: it has two words and no reasons.

The sentence is in the trail (`keyholm why`).
"""

from collections.abc import Mapping
from typing import Final

from keyholm.core.errors import KeyholmError, leaves
from keyholm.wire.ssh.agent import ExtensionFailure, Failure

FAILURES: Final[Mapping[type[KeyholmError], Failure]] = {kind: Failure() for kind in leaves()}
# An extension that is known and refused says so (RFC 9987, section 3.8).
EXTENSION_FAILURES: Final[Mapping[type[KeyholmError], ExtensionFailure]] = {
    kind: ExtensionFailure() for kind in leaves()
}
