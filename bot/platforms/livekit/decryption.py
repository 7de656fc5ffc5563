"""Decryption in a LiveKit room: which end-to-end encrypted tracks can be heard by now.

The SDK subscribes first and decrypts a moment later. What came before that is decoded as it is: up to 0.2 s of noise of
full scale at the beginning of a track, measured with the right key and with a wrong one. It says when it decrypts
somebody's media, not of which track, and never that it cannot. So nothing of a track is heard before that, and where
packets come and that never does, they have another key.

Of somebody with several encrypted tracks that word is proof of none of them: each is heard once so much of it was
decoded that it cannot be the noise of its beginning. (What is not decrypted is not decoded: 60 ms of 272 packets of
20 ms with another key, and all of those with ours.)

Pure: `now` is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NOISE_S = 0.25
"""From the first decrypted packet on: what was decoded before it is still on its way."""
BEGINNING_S = 1.0
"""Noise comes only so soon after a subscription: of a muted track nothing is decoded then."""
KEY_TIMEOUT_S = 5.0
"""A track that is not muted and not decrypted for so long is looked at: has it another key, or does nothing come?"""
MIN_PACKETS = 10
"""So many that are not decrypted have another key; a few are there before the SDK begins. In silence two seconds."""
DECODED_RATE = 48_000
PROOF_SAMPLES = DECODED_RATE // 4
"""Decoded since it was first looked at, and a track is decrypted: more than there is noise."""
PROOF_PAUSE_S, PROOF_TIMEOUT_S = 0.1, 5.0
"""From one look at what was decoded to the next, and for how long after the word that something of somebody's is
decrypted. There is one for each track: who unmutes later brings it then."""
SAME_TIME_S = 0.1
"""The word that somebody's media is decrypted may come so much before the word that we are subscribed to it."""


@dataclass(slots=True)
class _Track:
    participant_id: str
    begun_at: float
    clear_at: float | None = None
    """When what is heard of it is what was said; None: not yet known."""
    due_at: float | None = None
    """When it is looked at (again); None: it is muted."""
    has_other_key: bool = False
    decoded: int | None = None
    """Samples, when it was first looked at."""
    look_at: float | None = None
    """When it is looked at whether it is decoded (again); None: there is no reason to."""
    look_until: float = 0.0


class Decryption:
    """Of one room's encrypted tracks; others are none of its business."""

    def __init__(self) -> None:
        self._tracks: dict[str, _Track] = {}
        self._decrypted: dict[str, float] = {}  # participant → when the SDK said so last

    def subscribed(self, track_id: str, participant_id: str, tracks: int, now: float) -> None:
        """We are subscribed to this encrypted track, one of so many of theirs, maybe again: it begins with noise."""
        self._tracks[track_id] = _Track(participant_id, now)
        if now - self._decrypted.get(participant_id, -1.0) < SAME_TIME_S:
            self._settle(self._tracks[track_id], tracks, now)

    def decrypted(self, participant_id: str, tracks: int, now: float) -> None:
        """The SDK decrypts what this participant sends, on one of so many encrypted tracks."""
        self._decrypted[participant_id] = now
        for track in self._tracks.values():
            if track.participant_id == participant_id and track.clear_at is None:
                self._settle(track, tracks, now)

    def _settle(self, track: _Track, tracks: int, now: float) -> None:
        """Something of somebody's is decrypted: this track, if there is no other; else that has to be seen."""
        if tracks > 1:
            track.look_at, track.look_until = now, now + PROOF_TIMEOUT_S
        else:
            self._open(track, now)

    @staticmethod
    def _open(track: _Track, now: float) -> None:
        track.clear_at = now + NOISE_S if now - track.begun_at < BEGINNING_S else now
        track.look_at = None

    def unproven(self, now: float) -> list[str]:
        """Tracks of which something may be decoded by now: `decoded` takes how much."""
        return [key for key, track in self._tracks.items() if track.look_at is not None and track.look_at <= now]

    def decoded(self, track_id: str, samples: int, now: float) -> None:
        """Takes how many samples at `DECODED_RATE` were decoded of a track so far."""
        track = self._tracks[track_id]
        track.decoded = samples if track.decoded is None else min(track.decoded, samples)
        if samples - track.decoded >= PROOF_SAMPLES:
            self._open(track, now)
        else:
            track.look_at = now + PROOF_PAUSE_S if now < track.look_until else None

    def is_clear(self, track_id: str, now: float) -> bool:
        """Whether what is heard of the track is what was said there."""
        track = self._tracks.get(track_id)
        return track is None or (track.clear_at is not None and now >= track.clear_at)

    def has_begun(self, track_id: str) -> bool:
        """Whether the track is decrypted: it has our key."""
        track = self._tracks.get(track_id)
        return track is not None and track.clear_at is not None

    def has_other_key(self, track_id: str) -> bool:
        """Whether the track was found to have another key, and still has."""
        track = self._tracks.get(track_id)
        return track is not None and track.has_other_key and track.clear_at is None

    def review(self, published: Mapping[str, bool], now: float) -> list[str]:
        """Tracks of which something should have been decrypted by now: `found` takes what came of them.

        Args:
            published: All tracks that there are, and whether they are muted. Others are forgotten.
        """
        self._tracks = {track_id: track for track_id, track in self._tracks.items() if track_id in published}
        self._decrypted = {who: at for who, at in self._decrypted.items() if now - at < SAME_TIME_S}
        overdue = []
        for track_id, track in self._tracks.items():
            if track.clear_at is not None or track.has_other_key:
                continue
            if published[track_id]:
                track.due_at = None
                continue
            if track.due_at is not None and now >= track.due_at:
                track.due_at = None
                overdue.append(track_id)
            track.due_at = track.due_at or now + KEY_TIMEOUT_S
        return overdue

    def found(self, track_id: str, packets: int) -> bool:
        """Takes how many packets of an overdue track have come; returns whether that says that it has another key."""
        track = self._tracks[track_id]
        track.has_other_key = packets >= MIN_PACKETS and track.clear_at is None
        return track.has_other_key

    def next_timer(self) -> float | None:
        """When `review` has something to say although nothing has happened."""
        closed = [track for track in self._tracks.values() if track.clear_at is None]
        waiting = [track.look_at for track in closed] + [track.due_at for track in closed if not track.has_other_key]
        return min((due for due in waiting if due is not None), default=None)
