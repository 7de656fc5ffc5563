"""Who held the floor of a mix, and when nobody can say."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.audio.floor import MARGIN_S, MAX_SPANS, REPORT_LIFETIME_S, Floor
from common.audio.pcm import SAMPLE_RATE

ZERO = 100.0
LIFETIME_S = 10.0
ANA, BEN, BOTH, NOBODY = frozenset({"ana"}), frozenset({"ben"}), frozenset({"ana", "ben"}), frozenset[str]()


def floor(*reports: tuple[float, frozenset[str]]) -> Floor:
    """With reports at meeting seconds."""
    made = Floor(ZERO, lifetime=LIFETIME_S)
    for at, ids in reports:
        made.report(ids, ZERO + at)
    return made


def speaker(reported: Floor, start: float, end: float) -> str | None:
    """In meeting seconds."""
    return reported.speaker(round(start * SAMPLE_RATE), round(end * SAMPLE_RATE))


@pytest.mark.parametrize(
    ("start", "end", "who"),
    [
        (11, 14, "ana"),
        (9.9, 14, None),
        (10, 14, "ana"),
        (11, 14.1, None),
        (12.5, 12.5, "ana"),
        (0, 3, None),
        (15, 17, "ben"),
    ],
)
def test_a_name_needs_the_margin_afterwards(start: float, end: float, who: str | None) -> None:
    """Ana from 10 to 15, then Ben: what ends less than a second before the change may be Ben's already."""
    assert speaker(floor((10, ANA), (15, BEN)), start, end) == who


def test_a_pause_leaves_the_floor_where_it_is() -> None:
    """Speech around it is that person's; what is heard inside it, with nobody reported, is nobody's."""
    reported = floor((10, ANA), (14, NOBODY), (17, ANA))
    assert speaker(reported, 12, 18) == "ana"
    assert speaker(reported, 14.5, 16.5) is None


def test_after_a_pause_somebody_else() -> None:
    """Each has what was said while they were reported, or began a little before."""
    reported = floor((10, ANA), (14, NOBODY), (17, BEN))
    assert speaker(reported, 13, 15) == "ana"
    assert speaker(reported, 13.5, 16.5) is None
    assert speaker(reported, 14.5, 16.8) is None
    assert speaker(reported, 16.2, 19) == "ben"
    assert speaker(reported, 18, 19) == "ben"


def test_several_at_once_are_nobody() -> None:
    """Joining in and going on alone are both changes."""
    reported = floor((10, ANA), (13, BOTH), (16, BEN))
    assert speaker(reported, 14.2, 14.8) is None


def test_silence_before_anybody_was_reported_is_unknown() -> None:
    """What began before the first report may be anybody's."""
    reported = floor((5, NOBODY), (10, ANA))
    assert speaker(reported, 4.9, 12) is None
    assert speaker(reported, 9.5, 12) == "ana"


def test_a_platform_that_has_gone_blind() -> None:
    """Its last report does not hold for ever, and nothing is known from then to the next one."""
    reported = floor((10, ANA), (13, ANA), (30, ANA))
    last = 13 + LIFETIME_S - MARGIN_S
    assert speaker(reported, 11, last) == "ana"
    assert speaker(reported, 11, last + 0.01) is None
    assert speaker(reported, 20, 32) is None
    assert speaker(reported, 30, 32) == "ana"


def test_a_pause_after_a_gap_is_nobodys() -> None:
    """Who held the floor before the reports ceased does not matter any more; that somebody else has it now does."""
    reported = floor((10, ANA), (30, NOBODY), (33, BEN))
    assert speaker(reported, 29.5, 35) is None
    assert speaker(reported, 31.5, 35) == "ben"


def test_reports_out_of_order_are_trusted_for_nothing() -> None:
    """Since the earliest of them nothing is known, until the next one."""
    reported = floor((10, ANA), (16, BEN), (20, ANA), (14, BEN))
    assert speaker(reported, 11, 13) == "ana"
    assert speaker(reported, 11, 13.1) is None
    assert speaker(reported, 17, 19) is None
    assert speaker(reported, 22, 23) is None
    assert speaker(reported, 13.5, 14.5) is None
    reported.report(BEN, ZERO + 24)
    assert speaker(reported, 25, 26) == "ben"
    early = floor((10, ANA), (9, ANA))
    assert speaker(early, 12, 13) is None


def test_the_answer_is_certain_once_the_margin_has_passed() -> None:
    """A report that comes later than that does not change it."""
    reported, end = floor((10, ANA)), 13 * SAMPLE_RATE
    assert reported.certain_at(end) == ZERO + 13 + MARGIN_S
    reported.report(BEN, reported.certain_at(end))
    assert reported.speaker(11 * SAMPLE_RATE, end) == "ana"


def test_where_nobody_ever_reports_nobody_is_waited_for() -> None:
    """A mix that comes without who speaks: its texts are nobody's at once."""
    assert Floor(ZERO).certain_at(13 * SAMPLE_RATE) == ZERO + 13
    assert speaker(Floor(ZERO), 10, 13) is None


def test_a_platform_that_is_blind_for_a_moment_names_nobody() -> None:
    """Reports hold for no longer than they may lag: whoever began in between is not taken for the one before."""
    assert REPORT_LIFETIME_S <= MARGIN_S
    made = Floor(ZERO)
    for at, ids in ((10, ANA), (10.5, ANA), (11, ANA), (13.5, BEN), (14, BEN), (14.5, BEN), (15, BEN), (15.5, BEN)):
        made.report(ids, ZERO + at)
    assert speaker(made, 10, 11) == "ana"
    assert speaker(made, 11.2, 12.2) is None
    assert speaker(made, 12.5, 14) is None
    assert speaker(made, 13.5, 15) == "ben"


def test_it_does_not_grow() -> None:
    """The oldest changes are forgotten: unknown, not wrong."""
    reported = floor(*((3 * n, (ANA, BEN)[n % 2]) for n in range(MAX_SPANS + 10)))
    assert len(reported._spans) == MAX_SPANS
    assert speaker(reported, 1, 2) is None
    assert speaker(reported, 31, 32) == "ana" == speaker(reported, 3001, 3002)


STEP_S = 0.5  # the reference looks at the middle of each


def reference(reports: list[tuple[float, frozenset[str]]], at: float) -> frozenset[str] | None:
    """Who was reported speaking at one moment, the slow way; None: there was no report that held."""
    for reported_at, ids in reversed(reports):
        if reported_at <= at:
            return ids if at - reported_at <= LIFETIME_S else None
    return None


@given(
    st.lists(
        st.tuples(st.sampled_from([STEP_S, 1.0, 2.0, 5.0, 11.0]), st.sampled_from([ANA, BEN, NOBODY, BOTH])),
        max_size=12,
    ),
    st.integers(0, 120),
    st.integers(1, 12),
)
def test_nobody_is_named_where_anybody_else_was_reported(
    steps: list[tuple[float, frozenset[str]]], first: int, length: int
) -> None:
    """Nor is anybody left out who alone was, in the time itself."""
    reports, at = [], 0.0
    for pause, ids in steps:
        at += pause
        reports.append((at, ids))
    start, end = first * STEP_S, (first + length) * STEP_S
    moments = [start + STEP_S * (n + 0.5) for n in range(length + round(MARGIN_S / STEP_S))]
    said = [reference(reports, moment) for moment in moments]
    everybody = frozenset[str]().union(*(ids or NOBODY for ids in said))
    is_certain = None not in said and len(everybody) == 1 and any(said[:length])
    assert speaker(floor(*reports), start, end) == (next(iter(everybody)) if is_certain else None)


def test_the_words_of_one_text_are_told_apart() -> None:
    """Ana until 15, then Ben: near the change nobody; a word in a pause of Ana's is hers."""
    reported = floor((10, ANA), (12, NOBODY), (12.6, ANA), (15, BEN), (20, BEN))
    words = [(at, at + 0.4) for at in (11.0, 12.1, 13.0, 14.5, 15.2, 16.5, 17.0)]
    samples = [(round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)) for start, end in words]
    assert reported.parts(samples) == [(3, "ana"), (1, None), (3, "ben")]
    assert reported.parts([]) == []
    assert floor().parts(samples) == [(7, None)]


@given(
    st.lists(st.tuples(st.sampled_from([0.5, 2.0, 5.0]), st.sampled_from([ANA, BEN, NOBODY, BOTH])), max_size=12),
    st.lists(st.sampled_from([0.1, 0.3, 1.0]), max_size=20),
)
def test_no_word_is_lost_or_given_to_who_did_not_have_the_floor(
    steps: list[tuple[float, frozenset[str]]], lengths: list[float]
) -> None:
    """Every word is in one part, and a named part is one that its speaker has as a whole."""
    reports, at, words, begin = [], 0.0, [], SAMPLE_RATE
    for pause, ids in steps:
        at += pause
        reports.append((at, ids))
    for length in lengths:
        words.append((begin, begin + round(length * SAMPLE_RATE)))
        begin = words[-1][1]
    reported, first = floor(*reports), 0
    parts = reported.parts(words)
    for count, who in parts:
        part, first = words[first : first + count], first + count
        assert count > 0
        assert who is None or reported.speaker(part[0][0], part[-1][1]) == who
    assert first == len(words)
    assert all(one[1] != other[1] for one, other in itertools.pairwise(parts))
