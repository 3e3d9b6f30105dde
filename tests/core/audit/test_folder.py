"""The folder of a trail, while another process writes to it."""

from pathlib import Path

import pytest

from keyholm.core.audit.folder import Folder, segment_name


class Busy(Folder):
    """Each listing is what the kernel may give while segments are made."""

    def __init__(self, path: Path, *listings: list[int]) -> None:
        super().__init__(path)
        self._listings = iter(listings)

    def names(self) -> list[str]:
        return ["key", *map(segment_name, next(self._listings)), "vkey"]


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ([], [0], []),
        ([0, 10], [0, 10], [0, 10]),
        ([0, 10], [0, 10, 30], [0, 10]),  # 20 was made while it was listed, and missed
        ([0, 20], [0, 10, 20, 40], [0, 10, 20]),  # as 10 was in the first
        ([0, 10, 20], [20], [20]),  # pruned
    ],
)
def test_a_segment_that_a_listing_missed_leaves_no_gap(
    tmp_path: Path, first: list[int], second: list[int], found: list[int]
) -> None:
    folder = Busy(tmp_path, first, second)
    try:
        assert folder.segments() == found
    finally:
        folder.close()
