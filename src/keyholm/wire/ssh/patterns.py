"""OpenSSH's patterns, as ssh_config(5) describes them: `*`, `?`, and lists with `!`.

A pattern may come from whoever is to be kept out, so matching never takes longer than the
lengths of pattern and text multiplied: each `*` is settled once, at its first fit.
"""

import re
from functools import lru_cache


def match_pattern(text: str, pattern: str) -> bool:
    return _compiled(pattern).fullmatch(text) is not None


def match_pattern_list(text: str, patterns: str, *, fold_case: bool = False) -> bool:
    """Whether a pattern of the comma-separated list matches and none with `!` before it does."""
    if fold_case:
        text, patterns = text.lower(), patterns.lower()
    matched = False
    for pattern in patterns.split(","):
        if pattern.startswith("!"):
            if match_pattern(text, pattern[1:]):
                return False
        elif match_pattern(text, pattern):
            matched = True
    return matched


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    first, *others = [
        "".join("." if character == "?" else re.escape(character) for character in part)
        for part in re.split(r"\*+", pattern)
    ]
    if not others:
        return re.compile(first, re.DOTALL)
    *middle, last = others
    # Atomic groups: once a part has found its first place, no other is ever tried.
    found = "".join(f"(?>.*?{part})" for part in middle)
    return re.compile(f"{first}{found}.*{last}", re.DOTALL)
