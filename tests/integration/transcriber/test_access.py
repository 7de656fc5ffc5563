"""Who gets in, on real sockets: the key, browser pages, floods of connections, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.typing import EventDict
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from common.tls import CertificateError, server_context
from common.whisperlive.protocol import EXTENSIONS, Handshake
from tests.support.fakes.scripted_engine import ScriptedEngine, tone
from tests.support.servers.certificates import write_pair
from tests.support.transcribing import Serving, serving, talking
from transcriber.metrics import Metrics
from transcriber.websocket.admission import HANDSHAKE_GRACE_S, MIN_WAITING_PER_ADDRESS

pytestmark = pytest.mark.slow
OURS = Handshake("u", language="en", extensions=EXTENSIONS)
KEY = "canary-9d41c7e2"


def refused(metrics: Metrics, reason: str) -> float:
    """How many were, for this reason."""
    samples = [sample for family in metrics.refused.collect() for sample in family.samples]
    return sum(s.value for s in samples if s.labels == {"reason": reason} and s.name.endswith("_total"))


async def status_of(url: str, headers: Mapping[str, str], protocols: list[str] | None = None) -> tuple[int, str]:
    """The answer to a request for a websocket: 101 with the subprotocol, or a refusal with its text."""
    offered = [Subprotocol(name) for name in protocols] if protocols else None
    try:
        async with connect(
            url, additional_headers=headers, subprotocols=offered, proxy=None, compression=None, close_timeout=1
        ) as socket:  # fmt: skip
            return 101, str(socket.subprotocol)
    except InvalidStatus as error:
        return error.response.status_code, (error.response.body or b"").decode()


async def test_the_key_is_asked_before_the_upgrade_and_never_logged(logged: list[EventDict]) -> None:
    """401 with what to do; both headers work; `?token=` does not, for URLs end up in logs."""
    async with serving(key=KEY) as running:
        for headers, protocols in (({}, None), ({"Authorization": "Bearer nope"}, None), ({}, ["bearer", KEY + "x"])):
            status, text = await status_of(running.url, headers, protocols)
            assert status == 401
            assert "Authorization: Bearer KEY" in text
        assert (await status_of(f"{running.url}/?token={KEY}", {}))[0] == 401
        assert await status_of(running.url, {"Authorization": f"Bearer {KEY}"}) == (101, "None")
        assert await status_of(running.url, {}, ["bearer", KEY]) == (101, "bearer")
        assert refused(running.metrics, "key") == 4
    assert [event["reason"] for event in logged if event["event"] == "client.refused"] == ["key"] * 4
    assert KEY not in repr(logged)


async def test_a_client_with_the_key_is_served_and_the_key_stays_out_of_the_log(logged: list[EventDict]) -> None:
    """From the first message to the last, also where an error is logged with a traceback."""
    async with serving(key=KEY) as running:
        async with talking(running.url, OURS, headers={"Authorization": f"Bearer {KEY}"}) as client:
            await client.say(tone("alpha"))
            await client.acked(await client.end_utterance())
            assert client.text == ["alpha"]
        running.server._check = None  # type: ignore[assignment, method-assign]  # a bug, for a traceback
        with contextlib.suppress(ConnectionClosed):
            async with talking(running.url, OURS, headers={"Authorization": f"Bearer {KEY}"}):
                pass
    assert {"client.connected", "client.left", "client.failed"} <= {event["event"] for event in logged}
    assert KEY not in repr(logged)


async def test_a_browser_page_may_only_connect_when_its_origin_is_listed() -> None:
    """Without the list any page that somebody visits could use the transcriber on their machine."""
    async with serving(origins=("https://app.example.com",)) as running:
        assert (await status_of(running.url, {}))[0] == 101
        assert (await status_of(running.url, {"Origin": "https://app.example.com"}))[0] == 101
        itself = running.url.replace("ws:", "http:")
        assert (await status_of(running.url, {"Origin": itself}))[0] == 101
        for origin in ("https://evil.example", itself, "null"):
            status, text = await status_of(running.url, {"Origin": origin, "User-Agent": "Mozilla/5.0 Firefox/140.0"})
            assert status == 403
            assert "--allow-origin" in text
        assert refused(running.metrics, "origin") == 3


async def test_a_server_that_is_late_admits_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another stream would make the finals of the others later still: WAIT, with a reason of its own."""
    monkeypatch.setattr("transcriber.worker.Worker.admits", False)
    async with serving() as running, connect(running.url, proxy=None) as socket:
        await socket.send(OURS.serialise())
        assert '"WAIT"' in str(await socket.recv())
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert refused(running.metrics, "load") == 1


async def test_the_backlog_is_that_of_the_stream_with_most() -> None:
    """Seconds that are heard and not decided; none when all is."""
    engine = ScriptedEngine()
    engine.go.clear()

    def backlog(metrics: Metrics) -> float:
        [sample] = next(iter(metrics.backlog.collect())).samples
        return sample.value

    async with serving(engine) as running, talking(running.url, OURS) as one, talking(running.url, OURS) as other:
        await one.say(tone("alpha", 3))
        await other.say(tone("bravo", 1))
        end, _ = await one.end_utterance(), await other.end_utterance()
        async with asyncio.timeout(5):
            while backlog(running.metrics) < 2.9:  # noqa: ASYNC110  # no event says that a server has read
                await asyncio.sleep(0.01)
        assert backlog(running.metrics) == pytest.approx(3, abs=0.1)
        engine.go.set()
        await one.acked(end)
        await other.acked(16_000)
        assert backlog(running.metrics) == 0


@asynccontextmanager
async def silent_connections(url: str, count: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    """TCP connections that say nothing."""
    port = int(url.rpartition(":")[2])
    lines = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
    try:
        yield [reader for reader, _ in lines]
    finally:
        for _, writer in lines:
            # A reset: a thousand of them would leave a thousand ports in TIME_WAIT.
            writer.get_extra_info("socket").setsockopt(1, 13, struct.pack("ii", 1, 0))
            writer.close()
        for _, writer in lines:
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def few_clients() -> contextlib.AbstractAsyncContextManager[Serving]:
    """A server for so few that an address has the least share of connections."""
    return serving(max_clients=MIN_WAITING_PER_ADDRESS)


async def test_twenty_four_clients_of_one_address_come_at_once() -> None:
    """All connect before the first says who it is, as a fleet does whose transcriber was restarted; all are served."""
    async with serving(max_clients=24) as running, contextlib.AsyncExitStack() as stack:
        opening = [connect(running.url, proxy=None, ping_interval=None, compression=None) for _ in range(24)]
        sockets = await asyncio.gather(*(stack.enter_async_context(each) for each in opening))
        assert running.server.waiting == 24
        for number, each in enumerate(sockets):
            await each.send(Handshake(f"stock-{number}", language="en").serialise())
        for each in sockets:
            assert json.loads(await each.recv())["status"] == "SERVER_READY"
        assert (running.server.clients, running.server.waiting) == (24, 0)


async def test_who_does_not_finish_its_handshake_makes_room_for_others() -> None:
    """Beyond the share of an address: 503 with Retry-After at once; after a second the oldest goes instead."""
    async with few_clients() as running, silent_connections(running.url, MIN_WAITING_PER_ADDRESS) as silent:
        status, text = await status_of(running.url, {})
        assert (status, "no room" in text) == (503, True)
        assert refused(running.metrics, "connections") == 1
        await asyncio.sleep(HANDSHAKE_GRACE_S)
        async with talking(running.url, OURS) as client:
            await client.say(tone("alpha"))
            await client.acked(await client.end_utterance())
            assert client.text == ["alpha"]
        assert await silent[0].read() == b""
        assert running.server.waiting == MIN_WAITING_PER_ADDRESS - 1


async def test_a_refusal_before_the_request_is_http() -> None:
    """With Retry-After, for whoever reads it."""
    async with few_clients() as running, silent_connections(running.url, MIN_WAITING_PER_ADDRESS + 1) as silent:
        answer = (await silent[-1].read()).decode()
    head, _, body = answer.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 503 ")
    assert "Retry-After: 1" in head
    assert f"Content-Length: {len(body)}" in head


async def test_a_thousand_silent_connections_do_not_harm_a_stream() -> None:
    """It goes on, a new client still gets in, and next to nothing is kept of the flood."""
    async with few_clients() as running, talking(running.url, OURS) as client:
        async with silent_connections(running.url, 1000):
            assert running.server.waiting <= MIN_WAITING_PER_ADDRESS
            await client.say(tone("alpha"))
            started = asyncio.get_running_loop().time()
            await client.acked(await client.end_utterance())
            assert asyncio.get_running_loop().time() - started < 0.5
            await asyncio.sleep(HANDSHAKE_GRACE_S)
            async with talking(running.url, OURS) as newcomer:
                await newcomer.say(tone("bravo"))
                await newcomer.acked(await newcomer.end_utterance())
        assert (client.text, newcomer.text) == (["alpha"], ["bravo"])
        assert refused(running.metrics, "connections") >= 1000 - MIN_WAITING_PER_ADDRESS


@pytest.mark.parametrize("slow", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: h\r\nX: "])
async def test_a_request_that_does_not_end_is_cut_off(monkeypatch: pytest.MonkeyPatch, slow: bytes) -> None:
    """Also when a byte comes now and then."""
    monkeypatch.setattr("transcriber.websocket.server.HANDSHAKE_TIMEOUT_S", 0.3)
    async with serving() as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(running.url.rpartition(":")[2]))
        writer.write(slow)

        async def drip() -> None:
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        async with asyncio.timeout(2):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        dripping.cancel()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate and its key."""
    return write_pair(tmp_path_factory.mktemp("tls"))


async def test_a_stream_over_tls(pair: tuple[str, str]) -> None:
    """The certificate is checked as usual; whoever does not know it does not get as far as a word."""
    async with serving(tls=server_context(*pair)) as running:
        assert running.url.startswith("wss://")
        trusting = ssl.create_default_context(cafile=pair[0])
        async with talking(running.url, OURS, tls=trusting) as client:
            await client.say(tone("alpha"))
            await client.acked(await client.end_utterance())
            assert client.text == ["alpha"]
        with pytest.raises(ssl.SSLCertVerificationError):
            await status_of(running.url, {})


def test_old_versions_of_tls_are_not_spoken(pair: tuple[str, str]) -> None:
    """1.2 at least."""
    context = server_context(*pair)
    assert context
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_files_that_cannot_be_used_are_named(pair: tuple[str, str], tmp_path: Path) -> None:
    """The option, the file, and what is wrong with it; never a prompt for a password."""
    certificate, key = pair
    assert server_context(None, None) is None
    broken = tmp_path / "broken.pem"
    broken.write_text("no PEM", encoding="ascii")
    other = tmp_path / "other.pem"
    encrypted = tmp_path / "encrypted.pem"
    for path, protection in (
        (other, serialization.NoEncryption()),
        (encrypted, serialization.BestAvailableEncryption(b"x")),
    ):
        text = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection
        )
        path.write_bytes(text)
    for given, expected in (
        ((None, key), "--tls-key is given without --tls-cert"),
        (("/nowhere.pem", key), r"--tls-cert: cannot read /nowhere.pem \(No such file"),
        ((certificate, "/nowhere.pem"), r"--tls-key: cannot read /nowhere.pem \(No such file"),
        ((str(broken), key), "PEM files with a certificate and its unencrypted private key"),
        ((certificate, None), "PEM files with a certificate and its unencrypted private key"),
        ((certificate, str(encrypted)), "PEM files with a certificate and its unencrypted private key"),
        ((certificate, str(other)), "the key is not that of the certificate"),
    ):
        with pytest.raises(CertificateError, match=expected):
            server_context(*given)
    both = tmp_path / "both.pem"
    both.write_text(Path(certificate).read_text("ascii") + Path(key).read_text("ascii"), encoding="ascii")
    assert server_context(str(both), None)
