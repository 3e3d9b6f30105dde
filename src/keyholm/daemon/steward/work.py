"""What the steward does beside looking up callers: people, security keys, witnesses."""

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from keyholm.core.errors import BadConfiguration, BadRequest
from keyholm.core.prompt import Question
from keyholm.core.secret import Secret
from keyholm.daemon.configuration import Configuration
from keyholm.daemon.steward import messages
from keyholm.daemon.steward.identify import stat_of, terminal_name
from keyholm.daemon.steward.security_key import INTERNAL, SecurityKeys
from keyholm.daemon.steward.server import Handlers
from keyholm.daemon.steward.witness import Witnesses
from keyholm.daemon.steward.workers import Workers, module_in
from keyholm.daemon.vendors import provider
from keyholm.prompters.askpass import Askpass
from keyholm.prompters.order import InOrder
from keyholm.prompters.pinentry import Pinentry
from keyholm.prompters.prompter import Patience, Prompter
from keyholm.prompters.session import Session
from keyholm.prompters.terminal import Terminal
from keyholm.stores.modules import recursion
from keyholm.worker.spec import Spec

EVERY_PROMPTER: Final = ("askpass", "pinentry", "terminal")
Told = tuple[messages.Message, Secret | None]


def no_module(name: str) -> Spec:
    raise BadConfiguration(f"There is no module {name!r}.")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the configuration says that the steward must know. No request can change it."""

    order: tuple[str, ...] = EVERY_PROMPTER
    askpass: str = ""
    pinentry: str = ""
    providers: str = ""
    witnesses: Witnesses = field(default_factory=Witnesses)
    module: Callable[[str], Spec] = no_module
    """What a module's name stands for. Raises `BadConfiguration`."""


def settings_from(
    configuration: Configuration, modules: Path, providers: str | None = None
) -> Settings:
    """`modules` is the folder of module files; `providers` are those of the command line, if it
    names any."""
    witness = configuration.trail.witness
    return Settings(
        order=tuple(configuration.prompters.order),
        askpass=configuration.prompters.askpass,
        pinentry=configuration.prompters.pinentry,
        providers=configuration.agent.providers if providers is None else providers,
        witnesses=Witnesses(witness.file, witness.journal, witness.command),
        module=partial(module_in, modules),
    )


class Work:
    """`read_settings` reads the configuration anew; `start` is the daemon's environment.

    `shows_itself`: the daemon has a PKCS#11 door, so that a module of its own kind would lead back
    to it."""

    def __init__(
        self,
        start: Mapping[str, str],
        read_settings: Callable[[], Settings],
        *,
        shows_itself: bool = True,
    ) -> None:
        self._session = Session(start)
        self._shows_itself = shows_itself
        self._read_settings = read_settings
        self._apply(read_settings())

    def handlers(self) -> Handlers:
        return {
            messages.Ask: self._ask,
            messages.Show: self._show,
            messages.Examine: self._examine,
            messages.SignWithKey: self._sign,
            messages.CheckProvider: self._check_provider,
            messages.Witness: self._witness,
            messages.Reload: self._reload,
            **Workers(self._spec_of).handlers(),
        }

    def _apply(self, settings: Settings) -> None:
        makers: dict[str, Callable[[], Prompter]] = {
            "askpass": lambda: Askpass(self._session, settings.askpass),
            "pinentry": lambda: Pinentry(self._session, terminal_of, settings.pinentry),
            "terminal": lambda: Terminal(terminal_of),
        }
        self._prompters = InOrder([makers[name]() for name in settings.order])
        self._keys = SecurityKeys(self._session.start, settings.providers)
        self._module = settings.module
        self._witnesses = settings.witnesses

    def _ask(self, request: messages.Ask, secret: Secret | None, channel: socket.socket) -> Told:
        question = request.question
        answer = self._prompters.ask(question, Patience(question.seconds, channel.fileno()))
        told = messages.Answered(answer.granted, answer.prompter, answer.reason)
        return told, answer.secret

    def _show(self, request: messages.Show, secret: Secret | None, channel: socket.socket) -> Told:
        question = request.question
        self._prompters.show(question, Patience(question.seconds, channel.fileno()))
        return messages.Done(), None

    def _examine(
        self, request: messages.Examine, secret: Secret | None, channel: socket.socket
    ) -> Told:
        found = self._prompters.examine()
        usable = tuple(messages.Usable(name, reason) for name, reason in found.items())
        return messages.Examined(usable), None

    def _sign(
        self, request: messages.SignWithKey, secret: Secret | None, channel: socket.socket
    ) -> Told:
        patience = Patience(request.seconds, channel.fileno())
        signature = self._keys.sign(
            request.private, request.provider, request.data, secret, patience
        )
        return messages.Signed(signature), None

    def _check_provider(
        self, request: messages.CheckProvider, secret: Secret | None, channel: socket.socket
    ) -> Told:
        return messages.ProviderAllowed(self._keys.allowed(request.path)), None

    def _spec_of(self, name: str, path: str) -> Spec:
        """Raises `KeyholmError`."""
        if name:
            return self._module(name)
        if not path:
            raise BadRequest("Neither a module nor a library was named.")
        library = self._keys.allowed(path)
        if library == INTERNAL:
            raise BadRequest(f"{path!r} is no PKCS#11 module.")
        if self._shows_itself and (reason := recursion.by_file(library)):
            raise BadRequest(reason, remedy="Add the modules behind it, each by itself.")
        return provider.spec_of(library, self._session.start)

    def _witness(
        self, request: messages.Witness, secret: Secret | None, channel: socket.socket
    ) -> Told:
        self._witnesses.tell(request.checkpoint)
        return messages.Done(), None

    def _reload(
        self, request: messages.Reload, secret: Secret | None, channel: socket.socket
    ) -> Told:
        """Raises `BadConfiguration`: what was in force stays in force."""
        self._apply(self._read_settings())
        return messages.Done(), None


def terminal_of(question: Question) -> str:
    """The terminal where `question` may be asked: the caller's, if the caller runs in its
    foreground, else the daemon's, if the daemon does. Empty: neither.

    In the background another program reads from the terminal, and would get the answer.
    """
    for pid in (question.pid, os.getppid()):
        try:
            stat = stat_of(pid)
        except (OSError, ValueError):
            continue
        if stat.group == stat.foreground and (name := terminal_name(stat.terminal)):
            return name
    return ""
