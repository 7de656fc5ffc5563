"""The PyPI WhisperLive clients as they are: `stock_client.py file|stream PORT WAV LANGUAGE|auto RESULT.json`.

`file` plays the file, waits and writes subtitles; `stream` is fed in real time. Each writes down what it heard.
It has no option for an API key: one in the environment (KEY) is put into the header as docs/transcriber.md shows.
"""

from __future__ import annotations

import json
import os
import sys
import time
import wave
from pathlib import Path
from typing import Any

from whisper_live.client import Client, StreamingTranscriptionClient, TranscriptionClient

plain = Client._create_websocket


def with_key(client: Any) -> None:
    """Connects as before, with one header more."""
    plain(client)
    client.client_socket.header = {"Authorization": f"Bearer {os.environ['KEY']}"}


if "KEY" in os.environ:
    Client._create_websocket = with_key


def file(port: int, audio: str, language: str | None) -> dict[str, Any]:
    """Its call returns the text; everything else it leaves in its attributes and the subtitles."""
    calls: list[tuple[str, list[dict[str, Any]]]] = []
    client = TranscriptionClient(
        "127.0.0.1",
        port,
        lang=language,
        mute_audio_playback=True,
        word_timestamps=True,
        transcription_callback=lambda text, segments: calls.append((text, segments)),
    )
    text = client(audio)
    return {"text": text, "transcript": client.client.transcript, "calls": calls}


def stream(port: int, audio: str, language: str | None) -> dict[str, Any]:
    """Chunks of 60 ms in real time; leaving the block says END_OF_AUDIO and waits for the server."""
    heard: list[tuple[str, float, str]] = []

    def note(kind: str) -> Any:
        return lambda *said: heard.append((kind, time.monotonic(), str(said[0]) if said else ""))

    with wave.open(audio) as file:
        pcm = file.readframes(file.getnframes())
    client = StreamingTranscriptionClient(
        "127.0.0.1",
        port,
        lang=language,
        on_session_started=note("started"),
        on_partial_transcript=note("partial"),
        on_committed_transcript=note("committed"),
        on_error=note("error"),
        on_close=note("closed"),
    )
    with client:
        started = time.monotonic()
        for n, first in enumerate(range(0, len(pcm), 1920)):
            time.sleep(max(0.0, started + n * 0.06 - time.monotonic()))
            client.send(pcm[first : first + 1920])
        ended = time.monotonic()
    return {
        "transcript": client.transcript,
        "heard": [(kind, at - started, text) for kind, at, text in heard],
        "ended": ended - started,
        "closed": time.monotonic() - started,
    }


form = {"file": file, "stream": stream}[sys.argv[1]]
result = form(int(sys.argv[2]), sys.argv[3], None if sys.argv[4] == "auto" else sys.argv[4])
Path(sys.argv[5]).write_text(json.dumps(result))
