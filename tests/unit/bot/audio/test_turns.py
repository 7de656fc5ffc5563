"""Who was heard when on the tracks of a mix."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.audio.turns import MARGIN_SAMPLES, MAX_TURNS, SETTLE_S, Turns
from common.audio.pcm import SAMPLE_RATE


def turns(*told: tuple[str, float, float | None]) -> Turns:
    """Speaker, and seconds from and to which they were heard."""
    made = Turns(100.0)
    for number, (who, start, end) in enumerate(told):
        made.began(str(number), who or None, round(start * SAMPLE_RATE))
        if end is not None:
            made.ended(str(number), round(end * SAMPLE_RATE))
    return made


def speaker(heard: Turns, start: float, end: float) -> str | None:
    """In seconds."""
    return heard.speaker(round(start * SAMPLE_RATE), round(end * SAMPLE_RATE))


def test_who_is_heard_alone_is_named() -> None:
    """Ana, then Ben, then both; a tenth of a second from somebody else nobody is."""
    heard = turns(("ana", 1, 3), ("ben", 3.5, 6), ("ana", 5, None))
    assert [speaker(heard, *span) for span in [(1, 3), (2, 3.35), (2, 3.45), (4, 4.85), (4, 5), (6.2, 9)]] == [
        "ana", "ana", None, "ben", None, "ana",
    ]  # fmt: skip
    assert speaker(heard, 0, 0.5) is None
    assert speaker(turns(("", 1, 3)), 1, 3) is None


def test_words_are_told_apart() -> None:
    """In runs of one speaker; what several said at once, or nobody, is a run of its own."""
    heard = turns(("ana", 1, 3), ("ben", 3.2, 6))
    words = [(1.0, 1.4), (2.0, 2.9), (3.0, 3.3), (4.0, 4.2), (9.0, 9.5)]
    samples = [(round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)) for start, end in words]
    assert heard.parts(samples) == [(2, "ana"), (1, None), (1, "ben"), (1, None)]
    assert heard.parts([]) == []


def test_it_is_certain_soon() -> None:
    """Once a gate that opened meanwhile would have said so."""
    assert Turns(100.0).certain_at(3 * SAMPLE_RATE) == 103 + SETTLE_S


def test_it_does_not_grow() -> None:
    """The oldest turns are forgotten: unknown, not wrong; an end without a beginning is none."""
    heard = turns(*[("ana", n, n + 0.5) for n in range(MAX_TURNS + 10)])
    heard.ended("nobody", 0)
    assert len(heard._over) == MAX_TURNS
    assert heard._open == {}
    assert speaker(heard, 1, 1.5) is None


def test_who_is_heard_all_the_time_is_not_forgotten() -> None:
    """A television on Ana's microphone, for an hour: with it nobody else is alone, however many turns there were."""
    heard = turns(("ana", 0, None), *[("ben", 10 * n, 10 * n + 2) for n in range(1, MAX_TURNS + 2)])
    last = 10 * (MAX_TURNS + 1)
    assert speaker(heard, last, last + 2) is None
    assert speaker(heard, last + 5, last + 6) == "ana"


@given(
    st.lists(st.tuples(st.sampled_from(["ana", "ben"]), st.integers(0, 40), st.integers(1, 20)), max_size=8),
    st.integers(0, 40),
    st.integers(1, 20),
)
def test_nobody_is_named_while_another_is_heard(told: list[tuple[str, int, int]], first: int, length: int) -> None:
    """Nor anybody who is not; in tenths of a second, the slow way."""
    heard = turns(*((who, start / 10, (start + length_) / 10) for who, start, length_ in told))
    margin = MARGIN_SAMPLES * 10 // SAMPLE_RATE
    asked = range(first - margin, first + length + margin)
    present = {who for who, start, length_ in told if any(start <= tenth < start + length_ for tenth in asked)}
    assert speaker(heard, first / 10, (first + length) / 10) == (present.pop() if len(present) == 1 else None)
