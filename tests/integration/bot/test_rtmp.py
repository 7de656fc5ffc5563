"""The RTMP driver: with a real nginx-rtmp and ffmpeg as publisher, and with a server that says what none would."""

from __future__ import annotations

import asyncio
import itertools
import random
import ssl
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from bot.audio.frame import AudioFrame
from bot.drivers.rtmp import Reason, StreamError, pull, pulling
from tests.support.servers.certificates import write_pair
from tests.support.servers.rtmp import Publisher, publishing, publishing_opus, rtmp_server, sine
from tests.support.servers.scripted_rtmp import (
    AUDIO,
    COMMAND,
    CREATED,
    DATA,
    GREETING,
    STARTED,
    VIDEO,
    Connection,
    Play,
    Tag,
    message,
    number,
    scripted_rtmp,
    sounding_tags,
    status,
    text,
    thing,
)
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow
RATE = 16_000


class Ear:
    """Takes frames."""

    def __init__(self) -> None:
        self.frames: list[AudioFrame] = []
        self.changed = asyncio.Event()

    def take(self, frame: AudioFrame) -> None:
        """From the event loop."""
        self.frames.append(frame)
        self.changed.set()

    @property
    def seconds(self) -> float:
        """How much has come."""
        return sum(frame.pcm.size for frame in self.frames) / RATE

    def pitch(self, first: float, last: float) -> float:
        """Of what lies between two seconds of it, Hz."""
        pcm = np.concatenate([frame.pcm for frame in self.frames])[round(first * RATE) : round(last * RATE)]
        spectrum = np.abs(np.fft.rfft(pcm * np.hanning(pcm.size)))
        return float(np.argmax(spectrum)) * RATE / pcm.size

    async def hears(self, hertz: float, url: str) -> None:
        """Plays the stream until half a second of the tone has come."""
        playing = asyncio.create_task(pull(url, "t", self.take))
        try:
            while self.seconds < 0.8:
                self.changed.clear()
                changed = asyncio.create_task(self.changed.wait())
                await asyncio.wait([changed, playing], return_when=asyncio.FIRST_COMPLETED, timeout=10)
                changed.cancel()
                if playing.done():
                    playing.result()
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
        assert abs(self.pitch(self.seconds - 0.5, self.seconds) - hertz) < 15


async def ends(url: str, ear: Ear | None = None, within: float = 10.0) -> StreamError:
    """How a pull ends by itself; its thread is gone then."""
    async with asyncio.timeout(within):
        with pytest.raises(StreamError) as failure:
            await pull(url, "t", (ear or Ear()).take)
    await eventually(lambda: not [one for one in threading.enumerate() if one.name == "rtmp-t"], 2)
    return failure.value


@pytest.mark.parametrize("video", [False, True], ids=["sound", "sound and picture"])
async def test_what_ffmpeg_publishes_is_heard_through_nginx(video: bool) -> None:
    """With a picture and without."""
    async with rtmp_server() as server, publishing(server.url("a", "publish"), sine(440), video=video):
        await published(server.url("a", "play"))


async def test_opus_is_heard_through_nginx() -> None:
    """By a player that comes later, too: the server keeps no header of it."""
    async with rtmp_server() as server:
        with publishing_opus(server.url("a", "publish"), 440):
            await published(server.url("a", "play"))
            await Ear().hears(440, server.url("a", "play"))


async def test_keys() -> None:
    """Who has no key, an old one, one of another stream or another use is refused; so is a second publisher on a key,
    and the first goes on. A query that pretends to be the server's own words opens nothing."""
    async with rtmp_server() as server:
        soon = server.url("a", "publish")
        await asyncio.gather(
            *map(
                refused,
                (
                    server.url("a"),
                    server.url("a", "publish", secret="f" * 32),
                    server.url("a", "publish", life=-5),
                    server.url("a", "play"),
                    server.url("b", "publish").replace("/b?", "/a?"),
                    server.url("b", "publish").replace("/b?", "/a?name=b&"),
                    server.url("b", "publish").replace("/live/b?", "/live?name=b&app=live/a?"),
                ),
            )
        )
        assert (await ends(server.url("a", "play"))).reason is Reason.NOT_PUBLISHED
        async with publishing(soon, sine(440)):
            await published(server.url("a", "play"))
            for url in (server.url("a"), server.url("a", "play", life=-5), soon):
                assert (await ends(url)).reason is Reason.REFUSED, url
            await refused(soon)
            await Ear().hears(440, server.url("a", "play"))


async def refused(url: str) -> None:
    """Nobody publishes there."""
    publisher = Publisher(url, sine(1000))
    await publisher.start()
    assert await publisher.refused(), url


async def published(url: str) -> None:
    """Waits until the stream is published, and heard."""
    for _ in range(100):
        try:
            return await Ear().hears(440, url)
        except StreamError:
            await asyncio.sleep(0.1)
    raise AssertionError("nobody publishes")


@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_ends_and_crashes_of_a_publisher_look_alike(how: str) -> None:
    """And are known at once."""
    async with rtmp_server() as server:
        publisher = Publisher(server.url("a", "publish"), sine(440))
        await publisher.start()
        try:
            await published(server.url("a", "play"))
            ear = Ear()
            ending = asyncio.create_task(ends(server.url("a", "play"), ear))
            await eventually(lambda: ear.seconds > 0.3, 10)
            await (publisher.kill() if how == "kill" else publisher.stop())
            gone = time.monotonic()
            assert (await ending).reason is Reason.ENDED
            assert time.monotonic() - gone < 2
        finally:
            await publisher.kill()


@pytest.mark.parametrize(
    ("codec", "rate", "layout"),
    [("aac", 48_000, "stereo"), ("aac", 22_050, "mono"), ("libopus", 48_000, "stereo"), ("libmp3lame", 44_100, "mono"),
     ("pcm_alaw", 8_000, "mono")],
)  # fmt: skip
async def test_formats(codec: str, rate: int, layout: str) -> None:
    """What FLV may have in it comes out at 16 kHz mono; Opus as enhanced RTMP has it."""
    tags = sounding_tags(codec, rate, layout, 440, 1.5)

    async def play(connection: Connection) -> None:
        await connection.begin()
        await connection.send(tags, paced=False)

    ear = Ear()
    async with scripted_rtmp(play) as url:
        assert (await ends(url, ear)).reason is Reason.ENDED
    assert 1.3 < ear.seconds < 1.65  # encoders and resamplers keep a little at the end
    assert abs(ear.pitch(0.5, 1.2) - 440) < 5
    assert len({frame.source for frame in ear.frames}) == 1
    assert all(frame.pcm.size <= RATE // 8 for frame in ear.frames)


async def test_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who cannot show a certificate that is trusted is told nothing: no stream, and no key."""
    certificate, private = write_pair(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, private)
    tags = sounding_tags("aac", 48_000, "stereo", 440, 1.5)

    async def play(connection: Connection) -> None:
        await connection.begin()
        await connection.send(tags)

    async with scripted_rtmp(play, tls) as url:
        error = await ends(url)
        assert (error.reason, "certificate" in str(error)) == (Reason.UNREACHABLE, True), error
        monkeypatch.setenv("SSL_CERT_FILE", certificate)
        await Ear().hears(440, url)


async def test_a_format_that_changes_a_hole_and_a_clock_that_begins_anew() -> None:
    """One connection: 44.1 kHz stereo, then 48 kHz mono after 2 s of nothing, then times that begin at 0 again."""
    first, then = (
        sounding_tags("aac", 44_100, "stereo", 440, 1.0),
        sounding_tags("aac", 48_000, "mono", 1000, 1.0, 3000),
    )
    again = sounding_tags("aac", 48_000, "mono", 700, 1.0)

    async def play(connection: Connection) -> None:
        await connection.begin()
        await connection.send([*first, *then, *again], paced=False)

    ear = Ear()
    async with scripted_rtmp(play) as url:
        await ends(url, ear)
    assert [abs(ear.pitch(at, at + 0.5) - hertz) < 5 for at, hertz in ((0.3, 440), (1.3, 1000), (2.4, 700))] == [
        True
    ] * 3
    sources = list(dict.fromkeys(frame.source for frame in ear.frames))
    assert len(sources) == 2
    one_clock = [frame for frame in ear.frames if frame.source == sources[0]]
    holes = [
        later.position - frame.position - frame.pcm.size
        for frame, later in itertools.pairwise(one_clock)
        if later.position != frame.position + frame.pcm.size
    ]
    assert [abs(hole - 2 * RATE) < RATE * 0.1 for hole in holes] == [True]


async def test_a_codec_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg makes another stream of it, which this connection does not hear: it ends, and the next one does."""
    monkeypatch.setattr(pulling, "READ_TIMEOUT_S", 1.0)
    first, then = sounding_tags("aac", 48_000, "mono", 440, 0.5), sounding_tags("libmp3lame", 44_100, "mono", 1000, 5.0)
    connections = itertools.count()

    async def play(connection: Connection) -> None:
        await connection.begin()
        await connection.send(first if next(connections) == 0 else [], paced=False)
        await connection.send(then)

    async with scripted_rtmp(play) as url:
        assert (await ends(url)).reason is Reason.STALLED
        await Ear().hears(1000, url)


# --- hostile servers --------------------------------------------------------------------------------------------------


def after(*words: bytes, hang: bool = False, begins: bool = True) -> Play:
    """A server that says so, once a stream would play, and closes, or says no more."""

    async def play(connection: Connection) -> None:
        if begins:
            await connection.begin()
        for word in words:
            connection.writer.write(word)
            await connection.writer.drain()
        if hang:
            await asyncio.sleep(60)

    return play


def refusing(code: bytes) -> Play:
    """A server that answers `play` so."""

    async def play(connection: Connection) -> None:
        await connection.shake_hands()
        await connection.asked_for(b"connect")
        connection.writer.write(GREETING)
        await connection.asked_for(b"createStream")
        connection.writer.write(CREATED)
        await connection.asked_for(b"play")
        connection.writer.write(code)
        if code:
            await asyncio.sleep(60)

    return play


AAC = sounding_tags("aac", 48_000, "mono", 440, 0.5)
DEEP = b"\x03" + b"\x00\x01a\x03" * 60_000
HEADER, ONE = (message(AUDIO, tag.body, tag.milliseconds) for tag in AAC[1:3])
META = text("onMetaData")
PICTURE = [Tag(VIDEO, at, b"\x22" + bytes(500)) for at in range(0, 60_000, 40)]

HOSTILE: dict[str, tuple[Play, set[Reason]]] = {
    "a web server": (after(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 5000, begins=False), {Reason.NOT_RTMP}),
    "half a handshake": (after(b"\x03" + bytes(700), begins=False), {Reason.NOT_RTMP}),
    "nothing": (after(hang=True, begins=False), {Reason.UNREACHABLE}),
    "no such stream": (refusing(status("NetStream.Play.StreamNotFound", "error")), {Reason.NOT_PUBLISHED}),
    "hangs up": (refusing(b""), {Reason.REFUSED}),
    "plays nothing": (refusing(STARTED), {Reason.NOT_PUBLISHED}),
    "half a header of sound": (after(HEADER[:7]), {Reason.REFUSED}),
    "half a piece of sound": (after(HEADER, ONE, ONE[:100]), {Reason.ENDED, Reason.NO_SOUND}),
    "stalls": (after(HEADER, ONE, ONE[:100], hang=True), {Reason.STALLED, Reason.NO_SOUND}),
    "an object in an object, 60,000 deep": (after(message(DATA, META + DEEP), HEADER, ONE), set(Reason)),
    "the same as a status": (after(message(COMMAND, text("onStatus") + number(0) + b"\x05" + DEEP), ONE), set(Reason)),
    "an array of 4 billion": (
        after(message(DATA, META + b"\x08\xff\xff\xff\xff" + b"\x00\x01a\x05"), ONE),
        set(Reason),
    ),
    "a string longer than its message": (after(message(DATA, META + b"\x0c\x7f\xff\xff\xff"), ONE), set(Reason)),
    "a message of 16 MB that does not come": (
        after(message(AUDIO, b"\xaf\x01" * 50, length=0xFFFFFF), hang=True),
        set(Reason),
    ),
    "chunks of 2 GB": (after(message(1, b"\x7f\xff\xff\xff", stream=0, channel=2), HEADER, ONE), set(Reason)),
    "chunks of nothing": (after(message(1, bytes(4), stream=0, channel=2), HEADER, ONE), set(Reason)),
    "65,000 channels": (
        after(*(b"\x01" + n.to_bytes(2, "little") + bytes(9) + b"\0\0" for n in range(65_000))),
        set(Reason),
    ),
    "sound that is noise": (
        after(HEADER, *(message(AUDIO, b"\xaf\x01" + random.Random(n).randbytes(300), 21 * n) for n in range(200))),
        {Reason.NO_SOUND, Reason.ENDED},
    ),
    "a codec that nobody has": (
        after(*(message(AUDIO, b"\xe3" + bytes(300), 21 * n) for n in range(200))),
        set(Reason),
    ),
    "an odd metadata": (
        after(message(DATA, META + thing(audiocodecid=number(1e300), duration=text("x"))), ONE),
        set(Reason),
    ),
}


@pytest.mark.parametrize("name", list(HOSTILE))
async def test_hostile_servers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a reason, in time, and no thread is left."""
    monkeypatch.setattr(pulling, "OPEN_TIMEOUT_S", 1.0)
    monkeypatch.setattr(pulling, "READ_TIMEOUT_S", 1.0)
    play, expected = HOSTILE[name]
    async with scripted_rtmp(play) as url:
        error = await ends(url)
        assert error.reason in expected, error
        assert "standup" not in str(error)


async def test_a_picture_alone_has_no_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not taken for a dead line."""
    monkeypatch.setattr(pulling, "READ_TIMEOUT_S", 1.0)

    async def play(connection: Connection) -> None:
        await connection.begin()
        await connection.send(PICTURE)

    async with scripted_rtmp(play) as url:
        assert (await ends(url)).reason is Reason.NO_SOUND


async def test_altered_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes of a whole stream, changed, cut and doubled at random: always a reason, never anything else."""
    monkeypatch.setattr(pulling, "OPEN_TIMEOUT_S", 1.0)
    monkeypatch.setattr(pulling, "READ_TIMEOUT_S", 1.0)
    chance = random.Random(13)
    whole = b"".join(message(tag.kind, tag.body, tag.milliseconds) for tag in AAC[:10])
    made: list[bytes] = []

    async def play(connection: Connection) -> None:
        await connection.shake_hands()
        connection.writer.write(made[-1])

    async with scripted_rtmp(play) as url:
        for _ in range(60):
            made.append(altered(GREETING + CREATED + STARTED + whole, chance))
            await ends(url)


def altered(data: bytes, chance: random.Random) -> bytes:
    """With a few bytes changed, or a part left out or doubled."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(changed))
        match chance.randrange(3):
            case 0:
                changed[at] = chance.randrange(256)
            case 1:
                del changed[at : at + chance.randint(1, 40)]
            case _:
                changed[at:at] = changed[at : at + chance.randint(1, 40)]
    return bytes(changed)


@pytest.mark.parametrize("phase", ["connecting", "handshake", "waiting", "playing"])
async def test_cancelled_in_each_phase(phase: str) -> None:
    """It ends at once, whatever FFmpeg waits for."""
    reached = asyncio.Event()

    async def play(connection: Connection) -> None:
        if phase in ("waiting", "playing"):
            await connection.begin()
        if phase == "playing":
            await connection.send(AAC, paced=False)
        reached.set()
        await asyncio.sleep(60)

    def running() -> bool:
        return any(one.name == "rtmp-t" for one in threading.enumerate())

    ear = Ear()
    async with scripted_rtmp(play) as url:
        playing = asyncio.create_task(pull(url, "t", ear.take))
        if phase != "connecting":
            await reached.wait()
            await eventually(running)
        if phase == "playing":
            await eventually(lambda: ear.frames)
        playing.cancel()
        asked = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await playing
        assert time.monotonic() - asked < 1.0
        await eventually(lambda: not running(), 1)
