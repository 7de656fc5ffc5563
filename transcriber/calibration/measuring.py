"""Measuring: passes decoded by the model at hand, with encoder inputs of every size that holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from transcriber.calibration.choice import PADDINGS, Heard, Trial
from transcriber.calibration.passes import LivePass
from transcriber.core.filters import Verdict
from transcriber.core.guards import verdict_of
from transcriber.core.windows import Hypothesis, Window
from transcriber.core.words import words
from transcriber.engine.features import BUCKET_FRAMES
from transcriber.engine.window_sizes import FULL_WINDOW_FRAMES, WindowSizes


class ResizableEngine(Protocol):
    """An engine whose encoder inputs may be of any size."""

    def use(self, sizes: WindowSizes) -> None:
        """Encoder inputs are of these sizes from now on."""

    def transcribe(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """One hypothesis per window."""


class Measuring:
    """Decodes passes one by one.

    Args:
        engine: The model.
        passes: What a live session asked for.
        clock: Seconds of processor time.
        done: Called after each call of the model, with the frames that it encoded.
    """

    def __init__(
        self, engine: ResizableEngine, passes: Sequence[LivePass], clock: Callable[[], float],
        done: Callable[[int], None],
    ) -> None:  # fmt: skip
        self._engine = engine
        self._passes = passes
        self._clock = clock
        self._done = done
        self._heard: list[dict[tuple[int, float | None], Heard]] = [{} for _ in passes]

    def full_windows(self) -> list[Trial]:
        """The careful passes in the full window, with each padding."""
        careful = [number for number, each in enumerate(self._passes) if each.window.careful]
        for number in careful:
            self._decode(number, (FULL_WINDOW_FRAMES,), PADDINGS)
        return self._trials(careful)

    def all_windows(self, padding: float | None) -> list[Trial]:
        """All passes in all windows, with the one padding."""
        for number in range(len(self._passes)):
            self._decode(number, _sizes(self._passes[number]), (padding,))
        return self._trials(range(len(self._passes)))

    def _trials(self, numbers: Iterable[int]) -> list[Trial]:
        passes = ((self._passes[number], self._heard[number]) for number in numbers)
        return [Trial(each.clip, each.window.careful, each.frames, dict(heard)) for each, heard in passes]

    def _decode(self, number: int, sizes: Sequence[int], paddings: Sequence[float | None]) -> None:
        each, heard = self._passes[number], self._heard[number]
        for size in sizes:
            for padding in paddings:
                if (size, padding) not in heard:
                    self._engine.use(WindowSizes(size, size, padding=padding))
                    started = self._clock()
                    [result] = self._engine.transcribe([each.window])
                    cost = 1000 * (self._clock() - started)
                    verdict = verdict_of(each.window, result, each.speech_s)
                    said = tuple(words(result.text)) if verdict is Verdict.KEEP else ()
                    heard[size, padding] = Heard(said, verdict.is_anomaly, result.avg_logprob, cost)
                    self._done(size)


def planned(passes: Sequence[LivePass]) -> list[int]:
    """The frames that each call will encode."""
    calls = [size for each in passes for size in _sizes(each)]
    return calls + [FULL_WINDOW_FRAMES] * sum(each.window.careful for each in passes)


def _sizes(each: LivePass) -> list[int]:
    """Encoder inputs that hold it."""
    return [size for size in BUCKET_FRAMES if size >= each.frames]
