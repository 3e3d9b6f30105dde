"""Fragments of changes/ become a section of CHANGELOG.md."""

from pathlib import Path

import pytest

from tools import changelog

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "changes").mkdir()
    (tmp_path / "changes" / "README.md").write_text("how\n")
    (tmp_path / "changes" / "b.added.md").write_text("A door\nof two lines.\n")
    (tmp_path / "changes" / "a.fixed.md").write_text("A leak.\n")
    (tmp_path / "CHANGELOG.md").write_text(changelog.HEAD + "\n## 0.1, then\n")
    return tmp_path


def test_a_release_takes_the_fragments_in_front_of_older_ones(tree: Path) -> None:
    changelog.release(tree, "0.2", "now")
    assert (tree / "CHANGELOG.md").read_text() == changelog.HEAD + (
        "\n## 0.2, now\n\n### Added\n\n- A door of two lines.\n\n### Fixed\n\n- A leak.\n"
        "\n## 0.1, then\n"
    )
    assert [path.name for path in (tree / "changes").iterdir()] == ["README.md"]


def test_a_fragment_of_an_unknown_kind_stops_the_release(tree: Path) -> None:
    (tree / "changes" / "c.improved.md").write_text("?\n")
    with pytest.raises(SystemExit, match=r"c\.improved\.md"):
        changelog.release(tree, "0.2", "now")
    assert (tree / "changes" / "b.added.md").exists()


def test_our_own_fragments_are_well_named() -> None:
    assert (ROOT / "CHANGELOG.md").read_text().startswith(changelog.HEAD)
    changelog.fragments(ROOT / "changes")
