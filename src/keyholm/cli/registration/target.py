"""A program that can be told of keyholm, and the files that tell it."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from keyholm.cli.files import PUBLIC
from keyholm.core.errors import BadConfiguration, BadRequest


class Wish(NamedTuple):
    """What the user asked for, and where that is."""

    environment: Mapping[str, str]
    root: bool
    module: str = ""  # the native module
    argument: str = ""  # what the target takes: a folder
    key: str = ""  # public, as SSH writes it
    native: bool = True  # False: p11-kit starts `keyholm p11 --stdio`
    provider: bool = False  # ssh loads the module, instead of asking the agent
    folder: str = ""  # for files of ours that programs are pointed at
    command: str = ""  # where `keyholm` is
    agent: str = ""  # where the agent listens

    @property
    def home(self) -> str:
        home = self.environment.get("HOME", "")
        if not os.path.isabs(home):
            raise BadConfiguration("HOME is not set.", remedy="Set it to your home.")
        return home

    @property
    def config(self) -> str:
        given = self.environment.get("XDG_CONFIG_HOME", "")
        return given if os.path.isabs(given) else os.path.join(self.home, ".config")

    def needs_module(self) -> str:
        if not self.module:
            raise BadRequest(
                "This keyholm has no native module (keyholm-pkcs11.so).",
                remedy="Install keyholm from a wheel, or run `python3 dev.py setup` in a clone; or name "
                "a module by --module.",
            )
        return self.module


class Edit(NamedTuple):
    """`with_ours` makes of what the file holds (None: there is none) what it shall hold.

    Given what it made, it gives the same again.
    """

    path: str
    with_ours: Callable[[bytes | None], bytes]
    mode: int = PUBLIC  # of a file that is made


def no_edits(wish: Wish) -> Sequence[Edit]:
    return ()


def nothing(wish: Wish) -> Sequence[str]:
    return ()


def nobody(wish: Wish) -> str:
    return ""


class Target(NamedTuple):
    name: str
    about: str
    program: str  # whose presence makes `doctor` look, as a pattern of paths; "": nothing does
    edits: Callable[[Wish], Sequence[Edit]]  # raises `KeyholmError` where it cannot be
    usage: Callable[[Wish], Sequence[str]] = nothing  # how to try it, a line each
    in_use: Callable[[Wish], str] = nobody  # why its files must not be changed now
    argument: str = ""  # what it takes
    wants_key: bool = False


# --- contents ------------------------------------------------------------------------


def whole(content: str) -> Callable[[bytes | None], bytes]:
    """A file that is ours alone."""
    return lambda before: content.encode()


def block(name: str, lines: Sequence[str]) -> Callable[[bytes | None], bytes]:
    """Lines at the end of somebody's file, between two marks."""
    first = f"# >>> keyholm enable {name} >>>\n".encode()
    last = f"# <<< keyholm enable {name} <<<\n".encode()
    ours = first + "".join(f"{line}\n" for line in lines).encode() + last

    def with_ours(before: bytes | None) -> bytes:
        text = before or b""
        head, found, rest = text.partition(first)
        if found:
            _, closed, tail = rest.partition(last)
            if not closed:
                raise BadRequest(
                    f"The line {first.decode().strip()!r} has no line that ends what it begins.",
                    remedy="Remove the rest of it by hand.",
                )
            return head + ours + tail
        if not text:
            return ours
        return text + (b"" if text.endswith(b"\n") else b"\n") + b"\n" + ours

    return with_ours
