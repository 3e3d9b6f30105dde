"""SSH_ASKPASS: one program, one question, as ssh-agent asks it (ssh(1), readpass.c).

The question is its one argument. SSH_ASKPASS_PROMPT says what kind it is: `confirm`, `none`
for a notice, unset for a secret. To confirm is to exit with 0 and print nothing or "yes".
"""

import os
from collections.abc import Mapping
from typing import Final

from keyholm.core.prompt import Answer, Kind, Question
from keyholm.prompters import program
from keyholm.prompters.prompter import OutOfPatience, Patience, refusal
from keyholm.prompters.session import Session, has_screen

HINTS: Final[Mapping[Kind, str]] = {Kind.CONFIRM: "confirm", Kind.NOTICE: "none"}
AGREES: Final = (b"", b"yes")


class Askpass:
    """`path` is the configured program, else SSH_ASKPASS of the daemon's own environment.

    There is no default: that some program ended with status 0 is no consent unless somebody
    chose it to ask.
    """

    name = "askpass"

    def __init__(self, session: Session, path: str = "") -> None:
        self._session = session
        self._path = path or session.start.get("SSH_ASKPASS", "")
        self._require = session.start.get("SSH_ASKPASS_REQUIRE", "").lower()

    def unusable(self, question: Question | None) -> str:
        if self._require == "never":
            return "SSH_ASKPASS_REQUIRE is `never`"
        if not self._path:
            return "neither prompters.askpass nor SSH_ASKPASS names a program"
        if not os.path.isabs(self._path):
            return f"{self._path} is no absolute path"
        if not os.access(self._path, os.X_OK):
            return f"{self._path} is no program that can be run"
        if self._require != "force" and not has_screen(self._session.environment()):
            return "there is no display (SSH_ASKPASS_REQUIRE=force would ask all the same)"
        return ""

    def ask(self, question: Question, patience: Patience) -> Answer:
        with program.started(self._command(question), self._environment(question)) as process:
            try:
                status, answer = program.answer_of(process, patience)
            except OutOfPatience as error:
                return refusal(self.name, error.reason)
        if status != 0:
            answer.close()
            return refusal(self.name, "denied")
        if question.kind is Kind.SECRET:
            return Answer(granted=True, prompter=self.name, secret=answer)
        with answer:
            granted = bytes(answer.view[:4]).lower() in AGREES
        return Answer(granted, self.name, reason="" if granted else "denied")

    def show(self, question: Question, patience: Patience) -> None:
        command, environment = self._command(question), self._environment(question)
        with program.started(command, environment, output=False) as process:
            try:
                program.wait_for(process, patience)
            except OutOfPatience:
                return

    def _command(self, question: Question) -> list[str]:
        text = question.text
        if question.attempts_left is not None:
            text += f"\n({question.attempts_left} attempts are left.)"
        return [self._path, f"{text}\n{question.prompt}" if question.prompt else text]

    def _environment(self, question: Question) -> dict[str, str]:
        environment = self._session.environment()
        if hint := HINTS.get(question.kind):
            environment["SSH_ASKPASS_PROMPT"] = hint
        return environment
