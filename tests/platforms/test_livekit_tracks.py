"""Tracks of a LiveKit room that do not simply come, against a real livekit-server with real publishers."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from livekit import rtc
from livekit.rtc._ffi_client import FfiClient
from livekit.rtc._proto.audio_frame_pb2 import AudioStreamEvent
from livekit.rtc._proto.ffi_pb2 import FfiEvent
from pydantic import SecretStr
from structlog.testing import capture_logs

from bot.core.events import TrackEncrypted, TrackKind, TrackOpened, TransportBack
from bot.core.orders import Resubscribe
from bot.platforms.livekit import LiveKit, decryption, subscriptions
from bot.platforms.livekit import attendance as livekit_attendance
from common.contracts.status import SubCode
from common.errors import EarshotError
from rehearsal.livekit.server import LiveKitServer
from tests.platforms.contract import attending
from tests.support.servers.livekit import directed_room, invited

pytestmark = [pytest.mark.livekit, pytest.mark.slow]
KEY = "the room's own key"
TONE_PEAK = 8000


async def test_track_that_may_not_be_heard(livekit: LiveKitServer) -> None:
    """Who forbids others to subscribe has a track that we know of and do not hear; allowed later, it is heard."""
    async with directed_room(livekit) as room:
        await room.join("ana", "Ana", publishes=False)
        local = room.guests["ana"].room.local_participant
        local.set_track_subscription_permissions(allow_all_participants=False, participant_permissions=[])
        track = await room.publish("ana", 440)
        async with attending(LiveKit(), room.invitation()) as bot:
            await bot.listener.until(lambda: bot.listener.of(TrackOpened) == [TrackOpened(track, "ana")], "the track")
            assert not bot.listener.frames
            local.set_track_subscription_permissions(allow_all_participants=True, participant_permissions=[])
            await bot.hears("ana", 440)
            assert bot.listener.count(TrackOpened) == 1


async def test_subscription_that_fails(livekit: LiveKitServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that get lost are made again although nothing happens in the room."""
    assert subscriptions.FIRST_PAUSE_S <= 2
    really, lost = rtc.RemoteTrackPublication.set_subscribed, 0

    def lose(publication: rtc.RemoteTrackPublication, subscribed: bool) -> None:
        nonlocal lost
        if lost < 2:
            lost += 1
        else:
            really(publication, subscribed)

    monkeypatch.setattr(rtc.RemoteTrackPublication, "set_subscribed", lose)
    async with directed_room(livekit) as room:
        await room.join("ana", "Ana")
        await room.tone("ana", 440)
        async with attending(LiveKit(), room.invitation()) as bot:
            await bot.hears("ana", 440)
            assert lost == 2
            assert bot.listener.count(TrackOpened) == 1


def _readers() -> int:
    """Who gets every piece of audio that the SDK hands over in this process; one of them would be enough."""
    piece = FfiEvent(audio_stream_event=AudioStreamEvent(stream_handle=1))
    takers = [wants for _, _, wants in FfiClient.instance.queue._subscribers if wants is not None]
    return sum(wants(piece) for wants in takers)


async def test_each_piece_of_audio_has_one_reader(livekit: LiveKitServer) -> None:
    """However many tracks there are: a reader for each would be woken by all of them. Afterwards there is none."""
    async with directed_room(livekit) as room:
        for who, hertz in (("ana", 440), ("ben", 700), ("cleo", 1000)):
            await room.join(who, who.title())
            await room.tone(who, hertz)
        async with attending(LiveKit(), room.invitation()) as bot:
            await asyncio.gather(bot.hears("ana", 440), bot.hears("ben", 700), bot.hears("cleo", 1000))
            assert _readers() == 1
            await room.mute("ben")
            await bot.listener.until(lambda: len(bot.listener.muted) == 1, "he is muted")
            await room.unmute("ben")
            await bot.hears("ben", 700)
            assert _readers() == 1
        assert _readers() == 0


async def test_sound_of_a_shared_screen(livekit: LiveKitServer) -> None:
    """It is no track of the bot's, unless asked for; then it is one of its own kind, beside the microphone."""
    async with directed_room(livekit) as room:
        await room.join("ana", "Ana", publishes=False)
        screen = await room.publish("ana", 1000, rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO)
        await room.join("ben", "Ben")
        await room.tone("ben", 440)
        async with (
            attending(LiveKit(), room.invitation()) as usual,
            attending(LiveKit(), invited(livekit, room.name, identity="ear", screen_share_audio=True)) as asked,
        ):
            await asyncio.gather(usual.hears("ben", 440), asked.hears("ben", 440), asked.hears("ana", 1000))
            assert TrackOpened(screen, "ana", TrackKind.SCREEN) in asked.listener.of(TrackOpened)
            assert [event.participant_id for event in usual.listener.of(TrackOpened)] == ["ben"]


async def test_encrypted_room_with_its_key(livekit: LiveKitServer) -> None:
    """With the room's key an encrypted microphone is heard, and again after another subscription: its sound only.

    What came before the SDK began to decrypt would be noise of full scale. A clear microphone (a phone's) is heard too.
    """
    async with directed_room(livekit) as room:
        await room.join("ana", "Ana", key=KEY)
        await room.tone("ana", 440)
        await room.join("ben", "Ben")
        await room.tone("ben", 1000)
        async with attending(LiveKit(), invited(livekit, room.name, encryption_key=SecretStr(KEY))) as bot:
            await asyncio.gather(bot.hears("ana", 440), bot.hears("ben", 1000))
            (track,) = (event.track_id for event in bot.listener.of(TrackOpened) if event.participant_id == "ana")
            before = bot.listener.heard("ana").size
            bot.orders.give(Resubscribe(track))
            await bot.listener.until(lambda: bot.listener.heard("ana").size > before + 32_000, "the track anew")
            assert np.abs(bot.listener.heard("ana")).max() < 1.2 * TONE_PEAK
            assert bot.listener.count(TrackEncrypted) == 0


async def test_encrypted_microphone_that_was_muted(livekit: LiveKitServer) -> None:
    """Opened long after the bot came, it is heard from its first sound on, and nothing else is."""
    async with directed_room(livekit) as room:
        await room.join("ana", "Ana", key=KEY)
        await room.mute("ana")
        async with attending(LiveKit(), invited(livekit, room.name, encryption_key=SecretStr(KEY))) as bot:
            await bot.listener.until(lambda: bot.listener.count(TrackOpened) == 1, "the track")
            await asyncio.sleep(1.5 * decryption.BEGINNING_S)
            await room.tone("ana", 440)
            await room.unmute("ana")
            await bot.hears("ana", 440)
            assert np.abs(bot.listener.heard("ana")).max() < 1.2 * TONE_PEAK


async def test_two_encrypted_tracks_of_one_person(livekit: LiveKitServer) -> None:
    """The SDK does not say which it decrypts: each is heard when it is, and nothing but its sound is."""
    async with directed_room(livekit) as room:
        await room.join("ana", "Ana", key=KEY)
        screens = invited(livekit, room.name, encryption_key=SecretStr(KEY), screen_share_audio=True)
        async with attending(LiveKit(), screens) as bot:
            await bot.listener.until(lambda: bot.listener.count(TrackOpened) == 1, "the microphone")
            await room.publish("ana", 1000, rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO)
            await bot.hears("ana", 1000)
            assert np.abs(bot.listener.heard("ana")).max() < 1.2 * TONE_PEAK
            assert bot.listener.count(TrackEncrypted) == 0


async def test_encrypted_room_with_a_wrong_key(livekit: LiveKitServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another key encrypted is known to be so, and nothing of it is heard; a bot that hears nothing else leaves.

    A clear track (a phone's) is reason enough to stay.
    """
    monkeypatch.setattr(decryption, "KEY_TIMEOUT_S", 1.0)
    monkeypatch.setattr(livekit_attendance, "HOPELESS_S", 0.5)
    wrong = SecretStr("another")
    async with directed_room(livekit) as room:
        await room.join("ana", "Ana", key=KEY)
        await room.tone("ana", 440)
        async with attending(LiveKit(), invited(livekit, room.name, encryption_key=wrong)) as bot:
            await bot.listener.until(lambda: bot.listener.count(TrackEncrypted) == 1, "the track's key")
            with pytest.raises(EarshotError, match=r"another key: .* `livekit\.encryptionKey`") as failure:
                await asyncio.wait_for(asyncio.shield(bot.task), 10)
            assert failure.value.code is SubCode.ENCRYPTED
            assert not bot.listener.frames
        await room.join("ben", "Ben")
        await room.tone("ben", 1000)
        async with attending(LiveKit(), invited(livekit, room.name, encryption_key=wrong)) as bot:
            await bot.hears("ben", 1000)
            await bot.listener.until(lambda: bot.listener.count(TrackEncrypted) == 1, "the track's key")
            await asyncio.sleep(2 * livekit_attendance.HOPELESS_S)
            assert not bot.task.done()
            assert not bot.listener.heard("ana").size


async def test_encrypted_track_without_a_key(livekit: LiveKitServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a clear track an encrypted one is known and never decoded; the bot stays, also when the clear one goes."""
    monkeypatch.setattr(livekit_attendance, "HOPELESS_S", 0.3)
    async with directed_room(livekit) as room:
        await room.join("ben", "Ben")
        await room.tone("ben", 1000)
        await room.join("ana", "Ana", key=KEY)
        await room.tone("ana", 440)
        async with attending(LiveKit(), room.invitation()) as bot:
            await bot.hears("ben", 1000)
            (sealed,) = bot.listener.of(TrackEncrypted)
            assert bot.listener.owner[sealed.track_id] == "ana"
            await room.leave("ben")
            await bot.listener.until(lambda: "ben" not in bot.listener.names, "ben has left")
            await asyncio.sleep(0.6)
            assert bot.listener.heard("ana").size == 0
            assert not bot.task.done()


async def test_encrypted_room_without_a_key(livekit: LiveKitServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing else is published the bot goes, says why and which setting to give, and has decoded nothing."""
    assert livekit_attendance.HOPELESS_S <= 10
    monkeypatch.setattr(livekit_attendance, "HOPELESS_S", 0.3)
    async with directed_room(livekit) as room:
        await room.join("ana", "Ana", key=KEY)
        async with attending(LiveKit(), room.invitation()) as bot:
            with pytest.raises(EarshotError, match="encryptionKey") as failure:
                await bot.ends()
        assert failure.value.code is SubCode.ENCRYPTED
        assert not bot.listener.frames


async def test_more_tracks_than_may_be_heard(livekit: LiveKitServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound a track is known and not heard, which the log says; a mute makes room for it."""
    assert subscriptions.MAX_SUBSCRIPTIONS == 128
    monkeypatch.setattr(subscriptions, "MAX_SUBSCRIPTIONS", 1)
    async with directed_room(livekit) as room:
        await room.join("ana", "Ana")
        await room.tone("ana", 440)
        with capture_logs() as logs:
            async with attending(LiveKit(), room.invitation()) as bot:
                await bot.hears("ana", 440)
                await room.join("ben", "Ben")
                await room.tone("ben", 1000)
                await bot.listener.until(lambda: "ben" in bot.listener.owner.values(), "his track")
                await bot.hears("ana", 440)
                assert bot.listener.heard("ben").size == 0
                assert "livekit_too_many_tracks" in [line["event"] for line in logs]
                await room.mute("ana")
                await bot.hears("ben", 1000)


async def test_waiting_for_a_track_while_the_connection_is_away(
    livekit: LiveKitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that falls due meanwhile is made afterwards, and nobody looks for it in circles."""
    looks, really = 0, livekit_attendance._Attendance.look

    def counted(attendance: livekit_attendance._Attendance) -> float | None:
        nonlocal looks
        looks += 1
        return really(attendance)

    monkeypatch.setattr(livekit_attendance._Attendance, "look", counted)
    async with directed_room(livekit) as room:
        await room.join("ana", "Ana", publishes=False)
        local = room.guests["ana"].room.local_participant
        local.set_track_subscription_permissions(allow_all_participants=False, participant_permissions=[])
        await room.publish("ana", 440)
        async with attending(LiveKit(), room.invitation()) as bot:
            await bot.listener.until(lambda: bot.listener.owner, "the track")
            await room.cut(subscriptions.FIRST_PAUSE_S + 1)
            await bot.listener.until(lambda: bot.listener.count(TransportBack), "back", 20)
            local.set_track_subscription_permissions(allow_all_participants=True, participant_permissions=[])
            await bot.hears("ana", 440)
    assert looks < 100
