"""One captured track: packets or PCM of the page to frames on its clock, and the evidence that they can be heard."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from bot.audio.frame import AudioFrame
from bot.codecs.red import RedError, unwrap
from bot.drivers.browser.evidence import Evidence
from bot.drivers.browser.wire import Kind, Sound
from bot.drivers.opus_track import OpusTrack
from common.audio.pcm import SAMPLE_RATE, dbfs

if TYPE_CHECKING:
    from bot.drivers.browser.tracks import TrackInfo

RATE_PER_S = 100
BURST_MESSAGES = 300
"""Messages per track (and per frame for all its texts): RATE_PER_S, BURST_MESSAGES at once after a stall. What is
beyond is dropped and counted, and the frame is read slowly."""
USUAL_BYTES = 32 * 1024
"""Of a message, at most; a longer one counts as several."""
SOUNDS_DBFS = -60.0
"""Above it a track has sound."""
MUTE_REPORTS = 5
"""Seconds in which the page's element gave digital zeros although packets said that there is sound."""
MAX_ELEMENTS = 3
"""Times that a track's element is made."""

_sources = itertools.count(1_000_000)  # apart from those of `OpusTrack`


class Allowance:
    """A token bucket: RATE_PER_S, BURST_MESSAGES at once."""

    def __init__(self, now: float) -> None:
        self._left, self._at = float(BURST_MESSAGES), now

    def take(self, now: float, size: int = 0) -> bool:
        """Whether one more message, of so many bytes, is within it."""
        self._left = min(float(BURST_MESSAGES), self._left + (now - self._at) * RATE_PER_S)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1 + size // USUAL_BYTES
        return True


class CapturedTrack:
    """One track of a page, from its opening to its end.

    Args:
        info: What the page says of it.
        audio: Called with every frame.
        now: When it was opened, on the loop's clock.
    """

    def __init__(self, info: TrackInfo, audio: Callable[[AudioFrame], None], now: float) -> None:
        self.info, self.allowance, self._now = info, Allowance(now), now
        self._audio = audio
        self._opus = OpusTrack(info.track_id, self._heard)
        self._evidence: Evidence | None = Evidence()
        self._refused = 0
        self._loudness: float | None = None
        self._ssrc = -1
        self._sequence_number: int | None = None  # the last one of this sender's
        self._source = next(_sources)
        self._mute = 0
        self._elements = 0
        self.sounded_at: float | None = None
        """When it had sound last, on the loop's clock."""

    def sound(self, sound: Sound, now: float) -> str | None:
        """Takes a packet or PCM; returns why it cannot be heard this way, if so."""
        self._now = now
        if sound.kind is Kind.PCM:
            pcm = np.frombuffer(sound.payload, "<i2").astype(np.int16, copy=False)
            self._heard(
                AudioFrame(self.info.track_id, pcm, sound.timestamp, self._source, now - len(pcm) / SAMPLE_RATE)
            )
            return None
        if self._evidence is None:
            return None
        self._loudness = None
        if sound.ssrc != self._ssrc:  # whose numbers say nothing about what is lost of another
            self._ssrc, self._sequence_number = sound.ssrc, None
        unwrapped = True
        if sound.kind is Kind.RED:
            unwrapped = self._unwrap(sound, now)
        else:
            self._packet(sound, sound.payload, 0, now)
        refused = self._opus.statistics.refused
        why = self._evidence.frame(sound.level, self._loudness, refused > self._refused or not unwrapped)
        self._refused = refused
        return why

    def received(self, level: float | None, now: float) -> str | None:
        """Takes the page's report that packets arrived, and how loud they say they are; returns as `sound` does."""
        if self._evidence is not None:
            return self._evidence.received()
        quiet = self.sounded_at is None or now - self.sounded_at > MUTE_REPORTS
        self._mute = self._mute + 1 if quiet and level is not None and level > 0.01 else 0
        if self._mute < MUTE_REPORTS or self._elements >= MAX_ELEMENTS:
            return None
        self._mute = 0
        return "its element is mute although there is sound"

    def listen_to_element(self) -> None:
        """From now on PCM comes, and what comes as packets is not heard any more; called again: of a new element."""
        self._evidence = None
        self._elements += 1
        self._source = next(_sources)
        self._opus.close()

    def close(self) -> None:
        """No frame comes afterwards."""
        self._opus.close()

    def _unwrap(self, sound: Sound, now: float) -> bool:
        """Takes a RED payload apart; what was lost before it comes out of it, too."""
        try:
            blocks = unwrap(sound.payload)
        except RedError:
            return False
        last = self._sequence_number
        ahead = 1 if last is None else (sound.sequence_number - last) & 0xFFFF
        lost = ahead - 1 if ahead < 0x8000 else 0  # else it was overtaken
        for back, block in reversed(list(enumerate(reversed(blocks)))):
            if block.payload and back <= lost:
                self._packet(sound, block.payload, back, now, block.age)
        return True

    def _packet(self, sound: Sound, payload: bytes, back: int, now: float, age: int = 0) -> None:
        number = (sound.sequence_number - back) & 0xFFFF
        self._opus.packet(number, (sound.timestamp - age) & 0xFFFFFFFF, sound.ssrc, sound.payload_type, payload, now)
        if self._sequence_number is None or (number - self._sequence_number) & 0xFFFF < 0x8000:
            self._sequence_number = number

    def _heard(self, frame: AudioFrame) -> None:
        self._loudness = dbfs(frame.pcm)
        if self._loudness > SOUNDS_DBFS:
            self.sounded_at = self._now
        self._audio(frame)
