"""Streaming engines: what `--engine streaming:module:function` names, opened for as long as the transcriber serves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from transcriber.config import Settings
from transcriber.engine.base import ModelError, named
from transcriber.sessions import Sessions

log = structlog.get_logger(__name__)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Sessions]:
    """The engine's sessions; what it opened for them is closed with the block.

    Raises:
        ModelError: it cannot be had, or is not whole.
    """
    async with AsyncExitStack() as stack:
        try:
            sessions = await stack.enter_async_context(named(settings.factory)(settings))
            if wrong := _wrong(sessions):
                raise ModelError(f"The engine {settings.engine} is not whole: {wrong} (docs/transcriber-engines.md).")
        except ModelError:
            raise
        except Exception as error:
            log.exception("engine.unusable", engine=settings.engine)
            problem = f"The engine {settings.engine} did not start: {type(error).__name__}: {error}"
            raise ModelError(problem) from error
        log.info("engine.ready", engine=settings.engine, model=sessions.name)
        yield sessions


def _wrong(sessions: object) -> str:
    """What is missing in what the engine gave, or is something else; empty: nothing."""
    wanted: dict[str, tuple[type, str]] = {
        "name": (str, "a text"),
        "languages": (frozenset, "a frozenset of codes, empty where any may be named"),
        "is_up": (bool, "True or False"),
        "admits": (bool, "True or False"),
    }
    given = {name: getattr(sessions, name, None) for name in wanted}
    wrong = [f"`{name}` ({what}) is {given[name]!a}" for name, (kind, what) in wanted.items()
             if not isinstance(given[name], kind)]  # fmt: skip
    if not callable(getattr(sessions, "session", None)):
        wrong.append("`session(handshake, granted, clock_start)` is missing")
    return ", ".join(wrong)
