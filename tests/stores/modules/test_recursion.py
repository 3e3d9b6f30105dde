"""Modules that lead back to keyholm: known by their file, and by what they say of themselves."""

from pathlib import Path
from typing import cast

import pytest

from keyholm.core.policies import Policies
from keyholm.stores.modules.human import Human
from keyholm.stores.modules.recursion import by_file, by_info
from keyholm.stores.modules.setup import Setup
from keyholm.stores.modules.store import ModulesStore
from keyholm.worker.proxy import Worker
from keyholm.worker.spec import Spec
from keyholm.worker.start import DirectStarter

ROOT = str(Path(__file__).parents[3])


def problem(tmp_path: Path, told: str) -> str:
    starter = DirectStarter(
        lambda name, path: Spec(name, path, init_args=told),
        "tests.stores.modules.mirror",
        folders=[ROOT],
    )
    store = ModulesStore(
        [(Setup("mirror"), Worker(starter, "mirror"))],
        human=cast(Human, None),
        policies=Policies(tmp_path),
    )
    try:
        assert store.tokens() == []
        return str(store.problems()["mirror"])
    finally:
        store.close()


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ("keyholm/keyholm", "This is keyholm's own module: it would show keyholm its own keys."),
        ("PKCS#11 Kit/PKCS#11 Kit Proxy Module  ", "This is p11-kit's proxy"),
    ],
)
def test_a_module_that_says_so_is_not_used(tmp_path: Path, told: str, sentence: str) -> None:
    found = problem(tmp_path, told)
    assert found.startswith(f"The module mirror is not used. {sentence}")
    assert "`keyholm module remove mirror`" in found


def test_others_are_asked_for_their_tokens(tmp_path: Path) -> None:
    assert "is not used" not in problem(tmp_path, "OpenSC Project/OpenSC")


def test_a_file_is_known_by_its_name_and_by_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "p11-kit-proxy.so").touch()
    (tmp_path / "mine.so").symlink_to("p11-kit-proxy.so")
    assert "p11-kit's proxy" in by_file(str(tmp_path / "mine.so"))
    assert "keyholm's own module" in by_file("/x/keyholm-pkcs11.so")
    assert by_file("/usr/lib/p11-kit-client.so") == ""
    assert by_info("PKCS#11 Kit", "PKCS#11 Kit Trust Module") == ""
