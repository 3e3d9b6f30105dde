"""Secrets: where they lie, that they are wiped, and that nothing tells them."""

import copy
import gc
import os
import pickle
import re
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyholm.core import secret
from keyholm.core.secret import ARENA, SLOT, Secret


def mapping_of(address: int) -> str:
    """The entry of /proc/self/smaps that `address` is in."""
    entries = re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text())
    for entry in entries[1:]:
        start, end = (int(part, 16) for part in entry.split(" ", 1)[0].split("-"))
        if start <= address < end:
            return entry
    raise AssertionError("not mapped")


def test_a_secret_lies_in_memory_that_is_locked_undumpable_and_not_inherited() -> None:
    with Secret.of(b"hush") as held:
        flags = re.search(r"VmFlags: (.*)", mapping_of(secret._address(held.view)))

    assert flags is not None
    assert {"dd", "wf"} <= set(flags[1].split())
    assert ("lo" in flags[1].split()) == secret.all_locked()


def test_a_closed_secret_is_wiped() -> None:
    held = Secret.of(b"hush")
    arena, start = held._arena, held._first * SLOT
    held.close()

    assert bytes(arena.view[start : start + SLOT]) == bytes(SLOT)
    with pytest.raises(ValueError, match="released"):
        bytes(held.view)
    held.close()


def test_a_secret_that_nobody_holds_any_more_is_wiped() -> None:
    held = Secret.of(b"hush")
    arena, start = held._arena, held._first * SLOT
    del held
    gc.collect()

    assert bytes(arena.view[start : start + SLOT]) == bytes(SLOT)


def test_nothing_tells_a_secret() -> None:
    with Secret.of(b"hush") as held:
        assert "hush" not in f"{held!r} {held}"
        for tell in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="never serialised"):
                tell(held)
        with pytest.raises(TypeError, match="unhashable"):
            hash(held)


def test_secrets_are_compared_by_what_they_hold() -> None:
    with Secret.of(b"hush") as one, Secret.of(b"hush") as same, Secret.of(b"hush!") as other:
        assert one == same
        assert one != other
        assert one != b"hush"


def test_a_forked_child_finds_nothing() -> None:
    with Secret.of(b"hush") as held:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writing, bytes(held.view))
            os._exit(0)
        os.close(writing)
        found = os.read(reading, 100)
        os.close(reading)
        os.waitpid(child, 0)

    assert found == bytes(4)


@given(st.lists(st.integers(0, 3 * ARENA), max_size=30), st.randoms(use_true_random=False))
def test_secrets_never_share_a_slot(sizes: list[int], random: object) -> None:
    held = []
    for number, size in enumerate(sizes):
        held.append(Secret(size))
        held[-1].view[:] = bytes([number + 1]) * size
        if number % 3 == 2:
            held.pop(number // 3).close()
    for each in held:
        assert len(set(each.view)) <= 1
    for each in held:
        each.close()


def test_a_large_secret_gives_its_memory_back() -> None:
    with Secret(4 * ARENA):
        pass

    assert all(arena.slots * SLOT <= ARENA for arena in secret._memory._arenas)


def test_random_secrets_are_random() -> None:
    with Secret.random(1000) as one, Secret.random(1000) as other:
        assert one != other
        assert len(set(one.view)) > 200


def test_threads_take_and_give_back_at_once() -> None:
    wrong = []

    def work(mark: int) -> None:
        for size in range(1, 400):
            with Secret.of(bytes([mark]) * size) as held:
                if set(held.view) != {mark}:
                    wrong.append(size)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_a_secret_that_is_collected_while_memory_is_taken_does_not_hang() -> None:
    """The collector runs wherever something is allocated, also inside `take`."""
    held = Secret(10)
    with secret._memory._lock:
        del held
    with Secret(10):
        pass
