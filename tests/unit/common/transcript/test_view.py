"""The transcript as people see it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from common.transcript.view import TranscriptView, colour_of


def segment(segment_id: str, start: float, text: str, *, final: bool, speaker: str = "Ana") -> dict[str, Any]:
    """A segment as it stands in a message."""
    return {
        "segment_id": segment_id,
        "start": start,
        "end": start + 1,
        "text": text,
        "speaker": speaker,
        "speaker_id": speaker.lower(),
        "language": None,
        "completed": final,
        "absolute_start_time": "2026-01-31T09:30:01.480Z",
        "absolute_end_time": "2026-01-31T09:30:03.020Z",
    }


def live(value: dict[str, Any], meeting: object = 7) -> str:
    """A pub/sub message."""
    return json.dumps({"type": "transcript", "meeting": {"id": meeting}, "segment": value})


def stored(*segments: dict[str, Any], meeting: object = 7) -> str:
    """A stream payload."""
    return payload("transcription", meeting, segments=list(segments))


def payload(kind: str, meeting: object = 7, **more: Any) -> str:
    """Any stream payload."""
    identity = {"platform": "rehearsal", "meeting_id": meeting, "native_meeting_id": None, "uid": "bot"}
    return json.dumps({"type": kind, **identity, **more})


START = payload("session_start", start_timestamp="2026-01-31T09:30:00.000Z")
END = payload("session_end", end_timestamp="2026-01-31T09:40:00.000Z")


def shown(view: TranscriptView, width: int = 60, height: int = 20) -> str:
    """What a terminal of that size shows."""
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(view.render(width, height))
    return capture.get()


def test_partials_become_finals_in_order_of_time() -> None:
    """A final replaces its partial; an earlier start comes first, whenever it arrives."""
    view = TranscriptView(7)
    assert view.apply(live(segment("b", 5, "hel", final=False))) == []
    assert view.apply(live(segment("b", 5, "hello", final=False))) == []
    (final,) = view.apply(stored(segment("b", 5, " hello there", final=True)))
    assert final.line == "[00:05] Ana: hello there"
    view.apply(stored(segment("a", 61, "later", final=True), segment("c", 1, "first", final=True, speaker="Ben")))
    assert [row.line for row in view.rows()] == ["[00:01] Ben: first", "[00:05] Ana: hello there", "[01:01] Ana: later"]


def test_a_meeting_that_is_held_again_comes_after_itself() -> None:
    """Under the same id another bot counts from 0 anew: its first words follow the last of the day before."""
    view = TranscriptView(7)
    for day, bot in (("01", "monday"), ("02", "tuesday")):
        for second in (1, 2):
            said = segment(f"{bot}:ana:{second}", second, f"{bot} {second}", final=True)
            view.apply(stored(said | {"absolute_start_time": f"2026-02-{day}T09:30:0{second}.000Z"}))
    assert [row.text for row in view.rows()] == ["monday 1", "monday 2", "tuesday 1", "tuesday 2"]
    assert [row.clock for row in view.rows()] == ["00:01", "00:02", "00:01", "00:02"]


def test_finals_never_change() -> None:
    """A late partial, or the same final from the other source, is no news."""
    view = TranscriptView("7")
    view.apply(stored(segment("a", 1, "final", final=True)))
    assert view.apply(live(segment("a", 1, "late", final=False))) == []
    assert view.apply(live(segment("a", 1, "final", final=True))) == []
    assert [row.text for row in view.rows()] == ["final"]


def test_only_the_asked_meeting_is_shown() -> None:
    """Other meetings share the stream; numbers and texts name the same meeting."""
    view = TranscriptView("7")
    view.apply(stored(segment("a", 1, "other", final=True), meeting=8))
    view.apply(stored(segment("b", 1, "ours", final=True), meeting="7"))
    assert [row.text for row in view.rows()] == ["ours"]
    everything = TranscriptView()
    everything.apply(stored(segment("a", 1, "any", final=True), meeting=8))
    assert len(everything.rows()) == 1


def test_the_end_takes_unfinished_partials_away() -> None:
    """After session_end nothing dim stays; a new session_start is live again."""
    view = TranscriptView(7)
    view.apply(START)
    view.apply(stored(segment("a", 1, "kept", final=True)))
    view.apply(live(segment("b", 2, "dropped", final=False)))
    view.apply(END)
    assert (view.started, view.ended) == (True, True)
    assert [row.text for row in view.rows()] == ["kept"]
    view.apply(START)
    assert not view.ended


def test_hostile_names_and_texts_are_harmless() -> None:
    """Terminal escapes, markup and newlines show as plain text on one line."""
    view = TranscriptView(7)
    view.apply(
        stored(segment("a", 1, "[red]x[/red]\r\n\x1b[2J", final=True, speaker="\x1b[31mEve[bold]\nBob: I agree"))
    )
    output = shown(view)
    assert "\x1b" not in output
    assert "[red]x[/red]" in output
    assert "Eve[bold] Bob" in output
    assert len(output.splitlines()) == 1


def test_rendering_fits_the_terminal() -> None:
    """The last rows that fit are shown: the newest is always among them."""
    view = TranscriptView(7)
    for index in range(50):
        view.apply(stored(segment(f"s{index}", index, f"sentence number {index} " * 5, final=True)))
    output = shown(view, width=50, height=12)
    assert len(output.splitlines()) <= 12
    assert "number 49" in output
    assert shown(TranscriptView(), 40, 5).strip() == ""


def test_partials_are_marked_without_colours_too() -> None:
    """An ellipsis says that the sentence is not finished."""
    view = TranscriptView(7)
    view.apply(live(segment("a", 3700, "going on", final=False)))
    assert "[1:01:40] Ana going on …" in shown(view)


def test_rows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A meeting of days does not eat the terminal's memory."""
    monkeypatch.setattr("common.transcript.view.MAX_ROWS", 50)
    view = TranscriptView(7)
    for index in range(60):
        view.apply(stored(segment(f"s{index}", index, "x", final=True)))
    assert len(view.rows()) == 50
    assert view.rows()[0].segment_id == "s10"


def test_a_name_keeps_its_colour() -> None:
    """The colour depends on the name alone."""
    assert colour_of("Ana") == colour_of("Ana")
    assert len({colour_of(name) for name in ("Ana", "Ben", "Carla", "Dev", "Eve", "Finn")}) > 2


VALUES: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.just([])
)


@given(
    st.text()
    | st.dictionaries(
        st.sampled_from(["type", "meeting", "meeting_id", "segment", "segments"]),
        VALUES
        | st.sampled_from(["transcript", "transcription", "session_end"])
        | st.just({})
        | st.just([{"start": 1}]),
    )
)
def test_any_message_is_survived(message: str | dict[str, Any]) -> None:
    """Consumers see what others write into a shared stream."""
    TranscriptView().apply(message if isinstance(message, str) else json.dumps(message))


def test_a_payload_that_is_not_ours_is_left_out() -> None:
    """Other writers share the stream; what lacks a field of the contract is shown to nobody, and nothing breaks."""
    view = TranscriptView(7)
    broken = segment("a", 1, "no times", final=True)
    del broken["end"]
    assert view.apply(stored(broken)) == view.apply(live(broken)) == view.apply("not JSON") == []
    assert view.rows() == []


def test_what_was_not_heard_is_shown_as_that() -> None:
    """Beside the name it says where the words are from."""
    view = TranscriptView(7)
    (row,) = view.apply(stored(segment("a", 1.0, "hi", final=True) | {"source": "chat"}))
    assert row.line == "[00:01] Ana (chat): hi"
