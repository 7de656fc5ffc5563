"""A meeting cut into slices for its recording."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bot.audio.frame import AudioFrame
from bot.audio.slices import LATE_SAMPLES, MAX_LINES, MIX, Cut, Done, Piece, Slices
from common.audio.pcm import SAMPLE_RATE

SECONDS = 5


def frame(track: str, position: int, samples: int = 320, value: int = 100, arrival: float | None = None) -> AudioFrame:
    """A constant, which arrives when it was spoken."""
    at = position / SAMPLE_RATE if arrival is None else arrival
    return AudioFrame(track, np.full(samples, value, np.int16), position, 1, at + 0.02)


def talk(slices: Slices, track: str, begin: float, end: float, value: int = 100) -> list[Cut]:
    """From one second to another."""
    first, last = round(begin * SAMPLE_RATE), round(end * SAMPLE_RATE)
    return [cut for position in range(first, last, 320) for cut in slices.frame(frame(track, position, value=value))]


def pieces(cuts: list[Cut], line: str) -> dict[int, list[Piece]]:
    """Of a line, by slice."""
    found: dict[int, list[Piece]] = {}
    for cut in cuts:
        if isinstance(cut, Piece) and cut.line == line:
            found.setdefault(cut.slice, []).append(cut)
    return found


def line_of(some: list[Piece]) -> tuple[int, NDArray[np.int16]]:
    """Where it begins, and the samples; zeros between pieces."""
    begin, last = some[0].start, some[-1]
    line = np.zeros(last.start + len(last.pcm) - begin, np.int16)
    for piece in some:
        line[piece.start - begin : piece.start - begin + len(piece.pcm)] = piece.pcm
    return begin, line


def test_a_track_is_parted_where_slices_begin() -> None:
    """Each slice's samples, then that it is done; the rest with the end."""
    slices = Slices(0.0, SECONDS, per_track=True, mixed=False)
    cuts = talk(slices, "a", 4, 6)
    before, after = pieces(cuts, "a")[0], pieces(cuts, "a")[1]
    begin, pcm = line_of(before)
    assert (begin, len(pcm)) == (4 * SAMPLE_RATE, SAMPLE_RATE)
    assert line_of(after)[0] == 5 * SAMPLE_RATE
    assert [cut for cut in cuts if isinstance(cut, Done)] == [Done("a", 0)]
    assert cuts.index(Done("a", 0)) == len(before)
    assert slices.finish() == [Done("a", 1)]
    assert slices.finish() == []


def test_a_slice_is_done_two_seconds_after_its_end() -> None:
    """Of who says no more."""
    slices = Slices(10.0, SECONDS, per_track=True, mixed=False)
    slices.frame(frame("a", 0, arrival=11.0))
    due = 10 + SECONDS + LATE_SAMPLES / SAMPLE_RATE
    assert slices.tick(due - 0.001) == []
    assert slices.tick(due) == [Done("a", 0)]
    assert slices.tick(due) == []


def test_the_mix_is_the_sum() -> None:
    """Of who speaks at once; a second behind; clipped where it is too loud."""
    slices = Slices(0.0, SECONDS, per_track=False, mixed=True)
    cuts = talk(slices, "a", 0, 1, 20_000) + talk(slices, "b", 0.5, 3, 20_000)
    assert not pieces(cuts, "a")
    cuts += slices.tick(9.0)
    begin, pcm = line_of(pieces(cuts, MIX)[0])
    values = pcm[SAMPLE_RATE // 4 :: SAMPLE_RATE // 2]
    assert begin == 0
    assert values.tolist() == [20_000, 32_767, 20_000, 20_000, 20_000, 20_000]
    assert slices.finish() == []


def test_what_is_late_is_left_out_of_the_mix_alone() -> None:
    """More than a second behind the others: its track has it."""
    slices = Slices(0.0, SECONDS, per_track=True, mixed=True)
    cuts = talk(slices, "a", 0, 3) + talk(slices, "b", 0, 2.5, 1000) + slices.finish()
    _, mixed = line_of(pieces(cuts, MIX)[0])
    assert mixed[: 2 * SAMPLE_RATE - 640].max() == 100
    assert mixed[2 * SAMPLE_RATE + 640 : 2 * SAMPLE_RATE + 1000].max() == 1100
    assert sum(len(piece.pcm) for piece in pieces(cuts, "b")[0]) >= 2.45 * SAMPLE_RATE


def test_long_silence_in_the_mix_is_no_memory() -> None:
    """What comes after an hour begins anew."""
    slices = Slices(0.0, SECONDS, per_track=False, mixed=True)
    cuts = slices.frame(frame("a", 0)) + slices.frame(frame("a", 3600 * SAMPLE_RATE)) + slices.finish()
    assert [cut.start for cut in cuts if isinstance(cut, Piece)] == [0, 3600 * SAMPLE_RATE]


def test_a_fast_clock_overlaps_and_is_cut() -> None:
    """Pieces never go back: what the timeline moves a little earlier loses its first samples, or all of them."""
    slices = Slices(0.0, SECONDS, per_track=True, mixed=False)
    cuts: list[Cut] = []
    for number in range(400):  # arrives more and more early: the sender's clock is 5 % fast
        cuts += slices.frame(frame("a", number * 320, arrival=number * 0.019))
    ends = 0
    for some in pieces(cuts, "a").values():
        for piece in some:
            assert piece.start >= ends
            ends = piece.start + len(piece.pcm)
    assert sum(len(piece.pcm) for some in pieces(cuts, "a").values() for piece in some) < 400 * 320


def test_too_many_tracks() -> None:
    """The first is done, whether it has something open or not."""
    for per_track in (True, False):
        slices = Slices(0.0, SECONDS, per_track=per_track, mixed=False)
        cuts = [cut for number in range(MAX_LINES + 1) for cut in slices.frame(frame(f"t{number}", 0))]
        assert [cut for cut in cuts if isinstance(cut, Done)] == ([Done("t0", 0)] if per_track else [])


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40), st.integers(1, 1920)), min_size=1, max_size=60))
def test_lines_never_go_back(spoken: list[tuple[str, int, int]]) -> None:
    """Whatever comes, pieces of a line follow each other, within their slice, and each slice is done once."""
    slices = Slices(0.0, SECONDS, per_track=True, mixed=True)
    positions = dict.fromkeys("abc", 0)
    cuts: list[Cut] = []
    for track, pause, samples in spoken:
        positions[track] += pause * 1600
        cuts += slices.frame(frame(track, positions[track], samples))
        positions[track] += samples
    cuts += slices.finish()
    ends: dict[str, int] = {}
    done = set()
    for cut in cuts:
        if isinstance(cut, Done):
            assert cut not in done
            done.add(cut)
        else:
            assert ends.get(cut.line, 0) <= cut.start
            assert cut.slice * SECONDS * SAMPLE_RATE <= cut.start
            ends[cut.line] = cut.start + len(cut.pcm)
            assert ends[cut.line] <= (cut.slice + 1) * SECONDS * SAMPLE_RATE
            assert Done(cut.line, cut.slice) not in done
