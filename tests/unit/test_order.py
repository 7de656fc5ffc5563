"""Which file of tests a worker takes next."""

from __future__ import annotations

from tests.support.order import Work, ordered


def test_what_takes_long_begins_early_and_both_kinds_end_together() -> None:
    """A long file that begins last would be waited for by all workers but one."""
    pages = [Work(f"page{seconds}", seconds, True) for seconds in (10.0, 40.0, 30.0)]
    waits = [Work(f"wait{seconds}", seconds, False) for seconds in (1.0, 3.0, 4.0)]
    moments = [Work("b", 0.0, False), Work("a", 0.0, False)]
    paths = [work.path for work in ordered([*moments, *pages, *waits])]
    assert paths == ["page40.0", "wait4.0", "page30.0", "wait3.0", "page10.0", "wait1.0", "b", "a"]
    assert ordered([]) == []
