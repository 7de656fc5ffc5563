"""When an utterance is decoded: partials on new speech, one final at its end."""

from __future__ import annotations

import pytest

from transcriber.core.policy import CADENCE, CUT_SEARCH, FIRST_PARTIAL, LAG, LEAD, LONGEST, Kind, Policy, Want


def test_partials_need_new_speech() -> None:
    """The first one soon, the next after the cadence, none without speech."""
    policy = Policy()
    policy.hear(0, 512, now=0)
    assert policy.want() is None
    policy.open(1000)
    policy.hear(2000, 2000 + FIRST_PARTIAL - 1, now=1)
    assert policy.want() is None
    policy.hear(20_000, 20_001, now=2)
    assert policy.want() == Want(Kind.FIRST_PARTIAL, 2.5)
    work = policy.begin(heard_until=21_000)
    assert (work.start, work.end, work.kind) == (1000, 21_000, Kind.FIRST_PARTIAL)
    policy.hear(21_000, 21_000 + CADENCE, now=3)
    assert policy.want() is None  # one pass at a time
    assert policy.finish()
    assert policy.want() == Want(Kind.PARTIAL, 4)
    policy.begin(heard_until=30_000)
    policy.finish()
    assert policy.want() is None


def test_the_end_brings_one_final() -> None:
    """Everything before it stays undecided until then; the bounds are those of the speech, a little wider."""
    policy = Policy(start=100)
    assert (policy.undecided, policy.is_open, policy.ended_at) == (None, False, 100)
    policy.open(0)
    assert (policy.undecided, policy.is_open) == (100, True)
    policy.hear(5000, 9000, now=1)
    policy.close(20_000, now=5)
    assert (policy.undecided, policy.is_open, policy.ended_at) == (100, False, 20_000)
    assert policy.want() == Want(Kind.FINAL, 6)
    work = policy.begin(heard_until=50_000)
    assert (work.start, work.end) == (100, 20_000)
    assert work.utterance.bounds(work.end) == (5000 - LEAD, 9000 + LAG)
    assert (policy.undecided, policy.finish(), policy.undecided) == (100, True, None)
    policy.close(15_000, now=6)
    assert policy.ended_at == 20_000


def test_bounds_without_known_speech_are_those_of_the_audio() -> None:
    """And never leave the utterance."""
    policy = Policy()
    policy.open(1000)
    policy.close(3000, now=0)
    assert policy.begin(9999).utterance.bounds(3000) == (1000, 3000)


def test_a_partial_that_comes_after_the_end_is_no_news() -> None:
    """The final follows at once."""
    policy = Policy()
    policy.open(0)
    policy.hear(0, FIRST_PARTIAL, now=0)
    policy.begin(FIRST_PARTIAL)
    policy.close(FIRST_PARTIAL, now=1)
    policy.open(FIRST_PARTIAL)
    assert not policy.finish()
    assert policy.want() == Want(Kind.FINAL, 2)


def test_what_is_overlong_is_cut() -> None:
    """At a point in the last part of it; the rest is an utterance of its own."""
    policy = Policy()
    assert policy.overlong(10 * LONGEST) is None
    policy.open(500)
    assert policy.overlong(500 + LONGEST - 1) is None
    assert policy.overlong(500 + LONGEST) == (500 + LONGEST - CUT_SEARCH, 500 + LONGEST)
    policy.cut(400_000, now=1)
    assert policy.is_open
    first = policy.begin(500_000)
    policy.finish()
    assert (first.start, first.end, first.utterance.number) == (500, 400_000, 1)
    assert policy.undecided == 400_000


def test_speech_after_a_cut_belongs_to_the_next_utterance() -> None:
    """It begins at the cut, although it was heard before the cut was made."""
    policy = Policy()
    policy.open(0)
    policy.hear(100, 20_000, now=0)
    policy.cut(5000, now=1)
    first = policy.begin(20_000).utterance
    policy.finish()
    assert first.bounds(5000) == (0, 5000)
    assert policy.want() == Want(Kind.FIRST_PARTIAL, 1.5)
    assert policy.begin(20_000).utterance.bounds(20_000) == (5000, 20_000)


def test_passes_are_asked_for() -> None:
    """Beginning or finishing what is not there is a bug of the caller."""
    with pytest.raises(RuntimeError):
        Policy().begin(0)
    with pytest.raises(RuntimeError):
        Policy().finish()
