"""The contract suite where everybody is on one track, of nobody in particular; and what is heard on it."""

from __future__ import annotations

import time

import numpy as np

from tests.platforms.contract import Attending, PlatformContract
from tests.support.fakes.listener import RATE


class OneTrackContract(PlatformContract):
    """A mix knows no mutes: who is muted is not in it."""

    def owns(self, bot: Attending, *who: str) -> bool:
        """One track, of nobody in particular."""
        return list(bot.listener.owner.values()) == [None]

    async def test_mute_and_unmute(self) -> None:
        """While muted there is nothing of them in the mix; afterwards there is."""
        async with self.hearing() as (room, bot):
            await room.mute("ana")
            await bot.listener.until(lambda: is_quiet(bot), "quiet")
            await room.tone("ana", 1000)
            await room.unmute("ana")
            await bot.hears("ana", 1000)


def _last(bot: Attending, seconds: float = 0.5) -> np.ndarray:
    """The last of everything heard: int16 at 16 kHz."""
    return bot.listener.heard("", time.monotonic() - 5)[-round(RATE * seconds) :]


def is_quiet(bot: Attending) -> bool:
    """Whether the last half second of everything heard is silent."""
    pcm = _last(bot)
    return pcm.size == RATE // 2 and int(np.abs(pcm).max()) < 200


def peaks(bot: Attending) -> set[int]:
    """The tones of the rehearsal that are in what was heard last."""
    pcm = _last(bot).astype(np.float64)
    if pcm.size < RATE // 2:
        return set()
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(pcm.size)))
    return {
        hertz for hertz in (440, 1000) if spectrum[hertz // 2 - 2 : hertz // 2 + 3].max() > 50 * np.median(spectrum)
    }
