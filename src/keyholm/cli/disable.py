"""`keyholm disable`: the other way round of `keyholm enable`."""

from keyholm.cli.enable import add_disable_parser as add_parser

__all__ = ["add_parser"]
