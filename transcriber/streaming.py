"""Streaming engines: what `--engine streaming:module:function` names, opened for as long as the transcriber serves.

They are somebody else's code in this process. What of one is missing is found before the first client comes, and what
it raises when it is asked how it is means that it is not well: it never ends the server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from types import UnionType
from typing import TypeAlias

import structlog

from common.whisperlive.protocol import Handshake, ProtocolError
from transcriber.config import Settings
from transcriber.engine.base import ModelError, error_report, named
from transcriber.sessions import Session, Sessions

MISSING = object()
log = structlog.get_logger(__name__)

Says: TypeAlias = Mapping[str, tuple[type | UnionType, str]]

SAYS: Says = {
    "name": (str, "a text"),
    "languages": (frozenset, "a frozenset of codes, empty where any may be named"),
    "is_up": (bool, "True or False"),
    "admits": (bool, "True or False"),
}
"""What an engine says of itself."""
SESSION_SAYS: Says = {
    "decided": (int, "a sample"),
    "is_settled": (bool, "True or False"),
    "is_full": (bool, "True or False"),
    "is_attentive": (bool, "True or False"),
    "detected": (tuple | None, "None, or a language and its probability"),
}
SESSION_DOES = {
    "serve": "(listener)",
    "hear": "(first_sample, samples, now)",
    "end_utterance": "(sample, now)",
    "end": "(now)",
    "is_stalled": "(now)",
}
"""What a session says, and does."""


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Sessions]:
    """The engine's sessions; what it opened for them is closed with the block.

    Raises:
        ModelError: it cannot be had, or is not whole.
    """
    async with AsyncExitStack() as stack:
        try:
            sessions = await stack.enter_async_context(named(settings.factory)(settings))
            if wrong := _flaws_of(sessions):
                raise ModelError(f"The engine {settings.engine} is not whole: {wrong} (docs/transcriber-engines.md).")
        except ModelError:
            raise
        except Exception as error:
            log.exception("engine.unusable", engine=settings.engine)
            problem = f"The engine {settings.engine} did not start: {type(error).__name__}: {error}"
            raise ModelError(problem) from error
        log.info("engine.ready", engine=settings.engine, model=sessions.name)
        yield _Guarded(sessions)


class _Guarded:
    """An engine's sessions; where it raises instead of saying how it is, it is not well, and the log says so once."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self.name, self.languages = sessions.name, sessions.languages
        self._failing: set[str] = set()

    @property
    def is_up(self) -> bool:
        """The engine can be used at all."""
        return self._ask("is_up", lambda: self._sessions.is_up)

    @property
    def admits(self) -> bool:
        """A new stream can be served in time."""
        return self._ask("admits", lambda: self._sessions.admits)

    def session(self, handshake: Handshake, granted: frozenset[str], clock_start: int) -> Session:
        """A stream. What else than ProtocolError is raised costs its client."""
        return self._sessions.session(handshake, granted, clock_start)

    def _ask(self, what: str, ask: Callable[[], bool]) -> bool:
        try:
            answer = bool(ask())
        except Exception as error:
            if what not in self._failing:
                self._failing.add(what)
                log.error("engine.failed", what=what, problem=error_report(error), consequence="taken for False")
            return False
        self._failing.discard(what)
        return answer


def _flaws_of(sessions: Sessions) -> str:
    """What is missing in what the engine gave, or is something else; empty: nothing."""
    wrong = [*_wrong(sessions, SAYS, {"session": "(handshake, granted, clock_start)"})]
    if not wrong:
        language = next(iter(sorted(sessions.languages)), "en")
        with suppress(ProtocolError):  # it is choosy; its clients will be told
            trial = sessions.session(Handshake("trial", language=language), frozenset(), 0)  # is never served
            wrong = [f"of its session {flaw}" for flaw in _wrong(trial, SESSION_SAYS, SESSION_DOES)]
    return ", ".join(wrong)


def _wrong(given: object, says: Says, does: Mapping[str, str]) -> Iterator[str]:
    for name, (kind, what) in says.items():
        try:
            value = getattr(given, name, MISSING)
        except Exception as error:
            yield f"`{name}` ({what}) raises {error_report(error)}"
        else:
            if not isinstance(value, kind):
                yield f"`{name}` ({what}) is {'missing' if value is MISSING else ascii(value)}"
    yield from (f"`{name}{how}` is missing" for name, how in does.items() if not callable(getattr(given, name, None)))
