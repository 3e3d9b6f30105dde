"""What is configured of one module, as far as its store looks at it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setup:
    name: str
    library: str = ""  # its file, by which quirks are known where it does not start
    application_login: bool = False
    call_seconds: float = 60.0
    start_seconds: float = 20.0
    idle_seconds: float = 0.0
    priority: int = 0
