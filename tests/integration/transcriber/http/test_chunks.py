"""Chunks of rooms over HTTP with the scripted engine: names, duplicates, channels."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from tests.integration.transcriber.http.test_recordings import process, spoken
from tests.support.audio.recordings import RATE, encode, web
from tests.support.fakes.scripted_engine import ScriptedEngine, silence


async def test_a_chunk_with_its_names_and_the_same_chunk_again() -> None:
    """The retry gets the same segments, marked; another source with the same number is another chunk."""
    engine = ScriptedEngine()
    data = encode("webm", spoken("alpha"))
    names = {"clientId": "c", "role": "host", "producerId": "p", "trackId": "t", "context_hint": "source=mic;peer=x"}
    async with web(engine) as at:
        first = (await process(at, data, **names)).json()
        decoded = len(engine.windows)
        again = (await process(at, data, **names)).json()
        assert len(engine.windows) == decoded
        other = (await process(at, data, **{**names, "source": "tab", "seq": "2"})).json()
    assert first.keys() == {"chunk_id", "gate", "new_insights", "memory_state", "meta", "segments"}
    assert (first["chunk_id"], first["gate"], first["new_insights"]) == ("r_1", "pass", [])
    [segment] = first["segments"]
    assert (segment["text"], segment["role"], segment["channel"]) == ("alpha", "host", 0)
    assert first["meta"] | {"duration": 1.6} == first["meta"] | {
        "duration": 1.6, "timestamp": "1700000000", "clientId": "c", "role": "host", "source": "mic", "peer": "x",
        "producerId": "p", "trackId": "t", "channels": 1, "damaged_packets": 0,
    }  # fmt: skip
    assert (again["gate"], again["segments"]) == ("duplicate", first["segments"])
    assert other["gate"] == "pass"
    assert other["memory_state"] == {"chunks": 2, "last_seq": 2}
    assert {window.prompt for window in engine.windows} == {None}


async def test_two_clients_of_a_room_and_two_meetings_are_not_each_others_duplicates() -> None:
    """Client B counts its chunks from the same number; tomorrow's meeting in the room does, too."""
    async with web() as at:
        monday = {client: await process(at, encode("wav", spoken("alpha")), clientId=client) for client in "AB"}
        tuesday = await process(at, encode("wav", spoken("bravo")), clientId="A")
        again = await process(at, encode("wav", spoken("bravo")), clientId="A")
    assert [answer.json()["gate"] for answer in (*monday.values(), tuesday, again)] == ["pass"] * 3 + ["duplicate"]
    assert [answer.json()["segments"][0]["text"] for answer in (tuesday, again)] == ["bravo", "bravo"]
    assert tuesday.json()["memory_state"] == {"chunks": 3, "last_seq": 1}


async def test_what_repeats_itself_is_asked_for_twice() -> None:
    """And kept, if it is the same again."""
    engine = ScriptedEngine(timed=True)
    async with web(engine) as at:
        answer = (await process(at, encode("wav", spoken(*["alpha"] * 12)))).json()
    assert [window.temperature for window in engine.windows] == [0.0, 0.4]
    assert [(segment["text"], segment["doubtful"]) for segment in answer["segments"]] == [("alpha", False)] * 12


async def test_the_same_chunk_twice_at_once_is_decoded_once_unless_the_first_fails() -> None:
    """The second waits for the first."""
    engine = ScriptedEngine()
    data = encode("wav", spoken("alpha"))
    async with web(engine) as at:
        both = await asyncio.gather(process(at, data), process(at, data))
        assert sorted(answer.json()["gate"] for answer in both) == ["duplicate", "pass"]
        engine.fail = 2
        both = await asyncio.gather(process(at, data, seq="2"), process(at, data, seq="2"))
        assert sorted(answer.status_code for answer in both) == [200, 500]
        assert (await process(at, data, seq="2")).json()["gate"] == "duplicate"


async def test_silence_and_sound_without_words() -> None:
    """`silence` where nobody speaks, `rejected` where the model finds no words in what sounded like speech."""
    hum = (8000 * np.sin(2 * np.pi * 120 * np.arange(2 * RATE) / RATE)).astype(np.int16)
    async with web() as at:
        quiet = (await process(at, encode("ogg", silence(2)))).json()
        loud = (await process(at, encode("wav", np.concatenate((hum, silence(1)))), seq="2")).json()
    assert (quiet["gate"], quiet["segments"]) == ("silence", [])
    assert (loud["gate"], loud["segments"]) == ("rejected", [])


async def test_two_channels_are_two_speakers() -> None:
    """Each with its role; one alone or both mixed on request; the same sound twice is one speaker."""
    left, right = spoken("alpha", "bravo"), np.roll(spoken("charlie", "delta"), RATE // 2)
    stereo, twice = (encode("wav", np.stack(pair)) for pair in ((left, right), (left, left)))
    async with web() as at:
        both = (await process(at, stereo, role="host,guest")).json()
        one = (await process(at, stereo, channel="right", role="guest", seq="2")).json()
        mono = (await process(at, twice, role="room", seq="3")).json()
        mixed = (await process(at, stereo, channel="mixed", seq="4")).json()
        labelled = (await process(at, encode("wav", right), channel="1", seq="5")).json()
    heard = [(segment["channel"], segment["role"], segment["text"]) for segment in both["segments"]]
    assert heard == [(0, "host", "alpha"), (1, "guest", "charlie"), (0, "host", "bravo"), (1, "guest", "delta")]
    assert both["meta"]["channels"] == 2
    assert [(segment["channel"], segment["text"]) for segment in one["segments"]] == [(1, "charlie"), (1, "delta")]
    assert [(segment["role"], segment["text"]) for segment in mono["segments"]] == [
        ("room", "alpha"),
        ("room", "bravo"),
    ]
    assert mono["meta"]["identical_channels"]
    assert mixed["meta"]["channels"] == 1
    assert {segment["channel"] for segment in labelled["segments"]} == {1}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"roomId": ""}, "roomId"),
        ({"roomId": "x" * 201}, "roomId"),
        ({"seq": "-1"}, "seq"),
        ({"seq": "9" * 30}, "seq"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": "inf"}, "timestamp"),
        ({"channel": "middle"}, "channel"),
        ({"language": "xx"}, "language"),
    ],
)
async def test_wrong_chunk_fields_are_named_and_the_right_chunk_passes_after(
    fields: dict[str, str], param: str
) -> None:
    """A refused chunk is not remembered as one that was taken."""
    data = encode("wav", spoken("alpha"))
    async with web() as at:
        answer = await process(at, data, **fields)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
        assert (await process(at, b"garbage" * 100)).status_code == 415
        assert (await process(at, data, timestamp="2026-01-02T03:04:05Z")).json()["gate"] == "pass"
