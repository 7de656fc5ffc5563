"""What shows that the frames of a track cannot be heard, and what does not."""

from __future__ import annotations

import math

import pytest

from bot.drivers.browser.evidence import STARVING_REPORTS, WINDOW_FRAMES, Evidence


def verdicts(frames: list[tuple[int | None, float | None, bool]]) -> list[str]:
    """What is said while these come."""
    evidence = Evidence()
    return [why for frame in frames if (why := evidence.frame(*frame))]


@pytest.mark.parametrize(
    ("level", "loudness"),
    [(20, -22.0), (127, -math.inf), (127, -75.0), (30, -40.0), (None, -10.0), (20, None), (60, -100.0)],
)
def test_what_can_be_heard(level: int | None, loudness: float | None) -> None:
    """As loud as its sender says, silence, or nothing to compare: no complaint, however long."""
    assert verdicts([(level, loudness, False)] * 10 * WINDOW_FRAMES) == []


@pytest.mark.parametrize(("level", "loudness"), [(127, -12.0), (80, -20.0), (5, -math.inf)])
def test_what_sounds_unlike_its_sender(level: int, loudness: float) -> None:
    """Silence that is loud, speech that is none: after one window."""
    assert verdicts([(level, loudness, False)] * (WINDOW_FRAMES - 1)) == []
    (why,) = verdicts([(level, loudness, False)] * WINDOW_FRAMES)
    assert "unlike" in why


def test_some_odd_frames_prove_nothing() -> None:
    """Concealed losses and onsets differ; the median counts."""
    assert verdicts([(20, -22.0, False), (20, -22.0, False), (127, -12.0, False)] * WINDOW_FRAMES) == []


def test_what_does_not_decode() -> None:
    """More than half of a window refused: said; some are not enough."""
    (why,) = verdicts([(None, None, True)] * WINDOW_FRAMES)
    assert f"{WINDOW_FRAMES} of {WINDOW_FRAMES}" in why
    assert verdicts([(None, None, True), (None, None, False)] * WINDOW_FRAMES) == []


def test_packets_without_frames() -> None:
    """Packets arrive in the page, and nothing here: said after some reports; a frame in between starts anew."""
    evidence = Evidence()
    for _ in range(STARVING_REPORTS - 1):
        assert evidence.received() is None
    evidence.frame(20, -20.0, False)
    assert evidence.received() is None
    whys = [evidence.received() for _ in range(STARVING_REPORTS)]
    assert whys == [None] * (STARVING_REPORTS - 1) + ["its packets arrive, and no frame of them"]
