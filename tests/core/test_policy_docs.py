"""The guide to policies names every field and shows only policies that can be set."""

import re
from pathlib import Path

import pytest

from keyholm.cli.policy_file import HELP
from keyholm.core.caller import Door
from keyholm.core.mechanisms import Hash
from keyholm.core.policy import OPEN, Policy, parse
from keyholm.core.policy.reading import MECHANISMS, OPERATIONS

GUIDE = (Path(__file__).parents[2] / "docs/policy.md").read_text()
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_guide_is_a_policy(example: str) -> None:
    assert parse(example) != OPEN


def test_the_guide_has_every_field_in_the_order_in_which_it_is_looked_at() -> None:
    table = GUIDE.partition("## All fields")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(Policy.__struct_fields__)


def test_the_guide_has_every_name() -> None:
    for name in (*Door, *OPERATIONS):
        assert f"`{name}`" in GUIDE
    hashes = "|".join(sorted(Hash, reverse=True))
    families = {re.sub(f"-({hashes})$", "", name) for name in MECHANISMS}
    for name in {*families, *Hash} - {"dsa"}:  # only ever `dsa-sha1`
        assert f"`{name}`" in GUIDE


def test_what_the_editor_shows_is_a_policy_with_every_field() -> None:
    lines = [line.removeprefix("# ") for line in HELP.splitlines() if " = " in line]
    given = "\n".join(lines)
    assert [line.partition(" ")[0] for line in lines] == list(Policy.__struct_fields__)[:-1]
    key = f'keys = ["SHA256:{"k" * 43}"]'
    parse(re.sub(r'host = "h\d"', lambda found: f"{found[0]}, {key}", given))
