"""Levels: whether what is decoded sounds as loud as its sender says (RFC 6464), or is noise because it is encrypted.

Encrypted Opus decodes: whatever its bits are, libopus makes sound of them. (Most schemes leave an Opus packet's first
byte as it is, and of the others half decode by chance.) But that sound does not follow the loudness that the sender
measured before it encrypted, which stands outside what is encrypted. Loudness that nobody varies proves nothing: a
sender may say one number for ever. So only the correlation counts, where there is something to correlate.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

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
WINDOWS = 2
"""Of whose correlations the mean is judged: what one second says by chance is not taken for good."""
FOLLOWING_CORRELATION = 0.65
"""Mean from which the sound follows. Of speech and music in each of Opus's modes, frames of 20 ms and more: 0.85 at the
least; of keys that are typed: 0.5."""
STRANGE_CORRELATION = 0.3
"""Below it the sound is another one's. Of what a cipher made: 0.1 in the mean, of one second in 200 above 0.6."""
OPPOSED_CORRELATION = -0.6
"""Below it the sound does follow, and its sender counts the other way round: nothing is made of that."""


class Levels:
    """One track's, by pairs of what is said and what is heard.

    A sender may say what it measured a packet earlier or later, and Opus's delay (6.5 ms) moves the end of a packet
    into the next one. So of three correlations, at the same packet and at its neighbours, the largest is the window's.
    """

    def __init__(self) -> None:
        self._said: list[float] = []
        self._heard: list[float] = []
        self._alike: deque[float] = deque(maxlen=WINDOWS)

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
        said_db, heard_db = np.array(self._said), np.array(self._heard)
        self._said, self._heard = [], []
        if said_db.std() < MIN_SPREAD_DB or heard_db.std() < MIN_HEARD_SPREAD_DB:
            return None
        early, late = (said_db[1:], heard_db[:-1]), (said_db[:-1], heard_db[1:])
        self._alike.append(max(_correlation(*pair) for pair in (early, (said_db, heard_db), late)))
        mean = sum(self._alike) / WINDOWS
        if (
            len(self._alike) < WINDOWS
            or mean < OPPOSED_CORRELATION
            or STRANGE_CORRELATION <= mean < FOLLOWING_CORRELATION
        ):
            return None
        if mean >= FOLLOWING_CORRELATION:  # it is not judged again for a while: what is true then has to show by itself
            self._alike.clear()
        return mean >= FOLLOWING_CORRELATION


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Pearson's; 0 where one of them does not vary."""
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / size if size > 0 else 0.0
