"""What every speech model looks like to the rest of the transcriber."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from transcriber.core.windows import Hypothesis, Window


class Engine(Protocol):
    """Decodes windows. Synchronous, without state between calls, callable from several threads."""

    @property
    def name(self) -> str:
        """The model, as the user named it."""

    @property
    def languages(self) -> frozenset[str]:
        """Codes it can be asked for; exactly one where there is nothing to detect."""

    def transcribe(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """One hypothesis per window, in their order; empty text for no speech."""


class ModelError(Exception):
    """The model cannot be had or loaded. For people: what was looked for, where, and what to do."""
