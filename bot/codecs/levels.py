"""Levels: whether what is decoded sounds as loud as its sender says (RFC 6464), or is noise because it is encrypted.

Encrypted Opus decodes: whatever its bits are, libopus makes sound of them. (Most schemes leave an Opus packet's first
byte as it is, and of the others half decode by chance.) But that sound does not follow the loudness that the sender
measured before it encrypted, which stands outside what is encrypted. Loudness that nobody varies proves nothing: a
sender may say one number for ever. So only the correlation counts, where there is something to correlate.
"""

from __future__ import annotations

import statistics

LEVEL_URI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
"""Name of the header extension that says how loud a packet is."""
WINDOW_PACKETS = 50
"""Between two judgements: 1 s of packets that are worth it."""
FLOOR_DB = -60.0
"""Below it all is silence, whatever was measured."""
MIN_SPREAD_DB = 6.0
"""Standard deviation of what the sender says: with less there is nothing to correlate. Of what is heard ..."""
MIN_HEARD_SPREAD_DB = 1.0
"""... so little is enough: noise is never as even. Digital silence is: it is a failure of another kind."""
FOLLOWS = 0.75
"""Correlation from which the sound follows. In each of Opus's modes, frames of 20 ms and more: 0.85 at the least."""
STRANGE = 0.25
"""Below it the sound is another one's. Of encrypted speech: around 0, above 0.6 in one second of 200."""
WINDOWS = 2
"""In a row that say the same, before it is said: what is taken for good is not judged again for a while."""


class Levels:
    """One track's, by pairs of what is said and what is heard."""

    def __init__(self) -> None:
        self._said: list[float] = []
        self._heard: list[float] = []
        self._follows: list[bool | None] = []  # of the last windows

    def take(self, said: float, heard: float) -> bool | None:
        """Takes a packet; returns whether the track follows its levels where that can be judged now, None elsewhere.

        Args:
            said: dBov as the sender says, 0 to -127.
            heard: dBFS of what the packet decodes to; -inf for digital silence.
        """
        self._said.append(max(said, FLOOR_DB))
        self._heard.append(max(heard, FLOOR_DB))
        if len(self._said) < WINDOW_PACKETS:
            return None
        said_db, heard_db = self._said, self._heard
        self._said, self._heard = [], []
        if statistics.pstdev(said_db) < MIN_SPREAD_DB or statistics.pstdev(heard_db) < MIN_HEARD_SPREAD_DB:
            return None
        alike = statistics.correlation(said_db, heard_db)
        follows = False if alike < STRANGE else True if alike >= FOLLOWS else None
        self._follows = [*self._follows, follows][-WINDOWS:]
        return follows if self._follows == [follows] * WINDOWS else None
