"""The cheapest windows that get hardly more words wrong than full ones, chosen from scripted results."""

from __future__ import annotations

from collections.abc import Callable

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.calibration.choice import (
    MARGINS_FRAMES,
    MAX_MORE_ASTRAY,
    MAX_MORE_ERRORS,
    MAX_MORE_PARTIAL_ERRORS,
    Comparison,
    Heard,
    Trial,
    UnknownSpeechError,
    edits,
)

SIZES = (600, 800, 1000, 1500, 3000)
SAID = tuple(f"w{number}" for number in range(200))


def result(said: tuple[str, ...] = SAID, size: int = 600, *, astray: bool = False, logprob: float = -0.5) -> Heard:
    """A pass whose cost is its window."""
    return Heard(() if astray else said, astray, logprob, float(size))


def trial(
    hear: Callable[[int], Heard], frames: int = 300, *, careful: bool = True, padding: float | None = None
) -> Trial:  # fmt: skip
    """A pass decoded in every window that holds it."""
    heard = {(size, padding): hear(size) for size in SIZES if size >= frames}
    return Trial(0, careful, frames, heard)


def right(size: int) -> Heard:
    """All words, in any window."""
    return result(size=size)


def padded(silence: Heard, zeros: Heard) -> Trial:
    """A careful pass in the full window with both paddings."""
    return Trial(0, True, 300, {(3000, None): silence, (3000, 0.0): zeros})


def test_the_padding_with_fewer_errors_is_taken() -> None:
    """However sure the model is of the other."""
    comparison = Comparison([SAID], ["en"], SIZES)
    wrong = result(SAID[:190], logprob=-0.1)
    for better, trials in ((0.0, padded(wrong, result())), (None, padded(result(), wrong))):
        padding, scores = comparison.padding([trials])
        assert padding == better
        assert {score.padding: score.errors for score in scores} == {better: 0, 0.0 if better is None else None: 10}


def test_of_paddings_that_do_as_well_it_is_silence_unless_the_model_is_surer_with_zeros_nearly_always() -> None:
    """One word in two hundred is chance, and so is it to be surer now and then, be it by far."""
    comparison = Comparison([SAID] * 4, ["en"] * 4, SIZES)
    for surer, padding in ((4, 0.0), (3, 0.0), (2, None), (0, None)):
        for missing in (0, 1, 2):
            logprobs = [(-0.5, -0.49)] * surer + [(-0.5, -0.51)] * (4 - surer)
            trials = [
                Trial(clip, True, 300, padded(result(logprob=one), result(SAID[missing:], logprob=other)).heard)
                for clip, (one, other) in enumerate(logprobs)
            ]
            assert comparison.padding(trials)[0] == (padding if missing < 2 else None)


def test_a_model_that_does_not_know_the_speech_is_not_measured_with_it() -> None:
    """Whatever the window, its words would be wrong."""
    with pytest.raises(UnknownSpeechError, match="60% of the words are wrong") as raised:
        Comparison([SAID], ["en"], SIZES).padding([padded(result(SAID[:80]), result(SAID[:40]))])
    assert raised.value.share == 0.6


def test_where_all_windows_are_right_the_shortest_are_taken() -> None:
    """With the longest margin that costs next to nothing."""
    choice = Comparison([SAID], ["en"], SIZES).choose([trial(right), trial(right, careful=False)], None)
    assert (choice.partial, choice.careful, choice.margin, choice.padding) == (600, {"en": 600}, 250, None)
    assert sum(map(choice.is_chosen, choice.scores)) == 2


def test_what_loops_in_a_window_that_is_nearly_full_gets_a_margin() -> None:
    """As much as was seen to help, in finals and partials alike."""
    tight = [
        trial(lambda size, f=frames: result(SAID if size >= f + 150 else SAID + SAID, size), frames)  # type: ignore[misc]
        for frames in (560, 640, 840, 1340)
    ]
    choice = Comparison([SAID] * 4, ["en"] * 4, SIZES).choose(
        [Trial(clip, True, each.frames, each.heard) for clip, each in enumerate(tight)] + [trial(right, careful=False)],
        None,
    )
    assert (choice.careful, choice.margin) == ({"en": 600}, 150)


def test_a_window_that_is_right_between_two_that_are_wrong_is_luck() -> None:
    """Longer ones must be right, too."""
    lucky = trial(lambda size: result(SAID if size in (600, 1500, 3000) else SAID[:100], size))
    choice = Comparison([SAID], ["en"], SIZES).choose([lucky, trial(right, careful=False)], None)
    assert (choice.partial, choice.careful) == (600, {"en": 1500})


@pytest.mark.parametrize(("careful", "allowed"), [(True, 1), (False, 4)])
def test_a_word_in_two_hundred_may_be_wrong_in_a_final_and_four_in_a_partial(careful: bool, allowed: int) -> None:
    """More than with the full window."""
    for errors, floor in ((allowed, 600), (allowed + 1, 1000)):
        misheard = ("x",) * errors + SAID[errors:]

        def hear(size: int, words: tuple[str, ...] = misheard) -> Heard:
            return result(words if size < 1000 else SAID, size)

        choice = Comparison([SAID], ["en"], SIZES).choose([trial(hear, careful=careful)], None)
        assert choice.floor("en" if careful else None) == floor


def test_a_final_that_goes_astray_costs_both_passes_and_has_the_words_of_the_second() -> None:
    """As it is live; too many such make nobody happy either."""
    comparison = Comparison([SAID], ["en"], SIZES)
    loops = trial(lambda size: result(size=size, astray=size == 600))
    score = comparison.score([loops], True, 600, 30, None)
    assert (score.errors, score.astray, score.cost) == (0, 1, 3600)
    assert comparison.choose([loops], None).careful == {"en": 800}


def test_a_partial_is_held_against_the_beginning_of_its_transcript() -> None:
    """How far it got the other windows tell; a word more or less is no error, words that nobody said are."""
    comparison = Comparison([SAID], ["en"], SIZES)
    said = {600: SAID[:9], 800: SAID[:10], 1000: SAID[:10], 1500: SAID[:11], 3000: (*SAID[:10], "thank", "you", "bye")}
    partial = trial(lambda size: result(said[size], size), careful=False)
    errors = {size: comparison.score([partial], False, size, 30, None).errors for size in SIZES}
    assert errors == {600: 0, 800: 0, 1000: 0, 1500: 0, 3000: 3}
    assert comparison.score([partial], False, 600, 30, None).words == 10


def test_without_partials_that_were_tried_theirs_is_the_full_window() -> None:
    """What nobody has measured is right at any price."""
    choice = Comparison([SAID], ["en"], SIZES).choose([trial(right)], None)
    assert (choice.partial, choice.careful) == (3000, {"en": 600})


def test_the_passes_of_a_clip_are_held_against_it_together() -> None:
    """Where one ends and the next begins in the transcript nobody knows."""
    parts = [trial(lambda size, s=said: result(s, size)) for said in (SAID[:40], SAID[40:])]  # type: ignore[misc]
    score = Comparison([SAID], ["en"], SIZES).score(parts, True, 600, 30, None)
    assert (score.passes, score.words, score.errors) == (2, 200, 0)


def test_each_language_has_the_windows_that_do_for_it_and_where_little_is_said_the_full_one() -> None:
    """Half of the words of a language may be lost in a short window and none of another."""
    clips = {"en": (600, SAID), "de": (1500, SAID), None: (600, SAID[:50])}
    trials = [
        trial(lambda size, least=least, said=said: result(said if size >= least else said[:25], size))  # type: ignore[misc]
        for least, said in clips.values()
    ]
    trials = [Trial(clip, True, each.frames, each.heard) for clip, each in enumerate(trials)]
    comparison = Comparison([said for _, said in clips.values()], [*clips], SIZES)
    choice = comparison.choose([*trials, trial(right, careful=False)], None)
    assert (choice.partial, choice.careful) == (600, {"en": 600, "de": 1500})
    assert {score.words for score in choice.scores if score.language} == {200}


results = st.builds(
    Heard, st.lists(st.sampled_from("ab")).map(tuple), st.booleans(), st.floats(-2, 0), st.floats(1, 1000)
)


@st.composite
def trials(draw: st.DrawFn) -> list[Trial]:
    """Results without rhyme or reason."""
    found = []
    for _ in range(draw(st.integers(1, 6))):
        frames = draw(st.integers(70, 1300))
        heard: dict[tuple[int, float | None], Heard] = {(size, 0.0): draw(results) for size in SIZES if size >= frames}
        found.append(Trial(0, draw(st.booleans()), frames, heard))
    return found


@given(trials())
def test_whatever_the_results_what_is_chosen_will_do(found: list[Trial]) -> None:
    """It keeps both bounds and is no dearer than full windows."""
    choice = Comparison([tuple("abba")], ["en"], SIZES).choose(found, 0.0)
    for language in ("en", None):
        careful = language is not None
        scores = {(each.floor, each.margin): each for each in choice.scores if each.language == language}
        chosen, full = scores[choice.floor(language), choice.margin], scores[3000, MARGINS_FRAMES[0]]
        assert chosen.errors <= full.errors + full.words * (MAX_MORE_ERRORS if careful else MAX_MORE_PARTIAL_ERRORS)
        assert chosen.astray <= full.astray + MAX_MORE_ASTRAY * full.passes
        assert chosen.cost <= full.cost


texts = st.lists(st.sampled_from("abc"), max_size=8).map(tuple)


@given(texts, texts)
def test_edits_are_those_of_word_error_rates(heard: tuple[str, ...], said: tuple[str, ...]) -> None:
    """To each beginning of what was said, as jiwer counts them."""
    for count, number in enumerate(edits(heard, said)):
        if not count:
            assert number == len(heard)
            continue
        found = jiwer.process_words(" ".join(said[:count]), " ".join(heard))
        assert number == found.substitutions + found.deletions + found.insertions
