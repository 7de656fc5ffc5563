"""Delivery of finished files: in order, again and again, to a bucket whose server is scripted."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.core.effects import ReportHealth
from bot.links.object_store import ObjectStore, UploadError, safe_name
from bot.recording import delivery as delivering
from bot.recording.delivery import ChunkPoster, Delivery, Uploader
from bot.recording.index import Meeting, Recorded
from bot.signatures import Bucket
from tests.support.waiting import eventually

PAUSES = (0.01,)


def recorded(number: int, track: str = "t1") -> Recorded:
    """One file."""
    stamp = "2026-01-31T09:30:00.000Z"
    return Recorded(f"{track}/{number:06}.wav", track, "ana", "Ana", number, 5.0 * number, 5.0, stamp, stamp, "gst")


@dataclass
class Answers:
    """A server of HTTP that answers as it was told, and remembers what it was sent."""

    answers: list[bytes] = field(default_factory=list)
    """Status and body of the first; then 200."""
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request of a connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                line, *lines = head.strip().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
                body = await reader.readexactly(int(headers["content-length"]))
                self.requests.append((line, headers, body))
                status, _, text = (self.answers.pop(0) if self.answers else b"200 OK ").partition(b"\n")
                if status == b"hang up":
                    break
                writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: %d\r\n\r\n" % len(text) + text)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[Answers]:
    """It, on a free port."""
    at = Answers(list(answers))
    visits: set[asyncio.Task[None]] = set()

    def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.add(asyncio.create_task(at.visit(reader, writer)))

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    at.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield at
    finally:
        server.close()
        for visit in visits:
            visit.cancel()
        await asyncio.gather(*visits, return_exceptions=True)


def bucket(url: str) -> Bucket:
    """One with a prefix."""
    return Bucket(url, "records", "key-id", "canary-secret", prefix="2026/meetings")


@asynccontextmanager
async def delivery(send: delivering.Send) -> AsyncIterator[tuple[Delivery, list[ReportHealth]]]:
    """One at work, and what it reports."""
    reports: list[ReportHealth] = []
    one = Delivery("recording_upload", send, reports.append, PAUSES)
    running = asyncio.create_task(one.run())
    try:
        yield one, reports
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def files(folder: Path, count: int) -> list[Recorded]:
    """As many, on the disk."""
    (folder / "t1").mkdir()
    found = [recorded(number) for number in range(count)]
    for each in found:
        (folder / each.path).write_bytes(f"audio {each.seq}".encode() * 1000)
    return found


async def test_files_go_to_a_bucket_in_order_until_they_are_taken(tmp_path: Path) -> None:
    """The server is full, hangs up, and takes the second try; one that it refuses for good is left out, and said."""
    some = files(tmp_path, 4)
    refusal = b"403 Forbidden\n<Error><Code>AccessDenied</Code><Message>no \x1b[31m</Message></Error>"
    async with answering(b"503 Slow Down", b"hang up", b"200 OK", refusal) as at:
        store = ObjectStore(bucket(at.url))
        async with delivery(Uploader(store, tmp_path, "wav")) as (one, reports):
            for each in some:
                one.put(each)
            async with asyncio.timeout(10):
                await one.flush()
            assert one.failed == 1
        await store.close()
    names = [re.sub(r".*/(\d+)\.wav .*", r"\1", line) for line, _, _ in at.requests]
    assert names == ["000000", "000000", "000000", "000001", "000002", "000003"]
    line, headers, body = at.requests[2]
    assert line == f"PUT /records/2026/meetings/{tmp_path.name}/t1/000000.wav HTTP/1.1"
    assert body == (tmp_path / some[0].path).read_bytes()
    assert headers["x-amz-content-sha256"] == hashlib.sha256(body).hexdigest()
    assert headers["content-type"] == "audio/wav"
    assert "canary" not in str(at.requests)
    assert [report.healthy for report in reports] == [False, True, False, True]
    assert "503" in reports[0].detail
    assert "403 AccessDenied: no" in reports[2].detail
    assert not any("canary" in report.detail or "\x1b" in report.detail for report in reports)


async def test_chunks_are_posted_as_they_were_if_an_answer_was_lost(tmp_path: Path) -> None:
    """The same form again, so that the transcriber knows a duplicate; the answer is kept."""
    some = files(tmp_path, 1)
    meeting = Meeting("bot-1", 42, "rtp", 1_700_000_000.0, 5, "wav")
    async with answering(b"hang up", b'200 OK\n{"gate": "duplicate"}') as at:
        poster = ChunkPoster(f"{at.url}/process", "canary", meeting, tmp_path)
        async with delivery(poster) as (one, _):
            one.put(some[0])
            async with asyncio.timeout(10):
                await one.flush()
        await poster.close()
    forms = [set(re.findall(rb'name="(\w+)"(?:\r\n)+([^\r]*)', body)) for _, _, body in at.requests]
    assert forms[0] == forms[1]
    assert dict(forms[0]) == {
        b"roomId": b"42", b"timestamp": b"2023-11-14T22:13:20.000Z", b"seq": b"0", b"source": b"egress_gst",
        b"role": b"Ana", b"peer": b"ana", b"clientId": b"bot-1", b"producerId": b"t1", b"trackId": b"t1",
    }  # fmt: skip
    assert at.requests[0][1]["authorization"] == "Bearer canary"
    assert (tmp_path / "t1/000000.json").read_text() == '{"gate": "duplicate"}'


async def test_a_queue_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest file is left out, even while it is being tried."""
    monkeypatch.setattr(delivering, "MAX_WAITING_FILES", 3)
    taken: list[int] = []
    is_open = asyncio.Event()

    async def send(each: Recorded) -> None:
        await is_open.wait()
        taken.append(each.seq)

    async with delivery(send) as (one, _):
        one.put(recorded(0))
        await asyncio.sleep(0)
        for number in range(1, 5):
            one.put(recorded(number))
        is_open.set()
        await eventually(lambda: not len(one))
    assert taken == [0, 2, 3, 4]
    assert one.failed == 2


async def test_nobody_is_there(tmp_path: Path) -> None:
    """A file that is gone, and a server that is: words for people, without the key."""
    store = ObjectStore(bucket("http://127.0.0.1:1"))
    with pytest.raises(UploadError, match="none is not there any more") as gone:
        await store.put(tmp_path / "none", "x")
    assert gone.value.is_final
    (tmp_path / "some").write_bytes(b"x")
    with pytest.raises(UploadError, match=r"http://127.0.0.1:1/records/2026/meetings/x cannot be reached") as failure:
        await store.put(tmp_path / "some", "x")
    assert not failure.value.is_final
    await store.close()


def test_the_secret_is_not_shown() -> None:
    """Where a bucket is printed."""
    assert "canary-secret" not in repr(bucket(""))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ana", "ana"),
        ("../../etc/passwd", "etc_passwd"),
        ("..", "_"),
        (".x", "x"),
        ("ä\n b", "b"),
        ("a" * 99, "a" * 64),
    ],
)
def test_names_of_strangers(text: str, name: str) -> None:
    """Nothing hidden, nothing that leads out of the folder, nothing that a shell would read."""
    assert safe_name(text) == name


def test_keys_are_escaped() -> None:
    """As they are signed."""
    assert bucket("http://h/").url("a b/ü.wav") == "http://h/records/2026/meetings/a%20b/%C3%BC.wav"


async def test_a_file_that_is_gone_holds_up_no_other(tmp_path: Path) -> None:
    """Whoever tidies up the disk while the bucket is away costs that file alone."""
    some = files(tmp_path, 3)
    (tmp_path / some[0].path).unlink()
    async with answering() as at:
        store = ObjectStore(bucket(at.url))
        poster = ChunkPoster(at.url, None, Meeting("bot-1", 1, "rtp", 0.0, 5, "wav"), tmp_path)
        for send in (Uploader(store, tmp_path, "wav"), poster):
            async with delivery(send) as (one, _):
                for each in some:
                    one.put(each)
                async with asyncio.timeout(10):
                    await one.flush()
                assert one.failed == 1
        await store.close()
        await poster.close()
    assert len(at.requests) == 4


@pytest.mark.parametrize("code", ["RequestTimeout", "IncompleteBody", "RequestTimeTooSkewed"])
async def test_a_refusal_that_comes_of_the_network_is_no_last_word(code: str, tmp_path: Path) -> None:
    """S3 says 400 to an upload that stalled, and 403 to a clock that is being set."""
    some = files(tmp_path, 1)
    async with answering(f"400 Bad Request\n<Error><Code>{code}</Code><Message>no</Message></Error>".encode()) as at:
        store = ObjectStore(bucket(at.url))
        async with delivery(Uploader(store, tmp_path, "wav")) as (one, _):
            one.put(some[0])
            async with asyncio.timeout(10):
                await one.flush()
            assert one.failed == 0
        await store.close()
    assert len(at.requests) == 2


async def test_at_the_end_a_pause_is_cut_short() -> None:
    """A bucket that is back has all files, although the next try was half a minute away."""
    taken: list[int] = []

    async def send(each: Recorded) -> None:
        taken.append(each.seq)
        if len(taken) == 1:
            raise UploadError("busy")

    one = Delivery("recording_upload", send, lambda report: None, (30.0,))
    running = asyncio.create_task(one.run())
    one.put(recorded(0))
    await eventually(lambda: bool(taken))
    async with asyncio.timeout(5):
        await one.flush()
    assert taken == [0, 0]
    running.cancel()
