"""Recordings of whole bots: what is in the files and their index; the transcript goes on whatever the disk does."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from bot.audio.frame import AudioFrame
from bot.core import effects as fx
from bot.core import events as ev
from bot.platforms.base import Listener
from bot.recording import writer as writing
from bot.runner import Bot
from common.contracts.status import SubCode
from tests.integration.bot.test_runner import Stage, World, enter, speak, world
from tests.support.disk import largest_file
from tests.support.servers.whole_service import running
from tests.support.tools import require
from tests.support.waiting import eventually

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(60)]
RATE = 16_000


def recording(folder: Path, **more: Any) -> dict[str, Any]:
    """The setting."""
    return {"recording": {"dir": str(folder), "segmentSeconds": 5, **more}}


def index(folder: Path) -> dict[str, Any]:
    """Of bot-1."""
    found: dict[str, Any] = json.loads((folder / "bot-1" / "index.json").read_text(encoding="utf-8"))
    return found


def samples(path: Path) -> NDArray[np.int16]:
    """Of a WAV file of ours."""
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def hum(
    listener: Listener,
    track: str,
    hertz: float,
    seconds: tuple[float, float],
    engine: str = "native",
    began: float | None = None,
) -> float:
    """A tone at these seconds of the sender's clock, all at once. Returns its second 0 on ours: `began`, or now."""
    arrival = asyncio.get_running_loop().time() if began is None else began
    for start in range(round(seconds[0] * RATE), round(seconds[1] * RATE), 320):
        pcm = (8000 * np.sin(2 * np.pi * hertz * np.arange(start, start + 320) / RATE)).astype(np.int16)
        listener.audio(AudioFrame(track, pcm, start, 1, arrival + start / RATE, engine=engine))
    return arrival


def pitches(pcm: NDArray[np.int16]) -> set[int]:
    """The tones in it, to 100 Hz."""
    windows = pcm[: len(pcm) // 1600 * 1600].reshape(-1, 1600) * np.hanning(1600)
    power = np.abs(np.fft.rfft(windows)).max(axis=0)
    return {100 * round(place / 10) for place in np.flatnonzero(power > power.max() / 3)}


async def health_of(here: World, subject: str) -> list[dict[str, Any]]:
    """What the status stream says of it."""
    return [event for event in await here.status_events() if event.get("subject") == subject]


async def said_of(here: World, subject: str) -> None:
    """Waits until something is."""
    while not await health_of(here, subject):  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def test_tracks_and_their_mix_are_files_with_an_index(tmp_path: Path) -> None:
    """Each track in slices of the meeting's time, silence in its place; the mix has both; the index says who, when and
    how long, and who spoke; nothing of what was said is in it."""

    async def act(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        listener.event(ev.ParticipantJoined("ben", "Ben"))
        listener.event(ev.TrackOpened("t/2", "ben"))
        began = hum(listener, "t1", 400, (0, 2))
        hum(listener, "t/2", 1000, (1, 3), began=began)
        hum(listener, "t/2", 1000, (4, 7), began=began)
        await speak_later(listener)
        return SubCode.MEETING_ENDED

    async def speak_later(listener: Listener) -> None:
        listener.event(ev.TrackOpened("t3", "ana"))
        await speak(listener, "t3")

    async with world() as here:
        assert (await here.attend(act, **recording(tmp_path, mixed=True))).code is SubCode.MEETING_ENDED
        (final,) = [each for each in await here.stream() if each["type"] == "transcription"]
        assert await health_of(here, "recording") == []
    found = index(tmp_path)
    assert found["finished"]
    assert (found["connection_id"], found["meeting_id"], found["platform"]) == ("bot-1", "m1", "rehearsal")
    said = final["segments"][0]
    assert found["speech"] == [{key: said[key] for key in ("speaker_id", "speaker", "start", "end")}]
    assert said["text"] not in json.dumps(found)
    files = {(each["track"], each["seq"]): each for each in found["files"]}
    assert {key for key in files if key[0] != "t3"} == {("t1", 0), ("t/2", 0), ("t/2", 1), ("mix", 0), ("mix", 1)}
    assert {(each["speaker_id"], each["speaker"]) for key, each in files.items() if key[0] == "t/2"} == {("ben", "Ben")}
    folder = tmp_path / "bot-1"
    for each in files.values():
        assert abs(len(samples(folder / each["path"])) - (each["end"] - each["start"]) * RATE) <= 16
        assert ".." not in each["path"]
    ben, rest = (samples(folder / files["t/2", seq]["path"]) for seq in (0, 1))
    assert abs(files["t/2", 0]["start"] - files["t1", 0]["start"] - 1) < 0.05
    assert files["t/2", 0]["end"] == files["t/2", 1]["start"] == 5.0
    assert not ben[2 * RATE + 320 : 3 * RATE - 320].any()
    assert pitches(ben) == pitches(rest) == {1000}
    assert {400, 1000} <= pitches(samples(folder / files["mix", 0]["path"])[: 2 * RATE])
    assert not list(folder.rglob("*part*"))
    assert folder.stat().st_mode & 0o077 == 0


async def test_a_track_that_goes_from_hand_to_hand_is_nobodys_file(tmp_path: Path) -> None:
    """A stream that carries now this person's voice and now that one's: no name stands beside it."""

    async def act(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        listener.event(ev.ParticipantJoined("ben", "Ben"))
        for place, owner in enumerate(("ana", "ben")):
            listener.event(ev.TrackOpened("t2", owner))
            hum(listener, "t2", 400, (place, place + 1))
            listener.event(ev.TrackClosed("t2"))
        return SubCode.MEETING_ENDED

    async with world() as here:
        await here.attend(act, **recording(tmp_path))
    (file,) = index(tmp_path)["files"]
    assert (file["track"], file["speaker_id"], file["speaker"]) == ("t2", "t2", "")


@pytest.mark.parametrize("kind", ["wav", "flac"])
async def test_a_file_can_be_read_while_it_grows_and_a_paused_bot_records_nothing(kind: str, tmp_path: Path) -> None:
    """Under a name of its own; finished, it has its name at once and as a whole."""
    part, whole = (tmp_path / "bot-1" / "t1" / f"000000{end}.{kind}" for end in (".part", ""))

    def seconds(path: Path) -> float:
        if not path.exists():
            return 0.0
        try:
            with av.open(str(path)) as file:
                return sum(frame.samples for frame in file.decode(audio=0)) / RATE
        except av.FFmpegError:  # its head is being written just now
            return 0.0

    async def act(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        hum(listener, "t1", 400, (0, 2))
        await eventually(lambda: seconds(part) > 0.9, 10)
        bots[0]._do(fx.PauseHearing(True))
        hum(listener, "t1", 1000, (2, 4))
        return SubCode.MEETING_ENDED

    async def remember(bot: Bot) -> None:
        bots.append(bot)

    bots: list[Bot] = []
    async with world() as here:
        await here.attend(act, remember, **recording(tmp_path, format=kind))
    assert not part.exists()
    assert 1.9 < seconds(whole) < 2.1


async def test_a_disk_that_is_full_stops_the_recording_and_not_the_transcript(tmp_path: Path) -> None:
    """It is said once; what was written is under its name; later speech is transcribed, and the end is a good one."""

    async def act(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        hum(listener, "t1", 400, (0, 4))
        await said_of(here, "recording")
        listener.event(ev.TrackOpened("t2", "ana"))
        await speak(listener, "t2")
        return SubCode.MEETING_ENDED

    async with world() as here:
        with largest_file(70_000):
            assert (await here.attend(act, **recording(tmp_path))).code is SubCode.MEETING_ENDED
        (event,) = await health_of(here, "recording")
        assert not event["healthy"]
        assert "File too large" in event["detail"]
        assert [each["type"] for each in await here.stream()] == ["session_start", "transcription", "session_end"]
    (file,) = index(tmp_path)["files"]
    assert 1.0 <= file["end"] - file["start"] <= 2.2
    assert pitches(samples(tmp_path / "bot-1" / file["path"])) == {400}


FULL = """
import json, sys, threading, time
from pathlib import Path
import numpy as np
from bot.audio.slices import Done, Piece
from bot.recording.index import Meeting, Spoken
from bot.recording.writer import Whose, Writer
over, said = threading.Event(), []
meeting = Meeting("bot-1", 1, "rehearsal", time.time(), 5, sys.argv[2])
writer = Writer(Path(sys.argv[1]), meeting, lambda recorded: said.append(recorded.path), said.append, over.set)
writer.start()
for number in range(int(sys.argv[3])):
    writer.put(Spoken("ana", "Ana", number, number + 1.0))
noise = np.random.default_rng(1).integers(-9999, 9999, 16_000).astype(np.int16)
for second in range(40):
    writer.put(Piece("t1", second // 5, second * 16_000, noise))
    if second % 5 == 4:
        writer.put(Whose(Done("t1", second // 5), "ana", "Ana"))
writer.finish()
assert over.wait(20)
print(json.dumps(said))
"""


@pytest.mark.parametrize(
    ("kind", "utterances", "size"),
    [("wav", 0, "512k"), ("flac", 0, "512k"), ("wav", 4_000, "1536k")],
    ids=["wav", "flac", "long"],
)
def test_a_small_disk(kind: str, utterances: int, size: str, tmp_path: Path) -> None:
    """A tmpfs of half a megabyte: whole files, an index that can be read, and the kernel's own words. After hours, too,
    when the index is larger than what was kept back for it at first."""
    mounting = ["unshare", "-rm", "sh", "-c"]
    can_mount = (
        shutil.which("unshare")
        and not subprocess.run([*mounting, f"mount -t tmpfs none {tmp_path}"], capture_output=True).returncode
    )
    require(can_mount, "this machine lets nobody mount a tmpfs (unshare -rm)")
    script = tmp_path.parent / "full.py"
    script.write_text(FULL)
    line = (
        f"mount -t tmpfs -o size={size} none {tmp_path} && {sys.executable} {script} {tmp_path} {kind} {utterances} && "
        f"cat {tmp_path}/bot-1/index.json && ls {tmp_path}/bot-1/t1"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    ran = subprocess.run([*mounting, line], capture_output=True, text=True, check=True, env=environment)
    first, _, rest = ran.stdout.partition("\n")
    *files, why = json.loads(first)
    assert "No space left on device" in why
    found = json.loads(rest[: rest.rindex("}") + 1])
    assert [each["path"] for each in found["files"]] == files
    assert files[:3] == [f"t1/{number:06}.{kind}" for number in range(3)]
    assert "part" not in rest[rest.rindex("}") :]


async def test_a_disk_that_hangs_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes is dropped beyond the bound and that is said; the end comes in time."""
    monkeypatch.setattr(writing, "MAX_QUEUED_SAMPLES", 3 * RATE)
    monkeypatch.setattr(writing, "_free", lambda path: path)
    folder = tmp_path / "bot-1" / "t1"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "000000.part.wav")  # nobody reads it: to open it waits for ever

    async def act(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        hum(listener, "t1", 400, (0, 4.9))
        return SubCode.MEETING_ENDED

    async with world() as here:
        began = asyncio.get_running_loop().time()
        assert (await here.attend(act, **recording(tmp_path))).code is SubCode.MEETING_ENDED
        assert asyncio.get_running_loop().time() - began < 6
        (event,) = await health_of(here, "recording")
        assert "too slow" in event["detail"]
    with (folder / "000000.part.wav").open("rb") as reader:  # lets the thread go
        reader.read()


async def test_a_bot_that_is_started_again_goes_on(tmp_path: Path) -> None:
    """The same connectionId: the same folder, later files, one index; nothing is written over."""

    async def act(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        hum(listener, "t1", 400, (0, 1))
        return SubCode.MEETING_ENDED

    async with world() as here:
        for _ in range(2):
            await here.attend(act, **recording(tmp_path))
    found = index(tmp_path)
    assert [each["seq"] for each in found["files"]] == [0, 1]
    assert len({each["path"] for each in found["files"]}) == 2
    assert all((tmp_path / "bot-1" / each["path"]).is_file() for each in found["files"])


async def test_each_file_is_posted_to_a_transcriber(tmp_path: Path) -> None:
    """In order, each with whose it is and what decoded it, if that has changed; the answers stand beside the files."""

    async def act(stage: Stage, listener: Listener) -> SubCode:
        enter(listener)
        hum(listener, "t1", 400, (0, 5), "gst")
        hum(listener, "t1", 400, (5, 7), "ffmpeg")
        hum(listener, "t1", 400, (7, 11))
        await eventually(lambda: len(list(tmp_path.rglob("t1/*.json"))) >= 2, 20)
        return SubCode.MEETING_ENDED

    async with world() as here, running() as at:
        url = f"{at.web.base_url}".rstrip("/") + "/process"
        await here.attend(act, **recording(tmp_path, processUrl=url))
        assert await health_of(here, "recording_process") == []
    answers = {path.stem: json.loads(path.read_text()) for path in tmp_path.rglob("t1/*.json")}  # noqa: ASYNC240
    assert sorted(answers) == ["000000", "000001", "000002"]
    assert [each["engine"] for each in index(tmp_path)["files"] if each["track"] == "t1"] == ["gst", "native", "native"]
    for number, stem in enumerate(sorted(answers)):
        assert answers[stem]["chunk_id"] == f"m1_{number}"
        meta = answers[stem]["meta"]
        assert meta["source"] == ("egress_native" if number else "egress_gst")
        assert (meta["role"], meta["peer"], meta["producerId"]) == ("Ana", "ana", "t1")
        assert answers[stem]["memory_state"]["last_seq"] == number
