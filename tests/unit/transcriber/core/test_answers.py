"""Answers of streaming engines: when it has been too long."""

from __future__ import annotations

from transcriber.core.answers import ILLNESS_S, MAX_LOST_STREAMS, StreamAnswers
from transcriber.core.limits import MAX_ILLNESS_PAUSE_S


def test_audio_without_an_answer_counts_from_its_first_piece() -> None:
    """As long as it goes on; an answer to anybody ends it."""
    answers = StreamAnswers()
    assert (answers.unanswered(5, owed=True), answers.last) == (0, None)
    for now in (10, 11, 12):
        answers.feed(now)
    assert answers.unanswered(14, owed=False) == 2
    answers.answer(15)
    assert (answers.unanswered(16, owed=True), answers.last) == (0, 15)
    answers.feed(17)
    assert answers.unanswered(17, owed=False) == 0


def test_who_can_only_wait_waits_on() -> None:
    """The end of an utterance was told, or the client is read no more: the engine's turn. One who just says nothing
    more makes nobody ill."""
    answers = StreamAnswers()
    answers.feed(10)
    assert answers.unanswered(50, owed=True) == 40
    assert answers.unanswered(50, owed=False) == 0


def test_who_comes_after_a_pause_has_not_waited() -> None:
    """Hours after a client that left its sentence open."""
    answers = StreamAnswers()
    answers.feed(10)
    answers.feed(10 + MAX_ILLNESS_PAUSE_S)
    assert answers.unanswered(25, owed=False) == 15
    answers.feed(90_000)
    assert answers.unanswered(90_000, owed=True) == 0


def test_streams_that_break_one_after_another_are_an_illness() -> None:
    """Until there is an answer, or nobody has tried for a minute."""
    answers = StreamAnswers()
    for now in range(MAX_LOST_STREAMS):
        assert not answers.is_failing(now)
        answers.lose(now)
    assert answers.is_failing(now)
    assert not answers.is_failing(now + ILLNESS_S)
    answers.lose(100)
    assert answers.is_failing(100)
    answers.answer(101)
    assert not answers.is_failing(101)
    answers.lose(102)
    assert not answers.is_failing(102)
