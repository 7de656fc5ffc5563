"""The way back from lane samples to speakers and times."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.audio.sample_map import Place, SampleMap


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans(), st.sampled_from("ab")), max_size=9))
def test_every_sample_is_found_where_it_came_from_or_is_nobodys(runs: list[tuple[int, int, bool, str]]) -> None:
    """Each noted sample maps back exactly, whatever was merged or forgotten; all others belong to nobody."""
    samples: SampleMap[str] = SampleMap(start=7)
    truth: list[Place[str]] = []
    origin = 0
    for length, gap, is_silence, tag in runs:
        origin += gap
        (samples.note_silence if is_silence else samples.note)(length, origin, tag)
        truth += [Place(origin + (0 if is_silence else i), tag) for i in range(length)]
        origin += 0 if is_silence else length
    assert samples.end == 7 + len(truth)
    assert [samples.locate(7 + sample) for sample in range(-7, len(truth) + 5)] == [None] * 7 + truth + [None] * 5
    samples.forget(7 + len(truth) // 3)
    for sample, place in enumerate(truth):
        found = samples.locate(7 + sample)
        assert found == place if sample >= len(truth) // 3 else found in (place, None)
    samples.forget_origins(origin // 2)
    for sample, place in enumerate(truth):
        found = samples.locate(7 + sample)
        assert found == place if sample >= len(truth) // 3 and place.origin >= origin // 2 else found in (place, None)


def test_contiguous_runs_are_one_entry() -> None:
    """A long utterance in small pieces costs one entry, and so does the silence after it."""
    samples: SampleMap[str] = SampleMap()
    for piece in range(1000):
        samples.note(512, 7 + piece * 512, "ana")
    for _ in range(30):
        samples.note_silence(1600, 7 + 1000 * 512, "ana")
    assert len(samples) == 2
    samples.note(512, 7 + 1000 * 512, "ben")
    assert len(samples) == 3


def test_the_last_run_outlives_what_was_forgotten() -> None:
    """For text that comes late; text about what is gone is nobody's, not the next one's."""
    samples: SampleMap[str] = SampleMap()
    samples.forget(10)
    samples.note(50, 1000, "ana")
    samples.note(50, 2000, "ben")
    samples.forget_origins(1050)
    samples.forget(10**6)
    assert len(samples) == 1
    assert samples.locate(49) is None
    assert samples.locate(50) == Place(2000, "ben")


def test_what_reaches_outside_can_be_clamped() -> None:
    """By those who know that the samples around are of one speaker; only overlapping stretches are covered."""
    samples: SampleMap[str] = SampleMap(start=100)
    assert samples.clamp(5) == 5
    assert not samples.covers(0, 1000)
    samples.note(50, 1000, "ana")
    assert [samples.clamp(sample) for sample in (0, 120, 999)] == [100, 120, 149]
    assert [samples.covers(*bounds) for bounds in ((0, 100), (0, 101), (100, 100), (149, 200), (150, 160))] == [
        False, True, True, True, False,
    ]  # fmt: skip
