"""A frame: the unit in which every source of sound hands audio to the audio plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class AudioFrame:
    """A piece of one track, on the sender's clock.

    Args:
        track_id: The track of an earlier `TrackOpened`.
        pcm: int16 mono samples at 16 kHz, shape (n,), n > 0, at most 120 ms in normal operation.
        position: Index of `pcm[0]` on the sender's 16 kHz clock. Contiguous frames have contiguous positions; a jump
            forward is time in which nothing was sent (DTX, loss given up). Never moves backwards within one `source`.
        source: What the clock belongs to (SSRC, or a counter): when it changes, positions start anew.
        arrival: When the first of these samples could have been heard here: monotonic seconds.
        late: Seconds by which it comes later than that, as all of its track does: a mix that is made elsewhere first.
        engine: What made these samples of packets: `native`, which is us, or a program beside us.
    """

    track_id: str
    pcm: NDArray[np.int16]
    position: int
    source: int
    arrival: float
    late: float = 0.0
    engine: str = "native"
