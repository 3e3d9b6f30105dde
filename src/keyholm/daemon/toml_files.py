"""TOML files that configure the daemon: read with suspicion, into values of known fields.

An unknown key is refused, with the nearest known one named, since a misspelt restriction
would else be none. Nothing here needs the TOML parser until there is a file to read.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from stat import S_IWGRP, S_IWOTH
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

from msgspec import Struct, ValidationError, convert

from keyholm.core.errors import BadConfiguration

LARGEST: Final = 1024 * 1024  # bytes of a file that is read at all

Value = TypeVar("Value", bound=Struct)


def read(path: Path, remedy: str) -> str:
    """What is in `path`; nothing where there is no such file. Raises `BadConfiguration`."""
    try:
        with path.open("rb") as file:
            _check_owner(path, os.fstat(file.fileno()))
            content = file.read(LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise BadConfiguration(
            f"{path} cannot be read: {error.strerror}.", remedy="Check its permissions."
        ) from error
    if len(content) > LARGEST:
        raise BadConfiguration(f"{path} is larger than {LARGEST} bytes.", remedy=remedy)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BadConfiguration(f"{path} is not UTF-8.", remedy=remedy) from error


def _check_owner(path: Path, facts: os.stat_result) -> None:
    """The file names programs to be started, so nobody else may have written it."""
    strange = facts.st_uid not in (0, os.geteuid())
    if stat.S_ISREG(facts.st_mode) and (strange or facts.st_mode & (S_IWGRP | S_IWOTH)):
        whose = f"belongs to uid {facts.st_uid}" if strange else "can be written by others"
        raise BadConfiguration(
            f"{path} {whose}.", remedy="See what is in it, then `chown` it or `chmod go-w` it."
        )


def parse(text: str, kind: type[Value], remedy: str) -> Value:
    """Raises `BadConfiguration`, with the path of the key that is wrong."""
    # Some 10 ms of imports that a daemon without a configuration file is spared.
    import tomllib

    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadConfiguration(f"This is not TOML: {error}.", remedy=remedy) from error
    _refuse_unknown(document, kind, "", remedy)
    try:
        return convert(document, kind)
    except ValidationError as error:
        raise BadConfiguration(_sentence(str(error)), remedy=remedy) from error


def _sentence(error: str) -> str:
    """msgspec says "Expected `int`, got `str` - at `$.trail.keep_mib`"."""
    what, _, where = error.partition(" - at `$.")
    return f"{where.rstrip('`')}: {what}." if where else f"{what}."


def _refuse_unknown(document: Mapping[str, Any], kind: type, path: str, remedy: str) -> None:
    hints = get_type_hints(kind)
    known = list(hints)
    for name, value in document.items():
        where = f"{path}{name}"
        if name not in hints:
            from difflib import get_close_matches

            nearest = get_close_matches(name, known, n=1, cutoff=0.5)
            meant = f"Did you mean `{path}{nearest[0]}`? " if nearest else ""
            raise BadConfiguration(f"There is no key `{where}`.", remedy=f"{meant}{remedy}")
        if isinstance(value, Mapping):
            _refuse_unknown_below(value, hints[name], f"{where}.", remedy)
        elif isinstance(value, list) and get_origin(hints[name]) is tuple:
            for number, each in enumerate(value):
                if isinstance(each, Mapping):
                    (inner, *_) = get_args(hints[name])
                    _refuse_unknown_below(each, inner, f"{where}[{number}].", remedy)


def _refuse_unknown_below(value: Mapping[str, Any], hint: Any, path: str, remedy: str) -> None:
    if isinstance(hint, UnionType):  # a table that may be missing
        hint = next(each for each in get_args(hint) if each is not NoneType)
    if isinstance(hint, type) and issubclass(hint, Struct):
        _refuse_unknown(value, hint, path, remedy)
    elif get_origin(hint) is dict:
        (_, inner) = get_args(hint)
        for name, part in value.items():
            if isinstance(part, Mapping):
                _refuse_unknown_below(part, inner, f"{path}{name}.", remedy)
