"""Passes as a live session asks for them, decoded by a scripted engine in every window that holds them."""

from __future__ import annotations

import itertools

import numpy as np

from tests.support.fakes.scripted_engine import ScriptedDetector, ScriptedEngine, silence, tone
from transcriber.calibration.measuring import Measuring, planned
from transcriber.calibration.passes import LivePass, live_passes
from transcriber.calibration.speech import Clip
from transcriber.core.windows import Hypothesis, Window
from transcriber.engine.window_sizes import WindowSizes

WORDS = ("alpha", "bravo", "charlie", "delta", "echo")


class SizedEngine(ScriptedEngine):
    """Notes the sizes that it was told to use."""

    def __init__(self) -> None:
        super().__init__()
        self.used: list[tuple[int, float | None]] = []

    def use(self, sizes: WindowSizes) -> None:
        """For the calls that follow."""
        assert (sizes.careful, sizes.margin) == (sizes.partial, 0)
        self.used.append((sizes.partial, sizes.padding))


class LoopingEngine(SizedEngine):
    """Says a word again and again."""

    def _hear(self, window: Window) -> Hypothesis:
        return Hypothesis("so " * 40, tokens=40)


def talk(*groups: int) -> Clip:
    """So many words, a pause, so many more …"""
    pieces = []
    for count in groups:
        pieces += [tone(word) for word in itertools.islice(itertools.cycle(WORDS), count)] + [silence(1)]
    text = " ".join(itertools.chain.from_iterable(itertools.islice(itertools.cycle(WORDS), n) for n in groups))
    return Clip("talk", "en", text, np.concatenate(pieces))


def passes(*clips: Clip) -> list[LivePass]:
    """Heard by a detector of loudness."""
    return live_passes(clips, ScriptedDetector().batched)


def test_the_careful_passes_of_a_clip_are_its_utterances() -> None:
    """Of each the last one; long speech is cut as it is live; partials are of the first, of 0.7 to 7 s."""
    found = passes(talk(8, 3), talk(25))
    careful = [(each.clip, round(len(each.window.samples) / 16_000)) for each in found if each.window.careful]
    assert careful[:2] == [(0, 5), (0, 2)]
    assert [clip for clip, _ in careful[2:]] == [1, 1]
    assert 14 < sum(seconds for _, seconds in careful[2:]) < 17
    partials = [each for each in found if not each.window.careful]
    assert {each.clip for each in partials} == {0, 1}
    assert all(0.7 <= len(each.window.samples) / 16_000 <= 7 for each in partials)
    assert all(0 < each.speech_s <= len(each.window.samples) / 16_000 for each in found)


def test_each_pass_is_decoded_once_in_each_window_that_holds_it() -> None:
    """The full window of careful passes with both paddings; the rest with the one that was chosen."""
    found, engine, done = passes(talk(12)), SizedEngine(), list[int]()
    measuring = Measuring(engine, found, itertools.count().__next__, done.append)
    [full] = measuring.full_windows()
    assert engine.used == [(3000, None), (3000, 0.0)]
    assert set(full.heard) == {(3000, None), (3000, 0.0)}
    trials = measuring.all_windows(0.0)
    assert [(trial.careful, trial.frames) for trial in trials] == [(each.window.careful, each.frames) for each in found]
    assert set(trials[0].heard) == {(size, 0.0) for size in (800, 1000, 1250, 1500, 3000)} | {(3000, None)}
    assert set(trials[1].heard) == {(size, 0.0) for size in (600, 800, 1000, 1250, 1500, 3000)}
    assert sorted(done) == sorted(planned(found))


def test_what_was_heard_is_judged_as_it_is_live() -> None:
    """Words, cost by the clock in milliseconds; what would not be shown has none, and a loop is astray."""
    found = passes(talk(5), talk(2))
    for engine, words, is_astray in ((SizedEngine(), [WORDS, WORDS[:2]], False), (LoopingEngine(), [(), ()], True)):
        measuring = Measuring(engine, found, itertools.count().__next__, lambda frames: None)
        heard = [trial.heard[3000, None] for trial in measuring.full_windows()]
        assert [each.words for each in heard] == words
        assert {(each.is_astray, each.cost) for each in heard} == {(is_astray, 1000)}
