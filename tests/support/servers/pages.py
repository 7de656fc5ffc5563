"""Pages of tests, served on loopback, and who listens to them in a real Chromium."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bot.audio.frame import AudioFrame
from bot.drivers.browser.page import MIX_ID, BrowserSettings, TrackInfo
from bot.drivers.browser.sandbox import CHROMIUM_VARIABLE
from tests.support.audio.sounds import pitch
from tests.support.tools import require

RATE = 16_000
NO_PLAYWRIGHT = "Playwright is missing: pip install --require-hashes -r requirements/dev.lock (make .venv/dev)"
NO_CHROMIUM = (
    f"Chromium is missing: apt install chromium-headless-shell, `playwright install chromium`, or name one in "
    f"{CHROMIUM_VARIABLE}"
)
ON_ONE_MACHINE = ("--allow-loopback-in-peer-connection", "--disable-features=WebRtcHideLocalIpsWithMdns")
"""Chromium's own: else connections within a page without a network have no address."""


def find_chromium() -> str | None:
    """The Chromium to test with: the one that is named, Debian's, or the full one."""
    return os.environ.get(CHROMIUM_VARIABLE) or shutil.which("chromium-headless-shell") or shutil.which("chromium")


def chromium_settings(**changes: Any) -> BrowserSettings:
    """Settings to test with: the sandbox is on unless we are root, as inside `tools/hermetic`, where it cannot be."""
    require(find_spec("playwright"), NO_PLAYWRIGHT, mark="browser")
    require(find_chromium(), NO_CHROMIUM)
    usual = {"executable": find_chromium(), "allow_no_sandbox": os.geteuid() == 0}
    return BrowserSettings(**(usual | changes))


class Heard:
    """A `CaptureListener` that remembers, and lets tests wait."""

    def __init__(self) -> None:
        self.tracks: dict[str, TrackInfo] = {}
        self.open: set[str] = set()
        self.frames: list[tuple[float, AudioFrame]] = []
        self.signals: list[tuple[str, Any]] = []
        self._changed = asyncio.Event()

    def track_opened(self, track: TrackInfo) -> None:
        """See `CaptureListener`."""
        assert track.track_id not in self.tracks or track.track_id == MIX_ID, "an id was used again"
        self.tracks[track.track_id] = track
        self.open.add(track.track_id)
        self._changed.set()

    def audio(self, frame: AudioFrame) -> None:
        """See `CaptureListener`."""
        assert frame.track_id in self.open, "audio of a track that is not open"
        self.frames.append((time.monotonic(), frame))
        self._changed.set()

    def track_closed(self, track_id: str) -> None:
        """See `CaptureListener`."""
        self.open.remove(track_id)
        self._changed.set()

    def signal(self, name: str, payload: Any) -> None:
        """See `CaptureListener`."""
        self.signals.append((name, payload))
        self._changed.set()

    def said(self, name: str) -> list[Any]:
        """The payloads of one kind of signal."""
        return [payload for one, payload in self.signals if one == name]

    def pcm(self, track_id: str, since: float = 0.0) -> NDArray[np.int16]:
        """What arrived of a track after `since` (monotonic seconds)."""
        parts = [frame.pcm for at, frame in self.frames if frame.track_id == track_id and at >= since]
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)

    def pitch(self, track_id: str, since: float = 0.0) -> float | None:
        """The dominant frequency in Hz of a track's last half second; None: less of it, or no sound."""
        return pitch(self.pcm(track_id, since))

    def pitches(self, since: float = 0.0) -> list[int]:
        """Of every open track that has sound, rounded to 20 Hz, in order."""
        heard = [self.pitch(track, since) for track in self.open]
        return sorted(round(one / 20) * 20 for one in heard if one is not None)

    async def until(self, condition: Callable[[], object], what: str, timeout: float = 30.0) -> None:
        """Waits until `condition()` is true; asked after all that comes. Raises AssertionError saying what came."""
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            came = f"{len(self.frames)} frames, pitches {self.pitches()}, tracks {self.tracks}, signals {self.signals}"
            raise AssertionError(f"not within {timeout} s: {what}; {came}") from None


@asynccontextmanager
async def serve_pages(
    pages: Mapping[str, str],
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    slow: Mapping[str, float] | None = None,
) -> AsyncIterator[str]:
    """Serves HTML by path (`/…`, the rest is 404; of `slow`, after so many seconds) on a free port of 127.0.0.1.

    Yields:
        `http(s)://host:port`.
    """
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = request.split(" ")[1].partition("?")[0]
            await asyncio.sleep((slow or {}).get(path, 0.0))
            body = pages.get(path, "").encode()
            status = "200 OK" if path in pages else "404 Not Found"
            kind = "text/javascript" if path.endswith(".js") else "text/html; charset=utf-8"
            head = (
                f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}Connection: close"
            )
            writer.write(f"{head}\r\n\r\n".encode() + body)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls, limit=1 << 20)
    async with server:
        scheme = "http" if tls is None else "https"
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"


CALL = """
// Real WebRTC within one page: `call` sends a tone (or a picture) through one connection into another.
const tones = new AudioContext();
const tone = (hertz, gain = 0.25) => {
  const out = tones.createMediaStreamDestination();
  const oscillator = new OscillatorNode(tones, { frequency: hertz });
  const volume = new GainNode(tones, { gain });
  oscillator.connect(volume);
  volume.connect(out);
  oscillator.start();
  return out.stream;
};
const picture = () => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [640, 360];
  const brush = canvas.getContext("2d");
  setInterval(() => {
    brush.fillStyle = `hsl(${performance.now() / 10}, 80%, 50%)`;
    brush.fillRect(0, 0, 640, 360);
    brush.fillStyle = "black";
    brush.fillRect((performance.now() / 5) % 640, 100, 80, 80);
  }, 40);
  return canvas.captureStream(25);
};
const calls = [];
const call = async (stream, options = {}) => {
  const { offers = "sender", codec, sender: own = {}, receiver: theirs = {}, ready, element } = options;
  const sender = new RTCPeerConnection(own), receiver = new RTCPeerConnection(theirs);
  sender.onicecandidate = ({ candidate }) => receiver.addIceCandidate(candidate);
  receiver.onicecandidate = ({ candidate }) => sender.addIceCandidate(candidate);
  const [track] = stream.getTracks();
  const one = { sender, receiver, track };
  receiver.ontrack = ({ streams: [remote], track: arrived, receiver: from }) => {
    one.remote = from;
    if (element === false) return;
    one.played = document.createElement(track.kind);
    one.played.srcObject = remote ?? new MediaStream([arrived]);
    one.played.autoplay = true;
    one.played.dataset.person = "p" + calls.length;
    document.body.append(one.played);
  };
  const [first, second] = offers === "sender" ? [sender, receiver] : [receiver, sender];
  if (offers === "receiver") {
    const transceiver = receiver.addTransceiver(track.kind, { direction: "recvonly" });
    if (ready) ready(null, transceiver.receiver);
  }
  const add = () => {
    one.out = sender.addTrack(track, stream);
    if (ready) ready(one.out, null);
  };
  if (offers === "sender") add();
  const prefer = (connection) => {
    if (!codec) return;
    const { codecs } = RTCRtpReceiver.getCapabilities(track.kind);
    const wanted = codecs.filter(({ mimeType }) => mimeType === codec);
    const rest = codec === "audio/red" ? codecs.filter(({ mimeType }) => mimeType === "audio/opus") : [];
    for (const transceiver of connection.getTransceivers()) transceiver.setCodecPreferences([...wanted, ...rest]);
  };
  prefer(first);
  await first.setLocalDescription();
  await second.setRemoteDescription(first.localDescription);
  if (offers === "receiver") add();
  else if (ready) ready(null, one.remote);
  prefer(second);
  await second.setLocalDescription();
  await first.setRemoteDescription(second.localDescription);
  calls.push(one);
  return one;
};
"""


def page(script: str) -> str:
    """A page that has `call` and runs the script."""
    return f"<!doctype html><title>page</title><body><script>{CALL}\n{script}</script>"
