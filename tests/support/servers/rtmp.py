"""A real RTMP server (nginx-rtmp, as docker/rtmp configures it) and publishers that are real ones, too: ffmpeg."""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import av
import httpx
import numpy as np
from numpy.typing import NDArray

from bot.platforms.rtmp.access import with_key
from tests.support.tools import require
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[3]
MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
RATE = 48_000
FRAME_SAMPLES = RATE // 50


def require_rtmp() -> None:
    """Skips the test where there is no RTMP server or no publisher."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") and MODULE.exists()
    require(found, "no RTMP server: apt install nginx libnginx-mod-rtmp")
    require(shutil.which("ffmpeg"), "nobody publishes: apt install ffmpeg")


class RtmpServer:
    """nginx on free ports of the loopback interface, started by the script of its image."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port, self._key_port = _free_port(), _free_port()
        self.secret = secrets.token_hex(16)
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Returns when it takes connections."""
        self.process = await asyncio.create_subprocess_exec(
            *_as_nobody_special(),
            ROOT / "docker" / "rtmp" / "start",
            env={
                "PATH": f"{os.environ['PATH']}:/usr/sbin",
                "RTMP_SECRET": self.secret,
                "RTMP_PORT": f"127.0.0.1:{self.port}",
                "RTMP_KEY_PORT": str(self._key_port),
                "RTMP_TEMPLATE": str(ROOT / "docker" / "rtmp" / "nginx.conf"),
                "RTMP_FOLDER": str(self._folder),
            },
        )
        await eventually(lambda: _answers(self.port) and _answers(self._key_port), 10)

    async def change_secret(self) -> None:
        """Keys that were made before open nothing any more; connections stay."""
        before = self.url("a", "play").replace(f"rtmp://127.0.0.1:{self.port}/live/a?", "")
        settings = self._folder / "nginx.conf"
        changed = secrets.token_hex(16)
        settings.write_text(settings.read_text().replace(self.secret, changed))
        self.secret = changed
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)
        asked = f"http://127.0.0.1:{self._key_port}/key?call=play&app=live&name=a&{before}"
        async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(10):
            while (await client.get(asked)).status_code != httpx.codes.FORBIDDEN:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """All its connections are cut."""
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()

    def url(self, stream: str, call: str | None = None, *, port: int = 0, secret: str = "", life: float = 60) -> str:
        """Of a stream; for `publish` or `play` with a key."""
        url = f"rtmp://127.0.0.1:{port or self.port}/live/{stream}"
        return with_key(url, call, int(time.time() + life), secret or self.secret) if call else url


def _as_nobody_special() -> tuple[str, ...]:
    """As root nginx changes its groups, which `tools/hermetic` does not allow: there it is somebody else, by name."""
    denied = os.geteuid() == 0 and Path("/proc/self/setgroups").read_text().strip() == "deny"
    return ("unshare", "-U", "--map-user=1000", "--map-group=1000") if denied else ()


@asynccontextmanager
async def rtmp_server() -> AsyncIterator[RtmpServer]:
    """A running server."""
    require_rtmp()
    with tempfile.TemporaryDirectory(prefix="earshot-rtmp-") as folder:
        server = RtmpServer(Path(folder))
        try:
            await server.start()
            yield server
        finally:
            await server.stop()


class Publisher:
    """ffmpeg, fed with sound in real time.

    Args:
        url: Where it publishes.
        sound: Asked for each 20 ms: int16 at 48 kHz mono, shape (960,), of the samples from this index on.
        codec: Options of ffmpeg for the sound.
        video: Whether there is a picture, too.
    """

    def __init__(
        self,
        url: str,
        sound: Callable[[int], NDArray[np.int16]],
        *,
        codec: tuple[str, ...] = ("-c:a", "aac", "-b:a", "128k", "-ac", "2"),
        video: bool = False,
    ) -> None:
        self._url, self._sound, self._codec, self._video = url, sound, codec, video
        self._feeding: asyncio.Task[None] | None = None
        self.process: asyncio.subprocess.Process | None = None
        self.began = 0.0
        """Monotonic seconds of the first sample."""

    async def start(self) -> None:
        """Begins to publish; how that goes, `process` shows."""
        await self.prepare()
        self.begin()

    def begin(self) -> None:
        """With the first sound ffmpeg connects."""
        assert self.process is not None
        self._feeding = self._feeding or asyncio.create_task(self._feed(self.process))

    async def prepare(self) -> None:
        """Starts ffmpeg, which waits for sound."""
        at_once = "-fflags nobuffer -probesize 32 -analyzeduration 0"
        picture = "-f lavfi -i testsrc=size=320x180:rate=15"
        encoded = "-c:v libx264 -preset ultrafast -tune zerolatency -g 15 -pix_fmt yuv420p"
        self.process = await asyncio.create_subprocess_exec(
            *("ffmpeg", "-hide_banner", "-loglevel", "error", "-nostats", *at_once.split()),
            *f"-f s16le -ar {RATE} -ac 1 -i pipe:0".split(),
            *(picture.split() if self._video else ()),
            *self._codec,
            *(encoded.split() if self._video else ()),
            *("-flush_packets", "1", "-f", "flv", self._url),
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def _feed(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        self.began = time.monotonic()
        index = 0
        with suppress(OSError):
            while process.returncode is None:
                await asyncio.sleep(max(0.0, self.began + (index + FRAME_SAMPLES) / RATE - time.monotonic()))
                process.stdin.write(self._sound(index).tobytes())
                await process.stdin.drain()
                index += FRAME_SAMPLES

    async def stop(self) -> None:
        """Ends the publication in order."""
        await self._stop(lambda process: process.stdin.close() if process.stdin else None)

    async def kill(self) -> None:
        """`kill -9`."""
        await self._stop(lambda process: process.kill())

    async def _stop(self, how: Callable[[asyncio.subprocess.Process], None]) -> None:
        if self.process is None:
            return
        if self._feeding is not None:
            self._feeding.cancel()
            await asyncio.gather(self._feeding, return_exceptions=True)
        with suppress(ProcessLookupError):
            how(self.process)
        try:
            async with asyncio.timeout(3):
                await self.process.communicate()
        except TimeoutError:
            self.process.kill()
            await self.process.communicate()

    async def refused(self) -> str:
        """Waits until it has given up; its last words."""
        assert self.process is not None
        assert self.process.stderr is not None
        words = (await self.process.stderr.read()).decode()
        assert await self.process.wait() != 0
        await self.stop()
        return words


@asynccontextmanager
async def publishing(url: str, sound: Callable[[int], NDArray[np.int16]], **how: object) -> AsyncIterator[Publisher]:
    """A publisher that has begun, and is gone afterwards."""
    publisher = Publisher(url, sound, **how)  # type: ignore[arg-type]
    await publisher.start()
    try:
        yield publisher
    finally:
        await publisher.kill()


def sine(hertz: float) -> Callable[[int], NDArray[np.int16]]:
    """A tone of a quarter of full scale; 0 Hz: digital zeros."""

    def sound(index: int) -> NDArray[np.int16]:
        at = np.arange(index, index + FRAME_SAMPLES) / RATE
        return (8000 * np.sin(2 * np.pi * hertz * at)).astype(np.int16)

    return sound


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def publishing_opus(url: str, hertz: float) -> Iterator[None]:
    """A tone as Opus in enhanced RTMP, which Debian's ffmpeg cannot send, and PyAV's can."""
    over = threading.Event()

    def publish() -> None:
        sound, began = sine(hertz), time.monotonic()
        with av.open(url, "w", format="flv") as flv:
            stream = flv.add_stream("libopus", rate=RATE, layout="mono")
            assert isinstance(stream, av.AudioStream)
            for index in itertools.count(0, FRAME_SAMPLES):
                if over.wait(max(0.0, began + index / RATE - time.monotonic())):
                    return
                frame = av.AudioFrame.from_ndarray(sound(index)[np.newaxis], format="s16", layout="mono")
                frame.sample_rate, frame.pts = RATE, index
                flv.mux(stream.encode(frame))

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(5)
