"""LiveKit's egress, as far as it can be had here: a real livekit-server with a real Redis, and a worker that stands in.

The server's API, its checks, what it stores and its signed webhooks are real; so is the worker's protocol, which is
LiveKit's own (tests/support/egress_worker). What stands in for GStreamer and Chrome is this: somebody who joins the
room as an egress does, mixes what is said there and pushes it with ffmpeg.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from livekit import rtc
from numpy.typing import NDArray

from rehearsal.livekit.guest import guest_token
from rehearsal.livekit.server import LiveKitServer
from tests.support.tools import require
from tests.support.waiting import eventually

BINARY = Path(os.environ.get("EGRESS_WORKER") or Path(__file__).parents[3] / "build" / "bin" / "egress-worker")
MISSING = (
    "the stand-in for LiveKit's egress worker is missing: run `make build/bin/egress-worker` (needs Go), or name one "
)
MISSING += "in EGRESS_WORKER"
RATE = 16_000
"""Less than a real one's 44,100 or 48,000, as this one shares a machine with everything else."""
STEP = RATE // 20
"""Samples (50 ms) that are mixed at once."""
MAX_QUEUED = 20
"""Steps of a track that wait to be mixed; the oldest goes."""


class _Mix:
    """The sound of one room, as a participant hears it that nobody sees."""

    def __init__(self, server: LiveKitServer, room: str, egress_id: str, latency: float) -> None:
        self._token = guest_token(server, room, egress_id, kind="egress", video={"hidden": True, "canPublish": False})
        self._url = server.url
        self._room = rtc.Room()
        self._queues: dict[str, deque[NDArray[np.int16]]] = {}
        self._readers: set[asyncio.Task[None]] = set()
        self._late = deque([np.zeros(STEP, np.int16)] * round(latency * RATE / STEP))

    async def join(self) -> None:
        self._room.on("track_subscribed", self._subscribed)
        options = rtc.RoomOptions(auto_subscribe=True)
        self._joining = asyncio.create_task(self._room.connect(self._url, self._token, options))
        await asyncio.shield(self._joining)

    async def leave(self) -> None:
        """Also out of a room that we were about to enter: half entered, the SDK would end this process after 30 s."""
        await asyncio.gather(self._joining, return_exceptions=True)
        await self._room.disconnect()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    def _subscribed(self, track: rtc.Track, publication: rtc.RemoteTrackPublication, _: rtc.RemoteParticipant) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self._readers.add(asyncio.create_task(self._read(track, publication.sid)))

    async def _read(self, track: rtc.Track, sid: str) -> None:
        queue = self._queues[sid] = deque(maxlen=MAX_QUEUED)
        stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1, frame_size_ms=50)
        try:
            async for event in stream:
                queue.append(np.frombuffer(event.frame.data, np.int16).copy())
        finally:
            await stream.aclose()

    async def steps(self) -> AsyncIterator[bytes]:
        """Samples in real time: int16 mono at `RATE`, `STEP` of them, as late as an egress is."""
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            mixed = np.zeros(STEP, np.int32)
            for queue in self._queues.values():
                if queue:
                    mixed += queue.popleft()
                if len(queue) > 10:  # half a second behind: clocks drift
                    queue.popleft()
            self._late.append(np.clip(mixed, -32768, 32767).astype(np.int16))
            yield self._late.popleft().tobytes()
            due += STEP / RATE
            await asyncio.sleep(max(due - clock(), 0))


class EgressWorker:
    """A worker, and what it is to do with its jobs.

    Args:
        server: Whose rooms.
        latency: Seconds by which its sound is late.
    """

    def __init__(self, server: LiveKitServer, latency: float = 0.4) -> None:
        self._server, self._latency = server, latency
        self.starts = True
        """Whether jobs ever become active."""
        self.jobs: dict[str, dict[str, Any]] = {}
        """Every job that was taken: id → `EgressInfo` as JSON."""
        self.stopped: list[str] = []
        self._media: dict[str, asyncio.Task[None]] = {}
        self._stopping: set[asyncio.Task[None]] = set()
        self._process: asyncio.subprocess.Process
        self._heard = asyncio.Event()

    @property
    def running(self) -> list[str]:
        """Jobs that have sound."""
        return [egress_id for egress_id, task in self._media.items() if not task.done()]

    async def tell(self, **what: Any) -> None:
        """Tells the worker something, which tells the server."""
        assert self._process.stdin is not None
        self._heard.clear()
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        await self._process.stdin.drain()
        await self._heard.wait()

    async def drop(self, egress_id: str, status: str = "EGRESS_FAILED", error: str = "pipeline error") -> None:
        """An egress ends by itself: its sound first, as the stream's end comes before the news."""
        await self._silence(egress_id)
        await self.tell(egressId=egress_id, status=status, error=error)

    async def cut(self, egress_id: str) -> None:
        """Its sound ends, and nobody says so."""
        await self._silence(egress_id)

    async def _silence(self, egress_id: str) -> None:
        task = self._media.get(egress_id)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._media.pop(egress_id, None)

    async def _follow(self) -> None:
        """Does what the server asks for."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            said = json.loads(line)
            match said["do"]:
                case "ready" | "heard":
                    self._heard.set()
                case "start":
                    info = said["info"]
                    self.jobs[info["egressId"]] = info
                    self._media[info["egressId"]] = asyncio.create_task(self._do(info))
                case "stop":
                    self.stopped.append(said["egressId"])
                    self._stopping.add(asyncio.create_task(self._stop(said["egressId"])))

    async def _stop(self, egress_id: str) -> None:
        await self._silence(egress_id)
        await self.tell(egressId=egress_id, status="EGRESS_COMPLETE")

    async def _do(self, info: dict[str, Any]) -> None:
        """One job: into the room, and out with what is said there."""
        if not self.starts:
            await asyncio.Event().wait()
        mix = _Mix(self._server, info["roomName"], info["egressId"], self._latency)
        try:
            await mix.join()
            await self._push(info, mix)
        finally:
            await mix.leave()

    async def _push(self, info: dict[str, Any], mix: _Mix) -> None:
        """As RTMP: AAC, no picture."""
        url = info["roomComposite"]["streamOutputs"][0]["urls"][0]
        sound = ["-f", "s16le", "-ar", str(RATE), "-ac", "1", "-i", "pipe:0", "-c:a", "aac", "-b:a", "64k"]
        command = [
            "ffmpeg",
            "-loglevel",
            "error",
            "-fflags",
            "nobuffer",
            *sound,
            "-f",
            "flv",
            "-flush_packets",
            "1",
            url,
        ]
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
        assert process.stdin is not None
        is_active = is_refused = False
        try:
            async for step in mix.steps():
                process.stdin.write(step)
                await process.stdin.drain()
                if not is_active:
                    is_active = True
                    await self.tell(egressId=info["egressId"], status="EGRESS_ACTIVE")
        except (BrokenPipeError, ConnectionResetError):
            is_refused = True
        finally:
            process.stdin.close()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if is_refused:
            await self.tell(egressId=info["egressId"], status="EGRESS_FAILED", error="could not connect to the stream")

    @asynccontextmanager
    async def working(self, redis_url: str, room: int = 1) -> AsyncIterator[EgressWorker]:
        """The worker at its work, with room for so many jobs."""
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(BINARY, redis_url, stdin=pipe, stdout=pipe)
        following = asyncio.create_task(self._follow())
        try:
            await asyncio.wait_for(self._heard.wait(), 10)
            await self.tell(room=room)
            yield self
        finally:
            for egress_id in list(self._media):
                await self._silence(egress_id)
            self._process.kill()
            await self._process.wait()
            for task in (following, *self._stopping):
                task.cancel()
            await asyncio.gather(following, *self._stopping, return_exceptions=True)
            await eventually(lambda: not any("Room._listen_task" in repr(task) for task in asyncio.all_tasks()))


def require_worker() -> None:
    """Skips the test where the stand-in is not built."""
    require(BINARY.exists(), MISSING)


class Hooks:
    """A receiver of webhooks that keeps what came, word for word, to be sent again."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in head.split("\r\n")[1:])}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.requests.append((headers, body))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    def of(self, event: str) -> list[tuple[dict[str, str], bytes]]:
        """Those of a kind."""
        return [(headers, body) for headers, body in self.requests if json.loads(body).get("event") == event]
