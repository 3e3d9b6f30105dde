"""Which prompter asks, and what is said where none can. The prompters here are contract fakes."""

import threading
from dataclasses import dataclass, field

import pytest

from keyholm.core.errors import NoPrompter
from keyholm.core.prompt import Answer, Kind, Question
from keyholm.prompters.order import InOrder
from keyholm.prompters.prompter import CannotAsk, Patience

CONFIRM = Question(Kind.CONFIRM, "keyholm", "Allow?")


@dataclass
class Fake:
    name: str
    reason: str = ""
    fails: str = ""
    asked: list[Question] = field(default_factory=list)
    answer: threading.Event | None = None

    def unusable(self, question: Question | None) -> str:
        return self.reason

    def ask(self, question: Question, patience: Patience) -> Answer:
        self.asked.append(question)
        if self.fails:
            raise CannotAsk(self.fails)
        if self.answer is not None:
            assert self.answer.wait(5)
        return Answer(True, self.name)

    def show(self, question: Question, patience: Patience) -> None:
        self.asked.append(question)


def test_the_first_that_can_ask_asks_contract_fake() -> None:
    off, first, second = Fake("off", reason="off"), Fake("first"), Fake("second")
    assert InOrder([off, first, second]).ask(CONFIRM, Patience(5)) == Answer(True, "first")
    assert not off.asked
    assert not second.asked


def test_one_that_showed_nothing_is_passed_over_contract_fake() -> None:
    broken, good = Fake("broken", fails="no screen"), Fake("good")
    assert InOrder([broken, good]).ask(CONFIRM, Patience(5)).prompter == "good"


def test_a_refusal_is_final_contract_fake() -> None:
    class Denies(Fake):
        def ask(self, question: Question, patience: Patience) -> Answer:
            return Answer(False, self.name, reason="denied")

    willing = Fake("willing")
    assert not InOrder([Denies("denies"), willing]).ask(CONFIRM, Patience(5)).granted
    assert not willing.asked


def test_where_none_can_each_says_why_contract_fake() -> None:
    order = InOrder([Fake("one", reason="it is off"), Fake("two", fails="no screen")])
    with pytest.raises(NoPrompter, match=r"one: it is off; two: no screen.*keyholm doctor"):
        order.ask(CONFIRM, Patience(5))
    assert order.examine() == {"one": "it is off", "two": ""}


def test_no_prompter_at_all_is_said_too() -> None:
    with pytest.raises(NoPrompter, match="no prompter"):
        InOrder([]).ask(CONFIRM, Patience(5))


def test_one_question_at_a_time_contract_fake() -> None:
    answer = threading.Event()
    slow = Fake("slow", answer=answer)
    order = InOrder([slow])
    first = threading.Thread(target=order.ask, args=(CONFIRM, Patience(10)))
    first.start()
    while not slow.asked:
        pass
    late = order.ask(CONFIRM, Patience(0.3))
    assert late == Answer(False, "", reason="timeout")
    assert len(slow.asked) == 1
    answer.set()
    first.join()


def test_a_notice_is_shown_by_the_first_that_can_contract_fake() -> None:
    off, first, second = Fake("off", reason="off"), Fake("first"), Fake("second")
    InOrder([off, first, second]).show(CONFIRM, Patience(1))
    assert (len(off.asked), len(first.asked), len(second.asked)) == (0, 1, 0)
