"""The JSON that consumers read."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.generations import Generation
from common.contracts.segments import (
    Segment,
    SessionIdentity,
    Source,
    StreamPayload,
    Word,
    parse,
    session_end,
    session_start,
    transcription,
)
from common.contracts.times import iso_utc
from tests.support.documents import SEGMENTS, changed, ids, numbers, texts

IDENTITY = SessionIdentity("rehearsal", 7, "abc", "bot-1", "opaque")
SEGMENT = Segment("bot-1:ana:1000", 1.00049, 2.5, " Hello.", "Ana", "ana", "en", True, iso_utc(1000.0), iso_utc(1001.5))


def test_transcription_has_the_agreed_keys_in_order() -> None:
    """The envelope and the segment have exactly the documented keys."""
    value = json.loads(transcription(IDENTITY, [SEGMENT]))
    assert list(value) == ["type", "token", "platform", "meeting_id", "native_meeting_id", "uid", "segments"]
    assert value["type"] == "transcription"
    assert value["meeting_id"] == 7
    assert value["segments"] == [
        {
            "segment_id": "bot-1:ana:1000",
            "start": 1.0,
            "end": 2.5,
            "text": " Hello.",
            "speaker": "Ana",
            "speaker_id": "ana",
            "speaker_key": "ana",
            "language": "en",
            "completed": True,
            "absolute_start_time": "1970-01-01T00:16:40.000Z",
            "absolute_end_time": "1970-01-01T00:16:41.500Z",
        }
    ]


def test_only_codes_of_whisper_are_published() -> None:
    """Consumers hide a segment with another: better without."""
    value = json.loads(transcription(IDENTITY, [replace(SEGMENT, language="tlh")]))["segments"][0]
    assert value["language"] is None


@pytest.mark.parametrize(
    ("generation", "meeting_id", "token"),
    [(None, 7, "opaque"), (Generation.V6, "abc", "opaque"), (Generation.V10, 7, None), (Generation.V12, 7, None)],
)
def test_each_generations_collector_finds_the_meeting(
    generation: Generation | None, meeting_id: int | str, token: str | None
) -> None:
    """v0.6 by the platform's id and the token; later ones by number, and a token that expires would lose everything."""
    assert IDENTITY.read_by(generation) == replace(IDENTITY, meeting_id=meeting_id, token=token)


def test_without_the_platforms_id_its_own_is_text() -> None:
    """A number stays in v0.6's queue for ever."""
    assert replace(IDENTITY, native_meeting_id=None).read_by(Generation.V6).meeting_id == "7"


def test_confidence_and_words_appear_when_known() -> None:
    """Optional keys are left out when unknown and rounded when known."""
    segment = replace(SEGMENT, confidence=0.12345, words=(Word("Hello.", 1.0004, 2.0, 0.99999),))
    value = json.loads(transcription(IDENTITY, [segment]))["segments"][0]
    assert value["confidence"] == 0.123
    assert value["words"] == [{"word": "Hello.", "start": 1.0, "end": 2.0, "probability": 1.0}]


def test_a_partial_says_what_of_it_will_not_change() -> None:
    """Read as it was written; a negative count is refused."""
    doubtful = replace(SEGMENT, start=1.0, doubtful=True)
    assert doubtful.as_json()["doubtful"] is True
    assert Segment.parse(doubtful.as_json()) == doubtful
    assert "doubtful" not in SEGMENT.as_json()
    partial = replace(SEGMENT, start=1.0, completed=False, stable=3)
    assert partial.as_json()["stable"] == 3
    assert Segment.parse(partial.as_json()) == partial
    with pytest.raises(ValueError, match="stable"):
        Segment.parse(partial.as_json() | {"stable": -1})


def test_session_marks() -> None:
    """session_start and session_end carry their times under the names consumers know."""
    start, end = json.loads(session_start(IDENTITY, 0.25)), json.loads(session_end(IDENTITY, 60))
    assert (start["type"], start["start_timestamp"]) == ("session_start", "1970-01-01T00:00:00.250Z")
    assert (end["type"], end["end_timestamp"]) == ("session_end", "1970-01-01T00:01:00.000Z")
    assert start["uid"] == end["uid"] == "bot-1"


def test_an_identity_without_a_token_publishes_none() -> None:
    """Where a token opens the room, the identity has none: no payload carries it, nor an empty key."""
    identity = replace(IDENTITY, token=None)
    for payload in (transcription(identity, [SEGMENT]), session_start(identity, 0), session_end(identity, 0)):
        assert "token" not in json.loads(payload)


@given(st.text(), st.text())
def test_payloads_are_valid_json_in_utf8_whatever_names_hold(name: str, text: str) -> None:
    """Control characters, emoji and lone surrogates cannot break the stream."""
    payload = transcription(IDENTITY, [replace(SEGMENT, speaker=name, text=text)])
    assert json.loads(payload.encode())["segments"][0]["speaker"] == name.encode("utf-8", "replace").decode()


def test_what_is_built_reads_back() -> None:
    """Builder and parser are each other's inverse, but for the times' rounding."""
    full = replace(SEGMENT, start=1.0, confidence=0.5, words=(Word("Hello.", 1.0, 2.0, 0.25),))
    assert parse(transcription(IDENTITY, [full, replace(full, language=None, words=None)])) == StreamPayload(
        "transcription", IDENTITY, (full, replace(full, language=None, words=None))
    )
    assert parse(session_start(IDENTITY, 1)) == StreamPayload("session_start", IDENTITY, (), iso_utc(1))
    assert parse(session_end(replace(IDENTITY, token=None, meeting_id="m"), 1)).identity.meeting_id == "m"


@pytest.mark.parametrize(
    ("key", "value"),
    [("type", "other"), ("uid", 3), ("segments", [3]), ("segments", [{}]), ("platform", None), ("meeting_id", 1.5)],
)
def test_what_no_bot_writes_is_refused(key: str, value: object) -> None:
    """One clear error, whatever is wrong."""
    payload = json.loads(transcription(IDENTITY, [SEGMENT])) | {key: value}
    with pytest.raises(ValueError, match=r"expected"):
        parse(json.dumps(payload))


IDENTITIES = st.builds(SessionIdentity, texts, ids, st.none() | texts, texts, st.none() | texts)


@given(IDENTITIES, st.lists(SEGMENTS, max_size=3).map(tuple), numbers)
def test_any_payload_reads_back(identity: SessionIdentity, segments: tuple[Segment, ...], at: float) -> None:
    """Whatever names, texts and numbers it holds."""
    assert parse(transcription(identity, segments)) == StreamPayload("transcription", identity, segments)
    assert parse(session_start(identity, at)) == StreamPayload("session_start", identity, (), iso_utc(at))
    assert parse(session_end(identity, at)) == StreamPayload("session_end", identity, (), iso_utc(at))


FULL = replace(SEGMENT, confidence=0.5, words=(Word("Hello.", 1.0, 2.0, 0.9),))


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        *changed(json.loads(transcription(IDENTITY, [FULL]))),
        *changed(json.loads(session_start(IDENTITY, 1))),
        *changed(json.loads(session_end(IDENTITY, 1))),
    ],
)
def test_a_field_of_another_type_is_refused_by_name(broken: Any, named: str) -> None:
    """Every field, at any depth; the error never quotes what stands there: it may be what somebody said."""
    with pytest.raises(ValueError, match=rf"{named}: .*expected") as error:
        parse(json.dumps(broken))
    assert "canary" not in str(error.value)


@given(
    st.text()
    | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=10).map(json.dumps)
)
def test_any_text_is_a_payload_or_a_value_error(text: str) -> None:
    """Nothing else comes out."""
    with contextlib.suppress(ValueError):
        parse(text)


def test_words_that_were_not_heard_say_where_they_are_from() -> None:
    """Speech says nothing, so that it reads as ever; an unknown source is refused."""
    assert "source" not in SEGMENT.as_json()
    value = replace(SEGMENT, source=Source.CHAT).as_json()
    assert value["source"] == "chat"
    assert Segment.parse(value).source is Source.CHAT
    with pytest.raises(ValueError, match="source"):
        Segment.parse(value | {"source": "dreamt"})
