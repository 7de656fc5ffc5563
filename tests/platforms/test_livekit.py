"""LiveKit against a real livekit-server with real publishers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from numpy.typing import NDArray
from pydantic import SecretStr

from bot.audio.timeline import Timeline
from bot.core.events import (
    Admitted,
    ParticipantJoined,
    ParticipantKind,
    ParticipantLeft,
    TrackOpened,
    TransportBack,
    TransportLost,
)
from bot.platforms.base import Invitation
from bot.platforms.livekit import LiveKit
from bot.platforms.livekit import access as livekit_access
from bot.platforms.livekit import attendance as livekit_attendance
from bot.platforms.livekit.settings import LiveKitSettings
from common.contracts.status import SubCode
from common.errors import EarshotError
from rehearsal.clips import CLIP_RATE, load_clip, load_script
from rehearsal.livekit.guest import Guest, guest_token
from rehearsal.livekit.room import LiveKitRoom
from rehearsal.livekit.server import LiveKitServer, as_host, livekit_server
from tests.platforms.contract import Attending, PlatformContract, Room, attending
from tests.support.measures import in_time
from tests.support.servers.livekit import DirectedRoom, directed_room, invited, tone

pytestmark = [pytest.mark.livekit, pytest.mark.slow]


class TestLiveKit(PlatformContract):
    """The contract suite, in rooms of a real server."""

    platform = "livekit"
    refusal = SubCode.TOKEN_REFUSED
    server: LiveKitServer

    @pytest.fixture(autouse=True)
    def _server(self, livekit: LiveKitServer) -> None:
        self.server = livekit

    def room(self, lobby: bool = False) -> AbstractAsyncContextManager[Room]:
        return directed_room(self.server)

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[Invitation]:
        forged = LiveKitSettings(room="r", api_key=self.server.api_key, api_secret=SecretStr("x" * 32))
        yield invited(self.server, "r", settings=forged)

    def unreachable(self) -> tuple[Invitation, str]:
        return invited(self.server, "r", meeting_url="ws://198.51.100.1:9"), "198.51.100.1:9"


def _bot(room: DirectedRoom, **settings: Any) -> AbstractAsyncContextManager[Attending]:
    return attending(LiveKit(), invited(room.server, room.name, **settings))


async def test_several_tracks_of_one_participant(livekit: LiveKitServer) -> None:
    """Two microphones of one person are two tracks, each with its own sound; closing one leaves the other."""
    async with directed_room(livekit) as room, _bot(room) as bot:
        await room.join("ana", "Ana")
        await room.tone("ana", 440)
        await bot.hears("ana", 440)
        async with second_microphone(room.guests["ana"], 1000) as second:
            await bot.listener.until(lambda: second in bot.listener.owner, "the second track")
            first = next(track for track in bot.listener.owner if track != second)
            for track, hertz in ((first, 440), (second, 1000)):
                await bot.listener.until(lambda t=track, h=hertz: _is_heard(bot, t, h), f"{hertz} Hz")  # type: ignore[misc]
            assert list(bot.listener.owner.values()) == ["ana", "ana"]
        await bot.listener.until(lambda: second not in bot.listener.owner, "the second track has gone")
        await bot.hears("ana", 440)


@asynccontextmanager
async def second_microphone(guest: Guest, hertz: float) -> AsyncIterator[str]:
    """Another audio track of the same person, with a tone as long as it is there; its track id."""
    source = rtc.AudioSource(CLIP_RATE, 1, queue_size_ms=2000)
    track = rtc.LocalAudioTrack.create_audio_track("second", source)
    publication = await guest.room.local_participant.publish_track(track)
    pcm = tone(hertz, 1.5)

    async def sound() -> None:
        while True:
            await source.capture_frame(rtc.AudioFrame(pcm.tobytes(), CLIP_RATE, 1, len(pcm)))

    sounding = asyncio.create_task(sound())
    yield publication.sid
    sounding.cancel()
    await asyncio.gather(sounding, return_exceptions=True)
    await guest.room.local_participant.unpublish_track(publication.sid)
    await source.aclose()


def _is_heard(bot: Attending, track: str, hertz: float) -> bool:
    loud = [frame.pcm for _, frame in bot.listener.frames if frame.track_id == track and np.abs(frame.pcm).max() > 2000]
    pcm = np.concatenate([*loud, np.empty(0)])[1600:6400]
    return bool(pcm.size == 4800 and abs(np.abs(np.fft.rfft(pcm)).argmax() * 16_000 / 4800 - hertz) < 10)


async def test_unpublish_and_publish_again(livekit: LiveKitServer) -> None:
    """A microphone that is closed and opened again is a new track, and is heard."""
    async with directed_room(livekit) as room, _bot(room) as bot:
        await room.join("ana", "Ana", publishes=False)
        ana = room.guests["ana"]
        for hertz in (440, 1000):
            await ana.publish()
            await bot.listener.until(lambda: bot.listener.owner.keys() & bot.listener.sounding, "a track")
            await asyncio.gather(ana.speak(tone(hertz, 1.5)), bot.hears("ana", hertz))
            await ana.unpublish()
            await bot.listener.until(lambda: not bot.listener.owner, "the track has gone")
        assert len({event.track_id for event in bot.listener.of(TrackOpened)}) == 2
        assert bot.listener.names == {"ana": "Ana"}


async def test_unmuted_audio_has_a_clock_of_its_own(livekit: LiveKitServer) -> None:
    """Positions start anew in a new `source` after a mute, and have no gap within one."""
    async with directed_room(livekit) as room, _bot(room) as bot:
        await room.join("ana", "Ana")
        await room.tone("ana", 440)
        await bot.hears("ana", 440)
        await room.mute("ana")
        await bot.listener.until(lambda: bot.listener.muted, "muted")
        await room.unmute("ana")
        await bot.hears("ana", 440)
    clocks: dict[int, int] = {}
    for _, frame in bot.listener.frames:
        assert frame.position == clocks.get(frame.source, 0)
        clocks[frame.source] = frame.position + frame.pcm.size
    assert len(clocks) == 2


async def test_video_and_services_are_not_subscribed(livekit: LiveKitServer) -> None:
    """A camera is no track; an agent that talks is a service without one."""
    async with directed_room(livekit) as room, _bot(room) as bot:
        await room.join("helper", "Helper", kind="agent")
        await room.tone("helper", 1000)
        await room.join("ana", "Ana")
        await room.tone("ana", 440)
        local = room.guests["ana"].room.local_participant
        camera = rtc.LocalVideoTrack.create_video_track("camera", rtc.VideoSource(64, 64))
        publication = await local.publish_track(camera)
        await bot.hears("ana", 440)
        await asyncio.sleep(0.3)
        assert list(bot.listener.owner.values()) == ["ana"]
        assert not publication._first_subscription.done()
    assert ParticipantJoined("helper", "Helper", ParticipantKind.SERVICE) in bot.listener.of(ParticipantJoined)


async def test_nobody_sees_us_and_we_cannot_speak(livekit: LiveKitServer) -> None:
    """The others do not see the bot, and the server holds it to listening only."""
    async with directed_room(livekit) as room:
        await room.join("ana", "Ana")
        async with _bot(room) as bot:
            await bot.listener.until(lambda: bot.listener.owner, "a track")
            assert not room.guests["ana"].room.remote_participants
            people = (await as_host(livekit, "ListParticipants", room=room.name))["participants"]
            allowed = next(person["permission"] for person in people if person["identity"] == "bot-1")
            assert (allowed["hidden"], allowed["can_subscribe"]) == (True, True)
            assert not allowed.get("can_publish")
            assert not allowed.get("can_publish_data")


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> list[rtc.Room]:
    """The SDK's rooms that the test's participants and bots have made, to simulate faults in."""
    made: list[rtc.Room] = []

    class KeptRoom(rtc.Room):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr(rtc, "Room", KeptRoom)
    return made


@pytest.mark.parametrize(
    "scenario",
    [
        rtc.SimulateScenarioKind.SIMULATE_SIGNAL_RECONNECT,
        rtc.SimulateScenarioKind.SIMULATE_FULL_RECONNECT,
        rtc.SimulateScenarioKind.SIMULATE_SERVER_LEAVE,
    ],
    ids=["resume", "full", "thrown out by the server"],
)
async def test_reconnects(
    livekit: LiveKitServer, rooms: list[rtc.Room], scenario: rtc.SimulateScenarioKind.ValueType
) -> None:
    """However the connection is renewed: said once each way, nobody leaves or joins meanwhile, heard again."""
    async with directed_room(livekit) as room:
        await room.join("ana", "Ana")
        await room.tone("ana", 440)
        async with _bot(room) as bot:
            await bot.hears("ana", 440)
            await rooms[-1].simulate_scenario(scenario)
            await bot.listener.until(lambda: bot.listener.count(TransportBack), "back")
            await bot.hears("ana", 440)
            assert (bot.listener.count(TransportLost), bot.listener.count(TransportBack)) == (1, 1)
            assert bot.listener.count(Admitted) == 1
            assert bot.listener.count(ParticipantLeft) == 0
            assert bot.listener.of(ParticipantJoined) == [ParticipantJoined("ana", "Ana")]
            assert list(bot.listener.owner.values()) == ["ana"]


async def test_comes_back_with_the_renewed_token(livekit: LiveKitServer, rooms: list[rtc.Room]) -> None:
    """A given token that has expired meanwhile does not keep the bot out: the server has renewed it."""
    spent = int(time.time()) - 57  # servers and we allow clocks a minute
    async with directed_room(livekit) as room:
        await room.join("ana", "Ana")
        await room.tone("ana", 440)
        token = guest_token(livekit, room.name, "ear", exp=spent, video={"hidden": True, "canPublish": False})
        async with _bot(room, settings=None, token=token) as bot:
            await bot.hears("ana", 440)
            await asyncio.sleep(spent + 62 - time.time())
            with pytest.raises(EarshotError):
                livekit_access.room_token(invited(livekit, room.name, settings=None, token=token))
            await rooms[-1].simulate_scenario(rtc.SimulateScenarioKind.SIMULATE_SERVER_LEAVE)
            await bot.listener.until(lambda: bot.listener.count(TransportBack), "back")
            await bot.hears("ana", 440)


async def test_gives_up(livekit: LiveKitServer, rooms: list[rtc.Room], monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that throws us out and stays away: CONNECTION_LOST, saying where, and no return is reported."""
    assert livekit_attendance.GIVE_UP_S <= 120
    monkeypatch.setattr(livekit_attendance, "GIVE_UP_S", 0.5)
    async with directed_room(livekit) as room, attending(LiveKit(), room.invitation()) as bot:
        await bot.listener.until(lambda: bot.listener.admitted, "admitted")
        cut = asyncio.create_task(room.cut(5, dropping=False))
        await asyncio.sleep(0)
        await rooms[-1].simulate_scenario(rtc.SimulateScenarioKind.SIMULATE_SERVER_LEAVE)
        with pytest.raises(EarshotError, match="gone for good") as failure:
            await bot.ends(8)
        assert failure.value.code is SubCode.CONNECTION_LOST
        assert [event for _, event in bot.listener.events] == [Admitted(), TransportLost()]
        cut.cancel()
        await asyncio.wait([cut])


async def test_somebody_with_our_identity(livekit: LiveKitServer) -> None:
    """A second bot with the same identity gets the room, the first one ends and does not come back."""
    async with directed_room(livekit) as room, _bot(room) as first:
        await first.listener.until(lambda: first.listener.admitted, "admitted")
        async with _bot(room) as second:
            assert await first.ends() is SubCode.DUPLICATE_IDENTITY
            await asyncio.sleep(0.5)
            assert not second.task.done()
            people = (await as_host(livekit, "ListParticipants", room=room.name))["participants"]
            assert [person["identity"] for person in people] == ["bot-1"]


async def test_muted_by_the_host(livekit: LiveKitServer) -> None:
    """A host that mutes somebody is seen like the mute of their own."""
    async with directed_room(livekit) as room, _bot(room) as bot:
        await room.join("ana", "Ana")
        await room.tone("ana", 440)
        await bot.hears("ana", 440)
        track = next(iter(bot.listener.owner))
        await as_host(livekit, "MutePublishedTrack", room=room.name, identity="ana", track_sid=track, muted=True)
        await bot.listener.until(lambda: bot.listener.muted == {track}, "muted by the host")


async def test_given_token(livekit: LiveKitServer) -> None:
    """A token is enough: no key, no room in the configuration."""
    async with directed_room(livekit) as room:
        await room.join("ana", "Ana")
        token = guest_token(livekit, room.name, "ear")
        async with _bot(room, settings=None, token=token) as bot:
            await bot.listener.until(lambda: bot.listener.owner, "a track")


async def test_refused_tokens(livekit: LiveKitServer) -> None:
    """Tokens the server refuses: each with its sub-code, at once, and the token is never repeated."""
    forged = guest_token(livekit, "r", "ear")[:-4] + "AAAA"
    late = guest_token(livekit, "r", "ear", exp=int(time.time()) - 3600)
    for token, code in ((forged, SubCode.TOKEN_REFUSED), (late, SubCode.TOKEN_EXPIRED)):
        async with attending(LiveKit(), invited(livekit, "r", settings=None, token=token)) as bot:
            with pytest.raises(EarshotError) as failure:
                await bot.ends(3)
        assert failure.value.code is code
        assert token[-40:] not in str(failure.value)


async def test_what_opens_the_room_is_tried_without_entering(livekit: LiveKitServer) -> None:
    """As `earshot doctor` does: the server says whether it would let us in, and no room comes of it."""
    found = await LiveKit().try_out(invited(livekit, "untouched"))
    assert found == f"{livekit.url} would let us into the room 'untouched'"
    assert not (await as_host(livekit, "ListRooms", room="untouched", names=["untouched"]))["rooms"]
    forged = guest_token(livekit, "untouched", "ear")[:-4] + "AAAA"
    with pytest.raises(EarshotError) as failure:
        await LiveKit().try_out(invited(livekit, "untouched", settings=None, token=forged))
    assert failure.value.code is SubCode.TOKEN_REFUSED


async def test_no_such_room() -> None:
    """A server that creates no rooms by itself says so, and so do we."""
    with livekit_server(auto_create=False) as strict:
        async with attending(LiveKit(), invited(strict, "nowhere")) as bot:
            with pytest.raises(EarshotError, match="room") as failure:
                await bot.ends(20)
    assert failure.value.code is SubCode.JOIN_REFUSED


async def test_server_that_accepts_and_is_mute(livekit: LiveKitServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that takes the connection and never answers is given up."""
    assert livekit_access.PROBE_TIMEOUT_S <= 10
    monkeypatch.setattr(livekit_access, "PROBE_TIMEOUT_S", 0.3)
    writers: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    async with silent, attending(LiveKit(), invited(livekit, "r", meeting_url=url)) as bot:
        with pytest.raises(EarshotError) as failure:
            await bot.ends(3)
        writers[0].close()
    assert failure.value.code is SubCode.ROOM_UNREACHABLE


async def test_clock(livekit: LiveKitServer) -> None:
    """Our timeline places samples when they were said, to 150 ms: first words, late ones, after a mute."""
    errors = []
    async with directed_room(livekit) as room, _bot(room) as bot:
        for who, muted in (("ana", False), ("ben", True)):
            await room.join(who, who.title(), publishes=False)
            guest = room.guests[who]
            track = await guest.publish(muted=muted)
            await bot.listener.until(lambda t=track: t in bot.listener.owner, "a track")  # type: ignore[misc]
            guest.unmute()
            await bot.listener.until(lambda t=track: t in bot.listener.sounding, "its samples")  # type: ignore[misc]
            for _ in range(2):
                said = await guest.speak(tone(440, 0.4))
                await bot.listener.until(lambda t=track, s=said: _onset(_placed(bot, t), s - 0.2), "its tone")  # type: ignore[misc]
                errors.append((_onset(_placed(bot, track), said - 0.2) or 0.0) - said)
                await asyncio.sleep(0.4)
    assert all(in_time(abs(error), 0.15) for error in errors), errors


def _placed(bot: Attending, track: str) -> list[tuple[float, NDArray[np.int16]]]:
    """The pieces of a track with the time at which the bot's timeline places them: monotonic seconds."""
    timeline = Timeline(0.0)
    return [
        (timeline.place(frame.position, frame.source, frame.arrival, frame.pcm.size) / 16_000, frame.pcm)
        for _, frame in bot.listener.frames
        if frame.track_id == track
    ]


def _onset(pieces: list[tuple[float, NDArray[np.int16]]], after: float) -> float | None:
    """When the first loud sample after that time was heard: monotonic seconds; None: not yet."""
    for at, pcm in pieces:
        loud = np.flatnonzero(np.abs(pcm) > 2000)
        if at > after and loud.size:
            return at + float(loud[0]) / 16_000
    return None


async def test_script_in_a_real_room(livekit: LiveKitServer, tmp_path: Path) -> None:
    """A rehearsal script played by real publishers: the bot hears each at the time that the truth says."""
    script = tmp_path / "script.json"
    script.write_text(
        """{"version": 1, "participants": [{"id": "ana", "name": "Ana"}, {"id": "ben", "name": "Ben"}], "timeline": [
            {"at": 0.6, "who": "ana", "do": "speak", "clip": "ana1"},
            {"at": 1, "who": "ben", "do": "join"},
            {"at": 2.2, "who": "ben", "do": "speak", "clip": "ben1", "text": "as it was said"},
            {"at": 2, "who": "ana", "do": "rename", "name": "Dr. Ana"},
            {"at": 5.3, "do": "end"}]}"""
    )
    async with directed_room(livekit) as room:
        played = LiveKitRoom(*load_script(script), livekit, room.name)
        playing = asyncio.create_task(played.play())
        async with lateness() as worst, _bot(room) as bot:
            assert await bot.ends(30) is SubCode.MEETING_ENDED
        await playing
    assert [(row.participant, row.text, row.complete) for row in played.truth] == [
        ("ana", "what is the status of the contract", True),
        ("ben", "as it was said", True),
    ]
    owner = {event.participant_id: event.track_id for event in bot.listener.of(TrackOpened)}
    errors = []
    for row, name in zip(played.truth, ("ana1", "ben1"), strict=True):
        clip = load_clip(name, tmp_path)
        said = row.end_utc - row.end + row.start - clip.speech[0] / CLIP_RATE
        heard = _begins(_placed(bot, owner[row.participant]), clip.pcm[::3]) + time.time() - time.monotonic()
        errors.append(heard - said)
    assert all(abs(error) <= 0.15 + worst[0] for error in errors), (errors, worst)
    assert bot.listener.names == {"ana": "Dr. Ana", "ben": "Ben"}


@asynccontextmanager
async def lateness() -> AsyncIterator[list[float]]:
    """By how much, at worst, this process was late at something, seconds: who speaks and the bot share it."""
    worst = [0.0]

    async def watch() -> None:
        while True:
            due = time.monotonic() + 0.01
            await asyncio.sleep(0.01)
            worst[0] = max(worst[0], time.monotonic() - due)

    watching = asyncio.create_task(watch())
    yield worst
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


def _begins(pieces: list[tuple[float, NDArray[np.int16]]], clip: NDArray[np.int16]) -> float:
    """When a clip (16 kHz) begins in what was heard: monotonic seconds, by the best match."""
    heard = np.concatenate([pcm for _, pcm in pieces]).astype(np.float64)
    size = len(heard) + len(clip)
    match = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(clip.astype(np.float64), size)), size)
    best, before = int(match[: len(heard)].argmax()), 0
    for at, pcm in pieces:
        if best < before + pcm.size:
            return at + (best - before) / 16_000
        before += pcm.size
    raise AssertionError("nothing was heard")
