"""The contract suite for rooms on an SFU, whose guests publish and stop as they like."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from bot.core import events as ev
from tests.platforms.contract import Attending, PlatformContract
from tests.support.servers.singing import SecretSinger


async def notices(bot: Attending, singer: SecretSinger) -> None:
    """It is said of Ana's one track that it is encrypted; when it is not any more, it is heard."""
    await bot.listener.until(lambda: bot.listener.count(ev.TrackEncrypted), "known to be encrypted", 20)
    (track,) = bot.listener.of(ev.TrackOpened)
    assert set(bot.listener.of(ev.TrackEncrypted)) == {ev.TrackEncrypted(track.track_id)}
    singer.is_secret = False
    heard = len(bot.listener.frames)
    await bot.listener.until(lambda: len(bot.listener.frames) >= heard + 50, "heard again", 20)
    await bot.hears("ana", 440)


class SfuContract(PlatformContract):
    """A subclass says `platform`, and gives rooms with `guests` that publish and unpublish."""

    reuses_tracks = False
    """Whether a microphone that is opened again is the track that it was."""

    def room(self, lobby: bool = False) -> AbstractAsyncContextManager[Any]:
        """See `PlatformContract`."""
        raise NotImplementedError

    async def test_unpublish_and_publish_again(self) -> None:
        """A microphone that is closed and opened again is heard again (it comes with another SSRC); nobody has left."""
        async with self.room() as room, self.start(room) as bot:
            await room.join("ana", "Ana", publishes=False)
            for hertz in (440.0, 1000.0, 440.0):
                await room.guests["ana"].publish()
                await room.tone("ana", hertz)
                await bot.hears("ana", hertz)
                await room.guests["ana"].unpublish()
                await bot.listener.until(lambda: not bot.listener.owner, "the track has gone")
            tracks = [event.track_id for event in bot.listener.of(ev.TrackOpened)]
            assert (len(tracks), len(set(tracks))) == (3, 1 if self.reuses_tracks else 3)
            assert bot.listener.names == {"ana": "Ana"}
            assert bot.listener.count(ev.ParticipantLeft) == 0

    async def test_somebody_who_is_encrypted_is_said_to_be(self) -> None:
        """No server tells a subscriber: it shows in what is heard, which nothing is until it is encrypted no more."""
        async with self.room() as room, self.start(room) as bot:
            await room.join("ana", "Ana", publishes=False)
            singer = await room.guests["ana"].publish(SecretSinger)
            await notices(bot, singer)
