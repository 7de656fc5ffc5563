"""Stand-ins for what reads beside the managers: a collector per generation, and a client that watches live.

Not the real ones: written from tables of what those do with each field (docs/managers.md has their gist).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from common.contracts.languages import LANGUAGE_NAMES
from tests.support.servers.stand_in_manager import Generation

ROW_ID = 42
NATIVE_ID = "abc-defg-hij"
USER_TOKEN = "users-api-token"
SPEAKER_TOLERANCE_S = 0.5
"""So far from a segment the oldest collector looks for who spoke."""


@dataclass(frozen=True)
class Line:
    """One line of a transcript, as the API shows it."""

    speaker: str
    text: str
    start: float
    end: float


@dataclass
class StandInCollector:
    """What becomes of the entries of both streams, for the user's one meeting, `ROW_ID` or `NATIVE_ID`."""

    generation: Generation
    dropped: int = 0
    """Payloads that were acknowledged and forgotten."""
    poisoned: int = 0
    """Payloads that are never acknowledged, and come again at every start."""
    strays: int = 0
    """Segments of meetings that are none: in v0.10 they keep everybody's from being stored."""
    started: set[str] = field(default_factory=set)
    segments: dict[str, dict[str, Any]] = field(default_factory=dict)
    speaking: dict[str, list[tuple[float, bool, str, str]]] = field(default_factory=dict)

    def take(self, payload: str) -> None:
        """An entry of `transcription_segments`."""
        value = json.loads(payload)
        if not self._is_found(value):
            return
        match value["type"]:
            case "session_start":
                self.started.add(value["uid"])
            case "transcription":
                for segment in value["segments"]:
                    self._segment(value, segment)

    def _is_found(self, value: Mapping[str, Any]) -> bool:
        """Whether the payload's meeting is known."""
        meeting, token = value.get("meeting_id"), value.get("token")
        if self.generation == "v0.6":
            if isinstance(meeting, int):
                self.poisoned += 1
                return False
            known = meeting == NATIVE_ID and token == USER_TOKEN
        elif self.generation == "v0.10":
            known = token is None and str(meeting).isdecimal()
            self.strays += known and int(str(meeting)) != ROW_ID
        else:
            known = str(meeting) == str(ROW_ID)
        self.dropped += not known
        return known

    def _segment(self, value: Mapping[str, Any], segment: dict[str, Any]) -> None:
        if self.generation == "v0.6":
            self.segments[f"{segment['start']:.3f}"] = segment | {"uid": value["uid"]}
        elif "segment_id" in segment:
            self.segments[segment["segment_id"]] = segment

    def speaker(self, fields: Mapping[str, str]) -> None:
        """An entry of `speaker_events_relative`."""
        at = int(fields["relative_client_timestamp_ms"]) / 1000
        is_start = {"SPEAKER_START": True, "SPEAKER_END": False}[fields["event_type"]]
        event = at, is_start, fields["participant_name"], fields["participant_id_meet"]
        self.speaking.setdefault(fields["uid"], []).append(event)

    def transcript(self) -> list[Line]:
        """What the API answers."""
        hides_odd = self.generation != "v0.12"
        found = []
        for segment in self.segments.values():
            if hides_odd and segment["language"] not in (None, *LANGUAGE_NAMES):
                continue
            speaker = segment["speaker"]
            if self.generation == "v0.6":
                if segment["uid"] not in self.started:
                    continue
                speaker = self._who(segment)
            found.append(Line(speaker, segment["text"], segment["start"], segment["end"]))
        return sorted(found, key=lambda line: line.start)

    def _who(self, segment: Mapping[str, Any]) -> str:
        """Who spoke longest during a segment, by the events alone."""
        spans: dict[str, tuple[float, str]] = {}
        shares: dict[str, float] = {}
        first, last = segment["start"] - SPEAKER_TOLERANCE_S, segment["end"] + SPEAKER_TOLERANCE_S

        def share(start: float, end: float, name: str) -> None:
            shares[name] = shares.get(name, 0.0) + max(0.0, min(end, segment["end"]) - max(start, segment["start"]))

        for at, is_start, name, who in sorted(self.speaking.get(segment["uid"], []), key=lambda event: event[0]):
            if at > last:
                break
            if is_start:
                spans[who] = at, name
            elif who in spans:
                start, name = spans.pop(who)
                if at >= first:
                    share(start, at, name)
        for start, name in spans.values():
            share(start, math.inf, name)
        return max(shares, key=lambda name: shares[name]) if shares else "UNKNOWN"


@dataclass
class StandInClient:
    """What somebody sees who watches live: `confirmed` is added by id, `pending` replaces a speaker's drafts."""

    rows: dict[str, str] = field(default_factory=dict)
    drafts: dict[str, list[str]] = field(default_factory=dict)
    drafts_shown: int = 0

    def take(self, message: str) -> None:
        """A frame, as gateways pass it on."""
        value = json.loads(message)
        if value["type"] != "transcript" or "speaker" not in value:
            return
        for segment in value["confirmed"]:
            self.rows[segment["segment_id"]] = segment["text"]
        self.drafts[value["speaker"]] = [segment["text"] for segment in value["pending"]]
        self.drafts_shown += bool(value["pending"])
