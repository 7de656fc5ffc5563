"""Scripted meetings from end to end: what the script says is what the bot hears, and when."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen_on
from websockets.exceptions import ConnectionClosed

import rehearsal
from bot.audio.timeline import Timeline
from bot.core import events as ev
from bot.platforms import load
from bot.platforms.rehearsal import attendance
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.interpreter import module_command
from common.problems import ConfigError
from rehearsal.clips import load_clip, load_script, to_rate
from rehearsal.microphone import Truth
from rehearsal.script import ScriptError, parse_script
from rehearsal.webrtc.room import Room, main, serve
from tests.platforms.contract import attending
from tests.platforms.test_rehearsal import RehearsalRoom, invited
from tests.support.fakes.listener import RATE, RecordingListener
from tests.support.processes import children
from tests.support.tools import require

MEETING = """{"version": 1,
  "participants": [{"id": "ana", "name": "Ana"}, {"id": "ben", "name": "Ben"}],
  "timeline": [
    {"at": 0.6, "who": "ana", "do": "speak", "clip": "ana1"},
    {"at": 3.0, "who": "ana", "do": "mute"},
    {"at": 3.0, "who": "ben", "do": "join"},
    {"at": 3.6, "who": "ben", "do": "speak", "clip": "ben4"},
    {"at": 5.5, "who": "ana", "do": "unmute"},
    {"at": 5.8, "who": "ana", "do": "speak", "clip": "ana5"},
    {"at": 6.2, "who": "ben", "do": "rename", "name": "Dr. Ben"},
    {"at": 7.5, "who": "ben", "do": "speak", "clip": "ben7"},
    {"at": 9.8, "do": "end"}
  ]}"""


def placed(listener: RecordingListener, who: str) -> NDArray[np.float64]:
    """The participant's audio where the timeline puts it: sample n was spoken at n / 16000 s after admission."""
    zero = next(at for at, event in listener.events if isinstance(event, ev.Admitted))
    timelines: dict[str, Timeline] = {}
    owner = {event.track_id: event.participant_id for event in listener.of(ev.TrackOpened)}
    meeting = np.zeros(RATE * 15)
    for _, frame in listener.frames:
        if owner[frame.track_id] == who:
            timeline = timelines.setdefault(frame.track_id, Timeline(zero))
            start = timeline.place(frame.position, frame.source, frame.arrival, frame.pcm.size)
            meeting[start : start + frame.pcm.size] = frame.pcm
    return meeting


def error_of(meeting: NDArray[np.float64], clip_name: str, truth_start: float) -> float:
    """Seconds between where a clip's speech lies in the placed audio and where it was sent."""
    clip = load_clip(clip_name, Path())
    speech = to_rate(clip.pcm[clip.speech[0] : clip.speech[1]], 48_000, RATE).astype(np.float64)
    first = round((truth_start - 0.3) * RATE)
    window = meeting[first : first + speech.size + round(0.6 * RATE)]
    size = 2 ** int(np.ceil(np.log2(window.size + speech.size)))
    match = np.fft.irfft(np.fft.rfft(window, size) * np.conj(np.fft.rfft(speech, size)), size)
    best = int(match[: window.size - speech.size + 1].argmax())
    found = window[best : best + speech.size]  # the timeline may shift it by some samples on its way: no exact match
    assert match[best] > 0.6 * np.linalg.norm(speech) * np.linalg.norm(found), f"{clip_name} is not there"
    return (first + best) / RATE - truth_start


@pytest.mark.slow
async def test_audio_lies_where_it_was_sent() -> None:
    """Through silence that is not sent, a mute and a late join every clip is placed within 50 ms of the truth."""
    async with room_of(MEETING) as room:
        async with attending(load("rehearsal"), invited(room.url)) as bot:
            assert await bot.ends(15) is SubCode.MEETING_ENDED
        truth = room.truth
    assert [(row.participant, row.name, row.complete) for row in truth] == [
        ("ana", "Ana", True),
        ("ben", "Ben", True),
        ("ana", "Ana", True),
        ("ben", "Dr. Ben", True),
    ]
    audio = {who: placed(bot.listener, who) for who in ("ana", "ben")}
    clips = ("ana1", "ben4", "ana5", "ben7")
    errors = [error_of(audio[row.participant], clip, row.start) for row, clip in zip(truth, clips, strict=True)]
    print("placement errors, ms:", [round(error * 1000, 1) for error in errors])  # noqa: T201
    assert max(map(abs, errors)) <= 0.050
    assert sum(frame.pcm.size for _, frame in bot.listener.frames) < 0.75 * 2 * 9.8 * RATE, "silence was sent"


def room_of(text: str) -> AbstractAsyncContextManager[Room]:
    """A room with the script, whose clips are bundled ones."""
    script = parse_script(text)
    return serve(script, {action.clip: load_clip(action.clip, Path()) for action in script.timeline if action.clip})


@pytest.mark.slow
async def test_several_bots_and_coming_late() -> None:
    """A second bot is told who is here by then; a third one with its identity takes its place."""
    script = """{"version": 1, "participants": [{"id": "ana", "name": "Ana"}], "timeline": [
        {"at": 0.6, "who": "ana", "do": "speak", "clip": "ana1"},
        {"at": 1.0, "who": "ana", "do": "rename", "name": "A."},
        {"at": 2.8, "who": "ana", "do": "speak", "clip": "ana2"}]}"""
    async with room_of(script) as room, attending(load("rehearsal"), invited(room.url)) as first:
        await first.listener.until(lambda: len(room.truth) == 1, "the first clip")
        second_invitation = invited(room.url, "bot-2")
        async with attending(load("rehearsal"), second_invitation) as second:
            await second.listener.until(lambda: second.listener.owner, "the track")
            assert second.listener.names == {"ana": "A."}
            await first.listener.until(lambda: len(room.truth) == 2, "the second clip")
            assert loud_seconds(first.listener) > 2.0 > loud_seconds(second.listener) > 0.8
            async with attending(load("rehearsal"), second_invitation) as third:
                assert await second.ends() is SubCode.DUPLICATE_IDENTITY
                await third.listener.until(lambda: third.listener.owner, "the track")


def loud_seconds(listener: RecordingListener) -> float:
    """How much of Ana was heard."""
    return float((np.abs(listener.heard("ana").reshape(-1, 160)).max(axis=1) > 500).sum()) / 100


async def test_a_hundred_silent_participants_need_no_media() -> None:
    """A room of 100 of whom two have a microphone: 100 names, two tracks, at once."""
    people = [{"id": f"p{number}", "name": f"Person {number}"} for number in range(100)]
    timeline = [{"at": 60, "who": who, "do": "speak", "clip": "ana1"} for who in ("p7", "p8")]
    script = json.dumps({"version": 1, "participants": people, "timeline": timeline})
    async with room_of(script) as room, attending(load("rehearsal"), invited(room.url)) as bot:
        began = time.monotonic()
        await bot.listener.until(lambda: len(bot.listener.names) == 100, "everyone")
        assert sorted(map(str, bot.listener.owner.values())) == ["p7", "p8"]
        assert time.monotonic() - began < 2


async def test_a_lobby_that_waits_and_one_that_never_answers() -> None:
    """`delay` is kept before admission; `ignore` admits nobody, and leaving works."""
    for then, admitted in (("admit", True), ("ignore", False)):
        script = json.dumps({"version": 1, "lobby": {"delay": 0.4, "then": then}})
        async with room_of(script) as room, attending(load("rehearsal"), invited(room.url)) as bot:
            await asyncio.sleep(0.3)
            assert bot.listener.count(ev.LobbyEntered) == 1
            assert not bot.listener.admitted
            await asyncio.sleep(0.5)
            assert bot.listener.admitted is admitted


async def test_gives_up_after_a_long_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers for longer than we are willing to wait: CONNECTION_LOST, naming the room."""
    monkeypatch.setattr(attendance, "RETURN_TIMEOUT_S", 0.5)
    script = """{"version": 1, "timeline": [{"at": 0.3, "do": "cut", "for": 60}]}"""
    async with room_of(script) as room, attending(load("rehearsal"), invited(room.url)) as bot:
        with pytest.raises(EarshotError, match=re.escape(room.url)) as failure:
            await bot.ends()
        assert failure.value.code is SubCode.CONNECTION_LOST
        assert [event for _, event in bot.listener.events] == [ev.Admitted(), ev.TransportLost()]


async def test_what_changed_during_a_cut_is_told_afterwards() -> None:
    """Who left, came and was renamed while the connection was gone."""
    script = """{"version": 1, "participants": [{"id": "ana", "name": "Ana"}, {"id": "ben", "name": "Ben"},
        {"id": "cy", "name": "Cy"}], "timeline": [{"at": 0.5, "do": "cut", "for": 0.5},
        {"at": 0.6, "who": "ben", "do": "leave"}, {"at": 0.7, "who": "cy", "do": "join"},
        {"at": 0.8, "who": "ana", "do": "rename", "name": "Dr. Ana"}, {"at": 0.9, "who": "ana", "do": "mute"}]}"""
    async with room_of(script) as room, attending(load("rehearsal"), invited(room.url)) as bot:
        await bot.listener.until(lambda: bot.listener.count(ev.TransportBack), "back")
        await bot.listener.until(lambda: bot.listener.names == {"ana": "Dr. Ana", "cy": "Cy"}, "the new roster")
        assert bot.listener.count(ev.Admitted) == 1
        assert len(bot.listener.muted) == 1


async def test_says_when_the_room_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A websocket server that is no rehearsal room: JOIN_TIMEOUT in bounded time, naming it."""

    async def mute_server(websocket: ServerConnection) -> None:
        await websocket.wait_closed()

    monkeypatch.setattr(attendance, "ANSWER_TIMEOUT_S", 0.3)
    async with listen_on(mute_server, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with attending(load("rehearsal"), invited(f"rehearsal+ws://127.0.0.1:{port}")) as bot:
            with pytest.raises(EarshotError, match=f"127.0.0.1:{port}") as failure:
                await bot.ends()
            assert failure.value.code is SubCode.JOIN_TIMEOUT


@pytest.mark.parametrize("answer", ["hello", "[]", "7", '{"type": "admitted"}', '{"type": "joined", "participant": 1}'])
async def test_says_when_it_is_no_room(answer: str) -> None:
    """A server that talks nonsense: ROOM_UNREACHABLE, naming it."""

    async def server_of_something(websocket: ServerConnection) -> None:
        await websocket.send(answer)
        await websocket.wait_closed()

    async with listen_on(server_of_something, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with attending(load("rehearsal"), invited(f"rehearsal+ws://127.0.0.1:{port}")) as bot:
            with pytest.raises(EarshotError, match=f"127.0.0.1:{port} is no rehearsal room") as failure:
                await bot.ends()
            assert failure.value.code is SubCode.ROOM_UNREACHABLE


@pytest.mark.parametrize(
    "message", ["hello", "[]", '{"type": "join"}', '{"type": "leave"}', '{"type": 3, "identity": 4}']
)
async def test_the_room_turns_away_who_talks_nonsense(message: str) -> None:
    """A client whose first message is no `join` is disconnected with the reason; the others do not notice."""
    async with room_of('{"version": 1}') as room, attending(load("rehearsal"), invited(room.url)) as bot:
        async with connect(room.url.removeprefix("rehearsal+")) as websocket:
            await websocket.send(message)
            with pytest.raises(ConnectionClosed):
                await websocket.recv()
            assert (websocket.close_code, "join" in (websocket.close_reason or "")) == (1008, True)
        await bot.listener.until(lambda: bot.listener.admitted, "admitted")


async def test_the_room_survives_bad_answers() -> None:
    """An answer that is no session description disconnects that bot alone."""
    script = """{"version": 1, "participants": [{"id": "ana", "name": "Ana"}],
        "timeline": [{"at": 30, "who": "ana", "do": "mute"}]}"""
    async with room_of(script) as room, attending(load("rehearsal"), invited(room.url)) as bot:
        async with connect(room.url.removeprefix("rehearsal+")) as websocket:
            await websocket.send('{"type": "join", "identity": "x", "name": "X"}')
            await websocket.send('{"type": "answer", "track": "nobody", "sdp": "?"}')
            while (message := json.loads(await websocket.recv()))["type"] != "offer":
                pass
            await websocket.send(json.dumps({"type": "answer", "track": message["track"], "sdp": "?"}))
            async with asyncio.timeout(3):
                await websocket.wait_closed()
        await bot.listener.until(lambda: bot.listener.owner, "the track")


async def test_leaves_while_a_track_is_being_closed() -> None:
    """Cancelled in the moment in which a participant leaves: nothing of aiortc is left half closed."""
    for delay in (0.0, 0.001, 0.003):
        async with room_of('{"version": 1}') as room:
            directed = RehearsalRoom(room)
            await directed.join("ana", "Ana")
            await directed.tone("ana", 440)
            async with attending(load("rehearsal"), invited(room.url)) as bot:
                await bot.hears("ana", 440)
                await directed.leave("ana")
                await bot.listener.until(lambda bot=bot: not bot.listener.owner, "the track is closed")  # type: ignore[misc]
                await asyncio.sleep(delay)
                bot.task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await bot.ends(2)


class TestOwnRoom:
    """`rehearsal:path/to/script.json` starts the room as a child process."""

    @pytest.fixture
    def script(self, tmp_path: Path) -> Path:
        """Ana speaks at once, for long."""
        path = tmp_path / "meeting.json"
        path.write_text(
            """{"version": 1, "participants": [{"id": "ana", "name": "Ana"}],
            "timeline": [{"at": 0.5, "who": "ana", "do": "speak", "clip": "ana1"}, {"at": 60, "do": "end"}]}"""
        )
        return path

    @pytest.mark.processes
    async def test_joins_and_takes_the_room_with_it(self, script: Path) -> None:
        """The scripted speaker is heard; after leaving the room's process is gone."""
        before = children()
        async with attending(load("rehearsal"), invited(f"rehearsal:{script}")) as bot:
            await bot.listener.until(lambda: loud_seconds(bot.listener) > 1, "Ana is heard", 15)
            assert children() > before
            assert await bot.leaves() < 2.0
            assert children() == before

    @pytest.mark.processes
    @pytest.mark.parametrize("after", [0.0, 0.05, 0.3])
    async def test_cancelled_while_the_room_starts(self, script: Path, after: float) -> None:
        """The process ends whenever we are cancelled."""
        async with attending(load("rehearsal"), invited(f"rehearsal:{script}")) as bot:
            await asyncio.sleep(after)
            bot.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await bot.ends(2)

    @pytest.mark.processes
    async def test_the_room_ends_when_its_owner_is_killed(self, script: Path) -> None:
        """A bot killed with -9 leaves no room behind."""
        process = await asyncio.create_subprocess_exec(
            *module_command(*attendance.OWN_ROOM, str(script)), stdin=PIPE, stdout=PIPE, start_new_session=True
        )
        assert process.stdout
        assert process.stdin
        assert (await process.stdout.readline()).startswith(b"rehearsal+ws://127.0.0.1:")
        process.stdin.close()
        async with asyncio.timeout(3):
            assert await process.wait() == 0

    @pytest.mark.parametrize("content", [None, '{"version": 2}'])
    async def test_bad_script(self, tmp_path: Path, content: str | None) -> None:
        """A missing or wrong script ends the attempt with an error that names it."""
        path = tmp_path / "bad.json"
        if content:
            path.write_text(content)
        async with attending(load("rehearsal"), invited(f"rehearsal:{path}")) as bot:
            with pytest.raises(EarshotError, match="version" if content else "bad.json") as failure:
                await bot.ends()
            assert failure.value.code is SubCode.CONFIG_INVALID


@pytest.mark.processes
async def test_the_command_plays_a_script_to_its_end(tmp_path: Path) -> None:
    """`earshot room`: prints its URL, plays, writes the truth, and exits with 0 after `end`."""
    script, truth = tmp_path / "meeting.json", tmp_path / "truth.jsonl"
    script.write_text(
        """{"version": 1, "participants": [{"id": "ana", "name": "Ana"}], "timeline": [
        {"at": 0.5, "who": "ana", "do": "speak", "clip": "ana1"}, {"at": 2.8, "do": "end"}]}"""
    )
    command = ["-m", "bot", "room", str(script), "--listen", "127.0.0.1:0", "--truth", str(truth)]
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=PIPE)
    assert process.stdout
    url = (await process.stdout.readline()).decode().strip()
    async with attending(load("rehearsal"), invited(url)) as bot:
        assert await bot.ends() is SubCode.MEETING_ENDED
        async with asyncio.timeout(4):
            assert await process.wait() == 0
    (row,) = [Truth(**json.loads(line)) for line in truth.read_text().splitlines()]
    assert (row.participant, row.name, row.text, row.complete) == (
        "ana",
        "Ana",
        "what is the status of the contract",
        True,
    )
    assert row.start == pytest.approx(0.72, abs=0.25)  # in real time, and machines are busy
    assert row.end == pytest.approx(2.48, abs=0.25)
    assert time.time() - 10 < row.end_utc < time.time()


def test_the_command_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad script, a port that is taken, no address, a truth file that cannot be written: which option, and why."""
    monkeypatch.chdir(tmp_path)  # a long path would be shown shortened
    script = tmp_path / "meeting.json"
    script.write_text('{"version": 1}')
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for arguments, said in (
            (("none.json", "127.0.0.1:0"), 'script: "none.json"; allowed: .*No such file'),
            ((str(script), f"127.0.0.1:{port}"), f'--listen: "127.0.0.1:{port}"; allowed: .*Address already in use'),
            ((str(script), "a..b:1"), '--listen: "a..b:1"; allowed: .*no host'),
            ((str(script), "9300:"), '--listen: "9300:"; allowed: HOST:PORT'),
            ((str(script), "127.0.0.1:0", "."), '--truth: "."; allowed: .*Is a directory'),
        ):
            with pytest.raises(ConfigError, match=said) as failure:
                main(*arguments)
            assert failure.value.exit_code == 2
            assert "Errno" not in str(failure.value)


@pytest.mark.processes
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_the_command_stops_when_told(tmp_path: Path, number: signal.Signals, status: int) -> None:
    """SIGTERM and Ctrl-C end the room in time, with the shell's exit status."""
    script = tmp_path / "meeting.json"
    script.write_text('{"version": 1}')
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "room", str(script), "--listen", "127.0.0.1:0", stdout=PIPE
    )
    assert process.stdout
    await process.stdout.readline()
    process.send_signal(number)
    async with asyncio.timeout(3):
        assert await process.wait() == status


def test_the_demo_script_can_be_played() -> None:
    """The bundled script is valid, and its texts are what its clips say."""
    script, clips = load_script(Path(rehearsal.__file__).parent / "demo.json")
    spoken = [action for action in script.timeline if action.do == "speak"]
    assert len({action.who for action in spoken}) == 3
    assert [action.text for action in spoken] == [clips[action.clip or ""].text for action in spoken]


def test_clips_are_checked_before_the_room_opens(tmp_path: Path) -> None:
    """Every clip that cannot be used, and speech that overlaps itself, is said at once."""
    path = tmp_path / "meeting.json"
    path.write_text(
        """{"version": 1, "participants": [{"id": "ana", "name": "Ana"}], "timeline": [
        {"at": 0.5, "who": "ana", "do": "speak", "clip": "nobody1"},
        {"at": 1, "who": "ana", "do": "speak", "clip": "x.wav"},
        {"at": 2, "who": "ana", "do": "speak", "clip": "ana1"},
        {"at": 3, "who": "ana", "do": "speak", "clip": "ana2"}]}"""
    )
    with pytest.raises(ScriptError) as failure:
        load_script(path)
    said = [str(problem) for problem in failure.value.problems]
    assert len(said) == 3
    assert "nobody1" in said[0]
    assert "ewan8" in said[0]
    assert "x.wav" in said[1]
    assert "ana1 has ended" in said[2]


async def test_over_a_network_address() -> None:
    """A room that is not on loopback: media go over the host's address, as in a container network."""
    require(os.environ.get("EARSHOT_HERMETIC"), "needs a network of its own: tools/hermetic pytest …")
    script = parse_script('{"version": 1, "participants": [{"id": "ana", "name": "Ana"}]}')
    async with serve(script, {}, host="198.51.100.1") as room:
        directed = RehearsalRoom(room)
        await directed.join("cy", "Cy")
        await directed.tone("cy", 440)
        async with attending(load("rehearsal"), invited(room.url)) as bot:
            await bot.hears("cy", 440)
