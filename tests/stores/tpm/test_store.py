"""The TPM store on a TPM in software: the contract that is shipped, and what is its own."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from random import Random

import pytest
from tests.rigs import swtpm
from tests.rigs.swtpm import Wire

from keyholm.core.errors import (
    AbilityMissing,
    AlreadyExists,
    ConstraintUnsupported,
    KeyholmError,
    LoginNeeded,
    NotExportable,
    PinIncorrect,
    StoreDamaged,
)
from keyholm.core.mechanisms import Ecdsa, Hash, Mechanism, Message
from keyholm.core.model import Algorithm, Key, NewKey, Origin
from keyholm.core.policies import Policies
from keyholm.core.policy import OPEN, Confirm, Policy
from keyholm.core.secret import Secret
from keyholm.core.store import Handover, Store
from keyholm.stores.tpm.device import Device
from keyholm.stores.tpm.keys import Keys
from keyholm.stores.tpm.store import TpmStore
from keyholm.stores.tpm.token import PinOf, nobody
from keyholm.testing import samples
from keyholm.testing.store_contract import StoreContract
from keyholm.wire.ssh import keys
from keyholm.wire.tpm2 import key_files
from keyholm.wire.tpm2.constants import HANDLE

HOW = Ecdsa(Hash.SHA256)
MESSAGE = Message(b"what is signed")
CONFIRMED = Policy(confirm=Confirm(asked=True))
P256 = NewKey("laptop", Algorithm.ECDSA_P256)


class TestTpmStore(StoreContract):
    algorithms: Sequence[Algorithm] = (
        Algorithm.ECDSA_P256,
        Algorithm.ECDSA_P384,
        Algorithm.ECDSA_P521,
        Algorithm.RSA_2048,
    )
    offered: tuple[type, ...] = (keys.Ecdsa, keys.Rsa)
    usual = Algorithm.ECDSA_P256
    signing: Mechanism = HOW

    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> Iterator[None]:
        self.folder, self.count = tmp_path, count()
        with contextlib.ExitStack() as self.stack:
            yield

    def open(self) -> Store:
        folder = self.folder / str(next(self.count))
        where = self.stack.enter_context(swtpm.on_socket(folder / "tpm"))
        return TpmStore(folder / "keys", Device(where), Policies(None), owner=1000)


class Place:
    """A TPM, and the folder of a home."""

    def __init__(self, folder: Path, where: str) -> None:
        self.keys, self.home, self.wire = folder / "keys", folder, Wire(where)

    def store(self, pin_of: PinOf = nobody) -> TpmStore:
        device = Device("swtpm:/wire", self.wire.connect)
        return TpmStore(self.keys, device, Policies(self.home), pin_of=pin_of)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with swtpm.on_socket(tmp_path / "tpm") as where:
        found = Place(tmp_path, where)
        yield found
        found.wire.end()


def listed(store: TpmStore) -> list[Key]:
    return list(store.token.keys())


def check(store: TpmStore, key: Key) -> None:
    samples.verify(key.public, HOW, MESSAGE, store.token.sign(key, HOW, MESSAGE))


def test_keys_and_all_that_is_known_of_them_are_there_after_a_restart(place: Place) -> None:
    store = place.store()
    made = store.token.generate(P256, CONFIRMED)
    brought = store.token.import_key(samples.privates()[1], Handover("brought"), OPEN)
    assert (made.origin, brought.origin) == (Origin.GENERATED, Origin.IMPORTED)
    renamed = store.token.rename(brought, "renamed")
    store.close()

    again = place.store()
    assert list(again.token.keys()) == [made, renamed]
    assert again.token.policy_of(made) == CONFIRMED
    for key in listed(again):
        check(again, key)


def test_an_imported_key_is_one_for_ever_whatever_its_note_says(place: Place) -> None:
    store = place.store()
    key = store.token.import_key(samples.privates()[1], Handover("brought"), OPEN)
    [note] = place.keys.glob("*.json")
    note.write_bytes(note.read_bytes().replace(b'"imported":true', b'"imported":false'))
    assert [found.origin for found in listed(place.store())] == [Origin.IMPORTED]
    note.unlink()
    [found] = place.store().token.keys()
    assert (found.origin, found.id) == (Origin.IMPORTED, key.id)


def test_what_explains_a_failure_later_is_beside_the_key(place: Place) -> None:
    store = place.store()
    store.token.generate(P256, OPEN)
    [note] = place.keys.glob("*.json")
    text = note.read_text()
    assert store._keys.parent_name.hex() in text
    assert all(f'"{number}":"' in text for number in range(8))


def test_a_file_that_somebody_laid_there_is_used_in_place(place: Place) -> None:
    place.keys.mkdir()
    maker = Keys(Device("swtpm:/wire", place.wire.connect))
    file = maker.create(Algorithm.ECDSA_P256)
    (place.keys / "id_ecdsa.tss").write_bytes(key_files.write_pem(file))
    store = place.store()
    [key] = store.token.keys()
    assert (key.label, key.origin) == ("id_ecdsa", Origin.GENERATED)
    check(store, key)


@pytest.mark.parametrize("name", ["key.tss", "key.json"])
def test_a_damaged_file_is_told_and_the_others_work(name: str, place: Place) -> None:
    store = place.store()
    good, bad = (store.token.generate(P256, OPEN) for _ in range(2))
    path = place.keys / f"{bad.place.object}{name[3:]}"
    path.write_bytes(b"{")
    again = place.store()
    assert list(again.token.keys()) == [good]
    [(file, error)] = again.token.broken.items()
    assert file.startswith(bad.place.object)
    assert isinstance(error, StoreDamaged)
    check(again, good)


def test_a_key_of_a_tpm_that_was_cleared_says_so(place: Place, tmp_path: Path) -> None:
    key = place.store().token.generate(P256, OPEN)
    with swtpm.on_socket(tmp_path / "cleared") as where:
        store = TpmStore(place.keys, Device(where), Policies(place.home))
        with pytest.raises(StoreDamaged, match="another TPM, or before this one was cleared"):
            store.token.sign(key, HOW, MESSAGE)
        store.close()


def test_a_key_with_a_pin_wants_it(place: Place) -> None:
    place.keys.mkdir()
    maker = Keys(Device("swtpm:/wire", place.wire.connect))
    with Secret.of(b"1234") as pin:
        file = maker.create(Algorithm.ECDSA_P256, pin)
    (place.keys / "key.tss").write_bytes(key_files.write_pem(file))
    silent = place.store()
    [key] = silent.token.keys()
    with pytest.raises(LoginNeeded):
        silent.token.sign(key, HOW, MESSAGE)
    with pytest.raises(PinIncorrect, match="attempts are left"):
        place.store(lambda _: Secret.of(b"wrong")).token.sign(key, HOW, MESSAGE)
    check(place.store(lambda _: Secret.of(b"1234")), key)


def test_what_a_tpm_cannot_promise_is_refused_and_nothing_is_kept(place: Place) -> None:
    token, private = place.store().token, samples.privates()[1]
    with pytest.raises(NotExportable):
        token.generate(NewKey("out", Algorithm.ECDSA_P256, exportable=True), OPEN)
    with pytest.raises(NotExportable):
        token.import_key(private, Handover("out", exportable=True), OPEN)
    with pytest.raises(ConstraintUnsupported):
        token.import_key(private, Handover("short", lifetime=5.0), OPEN)
    with pytest.raises(AbilityMissing):
        token.generate(NewKey("short", Algorithm.ECDSA_P256, session=True), OPEN)
    assert list(place.keys.iterdir()) == []
    token.import_key(private, Handover("one"), OPEN)
    with pytest.raises(AlreadyExists):
        token.import_key(private, Handover("two"), OPEN)


def test_fifty_keys_sign_in_eight_threads_and_three_objects_are_enough(place: Place) -> None:
    store = place.store()
    made = [store.token.generate(P256, OPEN) for _ in range(50)]
    failures: list[KeyholmError] = []

    def work(seed: int) -> None:
        chosen = Random(seed)
        try:
            for _ in range(25):
                check(store, chosen.choice(made))
        except KeyholmError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert most_loaded(place.wire) <= 3


def most_loaded(wire: Wire) -> int:
    """The most objects that were in the TPM at once, from what crossed."""
    held: set[int] = set()
    most = 0
    for frame, answer in wire.record:
        code, refused = int.from_bytes(frame[6:10]), int.from_bytes(answer[6:10])
        if refused:
            continue
        if code in (0x131, 0x157, 0x161):  # CreatePrimary, Load, ContextLoad
            held.add(int.from_bytes(answer[10:14]))
        if code == 0x165:
            held.discard(int.from_bytes(frame[10:14]))
        most = max(most, len([each for each in held if each >= HANDLE.TRANSIENT]))
    return most
