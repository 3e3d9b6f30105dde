import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyholm.wire.ssh.patterns import match_pattern, match_pattern_list


# OpenSSH regress/unittests/match/tests.c.
@pytest.mark.parametrize(
    ("text", "pattern", "matches"),
    [
        ("", "", True),
        ("", "aaa", False),
        ("aaa", "", False),
        ("aaa", "aaaa", False),
        ("aaaa", "aaa", False),
        ("", "*", True),
        ("a", "?", True),
        ("aa", "a?", True),
        ("a", "*", True),
        ("aa", "a*", True),
        ("aa", "?*", True),
        ("aa", "**", True),
        ("aa", "?a", True),
        ("aa", "*a", True),
        ("ba", "a?", False),
        ("ba", "a*", False),
        ("ab", "?a", False),
        ("ab", "*a", False),
    ],
)
def test_a_pattern_matches_as_in_openssh(text: str, pattern: str, matches: bool) -> None:
    assert match_pattern(text, pattern) is matches


@pytest.mark.parametrize(
    ("text", "patterns", "matches"),
    [
        ("", "", True),
        ("", "*", True),
        ("", "!*", False),
        ("", "!a,*", True),
        ("", "*,!a", True),
        ("", "a,!*", False),
        ("", "!*,a", False),
        ("a", "", False),
        ("a", "*", True),
        ("a", "!*", False),
        ("a", "!a", False),
        ("a", "!b", False),
        ("a", "!a,*", False),
        ("b", "!a,*", True),
        ("a", "*,!a", False),
        ("b", "*,!a", True),
        ("a", "a,!*", False),
        ("b", "a,!*", False),
        ("a", "a,!a", False),
        ("a", "!*,a", False),
    ],
)
def test_a_list_matches_as_in_openssh(text: str, patterns: str, matches: bool) -> None:
    assert match_pattern_list(text, patterns) is matches


def test_case_counts_unless_it_is_folded() -> None:
    assert not match_pattern_list("abc", "ABC")
    assert match_pattern_list("abc", "ABC", fold_case=True)
    assert match_pattern_list("ABC", "abc", fold_case=True)


def test_a_line_break_is_a_character_like_any_other() -> None:
    assert match_pattern("a\nb", "a?b")
    assert match_pattern("a\n", "a*")
    assert not match_pattern("a\n", "a")


@given(st.text("ab.\n", max_size=12), st.text("ab*?.", max_size=8))
def test_matching_is_what_a_plain_expression_says(text: str, pattern: str) -> None:
    plain = "".join({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in pattern)
    expected = re.fullmatch(plain, text, re.DOTALL) is not None
    assert match_pattern(text, pattern) is expected


@pytest.mark.timeout(10)
def test_no_pattern_takes_long() -> None:
    assert not match_pattern("a" * 50_000, "*a" * 125 + "*b")
    assert not match_pattern("a" * 50_000, "*?" * 125 + "b")
    assert not match_pattern("ab" * 25_000, "*a?b*" * 50 + "c")
