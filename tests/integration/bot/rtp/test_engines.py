"""GStreamer and FFmpeg in place of our decoder: the same contract, and what happens when one is missing or fails."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog

from bot.audio.timeline import Timeline
from bot.codecs.formats import STATIC, Format
from bot.codecs.rtp import RtpPacket, parse_rtp
from bot.drivers import rtp_engines
from common.audio.pcm import SAMPLE_RATE
from common.contracts.status import SubCode
from common.errors import EarshotError
from tests.integration.bot.rtp.test_streams import ANA, listening, sending
from tests.support.processes import children, is_gone
from tests.support.servers.rtp_sender import OPUS, free_port, rtp
from tests.support.tools import require
from tests.support.waiting import eventually

pytestmark = [pytest.mark.processes, pytest.mark.timeout(60)]
PROGRAMS = {"gst": "gst-launch-1.0", "ffmpeg": "ffmpeg"}
STREAMS: dict[str, tuple[Format, int, dict[str, Any]]] = {
    "opus": (OPUS, 111, {}),
    "pcmu": (STATIC[0], 0, {"codec": "pcmu"}),
    "l16": (STATIC[10], 10, {"codec": "l16", "clockRate": 44_100, "channels": 2}),
}


def installed(engine: str) -> None:
    """Skips the test where its program is missing."""
    require(shutil.which(PROGRAMS[engine]), f"{PROGRAMS[engine]} is missing (apt install gstreamer1.0-tools ffmpeg)")


@pytest.mark.parametrize(("engine", "codec"), [("gst", "opus"), ("gst", "l16"), ("ffmpeg", "opus"), ("ffmpeg", "pcmu")])
async def test_an_engine_keeps_the_contract(engine: str, codec: str) -> None:
    """16 kHz mono, labelled and placed as ours is, through a change of SSRC; a log line says what decodes."""
    installed(engine)
    form, payload_type, stream = STREAMS[codec]
    port = free_port()
    with structlog.testing.capture_logs() as logs:
        async with (
            listening([{**stream, "participant": ANA}], port, engine=engine) as bot,
            sending(port, form, payload_type) as ana,
        ):
            await bot.hears("ana", 440)
            ana.ssrc, ana.hertz = 77, 1000.0
            await bot.hears("ana", 1000)
            frames = [frame for _, frame in bot.listener.frames]
    for before, after in itertools.pairwise(frames):
        assert after.source != before.source or after.position == before.position + len(before.pcm)
    assert {frame.engine for frame in frames} == {engine}
    said = [entry for entry in logs if entry["event"] == "rtp.engine"]
    assert {(each["engine"], each["rtp_port"], each["payload_type"]) for each in said} == {(engine, port, payload_type)}
    assert all(each["program"] == shutil.which(PROGRAMS[engine]) for each in said)


def programs(folder: Path, **scripts: str) -> str:
    """A folder with programs of these names, in front of everything else that is not one of them."""
    for engine, script in scripts.items():
        path = folder / PROGRAMS[engine]
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    for needed in ("sh", "sleep", "setpriv"):
        found = shutil.which(needed)
        if found is not None:
            (folder / needed).symlink_to(found)
    return str(folder)


@pytest.mark.parametrize(
    ("scripts", "failures"),
    [
        ({}, []),
        ({"gst": "exit 3", "ffmpeg": "sleep 9"}, ["it ended with 3", "packets came, and no audio for 0.3 s"]),
        ({"ffmpeg": "exec sleep 0.01"}, ["it ended with 0"]),
    ],
    ids=["both missing", "one ends, one is mute", "one missing, one ends"],
)
async def test_an_engine_that_fails_is_followed_by_the_next(
    scripts: dict[str, str], failures: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gst, ffmpeg, native: what is missing is said, what fails is said, and the speaker is heard from the beginning."""
    monkeypatch.setenv("EGRESS_ENGINE", "gst")
    monkeypatch.setenv("PATH", programs(tmp_path, **scripts))
    port = free_port()
    with structlog.testing.capture_logs() as logs:
        async with listening([{"participant": ANA}], port, engineTimeout=300) as bot, sending(port) as ana:
            await bot.hears("ana", 440)
            sent = ana.number
            await bot.listener.until(lambda: bot.listener.heard("ana").size >= (sent - 65_501) * 320, "all of it")
    assert {frame.engine for _, frame in bot.listener.frames} == {"native"}
    missing = {entry["engine"] for entry in logs if entry["event"] == "rtp.engine_missing"}
    assert missing == set(PROGRAMS) - set(scripts)
    assert [entry["why"] for entry in logs if entry["event"] == "rtp.engine_failed"] == failures
    assert [entry["engine"] for entry in logs if entry["event"] == "rtp.engine"][-1] == "native"


@pytest.mark.parametrize(
    ("scripts", "words"), [({}, "there is no gst-launch-1.0"), ({"gst": "exit 3"}, "it ended with 3")]
)
async def test_without_fallback_it_is_the_end(
    scripts: dict[str, str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing, or failed."""
    monkeypatch.setenv("PATH", programs(tmp_path, **scripts))
    port = free_port()
    async with listening([{"participant": ANA}], port, engine="gst", engineFallback=False) as bot, sending(port):
        with pytest.raises(EarshotError, match=words) as failure:
            await bot.ends()
        assert failure.value.code is SubCode.ENGINE_UNAVAILABLE


async def test_one_that_is_being_ended_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has failed and does not heed SIGTERM; that the bot leaves just then keeps nobody from killing it."""
    monkeypatch.setenv("PATH", programs(tmp_path, gst="trap '' TERM; while :; do sleep 0.02; done"))
    ended = rtp_engines._end
    is_ending = asyncio.Event()

    async def end(process: asyncio.subprocess.Process) -> None:
        is_ending.set()
        await ended(process)

    monkeypatch.setattr(rtp_engines, "_end", end)
    port, others = free_port(), set(children(os.getpid()))
    async with listening([{"participant": ANA}], port, engine="gst", engineTimeout=300), sending(port):
        await asyncio.wait_for(is_ending.wait(), 20)
        (child,) = {one for one in children(os.getpid()) if not is_gone(one)} - others
    await eventually(lambda: is_gone(child), 10)


async def test_another_ssrc_loses_nothing_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first packets, by which it is told from a stray, are its engine's, too. The engine is a fake."""
    engines_of: list[list[tuple[int, int]]] = []

    class Child:
        """Notes what it is given."""

        def __init__(self, *_: object) -> None:
            self.task = asyncio.create_task(asyncio.sleep(0))
            self.given: list[tuple[int, int]] = []
            engines_of.append(self.given)

        def packet(self, packet: RtpPacket, now: float) -> None:
            """See `Decoder`."""
            self.given.append((packet.ssrc, packet.sequence_number))

        def close(self) -> None:
            """See `Decoder`."""

    monkeypatch.setattr(rtp_engines, "_Child", Child)
    engines = rtp_engines.Engines({"gst": "gst"}, 1.0)
    decoder = rtp_engines.EngineDecoder("t", lambda frame: None, {0: STATIC[0]}, None, engines, lambda error: None, 1)
    for ssrc, number in [*((1, n) for n in range(10)), (9, 0), (9, 1), (1, 10), *((2, n) for n in range(10))]:
        decoder.packet(parse_rtp(rtp(bytes(160), 0, number, 160 * number, ssrc)), 0.0)
    assert engines_of == [[(1, n) for n in range(11)], [(2, n) for n in range(10)]]
    await engines.ended()


async def test_the_environment_names_an_engine_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration error."""
    monkeypatch.setenv("EGRESS_ENGINE", "vlc")
    async with listening() as bot:
        with pytest.raises(EarshotError, match="EGRESS_ENGINE is 'vlc'; allowed: native, gst, ffmpeg"):
            await bot.ends()


@pytest.mark.parametrize("engine", PROGRAMS)
async def test_an_engine_outlives_silence(engine: str) -> None:
    """More than its timeout without packets, as of somebody who is muted, is no failure."""
    installed(engine)
    port = free_port()
    with structlog.testing.capture_logs() as logs:
        async with (
            listening([{"participant": ANA}], port, engine=engine, engineTimeout=2500) as bot,
            sending(port) as ana,
        ):
            await bot.hears("ana", 440)
            ana.pause()
            await asyncio.sleep(3.5)
            ana.timestamp += 168_000
            ana.hertz = 1000.0
            ana.start()
            await bot.hears("ana", 1000)
    assert not [entry for entry in logs if entry["event"] == "rtp.engine_failed"]
    # what comes after it is placed when it was said, and not where the engine's sound had ended before
    timeline = Timeline(0.0)
    places = [
        timeline.place(frame.position, frame.source, frame.arrival, len(frame.pcm)) / SAMPLE_RATE - frame.arrival
        for _, frame in bot.listener.frames
    ]
    assert min(places) > -0.5


BOT = """
import asyncio
from bot.platforms import load
from bot.platforms.base import Invitation
from bot.platforms.orders import Orders
from bot.platforms.rtp.settings import RtpSettings
class Listener:
    def event(self, event): pass
    def audio(self, frame): print("heard", flush=True)
settings = RtpSettings.model_validate({"engine": "%s"})
asyncio.run(load("rtp").attend(Invitation("rtp://127.0.0.1:%d", "b", "b", settings=settings), Listener(), Orders()))
"""


@pytest.mark.parametrize("engine", PROGRAMS)
async def test_no_engine_outlives_a_bot_that_was_killed(engine: str) -> None:
    """-9, in the middle of audio."""
    installed(engine)
    require(shutil.which("setpriv"), "setpriv is missing (util-linux)")
    port = free_port()
    pipe = asyncio.subprocess.PIPE
    bot = await asyncio.create_subprocess_exec(sys.executable, "-c", BOT % (engine, port), stdout=pipe)
    assert bot.stdout is not None
    async with sending(port):
        async with asyncio.timeout(40):
            while b"heard" not in await bot.stdout.readline():
                pass
        engines = children(bot.pid)
        assert engines
        os.kill(bot.pid, signal.SIGKILL)
        await bot.wait()
        await eventually(lambda: all(map(is_gone, engines)))


@pytest.mark.parametrize("engine", PROGRAMS)
async def test_nothing_is_lost_at_the_beginning(engine: str) -> None:
    """While an engine starts its packets are held: the whole of a short word comes out, in time with ours."""
    installed(engine)
    port = free_port()
    async with listening([{"participant": ANA}], port, engine=engine) as bot, sending(port, hertz=0.0) as ana:
        ana.hertz = 1000.0
        for _ in range(12):
            await asyncio.sleep(0.02)
        ana.hertz = 0.0

        def loud() -> int:
            pcm = bot.listener.heard("ana").astype(np.int32)
            return int((np.abs(pcm) > 2000).sum())

        await bot.listener.until(lambda: bot.listener.heard("ana").size > 16_000, "a second")
        assert loud() >= 0.5 * 12 * 320 * 0.8
