"""The judge of rehearsals, judged."""

from __future__ import annotations

import math

import pytest

from rehearsal.microphone import Truth
from rehearsal.score import Final, score


def said(who: str, text: str, start: float, end: float, complete: bool = True) -> Truth:
    """Somebody said something; the meeting began at 1000 s."""
    return Truth(who, who.title(), text, start, end, 1000 + end, complete)


def final(who: str, text: str, start: float, end: float, late: float = 0.5) -> Final:
    """A final that Redis had `late` seconds after its end."""
    return Final(who, text, start, end, 1000 + end + late)


TRUTH = [said("ana", "hello everyone", 1, 2), said("ben", "good morning ana", 3, 4), said("ana", "let us start", 5, 6)]


def test_a_perfect_transcript() -> None:
    """Spelling and punctuation aside, equal words are no error."""
    result = score(
        TRUTH,
        [
            final("ana", "Hello, everyone.", 1, 2),
            final("ben", "Good morning Ana", 3, 4),
            final("ana", "let us start", 5, 6, 0.7),
        ],
    )
    assert (result.wer, result.missing, result.wrong_names, result.finals) == (0, 0, 0, 3)
    assert result.latency(50) == pytest.approx(0.5)
    assert max(result.latencies) == pytest.approx(0.7)


def test_an_utterance_in_two_finals_counts_as_one() -> None:
    """Pieces are joined in order; the latency is that of the last."""
    result = score(TRUTH[:1], [final("ana", "everyone", 1.5, 2, 0.6), final("ana", "hello", 1, 1.5)])
    assert result.wer == 0
    assert result.latencies[0] == pytest.approx(0.6)


def test_errors_are_counted() -> None:
    """One wrong word of eight, one utterance missing, words of somebody who never spoke."""
    result = score(TRUTH, [final("ana", "hello everybody", 1, 2), final("ana", "let us start", 5, 6)])
    assert result.missing == 1
    assert result.wer == pytest.approx(4 / 8)
    assert score(TRUTH[:1], [final("ana", "hello everyone", 1, 2), final("eve", "you", 1, 2)]).wer == pytest.approx(
        1 / 2
    )


def test_swapped_names_are_seen() -> None:
    """Words under the name of somebody who was not saying them are wrong names; a bad transcription is not."""
    assert score(TRUTH, [final("ana", "good morning ana", 3, 4)]).wrong_names == 1
    assert score(TRUTH, [final("ben", "could morning", 3, 4), final("ana", "", 1, 2)]).wrong_names == 0


def test_rows_that_were_not_sent_whole_do_not_count() -> None:
    """A clip cut off by a mute proves nothing."""
    result = score([said("ana", "hello", 1, 2, complete=False), TRUTH[1]], [final("ben", "good morning ana", 3, 4)])
    assert (result.utterances, result.wer) == (1, 0)
    assert math.isnan(score(TRUTH, []).latency(50))
    assert score(TRUTH[:1], [final("ana", "hello everyone", 1, 2)]).latency(95) == pytest.approx(0.5)


def test_words_without_a_name_are_nobodys() -> None:
    """They count for the utterance that they are nearest to, and are no wrong name."""
    result = score(TRUTH, [final("", "good morning ana", 3, 4), final("ana", "hello everyone", 1, 2)])
    assert (result.unnamed, result.wrong_names, result.missing) == (1, 0, 1)
    assert result.wer == pytest.approx(3 / 8)
