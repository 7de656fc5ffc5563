"""A page that a server (aiortc) sends to: who contributes to a track is told, and packets that never come are known."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any

import aiortc.rtcrtpsender
import numpy as np
import pytest
from aiortc import MediaStreamTrack, RTCSessionDescription
from aiortc.rtp import RtpPacket
from av import AudioFrame
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from bot.drivers.browser.bridge import open_bridge
from bot.drivers.browser.capture import BURST_MESSAGES
from bot.drivers.browser.page import MeetingPage, open_page
from common.webrtc import Peer
from tests.support.servers.pages import ON_ONE_MACHINE, Heard, chromium_settings, page, serve_pages

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(60), pytest.mark.usefixtures("driver_of_file")]

ANSWER = """async (offer) => {
    window.connection = new RTCPeerConnection();
    await connection.setRemoteDescription(JSON.parse(offer));
    await connection.setLocalDescription();
    while (connection.iceGatheringState !== "complete") await new Promise((done) => setTimeout(done, 20));
    return JSON.stringify(connection.localDescription);
}"""


class Tone(MediaStreamTrack):
    """A sine, in real time."""

    kind = "audio"

    def __init__(self, hertz: float) -> None:
        super().__init__()
        self._hertz, self._sent, self._began = hertz, 0, time.monotonic()

    async def recv(self) -> AudioFrame:
        """20 ms at 48 kHz."""
        await asyncio.sleep(self._began + self._sent * 0.02 - time.monotonic())
        at = np.arange(self._sent * 960, (self._sent + 1) * 960) / 48_000
        pcm = (8000 * np.sin(2 * np.pi * self._hertz * at)).astype(np.int16)
        frame = AudioFrame.from_ndarray(pcm[np.newaxis], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, self._sent * 960, Fraction(1, 48_000)
        self._sent += 1
        return frame


@asynccontextmanager
async def sending(heard: Heard, *hertz: float) -> AsyncIterator[MeetingPage]:
    """A page in Chromium that is sent these tones."""
    peer = Peer(loopback=True)
    try:
        for one in hertz:
            peer.connection.addTrack(Tone(one))
        await peer.connection.setLocalDescription(await peer.connection.createOffer())
        local = peer.connection.localDescription
        async with (
            serve_pages({"/": page("")}) as url,
            open_page(chromium_settings(), heard, arguments=ON_ONE_MACHINE) as shown,
        ):
            await shown.goto(url)
            answer = json.loads(await shown.evaluate(ANSWER, json.dumps({"type": local.type, "sdp": local.sdp})))
            await peer.connection.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
            yield shown
    finally:
        await peer.close()


async def test_contributing_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that mixes several people into one track says whose packet each is: every change is told."""
    sources: list[int] = [11]

    class Mixed(RtpPacket):
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            self.csrc = list(sources)

    monkeypatch.setattr(aiortc.rtcrtpsender, "RtpPacket", Mixed)
    heard = Heard()
    async with sending(heard, 440):
        await heard.until(lambda: heard.pitches() == [440], "the tone")
        await heard.until(lambda: heard.said("contributing_sources"), "the first")
        sources[:] = [12, 13]
        await heard.until(lambda: len(heard.said("contributing_sources")) > 1, "the others")
        (track,) = heard.tracks
        assert heard.said("contributing_sources") == [
            {"track_id": track, "sources": [11]},
            {"track_id": track, "sources": [12, 13]},
        ]


async def test_whose_voices_come_is_unknown_once_a_message_was_dropped() -> None:
    """It may have been the one that said so: no voice gets the name of the one before."""
    heard = Heard()
    async with open_bridge(heard, True) as bridge:
        protocols = [Subprotocol("earshot"), Subprotocol(bridge.token)]
        async with connect(f"ws://{bridge.authority}/", subprotocols=protocols) as frame:
            await frame.send(json.dumps({"type": "track", "track": 1, "id": "t", "streams": []}))
            await frame.send(json.dumps({"type": "sources", "track": 1, "sources": [7]}))
            for _ in range(3 * BURST_MESSAGES):  # some are allowed again while they come
                await frame.send(json.dumps({"type": "beat"}))
            await heard.until(lambda: len(heard.said("contributing_sources")) > 1, "unknown")
    assert [said["sources"] for said in heard.said("contributing_sources")][:2] == [[7], []]


async def test_a_track_that_comes_back() -> None:
    """A media section that is switched off and on again: closed, and a new track that is heard."""
    heard = Heard()
    script = """
        const renegotiate = async (direction) => {
            const { sender, receiver } = calls[0];
            sender.getTransceivers()[0].direction = direction;
            await sender.setLocalDescription();
            await receiver.setRemoteDescription(sender.localDescription);
            await receiver.setLocalDescription();
            await sender.setRemoteDescription(receiver.localDescription);
        };
        call(tone(440));
    """
    async with (
        serve_pages({"/": page(script)}) as url,
        open_page(chromium_settings(), heard, arguments=ON_ONE_MACHINE) as shown,
    ):
        await shown.goto(url)
        await heard.until(lambda: heard.pitches() == [440], "the tone")
        await shown.evaluate("() => renegotiate('inactive')")
        await heard.until(lambda: not heard.open, "closed")
        await shown.evaluate("() => renegotiate('sendonly')")
        await heard.until(lambda: heard.open, "open again")
        since = time.monotonic()
        await heard.until(lambda: heard.pitches(since) == [440], "the tone again")
        assert len(heard.tracks) == 2
