"""What a connection owes, and when."""

from __future__ import annotations

import pytest

from bot.links.transcriber.answers import (
    CLEAR_SPEECH_SAMPLES,
    LONE_UTTERANCE_GRACE_S,
    MUTE_SPEECH_SAMPLES,
    OPEN_ALLOWANCE_S,
    Answers,
    Sent,
    Verdict,
)
from common.audio.pcm import SAMPLE_RATE


def ends(sent: list[Sent]) -> list[int]:
    """Where they end."""
    return [one.end for one in sent]


def test_an_utterance_is_owed_an_answer_from_its_end_on() -> None:
    """Neither before, nor after a decision; the lag of the decision is known."""
    answers = Answers(0)
    answers.audio(SAMPLE_RATE, 0.0)
    assert answers.are_owed
    assert answers.overdue(100, 5) == []
    answers.told(SAMPLE_RATE, 1.0)
    assert (len(answers), answers.is_open, answers.ends) == (1, False, (SAMPLE_RATE,))
    assert answers.overdue(5.9, 5) == []
    [late] = answers.overdue(6.0, 5)
    assert (late.start, late.end, late.length) == (0, SAMPLE_RATE, SAMPLE_RATE)
    assert answers.decided(SAMPLE_RATE, 7.0) == 6.0
    assert answers.decided(SAMPLE_RATE, 8.0) is None
    assert (len(answers), answers.is_open) == (0, False)
    assert not Answers(0).are_owed


def test_what_was_sent_ahead_has_the_time_that_it_takes_to_say() -> None:
    """A replay of ten seconds that went out in one is not due as soon as one second would be."""
    answers = Answers(0)
    for tenth in range(100):
        answers.audio(SAMPLE_RATE // 10, tenth / 100)
        if tenth == 49:
            answers.told(5 * SAMPLE_RATE, 0.5)
    answers.told(10 * SAMPLE_RATE, 1.0)
    assert ends(answers.overdue(5 + 2.9, 3)) == []
    assert ends(answers.overdue(5 + 3.1, 3)) == [5 * SAMPLE_RATE]
    assert ends(answers.overdue(10 + 3.1, 3)) == [5 * SAMPLE_RATE, 10 * SAMPLE_RATE]


def test_who_could_not_answer_is_excused_until_then() -> None:
    """Of what was said to its end and of what goes on: the whole time counts from then, and no answer was given."""
    answers = Answers(0)
    answers.audio(SAMPLE_RATE, 0.0)
    answers.told(SAMPLE_RATE, 1.0)
    answers.audio(SAMPLE_RATE, 1.0)
    answers.excused(40.0)
    assert answers.overdue(44.9, 5) == []
    assert ends(answers.overdue(45.0, 5)) == [SAMPLE_RATE]
    assert not answers.is_open_overdue(44.9 + OPEN_ALLOWANCE_S, 5)
    assert answers.is_open_overdue(45.0 + OPEN_ALLOWANCE_S, 5)


def test_each_answer_gives_more_time() -> None:
    """A server that is behind and answers is not silent; new utterances give no time to old ones."""
    answers = Answers(0)
    answers.told(100, 0.0)
    answers.answered(4.0, 50)
    assert answers.overdue(8.9, 5) == []
    answers.told(200, 8.9)
    assert ends(answers.overdue(9.0, 5)) == [100]
    assert answers.decided(100, 9.0) == 9.0
    assert answers.overdue(13.9, 5) == []
    assert ends(answers.overdue(14.0, 5)) == [200]


def test_speech_without_an_end_is_owed_an_answer_too() -> None:
    """Later, since nothing need be said of it until a server cuts it."""
    answers = Answers(0)
    assert not answers.is_open_overdue(1000, 5)
    answers.audio(1600, 10.0)
    assert not answers.is_open_overdue(10 + OPEN_ALLOWANCE_S + 4.9, 5)
    assert answers.is_open_overdue(10 + OPEN_ALLOWANCE_S + 5, 5)
    answers.answered(20.0, 800)
    assert not answers.is_open_overdue(20 + OPEN_ALLOWANCE_S + 4.9, 5)
    answers.told(1600, 21.0)
    assert not answers.is_open_overdue(1000, 5)


COUGH, CLEAR, LONG = CLEAR_SPEECH_SAMPLES // 3, CLEAR_SPEECH_SAMPLES, MUTE_SPEECH_SAMPLES


def silence_after(*lengths: int) -> Answers:
    """Utterances of these lengths, all told at 0 s, and no answer."""
    answers, end = Answers(0), 0
    for length in lengths:
        end += length
        answers.told(end, 0.0)
    return answers


@pytest.mark.parametrize("lengths", [(CLEAR, CLEAR), (CLEAR, COUGH, CLEAR), (LONG,)])
def test_silence_to_clear_speech_is_a_mute_server(lengths: tuple[int, ...]) -> None:
    """Several utterances, or a long one; also of a server that has answered what came before."""
    answers = silence_after(*lengths)
    assert answers.verdict(4.9, 5) is Verdict.UNCERTAIN
    assert answers.verdict(5, 5) is Verdict.MUTE
    answers.answered(0.0, 0)
    assert answers.verdict(5, 5) is Verdict.MUTE


def test_silence_to_coughs_is_right() -> None:
    """However many."""
    assert silence_after(*[COUGH] * 9).verdict(5, 5) is Verdict.WORDLESS


def test_one_clear_utterance_without_text_may_be_a_laugh() -> None:
    """If the server has answered others; if it has never said anything, nothing speaks for it. Both after more time."""
    never, answered = silence_after(CLEAR), silence_after(COUGH, CLEAR)
    answered.answered(0.0, COUGH)
    for answers in (never, answered):
        assert answers.verdict(4.9 + LONE_UTTERANCE_GRACE_S, 5) is Verdict.UNCERTAIN
    assert never.verdict(5 + LONE_UTTERANCE_GRACE_S, 5) is Verdict.MUTE
    assert answered.verdict(5 + LONE_UTTERANCE_GRACE_S, 5) is Verdict.WORDLESS


def test_an_utterance_of_which_text_came_was_heard() -> None:
    """Nothing more will come of it, as it seems."""
    answers = silence_after(LONG)
    answers.answered(1.0, 1)
    assert answers.verdict(5.9, 5) is Verdict.UNCERTAIN
    assert answers.verdict(6.0, 5) is Verdict.WORDLESS
