"""Interface of speech models to the rest of the transcriber."""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol

from transcriber.core.limits import TimeLimits
from transcriber.core.windows import Hypothesis, Window, flaw_of


class Model(Protocol):
    """What engine and decoder say about the model."""

    @property
    def name(self) -> str:
        """The model, as the user named it."""

    @property
    def languages(self) -> frozenset[str]:
        """Codes it can be asked for; exactly one where there is nothing to detect."""

    @property
    def batch(self) -> int:
        """How many windows are worth decoding in one call, at most."""

    @property
    def full_batch(self) -> int:
        """The same for windows of recordings."""

    @property
    def longest_window(self) -> float:
        """Seconds of a window with several sentences, at most: what the model was trained on."""


class Engine(Model, Protocol):
    """Decodes windows. Synchronous, without state between calls, callable from several threads."""

    def transcribe(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """One hypothesis per window, in their order; empty text for no speech."""


class Decoder(Model, Protocol):
    """An engine as the event loop sees it: somewhere else, supervised, never in the way."""

    @property
    def parallel(self) -> int:
        """How many calls are worth having under way at once."""

    @property
    def falls_together(self) -> bool:
        """A call that ends the engine ends all that are under way: one that may do so again must be by itself."""

    @property
    def is_up(self) -> bool:
        """False while a lost engine is being replaced; `decode` waits for the new one."""

    @property
    def is_failing(self) -> bool:
        """It was replaced because calls failed one after another, and no new one is warm yet, or it fails like that."""

    @property
    def limits(self) -> TimeLimits:
        """What is too long for this model on this machine."""

    async def decode(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """One hypothesis per window, in their order.

        Raises:
            EngineFailed: one of the windows made it raise; the engine goes on.
            EngineLost: it hung or died over these windows, or while they were with it, and is being replaced.
        """


class SupervisedDecoder(Decoder, Protocol):
    """A decoder with whoever keeps its engine up."""

    async def started(self) -> None:
        """Returns once there is an engine: name, languages and batch are its own from then on."""

    async def run(self) -> None:
        """Keeps an engine up until cancelled; then nothing of it is left.

        Raises:
            ModelError: the first one cannot be had.
        """


class EngineFailed(Exception):
    """The engine raised an error over a window: its type and message, without the text."""


class EngineLost(Exception):
    """The engine hung or died: what was seen of it."""


class ModelError(Exception):
    """The model cannot be had or loaded. For people: what was looked for, where, and what to do."""


QUOTABLE_ERRORS = (RuntimeError, OSError, MemoryError, EngineFailed)
"""Errors of libraries and devices, whose messages are worth knowing; those of others may quote what was said."""


def error_report(error: Exception) -> str:
    """An error for the log: its type, its message where that cannot quote what was said, and where it was raised."""
    message = f": {error}" if isinstance(error, QUOTABLE_ERRORS) else ""
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    code = frame.f_code
    return f"{type(error).__name__}{message} ({os.path.basename(code.co_filename)}:{line} in {code.co_name})"


def named(factory: str) -> Any:
    """What `module:function` names. Raises ImportError, AttributeError, and what the module raises."""
    module, _, function = factory.partition(":")
    return getattr(import_module(module), function)


def checked(answer: object, windows: int) -> list[Hypothesis]:
    """What an engine gave for so many windows, if it is sound. Raises EngineFailed: what is wrong with it."""
    if not isinstance(answer, list | tuple) or len(answer) != windows:
        count = f" of {len(answer)}" if isinstance(answer, list | tuple) else ""
        raise EngineFailed(f"the engine gave {type(answer).__name__}{count} in the place of {windows} hypotheses")
    if flaw := next(filter(None, map(flaw_of, answer)), None):
        raise EngineFailed(f"the engine gave {flaw}")
    return [*answer]
