"""Lines: which chat messages are new and not ours, and which words of captions are whole."""

from __future__ import annotations

import pytest

from bot.platforms.pages.lines import (
    CAPTION_GONE_S,
    CAPTION_QUIET_S,
    CHAT_SETTLE_S,
    Caption,
    Captions,
    Chat,
    new_lines,
)
from bot.platforms.pages.look import Line

A, B, C, D = Line("Ana", "one"), Line("Ben", "two"), Line("Ana", "three"), Line("Ben", "four")


@pytest.mark.parametrize(
    ("before", "after", "new"),
    [
        ((), (A,), (A,)),
        ((A, B), (A, B), ()),
        ((A, B), (A, B, C), (C,)),
        ((A, B), (B, C), (C,)),  # its beginning has scrolled away
        ((A,), (A, A), (A,)),  # the same words twice are two lines
        ((A, B), (C,), (C,)),
        ((A,), (), ()),
        ((A, B, C), (A, C), ()),  # taken away
        ((A, B, C), (A, D, C), ()),  # changed
        ((A, B, C), (A, D, C, B), (B,)),
        ((A, B, A), (A, C, A), ()),
        ((A, B, A), (B, A, A), (A,)),
        ((B, A), (A, A), (A,)),
        ((A, B, C, A), (A, B, C), ()),  # the second of two that are the same taken away
        ((A, B, C, A), (A, B, C, D), (D,)),
    ],
)
def test_new_lines_are_those_at_the_end(
    before: tuple[Line, ...], after: tuple[Line, ...], new: tuple[Line, ...]
) -> None:
    """Of a list that grows, and in which lines are changed or taken away: none is told twice."""
    assert new_lines(before, after) == new


def test_the_chat_begins_when_it_is_open() -> None:
    """What stands there then, and what pages load a little later, is from before; after that each message is told."""
    chat = Chat()
    assert chat.look((), False, (), 0.0) == []
    assert chat.look((), True, (), 1.0) == []
    assert chat.look((A, B), True, (), 1.5) == []
    assert chat.look((A, B, C), True, (), 1.0 + CHAT_SETTLE_S) == [C]
    assert chat.look((), True, (), 4.0) == []
    assert chat.look((), False, (), 4.5) == []
    assert chat.look((A, B, C, D), True, (), 5.0) == [D]
    chat.close()
    assert chat.look((A, B, C, D), True, (), 6.0) == []


def test_our_own_messages_are_not_told() -> None:
    """Each once, in whatever words the page calls us; the same from somebody who is here is theirs."""
    chat = Chat()
    chat.look((), True, (), 0.0)
    chat.wrote("I write\n a transcript.")
    ours, hers = Line("You", "I write a transcript."), Line("Ana", "I write a transcript.")
    assert chat.look((hers,), True, ["Ana"], 10.0) == [hers]
    assert chat.look((hers, ours), True, ["Ana"], 10.5) == []
    assert chat.look((hers, ours, ours), True, ["Ana"], 11.0) == [ours]


def heard(captions: Captions, now: float, *lines: tuple[str, str]) -> list[tuple[str, str]]:
    """Who said what, of one look."""
    return [(one.author, one.text) for one in captions.look(tuple(Line(*line) for line in lines), now)]


def test_a_caption_is_said_once_and_whole() -> None:
    """Those before the last one at once, the last one when it grows no more, with the times of its words."""
    captions = Captions()
    assert heard(captions, 0.0, ("Ana", "he")) == []
    assert heard(captions, 1.0, ("Ana", "hello")) == []
    said = captions.look((Line("Ana", "hello"), Line("Ben", "y")), 1.5)
    assert said == [Caption("Ana", "hello", 0.0, 1.0)]
    assert "hello" not in repr(said)
    assert heard(captions, 2.0, ("Ana", "hello"), ("Ben", "yes")) == []
    assert heard(captions, 2.0 + CAPTION_QUIET_S, ("Ana", "hello"), ("Ben", "yes")) == [("Ben", "yes")]
    assert heard(captions, 9.0, ("Ben", "yes")) == []
    assert heard(captions, 10.0) == []
    assert heard(captions, 10.5, ("Ben", "yes")) == []
    assert heard(captions, 10.6 + CAPTION_GONE_S) == []
    assert heard(captions, 30.0, ("Ben", "yes")) == []
    assert heard(captions, 32.0, ("Ben", "yes")) == [("Ben", "yes")]


def test_what_is_added_after_a_pause_is_said_alone() -> None:
    """A speaker's caption goes on for as long as nobody else speaks."""
    captions = Captions()
    heard(captions, 0.0, ("Ana", "we begin with the budget"))
    assert heard(captions, 2.0, ("Ana", "we begin with the budget")) == [("Ana", "we begin with the budget")]
    assert heard(captions, 5.0, ("Ana", "We begin with the budget. And then")) == []
    (said,) = captions.look((Line("Ana", "We begin with the budget. And then"),), 7.0)
    assert said == Caption("Ana", "And then", 5.0, 5.0)


@pytest.mark.parametrize(
    ("now_reads", "new"),
    [
        ("we began with the budget and then lunch", "and then lunch"),  # corrected
        ("with the budget and then lunch", "and then lunch"),  # cut at its beginning
        ("we begin with the budgets", ""),  # a word corrected that is said
        ("we begin", ""),
        ("something else", "something else"),
    ],
)
def test_what_is_corrected_is_not_said_again(now_reads: str, new: str) -> None:
    """What was said stays said, and only words behind it are new."""
    captions = Captions()
    heard(captions, 0.0, ("Ana", "we begin with the budget"))
    heard(captions, 2.0, ("Ana", "we begin with the budget"))
    heard(captions, 3.0, ("Ana", now_reads))
    assert heard(captions, 5.0, ("Ana", now_reads)) == ([("Ana", new)] if new else [])


def test_a_caption_that_goes_away_is_said() -> None:
    """Pages clear them: what was not said yet is; and lines of several people keep their order."""
    captions = Captions()
    heard(captions, 0.0, ("Ana", "one more thing"))
    assert heard(captions, 0.5) == [("Ana", "one more thing")]
    heard(captions, 1.0, ("Ben", "what"), ("Ana", "the costs"))
    assert heard(captions, 1.5, ("Ana", "the costs of it"), ("Ben", "what")) == [("Ana", "the costs of it")]


def test_a_short_caption_is_not_every_other_one_that_ends_in_its_word() -> None:
    """ "Yes." has gone from the page, and stands in a longer one that was said, too: that one is not said again."""
    captions = Captions()
    assert heard(captions, 0.0, ("Ana", "Yes.")) == []
    long = ("Ana", "We said yes to the plan")
    assert heard(captions, 1.0, ("Ana", "Yes."), long) == [("Ana", "Yes.")]
    assert heard(captions, 3.0, ("Ana", "Yes."), long) == [long]
    for now in range(4, 20):
        assert heard(captions, float(now), long, ("Ben", "Good")) == ([("Ben", "Good")] if now == 6 else [])
