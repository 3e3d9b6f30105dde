"""The real daemons of the interop tests, to be treated badly."""

from tests.interop.conftest import agent, daemon, home

__all__ = ["agent", "daemon", "home"]
