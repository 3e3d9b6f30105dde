"""The load for PKCS#11 modules works on somebody else's module, and says what does not."""

from pathlib import Path

import pytest
from bench.harness import modules
from bench.harness.modules import P256, LoadFailed, Module
from tests.programs import program


@pytest.fixture
def module(tmp_path: Path) -> Module:
    program("cc")
    program("softhsm2-util")
    return modules.softhsm(tmp_path, modules.build_load(tmp_path))


@pytest.mark.interop
def test_the_load_uses_the_keys_that_it_made(module: Module) -> None:
    module.run("generate", P256, 0, 3)
    _, *signatures = module.run("sign", P256, 2, 20, 0, 2)
    assert len(signatures) >= 2
    assert all(took > 0 for took in signatures)
    assert len(module.run("find", 3, 5)) == 1 + 5
    assert len(module.run("list")) == 1 + 1
    assert len(module.run("load")) == 1 + 1


@pytest.mark.interop
def test_a_load_that_fails_is_no_figure(module: Module) -> None:
    with pytest.raises(LoadFailed, match="there is no such key"):
        module.run("sign", P256, 7, 20, 0, 1)
