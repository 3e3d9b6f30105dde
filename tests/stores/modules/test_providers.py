"""Modules that `ssh-add -s` names, on the real SoftHSM2."""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from tests.rigs.rig import EC, RSA, Rig, run
from tests.rigs.software import PIN, SO_PIN, softhsm

from keyholm.core.errors import BadRequest, ConsentDenied, PinIncorrect, StoreFailed
from keyholm.core.mechanisms import Ecdsa, Hash, Mechanism, Message, RsaPkcs1
from keyholm.core.secret import Secret
from keyholm.core.store import Provided
from keyholm.daemon.steward.workers import SERVICE
from keyholm.daemon.vendors import provider
from keyholm.stores.modules.providers import Providers
from keyholm.wire.ssh import keys, signatures
from keyholm.worker.proxy import Worker
from keyholm.worker.start import DirectStarter

MECHANISMS: dict[str, Mechanism] = {
    "ecdsa-sha2-nistp256": Ecdsa(Hash.SHA256),
    "ssh-rsa": RsaPkcs1(Hash.SHA256),
}
NAMES = {"ecdsa-sha2-nistp256": "ecdsa-sha2-nistp256", "ssh-rsa": "rsa-sha2-256"}


class Human:
    def __init__(self) -> None:
        self.pins: list[bytes] = []

    def pin(self, text: str, attempts_left: int | None = None) -> Secret:
        if not self.pins:
            raise ConsentDenied("Nobody is there.")
        return Secret.of(self.pins.pop())

    def confirm(self, text: str) -> None:
        raise ConsentDenied("Nobody is there.")

    def notice(self, text: str) -> AbstractContextManager[object]:
        return nullcontext()


class Loading:
    """Modules are loaded in real workers, which are counted."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.human = Human()
        self.starter = DirectStarter(
            lambda name, path: provider.spec_of(path, environment), SERVICE
        )
        self.workers: list[Worker] = []
        self.providers = Providers(self._worker, self.human, os.getuid())

    def _worker(self, path: str) -> Worker:
        worker = Worker(self.starter, "", path)
        self.workers.append(worker)
        return worker

    def load(self, path: str, pin: str = PIN) -> list[Provided]:
        with Secret.of(pin.encode()) as secret:
            return list(self.providers.load(path, secret))

    @property
    def running(self) -> int:
        return sum(worker.isolation is not None for worker in self.workers)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return softhsm(tmp_path)


@pytest.fixture
def loading(rig: Rig) -> Iterator[Loading]:
    loading = Loading({**os.environ, **rig.environment})
    yield loading
    loading.providers.close()
    assert loading.running == 0


def sign(provided: Provided, data: bytes = b"data") -> None:
    kind = keys.type_name(provided.public)
    raw = provided.sign(MECHANISMS[kind], Message(data))
    blob = signatures.blob(provided.public, NAMES[kind], raw)
    signatures.verify(provided.public, blob, data)


def test_its_keys_sign_until_the_last_is_released(loading: Loading, rig: Rig) -> None:
    found = loading.load(rig.path)
    assert sorted(each.label for each in found) == [EC, RSA]
    for each in found:
        sign(each)
    assert loading.running == 1
    found[0].release()
    assert loading.running == 1
    sign(found[1])
    found[1].release()
    assert loading.running == 0


def test_one_worker_serves_those_who_name_it_twice(loading: Loading, rig: Rig) -> None:
    first, second = loading.load(rig.path), loading.load(rig.path)
    assert len(loading.workers) == 1
    for each in first:
        each.release()
    sign(second[0])
    for each in second:
        each.release()
    assert loading.running == 0
    assert loading.load(rig.path)
    assert len(loading.workers) == 2


def test_a_wrong_pin_loads_nothing(loading: Loading, rig: Rig) -> None:
    with pytest.raises(PinIncorrect):
        loading.load(rig.path, "000000")
    assert loading.running == 0
    assert loading.load(rig.path)


def test_without_a_pin_it_is_asked_for_at_the_first_use(loading: Loading, rig: Rig) -> None:
    found = loading.load(rig.path, "")
    with pytest.raises(ConsentDenied):
        sign(found[0])
    loading.human.pins = [PIN.encode()]
    for each in found:
        sign(each)


def test_a_worker_that_died_is_begun_anew(loading: Loading, rig: Rig) -> None:
    found = loading.load(rig.path)
    sign(found[0])
    loading.workers[0].end()
    for each in found:
        sign(each)


def test_a_pin_that_could_be_of_two_tokens_goes_to_none(loading: Loading, rig: Rig) -> None:
    run(
        "softhsm2-util", "--init-token", "--free", "--label", "another",
        "--pin", "999999", "--so-pin", SO_PIN, environment=rig.environment,
    )  # fmt: skip
    with pytest.raises(BadRequest, match="2 tokens that want a PIN"):
        loading.load(rig.path)
    assert loading.running == 0


def test_what_is_no_module_says_so(loading: Loading, rig: Rig, tmp_path: Path) -> None:
    other = tmp_path / "no-module.so"
    other.write_bytes(b"this is no library")
    with pytest.raises(StoreFailed, match=r"no-module\.so could not be loaded"):
        loading.load(str(other))
    assert loading.running == 0


def test_many_at_once_load_one_worker(loading: Loading, rig: Rig) -> None:
    found: list[list[Provided]] = []
    threads = [
        threading.Thread(target=lambda: found.append(loading.load(rig.path))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loading.workers) == 1
    assert [len(each) for each in found] == [2] * 8
    for each in (key for keys_ in found for key in keys_):
        each.release()
    assert loading.running == 0
