"""The way back from lane samples to speakers and times."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.audio.sample_map import Place, SampleMap


@given(st.lists(st.tuples(st.integers(1, 100), st.integers(0, 1000), st.sampled_from("ab")), min_size=1, max_size=30))
def test_every_sample_is_found_where_it_came_from(runs: list[tuple[int, int, str]]) -> None:
    """Each noted sample maps back exactly, whatever was merged."""
    ledger: SampleMap[str] = SampleMap()
    truth = []
    for length, origin, tag in runs:
        ledger.note(length, origin, tag)
        truth += [Place(origin + i, tag) for i in range(length)]
    assert ledger.end == len(truth)
    assert [ledger.locate(sample) for sample in range(len(truth))] == truth
    ledger.forget(len(truth) // 2)
    assert [ledger.locate(sample) for sample in range(len(truth) // 2, len(truth))] == truth[len(truth) // 2 :]


def test_contiguous_runs_are_one_entry() -> None:
    """A long utterance in small pieces costs one entry."""
    ledger: SampleMap[str] = SampleMap()
    for piece in range(1000):
        ledger.note(512, 7 + piece * 512, "ana")
    assert len(ledger) == 1


def test_outside_positions_go_to_the_nearest_end() -> None:
    """Server times a little outside of what was sent still find their speaker."""
    ledger: SampleMap[str] = SampleMap(start=100)
    assert ledger.locate(0) is None
    ledger.forget(10)
    ledger.note(50, 1000, "ana")
    assert ledger.locate(0) == Place(1000, "ana")
    assert ledger.locate(10**6) == Place(1050, "ana")
    ledger.forget(10**6)
    assert len(ledger) == 1
