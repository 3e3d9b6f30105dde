"""What the control protocol calls each failure: its class, its sentence and its remedy."""

from collections.abc import Mapping
from typing import Final

from keyholm.core.errors import KeyholmError, leaves

_KINDS: Final[tuple[type[KeyholmError], ...]] = (KeyholmError, *leaves())

KINDS: Final[Mapping[type[KeyholmError], str]] = {kind: kind.__name__ for kind in _KINDS}
