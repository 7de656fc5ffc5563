"""Packing of a recording: its stretches of speech become windows, as full as the model takes them, cut at pauses.

Whisper hears best what it was trained on: 30 s with several sentences. So speech is collected until no more fits, and
then cut where the pause is longest; pauses longer than 2 s are shortened. Positions and lengths are samples.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from common.audio.pcm import SAMPLE_RATE

Span = tuple[int, int]
"""First sample, and the one after the last."""
QuietPoint = Callable[[int, int], int]
"""A sample between two at which a word is least likely to be cut."""

PAD_SAMPLES = SAMPLE_RATE
"""Kept on both sides of speech, where there is room: with a quarter of it, the model leaves out twice as many words."""
MIN_CUT_SHARE = 0.6
"""How full a window is at least, if there is a pause in the rest of it."""


@dataclass(frozen=True, slots=True)
class PackedWindow:
    """Audio to decode together."""

    speech: tuple[Span, ...]
    """Stretches of speech in the recording, in order."""
    pieces: tuple[Span, ...]
    """What of the recording is in the window, in order, without a gap between them in the window."""

    @property
    def length(self) -> int:
        """Samples."""
        return sum(last - first for first, last in self.pieces)

    @property
    def seconds(self) -> float:
        """The same, in seconds."""
        return self.length / SAMPLE_RATE

    @property
    def spoken(self) -> int:
        """Samples of speech."""
        return sum(last - first for first, last in self.speech)

    def word_times(self, start: float, end: float) -> tuple[float, float]:
        """Seconds in the recording of a word said between these seconds of the window: no word goes on beyond a pause
        that was shortened, so all of it is where its middle is."""
        (first, last), shift = self._piece((start + end) / 2)
        begin, until = (min(max(round(at * SAMPLE_RATE) + shift, first), last) for at in (start, end))
        return self._spoken_part(begin, until)

    def times(self, start: float, end: float) -> tuple[float, float]:
        """Seconds in the recording of what is said between these seconds of the window."""
        begin, until = (self._sample(at) for at in (start, end))
        return self._spoken_part(begin, until)

    def split(self, seconds: float) -> tuple[PackedWindow, PackedWindow]:
        """Its parts before and from a time in the window on; either may be empty."""
        return self._cut(self._sample(seconds))

    def halves(self) -> tuple[PackedWindow, PackedWindow] | None:
        """Two windows, cut in the pause that is nearest to the middle; None: there is none."""
        middle = self._sample(self.seconds / 2)
        pauses = [(before[1] + after[0]) // 2 for before, after in itertools.pairwise(self.speech)]
        return self._cut(min(pauses, key=lambda pause: abs(pause - middle))) if pauses else None

    def _cut(self, at: int) -> tuple[PackedWindow, PackedWindow]:
        """Its parts before and from a sample of the recording on."""
        before, after = (
            [tuple(span for span in cut if span[0] < span[1]) for cut in cuts]
            for cuts in (
                [[(first, min(last, at)) for first, last in spans] for spans in (self.speech, self.pieces)],
                [[(max(first, at), last) for first, last in spans] for spans in (self.speech, self.pieces)],
            )
        )
        return PackedWindow(*before), PackedWindow(*after)

    def _sample(self, seconds: float) -> int:
        (first, last), shift = self._piece(seconds)
        return min(max(round(seconds * SAMPLE_RATE) + shift, first), last)

    def _piece(self, seconds: float) -> tuple[Span, int]:
        """The piece that is heard at a time in the window, and what to add to a sample of the window to get that of the
        recording. Before the first and after the last piece it is that one."""
        sample, begin = round(seconds * SAMPLE_RATE), 0
        for first, last in self.pieces[:-1]:
            if sample < begin + last - first:
                return (first, last), first - begin
            begin += last - first
        return self.pieces[-1], self.pieces[-1][0] - begin

    def _spoken_part(self, begin: int, until: int) -> tuple[float, float]:
        """Seconds of the speech between these samples; of all of it, if there is none."""
        heard = [span for span in self.speech if span[0] < until and begin < span[1]]
        if heard:
            begin, until = max(begin, heard[0][0]), min(until, heard[-1][1])
        return begin / SAMPLE_RATE, until / SAMPLE_RATE


class SpeechPacker:
    """The windows of one channel, while it is being heard.

    Args:
        longest: Samples of a window at most; more than twice `PAD_SAMPLES`.
        quiet: Called for speech without a pause.
        start: The first sample there is.
    """

    def __init__(self, longest: int, quiet: QuietPoint, start: int = 0) -> None:
        self._room = longest - 2 * PAD_SAMPLES
        self._quiet = quiet
        self._floor = start  # where the last window ended
        self._speech: list[Span] = []

    @property
    def needed(self) -> tuple[Span, ...]:
        """The audio of which windows will be made, as far as it is known."""
        return _padded(self._speech, self._floor, None)

    def add(self, first: int, last: int) -> None:
        """Speech between these samples: the next stretch, or the last one again, longer by now."""
        if self._speech and first <= self._speech[-1][1]:
            first, _ = self._speech.pop()
        self._speech.append((max(first, self._floor), last))

    def full(self) -> Iterator[PackedWindow]:
        """The windows into which nothing more fits."""
        while self._speech and _extents(self._speech)[-1] > self._room:
            yield self._cut()

    def rest(self, end: int) -> Iterator[PackedWindow]:
        """The others: the recording ends with this sample."""
        yield from self.full()
        if self._speech:
            yield self._take(len(self._speech), end)

    def _cut(self) -> PackedWindow:
        """At the longest pause of those that are late enough, the last of equals; or at the last one; or in speech."""
        fitting = [number for number, extent in enumerate(_extents(self._speech), 1) if extent <= self._room]
        if not fitting:
            return self._split()
        late = [number for number in fitting if _extents(self._speech)[number - 1] >= MIN_CUT_SHARE * self._room]
        number = max(late or fitting[-1:], key=lambda number: (_pause(*self._speech[number - 1 : number + 1]), number))
        return self._take(number, (self._speech[number - 1][1] + self._speech[number][0]) // 2)

    def _split(self) -> PackedWindow:
        """There is no pause: within the first stretch, where it is quiet."""
        (first, last), *others = self._speech
        earliest, latest = first + round(MIN_CUT_SHARE * self._room), first + self._room
        cut = min(max(self._quiet(earliest, latest), earliest), latest)
        self._speech = [(first, cut), (cut, last), *others]
        return self._take(1, cut)

    def _take(self, number: int, end: int) -> PackedWindow:
        """Makes a window of the first so many stretches, with no audio from `end` on."""
        speech, self._speech = self._speech[:number], self._speech[number:]
        window = PackedWindow(tuple(speech), _padded(speech, self._floor, end))
        self._floor = end
        return window


def _pause(before: Span, after: Span) -> int:
    """What a window keeps of the pause between two stretches."""
    return min(after[0] - before[1], 2 * PAD_SAMPLES)


def _extents(speech: Sequence[Span]) -> list[int]:
    """From the start of the first stretch to the end of each, with the pauses as a window keeps them."""
    pauses = [0, *(_pause(before, after) for before, after in itertools.pairwise(speech))]
    lengths = (pause + last - first for pause, (first, last) in zip(pauses, speech, strict=False))
    return list(itertools.accumulate(lengths))


def _padded(speech: Sequence[Span], floor: int, end: int | None) -> tuple[Span, ...]:
    """The audio around stretches of speech, not before `floor` nor from `end` on."""
    pieces: list[Span] = []
    for first, last in speech:
        begin, until = max(first - PAD_SAMPLES, floor), last + PAD_SAMPLES
        if pieces and begin <= pieces[-1][1]:
            begin, _ = pieces.pop()
        pieces.append((begin, until if end is None else min(until, end)))
    return tuple(pieces)
