"""Real workers with a service of the tests: started, called, killed, hung, begun anew."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from keyholm.worker.proxy import (
    Channel,
    NotLoaded,
    Rest,
    Worker,
    WorkerDied,
    WorkerHung,
    WorkerResting,
)
from keyholm.worker.spec import Spec
from keyholm.worker.start import DirectStarter

ROOT = str(Path(__file__).parents[2])
Make = Callable[..., Worker]


def close(channel: Channel, order: bytes = b"") -> Any:
    """Its answer, or the channel itself, which is not needed any more."""
    answer = channel.call(order, 30, "C_Sign") if order else channel
    channel.close()
    return answer


@pytest.fixture
def make() -> Iterator[Make]:
    workers: list[Worker] = []

    def make(
        init_args: str = "", log: Callable[[str], None] = lambda line: None, **options: Any
    ) -> Worker:
        starter = DirectStarter(
            lambda name, path: Spec(name, path, init_args=init_args),
            "tests.worker.echo",
            folders=[ROOT],
            log=log,
        )
        workers.append(Worker(starter, "echo", **options))
        return workers[-1]

    yield make
    for worker in workers:
        worker.close()


def test_what_is_sent_is_answered(make: Make) -> None:
    worker = make()
    large = bytes(3_000_000)
    with worker.channel() as channel:
        assert channel.call(b"hello", 10, "C_Sign") == b"hello"
        assert channel.call(large, 10, "C_Sign") == large
        assert len(channel.call(b"big 5000000", 10, "C_Sign")) == 5_000_000
    assert worker.info == b"echo for echo"


def test_channels_do_not_wait_for_each_other(make: Make) -> None:
    worker = make()
    slow, quick = worker.channel(), worker.channel()
    told: list[str] = []

    def call() -> None:
        with pytest.raises(WorkerDied) as raised:
            slow.call(b"sleep 30", 60, "C_Sign")
        told.append(raised.value.what)

    thread = threading.Thread(target=call)
    thread.start()
    assert quick.call(b"hello", 10, "C_Sign") == b"hello"
    assert thread.is_alive()
    with pytest.raises(WorkerHung, match=r"C_Digest took longer than 0.05 s"):
        quick.call(b"sleep 30", 0.05, "C_Digest")
    thread.join()
    assert told == ["echo was ended: C_Digest took longer than 0.05 s."]


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (b"crash", "echo died of SIGSEGV during C_Sign."),
        (b"abort", "echo died of SIGABRT during C_Sign."),
        (b"exit 7", "echo ended with status 7 during C_Sign."),
        (b"exit 0", "echo ended with status 0 during C_Sign."),
    ],
)
def test_a_death_is_told_with_its_cause_and_the_call(make: Make, order: bytes, said: str) -> None:
    worker = make()
    with pytest.raises(WorkerDied) as raised:
        worker.channel().call(order, 60, "C_Sign")
    assert raised.value.what == said
    assert raised.value.call == "C_Sign"
    if order == b"crash":
        assert raised.value.lines == ("about to crash",)


def test_the_next_worker_is_another_one(make: Make) -> None:
    worker = make()
    first, beside = worker.channel(), worker.channel()
    with pytest.raises(WorkerDied):
        first.call(b"crash", 60, "C_Sign")
    for channel in (first, beside):  # what it knew is gone: nobody is to think it is there
        with pytest.raises(WorkerDied, match="died of SIGSEGV during C_Sign"):
            channel.call(b"hello", 60, "C_Sign")
        assert not channel.alive
    assert worker.isolation is None
    after = worker.channel()
    assert after.generation == first.generation + 1 == worker.generation
    assert after.call(b"hello", 60, "C_Sign") == b"hello"
    beside.close()
    after.close()


def test_a_worker_that_somebody_kills_is_one_that_died(make: Make) -> None:
    worker = make()
    channel = worker.channel()
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerDied, match="died of SIGKILL during C_Sign"):
        channel.call(b"hello", 10, "C_Sign")


def test_what_cannot_be_loaded_says_why(make: Make) -> None:
    with pytest.raises(NotLoaded) as raised:
        make("no such file").channel()
    failed = raised.value
    assert (failed.step, failed.code, failed.text) == ("load", 5, "no such file")
    assert failed.lines == ("dlopen: no such file",)


def test_a_library_may_die_while_it_is_loaded(make: Make) -> None:
    with pytest.raises(WorkerDied, match="died of SIGSEGV during the start of its library"):
        make("crash").channel()


def test_a_library_may_take_for_ever_to_load(make: Make) -> None:
    with pytest.raises(WorkerHung, match="its library took longer than"):
        make("sleep", start_seconds=0.3).channel()


def test_one_that_dies_again_and_again_is_left_alone(make: Make) -> None:
    now = 1000.0
    worker = make(clock=lambda: now)
    for _ in range(3):
        with pytest.raises(WorkerDied):
            worker.channel().call(b"crash", 60, "C_Sign")
    with pytest.raises(WorkerResting, match="died of SIGSEGV during C_Sign") as raised:
        worker.channel()
    assert raised.value.seconds == 1.0
    now += 1.01
    assert close(worker.channel()).alive
    worker.end()
    now += 100
    assert close(worker.channel()).alive  # to be ended is no death


def test_each_rest_is_twice_as_long_as_the_last() -> None:
    now = 0.0
    rest = Rest(lambda: now)
    rests = []
    for _ in range(12):
        rest.died("it did")
        try:
            rest.check("it")
            rests.append(0.0)
        except WorkerResting as error:
            rests.append(error.seconds)
            now += error.seconds
    assert rests == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    now += 61  # it was good for a minute
    rest.died("it did")
    rest.check("it")


def test_three_deaths_far_apart_are_no_reason_to_rest() -> None:
    now = 0.0
    rest = Rest(lambda: now)
    for _ in range(10):
        rest.died("it did")
        rest.check("it")
        now += 31


def test_what_was_changed_is_tried_at_once() -> None:
    rest = Rest(lambda: 0.0)
    for _ in range(3):
        rest.died("it did")
    rest.forgive()
    rest.check("it")


def test_one_that_nobody_uses_ends_and_comes_back(make: Make) -> None:
    worker = make(idle_seconds=0.05)
    channel = worker.channel()
    watching = worker.channel(background=True)
    with pytest.raises(WorkerDied, match="nobody used it"):
        watching.call(b"sleep 60", 60, "C_WaitForSlotEvent")
    with pytest.raises(WorkerDied, match="nobody used it"):
        channel.call(b"hello", 10, "C_Sign")
    assert close(worker.channel()).generation == 2
    channel.close()


def test_one_that_works_for_long_is_not_idle(make: Make) -> None:
    worker = make(idle_seconds=0.05)
    assert close(worker.channel(), b"sleep 0.4") == b"sleep 0.4"


def test_many_who_want_it_at_once_start_one(make: Make) -> None:
    worker = make()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: close(worker.channel(), b"pid"), range(16)))
    assert worker.generation == 1


def test_one_that_is_closed_ends_and_stays_away(make: Make) -> None:
    worker = make()
    worker.start()
    pid = worker.pid
    worker.close()
    assert worker.pid is None
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(WorkerDied, match="was closed"):
        worker.channel()


def test_one_that_is_closed_may_say_goodbye_but_not_stay(make: Make) -> None:
    said: list[str] = []
    worker = make(log=said.append)
    worker.start()
    worker.close()
    assert said == ["echo: goodbye"]


def test_an_answer_that_is_none_ends_it(make: Make) -> None:
    worker = make()
    with pytest.raises(WorkerDied, match="its answer to C_Sign made no sense"):
        worker.channel().call(b"nonsense", 60, "C_Sign")
