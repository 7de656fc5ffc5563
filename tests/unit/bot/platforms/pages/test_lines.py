"""Lines: which chat messages are new, and when a caption is whole."""

from __future__ import annotations

from bot.platforms.pages.lines import CAPTION_QUIET_S, Captions, new_lines
from bot.platforms.pages.look import Line

A, B, C = Line("Ana", "one"), Line("Ben", "two"), Line("Ana", "three")


def test_new_lines_are_those_at_the_end() -> None:
    """Of a list that grows, or whose beginning has scrolled away; the same words twice are two lines."""
    assert new_lines((), (A,)) == (A,)
    assert new_lines((A, B), (A, B)) == ()
    assert new_lines((A, B), (A, B, C)) == (C,)
    assert new_lines((A, B), (B, C)) == (C,)
    assert new_lines((A,), (A, A)) == (A,)
    assert new_lines((A, B), (C,)) == (C,)
    assert new_lines((A,), ()) == ()


def test_a_caption_is_said_once_and_whole() -> None:
    """Those before the last one at once, the last one when it grows no more; nothing twice."""
    captions = Captions()
    assert captions.look((Line("Ana", "he"),), 0.0) == []
    assert captions.look((Line("Ana", "hello"),), 1.0) == []
    assert captions.look((Line("Ana", "hello"), Line("Ben", "y")), 1.5) == [Line("Ana", "hello")]
    assert captions.look((Line("Ana", "hello"), Line("Ben", "yes")), 2.0) == []
    assert captions.look((Line("Ana", "hello"), Line("Ben", "yes")), 2.0 + CAPTION_QUIET_S) == [Line("Ben", "yes")]
    assert captions.look((Line("Ben", "yes"),), 9.0) == []
    assert captions.look((), 10.0) == []
    assert captions.look((Line("Ben", "yes"),), 20.0) == []
    assert captions.look((Line("Ben", "yes"),), 22.0) == [Line("Ben", "yes")]
