"""Hearing health: every open track is watched, and what is not heard is said within seconds.

An "active" bot can be deaf in three ways: a track that sends nothing, a track that sends digital zeros (a proxy or a
broken capture), and a room in which every track is one of those. Speech is not needed to be healthy: a quiet room has a
noise floor.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.core.events import AudioHeard, ReportHealth

DEAF_TIMEOUT_S = 8.0
"""Seconds without any signal until it is said. Reports come with each second of audio, so 10 s in all are kept."""

SIGNAL_DBFS = -90.0
"""RMS level from which audio counts as signal. A microphone in the quietest room is above it; digital zeros that went
through Opus come out at about -112, one wrong bit in a hundred samples."""


@dataclass(slots=True)
class _Track:
    packets_at: float
    signal_at: float
    muted: bool = False
    reported: str = ""


class HearingHealth:
    """Per-track and room health from `AudioHeard` reports and the passing of time."""

    def __init__(self) -> None:
        self._tracks: dict[str, _Track] = {}
        self._room_deaf = False

    def opened(self, track_id: str, now: float) -> None:
        """A track can be heard from now on."""
        self._tracks[track_id] = _Track(now, now)

    def closed(self, track_id: str) -> None:
        """The track is gone and owes nothing any more."""
        self._tracks.pop(track_id, None)

    def muted(self, track_id: str, muted: bool, now: float) -> None:
        """A muted track owes nothing; after unmuting it has its time again."""
        if track := self._tracks.get(track_id):
            track.muted = muted
            track.packets_at = track.signal_at = now

    def heard(self, report: AudioHeard, now: float) -> None:
        """Audio came; from `SIGNAL_DBFS` on it counts as signal."""
        if track := self._tracks.get(report.track_id):
            track.packets_at = now
            if report.level_dbfs >= SIGNAL_DBFS:
                track.signal_at = now

    def restart(self, now: float) -> None:
        """The connection to the room broke or came back: every track has its time again."""
        for track in self._tracks.values():
            track.packets_at = track.signal_at = now

    def check(self, now: float) -> list[ReportHealth]:
        """What changed since the last check."""
        reports = []
        for track_id, track in self._tracks.items():
            complaint = self._complaint(track, now)
            if complaint != track.reported:
                track.reported = complaint
                reports.append(ReportHealth(f"track:{track_id}", not complaint, complaint or "audio is heard"))
        owing = [track for track in self._tracks.values() if not track.muted]
        deaf = bool(owing) and all(track.reported for track in owing)
        if deaf != self._room_deaf:
            self._room_deaf = deaf
            detail = f"nothing is heard on any of {len(owing)} open tracks" if deaf else "audio is heard"
            reports.append(ReportHealth("room", not deaf, detail))
        return reports

    @staticmethod
    def _complaint(track: _Track, now: float) -> str:
        if track.muted:
            return ""
        if now - track.packets_at >= DEAF_TIMEOUT_S:
            return "no audio packets"
        if now - track.signal_at >= DEAF_TIMEOUT_S:
            return "digital silence: nothing but zeros"
        return ""

    def next_timer(self) -> float | None:
        """When `check` may have something to say although no event came."""
        due = [
            moment + DEAF_TIMEOUT_S
            for track in self._tracks.values()
            if not track.muted and not track.reported
            for moment in (min(track.packets_at, track.signal_at),)
        ]
        return min(due) if due else None
