"""What whisper-live 0.10's own client makes of a server's messages: its rules, without its sound card."""

from __future__ import annotations

import json
from typing import Any


class StockClient:
    """Applies `whisper_live.client.Client`'s message handling."""

    def __init__(self, uid: str) -> None:
        self.uid = uid
        self.ready = False
        self.transcript: list[dict[str, Any]] = []
        self.last_segment: dict[str, Any] | None = None

    def on_message(self, raw: str) -> None:
        """One message; raises where the stock client would."""
        message = json.loads(raw)
        if message.get("uid") != self.uid:
            return
        if "status" in message:
            if message["status"] == "WAIT":
                round(message["message"])
            return
        if message.get("message") == "SERVER_READY":
            assert message["backend"] == "faster_whisper"  # or no completed segment would be recorded
            self.ready = True
        if "segments" in message:
            self._segments(message["segments"])

    def _segments(self, segments: list[dict[str, Any]]) -> None:
        segments[-1]  # an empty list is an IndexError there
        texts: list[str] = []
        for n, segment in enumerate(segments):
            if texts and texts[-1] == segment["text"]:
                continue
            texts.append(segment["text"].strip())  # so that only texts without a leading space are merged
            if n == len(segments) - 1 and not segment.get("completed", False):
                self.last_segment = segment
            elif segment.get("completed", False) and (
                not self.transcript or float(segment["start"]) >= float(self.transcript[-1]["end"])
            ):
                self.transcript.append(segment)

    def subtitles(self) -> list[str]:
        """The texts that its SRT file would hold."""
        texts = [segment["text"] for segment in self.transcript]
        if self.last_segment and (not texts or self.last_segment["text"] != texts[-1]):
            texts.append(self.last_segment["text"])
        return texts
