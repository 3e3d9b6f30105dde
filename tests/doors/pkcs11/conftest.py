import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.doors.pkcs11.served import House


@pytest.fixture
def house() -> Iterator[House]:
    with tempfile.TemporaryDirectory(prefix="kh", dir="/tmp") as folder:
        made = House(Path(folder))
        try:
            yield made
        finally:
            made.stop()
