"""What a page may say: well-formed messages are read, everything else is refused."""

from __future__ import annotations

import json
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.drivers.browser import wire
from bot.drivers.browser.wire import Kind, Sound, WireError, read_message, read_sound


def packed(kind: int, level: int = 20, track: int = 1, payload: bytes = b"xx") -> bytes:
    """A binary message as `worker.js` packs it."""
    return struct.pack(">BBhHBBII", kind, level, track, 65535, 111, 0, 4294967295, 7) + payload


def test_sounds() -> None:
    """Every field where the worker puts it; 255 is no level; a mix has a negative number."""
    assert read_sound(packed(0)) == Sound(Kind.OPUS, 20, 1, 65535, 111, 4294967295, 7, b"xx")
    assert read_sound(packed(2, 255, -3)) == Sound(Kind.PCM, None, -3, 65535, 111, 4294967295, 7, b"xx")


@pytest.mark.parametrize("data", [b"", packed(0, payload=b""), packed(3), packed(2, payload=b"x"), packed(0, track=0)])
def test_sounds_that_are_none(data: bytes) -> None:
    """Empty, of no kind, of half a sample, of no track."""
    with pytest.raises(WireError):
        read_sound(data)


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Read, or refused."""
    with suppress(WireError):
        assert read_sound(data).payload


def test_messages() -> None:
    """The ones that there are."""
    track = {
        "type": "track",
        "track": 1,
        "id": "x",
        "streams": ["s"],
        "mid": None,
        "element": [{"id": "e"}],
        "frame": "",
    }
    assert read_message(json.dumps(track)) == wire.Track(
        type="track", track=1, id="x", streams=["s"], mid=None, element=[{"id": "e"}], frame=""
    )
    receiving = read_message('{"type": "receiving", "tracks": {"3": 0.5, "4": null}}')
    assert receiving == wire.Receiving(type="receiving", tracks={3: 0.5, 4: None})
    assert read_message('{"type": "signal", "name": "n", "payload": [1]}') == wire.Signal(
        type="signal", name="n", payload=[1]
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"type": "unknown"}',
        '{"type": "closed", "track": 0}',
        '{"type": "closed", "track": "x"}',
        '{"type": "signal", "name": ""}',
        json.dumps({"type": "track", "track": 1, "id": "x" * 300, "streams": []}),
        json.dumps({"type": "sources", "track": 1, "sources": list(range(16))}),
        '{"type": "receiving", "tracks": ' + "[" * 500 + "]" * 500 + "}",
    ],
)
def test_messages_that_are_none(text: str) -> None:
    """Refused without quoting what a stranger wrote."""
    with pytest.raises(WireError) as failure:
        read_message(text)
    assert "x" * 20 not in str(failure.value)
