"""An engine in this process behind the interface that the event loop sees: for tests that script or look into it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from transcriber.core.limits import TimeLimits
from transcriber.core.windows import Hypothesis, Window
from transcriber.engine.base import Engine, EngineFailed


class Threaded:
    """A `Decoder` whose engine is always up; decodes in the loop's own threads."""

    is_up = True
    is_failing = False
    falls_together = False
    limits = TimeLimits()

    def __init__(self, engine: Engine, parallel: int = 1) -> None:
        self._engine = engine
        self.name = engine.name
        self.languages = engine.languages
        self.batch = engine.batch
        self.full_batch = engine.full_batch
        self.longest_window = engine.longest_window
        self.parallel = parallel

    async def decode(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """One hypothesis per window. Raises EngineFailed with what the engine raised."""
        try:
            return await asyncio.to_thread(self._engine.transcribe, windows)
        except Exception as error:
            raise EngineFailed(f"{type(error).__name__}: {error}") from error
