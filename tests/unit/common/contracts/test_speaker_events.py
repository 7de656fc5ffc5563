"""Speaker events as the older collectors read them."""

from __future__ import annotations

import pytest

from common.contracts.speaker_events import SpeakerEvent, parse_speaker_event

EVENT = SpeakerEvent("bot-1", "SPEAKER_START", 1480, "Ana Silva", "ana")


def test_an_entry_has_flat_fields() -> None:
    """Those that the collector requires, and the one that pairs start and end."""
    assert EVENT.fields() == {
        "uid": "bot-1",
        "relative_client_timestamp_ms": "1480",
        "event_type": "SPEAKER_START",
        "participant_name": "Ana Silva",
        "participant_id_meet": "ana",
    }
    assert parse_speaker_event(EVENT.fields()) == EVENT


def test_a_name_is_always_utf8() -> None:
    """A lone surrogate would break the entry."""
    assert SpeakerEvent("b", "SPEAKER_END", 0, "a\ud800", "\ud800").fields()["participant_name"] == "a?"


@pytest.mark.parametrize("field", ["uid", "event_type", "participant_name", "relative_client_timestamp_ms"])
def test_what_is_required_is_missed(field: str) -> None:
    """Four of five."""
    fields = EVENT.fields()
    del fields[field]
    with pytest.raises(ValueError, match=f"{field}: .*expected"):
        parse_speaker_event(fields)


@pytest.mark.parametrize("change", [{"event_type": "SPEAKS"}, {"relative_client_timestamp_ms": "-1"}])
def test_other_values_are_refused(change: dict[str, str]) -> None:
    """Neither kind nor time."""
    with pytest.raises(ValueError, match="expected"):
        parse_speaker_event(EVENT.fields() | change)
