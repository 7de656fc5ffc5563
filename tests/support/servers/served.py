"""A session served as the worker serves it, and what must be true of it afterwards."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from common.whisperlive.protocol import EXTENSIONS, Handshake, WireSegment
from transcriber.core.gate import ONSET_SAMPLES
from transcriber.core.policy import LAG_SAMPLES, PendingUtterance
from transcriber.core.session import StreamSession
from transcriber.core.transcript import DecodeJob
from transcriber.core.windows import Hypothesis, Word
from transcriber.core.word_times import MIN_WORD_S

SECOND = 16_000
PIECE = 2_500
"""Samples of a message: no multiple of a frame."""
HELLO = Handshake("u", language="en")


def loud(frames: npt.NDArray[np.float32]) -> list[float]:
    """Speech is what is loud; what is half as loud is doubtful."""
    return [1.0 if peak > 0.1 else 0.4 if peak > 0.05 else 0.0 for peak in np.abs(frames).max(axis=1)]


def speech(seconds: float) -> npt.NDArray[np.int16]:
    """Something loud."""
    return np.full(int(seconds * SECOND), 8000, np.int16)


def murmur(seconds: float) -> npt.NDArray[np.int16]:
    """Something between: it begins no utterance, but may go on with one."""
    return np.full(int(seconds * SECOND), 2400, np.int16)


def silence(seconds: float) -> npt.NDArray[np.int16]:
    """Digital silence."""
    return np.zeros(int(seconds * SECOND), np.int16)


class Served:
    """A session and whoever serves it, as the worker does: what is due is looked at again only when there is news.

    Args:
        explicit: Its client says where utterances end.
        hello: What the client asks for.
        granted: Extensions, beside those that this takes.
    """

    def __init__(
        self, explicit: bool, hello: Handshake = HELLO, granted: frozenset[str] = frozenset()
    ) -> None:  # fmt: skip
        self.session = StreamSession(hello, loud, EXTENSIONS if explicit else granted)
        self.explicit = explicit
        self.at = 0
        self.said: list[tuple[int, int]] = []
        self.shown: list[WireSegment] = []
        self.job: DecodeJob | None = None
        self.due = False
        # What each utterance's last careful pass heard, if any, or what was lost of it.
        self.decoded: dict[int, tuple[PendingUtterance, int, int]] = {}
        self.lost: set[int] = set()
        # Segments that their client ended before words that may be committed in them.
        self.cut_short: set[str | None] = set()

    def poke(self) -> None:
        self.shown += self.session.release()
        self.due = self.session.next_request() is not None

    def hear(self, samples: npt.NDArray[np.int16]) -> None:
        goes_on = bool(self.said) and self.said[-1][1] == self.at
        if samples.any() and (samples[0] > 3276 or goes_on):
            self.said.append((self.at, self.at + len(samples)))
        for first in range(0, len(samples), PIECE):
            piece = samples[first : first + PIECE]
            while self.session.is_full:
                self.begin()
                self.over("x")
            if self.session.hear(self.at, piece, now=self.at):
                self.poke()
            self.at += len(piece)

    def end(self, sample: int) -> None:
        """The client says that all before this sample is over."""
        if sample < self.at:
            done = {segment.segment_id for segment in self.shown if segment.completed}
            self.cut_short |= {segment.segment_id for segment in self.shown} - done
        self.session.end_utterance(sample, now=self.at)
        self.poke()

    def begin(self) -> None:
        if self.due and self.job is None:
            self.job, self.due = self.session.begin(), False

    def over(self, said: str | None = None, *, failed: bool = False) -> None:
        """The pass under way ends: with words whose times may be in any order, with none, or not at all."""
        times = [(n * 7 % 5 / 3, n * 7 % 5 / 3 + 0.4) for n in range(len(said or ""))]
        words = tuple(Word(f" {word}", *time, 0.9) for word, time in zip((said or "").split(), times, strict=False))
        self.finish(Hypothesis(said, words=words) if said else None, failed=failed)

    def finish(self, heard: Hypothesis | None, *, failed: bool = False) -> None:
        """The pass under way, if any, ends with this result, or fails."""
        job, self.job = self.job, None
        if job is None:
            return
        utterance, end = job.work.utterance, job.work.end
        if failed:
            given_up, segments = self.session.fail(job, now=self.at)
            if given_up:
                self.lost.add(utterance.number)
                self.decoded[utterance.number] = utterance, job.work.start, end
        else:
            segments = self.session.finish(job, heard)
            if job.work.kind.is_careful:
                self.decoded[utterance.number] = utterance, job.first, end
        self.shown += segments
        self.poke()

    def drain(self) -> None:
        """Everything is decoded."""
        self.session.end(now=self.at)
        self.poke()
        while self.job or self.due:
            self.begin()
            self.over("x")


def check_audio(served: Served) -> None:
    """Utterances follow each other, and nothing is said outside them but less than opens the gate."""
    utterances = [utterance for _, (utterance, _, _) in sorted(served.decoded.items())]
    assert all((a.end or 0) <= b.start for a, b in pairwise(utterances))
    for number, (utterance, _, until) in served.decoded.items():
        assert utterance.end is not None
        assert number in served.lost or utterance.bounds(utterance.end)[1] <= until + LAG_SAMPLES
    assert served.session.decided == served.at
    check_acknowledged(served)


def check_acknowledged(served: Served) -> None:
    """What is decided was in a careful pass that is over, or is reported lost, but for less than opens the gate."""
    left = list[tuple[int, int]]()
    for first, last in served.said:
        if left and left[-1][1] == first:
            first = left.pop()[0]
        left.append((first, min(last, served.session.decided)))
    for utterance, first, until in served.decoded.values():
        until = min(until, utterance.end or until)
        left = [part for begin, end in left for part in ((begin, min(end, first)), (max(begin, until), end))]
    assert all(last - first < 2 * ONSET_SAMPLES for first, last in left)


def check_segments(shown: list[WireSegment], cut_short: Collection[str | None] = ()) -> None:
    """They never overlap, ids never come back after their final, and committed text stays but where it was cut short;
    word times are in order and inside."""
    committed: dict[str | None, str] = {}
    for segment in shown:
        assert segment.segment_id in cut_short or segment.text.startswith(committed.get(segment.segment_id, ""))
        committed[segment.segment_id] = segment.text[: segment.stable_len]
        check_words(segment)
    done = [s for s in shown if s.completed]
    assert all(a.end <= b.start for a, b in pairwise(done))
    ids = [s.segment_id for s in done]
    assert len(set(ids)) == len(ids)
    for n, segment in enumerate(shown):
        if segment.completed:
            assert segment.segment_id not in [later.segment_id for later in shown[n + 1 :]]


def check_words(segment: WireSegment) -> None:
    """They are its text, one after the other, each of some length if there is room."""
    assert segment.start <= segment.end
    if segment.words is not None:
        assert "".join(word.word for word in segment.words) == segment.text
        edges = [segment.start, *(time for word in segment.words for time in (word.start, word.end)), segment.end]
        assert edges == sorted(edges)
        room = (segment.end - segment.start) / max(1, len(segment.words))
        assert all(word.end - word.start >= min(MIN_WORD_S, room) - 1e-6 for word in segment.words)
