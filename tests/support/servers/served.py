"""A session served as the worker serves it, and what must be true of it afterwards."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from common.whisperlive.protocol import EXTENSIONS, Handshake, WireSegment
from transcriber.core.gate import ONSET_SAMPLES
from transcriber.core.policy import LAG_SAMPLES, PendingUtterance
from transcriber.core.session import StreamSession
from transcriber.core.transcript import DecodeJob
from transcriber.core.windows import Hypothesis, Word

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
    """A session and whoever serves it, as the worker does: what is due is looked at again only when there is news."""

    def __init__(self, explicit: bool) -> None:
        self.session = StreamSession(HELLO, loud, EXTENSIONS if explicit else frozenset())
        self.explicit = explicit
        self.at = 0
        self.said: list[tuple[int, int]] = []
        self.shown: list[WireSegment] = []
        self.job: DecodeJob | None = None
        self.due = False
        # What each utterance's last careful pass heard, if any.
        self.decoded: dict[int, tuple[PendingUtterance, int, int]] = {}
        self.lost: set[int] = set()

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

    def begin(self) -> None:
        if self.due and self.job is None:
            self.job, self.due = self.session.begin(), False

    def over(self, said: str | None = None, *, failed: bool = False) -> None:
        """The pass under way ends: with words whose times may be in any order, with none, or not at all."""
        job, self.job = self.job, None
        if job is None:
            return
        work = job.work
        if failed:
            given_up, segments = self.session.fail(job, now=self.at)
            self.lost |= {work.utterance.number} if given_up else set()
        else:
            times = [(n * 7 % 5 / 3, n * 7 % 5 / 3 + 0.4) for n in range(len(said or ""))]
            words = tuple(Word(f" {word}", *time, 0.9) for word, time in zip((said or "").split(), times, strict=False))
            segments = self.session.finish(job, Hypothesis(said, words=words) if said else None)
            if work.kind.is_careful:
                self.decoded[work.utterance.number] = work.utterance, job.first, work.end
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
    heard = np.zeros(served.at, bool)
    for number, (utterance, first, until) in served.decoded.items():
        assert utterance.end is not None
        assert number in served.lost or utterance.bounds(utterance.end)[1] <= until + LAG_SAMPLES
        heard[first : utterance.end if number in served.lost else until] = True
    if served.lost - served.decoded.keys():
        return  # lost without a pass that would say where
    missed = np.zeros(served.at, bool)
    for first, last in served.said:
        missed[first:last] = ~heard[first:last]
    edges = np.flatnonzero(np.diff(np.concatenate(([0], missed, [0]))))
    assert all(edges[1::2] - edges[::2] < 2 * ONSET_SAMPLES)


def check_segments(shown: list[WireSegment]) -> None:
    """They never overlap, ids never come back after their final, and committed text stays."""
    committed: dict[str | None, str] = {}
    for segment in shown:
        assert segment.text.startswith(committed.get(segment.segment_id, ""))
        committed[segment.segment_id] = segment.text[: segment.stable_len]
    done = [s for s in shown if s.completed]
    assert all(a.end <= b.start for a, b in pairwise(done))
    ids = [s.segment_id for s in done]
    assert len(set(ids)) == len(ids)
    for n, segment in enumerate(shown):
        if segment.completed:
            assert segment.segment_id not in [later.segment_id for later in shown[n + 1 :]]
