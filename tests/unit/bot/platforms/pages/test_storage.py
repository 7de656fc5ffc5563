"""Files for storage: signed as AWS says, and taken by a server that checks it; what fails is said."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from bot.answers import authorities
from bot.platforms.pages.storage import upload
from bot.settings import ObjectStoreSettings
from common.tls import server_context
from tests.support.servers.certificates import write_pair


class StandIn(ThreadingHTTPServer):
    """A stand-in for such storage: keeps what is signed with its key, as a server computes it, and refuses the rest."""

    secret = "s3cret-of-the-storage"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.kept: dict[str, bytes] = {}


class _Handler(BaseHTTPRequestHandler):
    server: StandIn

    def do_PUT(self) -> None:
        """Stores an object."""
        content = self.rfile.read(int(self.headers["content-length"]))
        is_right = hmac.compare_digest(self._signature(content), self.headers["authorization"].rpartition("=")[2])
        if is_right:
            self.server.kept[self.path] = content
        self.send_response(200 if is_right else 403)
        self.send_header("content-length", "0")
        self.end_headers()

    def _signature(self, content: bytes) -> str:
        given = dict(part.split("=", 1) for part in self.headers["authorization"].partition(" ")[2].split(","))
        names = given["SignedHeaders"]
        lines = "".join(f"{name}:{self.headers[name]}\n" for name in names.split(";"))
        body = hashlib.sha256(content).hexdigest()
        assert body == self.headers["x-amz-content-sha256"]
        request = f"{self.command}\n{self.path}\n\n{lines}\n{names}\n{body}"
        scope = given["Credential"].partition("/")[2]
        stamp = self.headers["x-amz-date"]
        assert abs((datetime.strptime(f"{stamp}+0000", "%Y%m%dT%H%M%SZ%z") - datetime.now(UTC)).total_seconds()) < 60
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = f"AWS4{self.server.secret}".encode()
        for word in scope.split("/"):
            key = hmac.new(key, word.encode(), hashlib.sha256).digest()
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@asynccontextmanager
async def storage(tls: ssl.SSLContext | None = None) -> AsyncIterator[StandIn]:
    """A stand-in that serves."""
    with StandIn() as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True) if tls else server.socket
        serving = asyncio.create_task(asyncio.to_thread(server.serve_forever, poll_interval=0.05))
        try:
            yield server
        finally:
            await asyncio.to_thread(server.shutdown)
            await serving


def store(port: int, secret: str = StandIn.secret, scheme: str = "http") -> ObjectStoreSettings:
    """Evidence goes there."""
    return ObjectStoreSettings(
        endpoint=f"{scheme}://127.0.0.1:{port}",
        bucket="bots",
        prefix="2026",
        access_key="earshot",
        secret_key=SecretStr(secret),
        region="eu-central-1",
    )


async def test_files_arrive_under_their_names() -> None:
    """And the URLs of those that did are told."""
    async with storage() as server:
        port = server.server_address[1]
        files = {"meet-denied-1.jpeg": b"\xff\xd8", "meet denied+1.json": b"{}"}
        sent = await upload(store(port), files)
        paths = ["/bots/2026/evidence/meet-denied-1.jpeg", "/bots/2026/evidence/meet%20denied%2B1.json"]
        assert sent == [f"http://127.0.0.1:{port}{path}" for path in paths]
        assert server.kept == dict(zip(paths, files.values(), strict=True))


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """Of a server whose certificate is from a private authority, which `SSL_CERT_FILE` names."""
    pair = write_pair(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", pair[0])
    authorities.cache_clear()
    context = server_context(*pair)
    assert context is not None
    yield context
    authorities.cache_clear()


async def test_a_private_authority_is_trusted_when_it_is_named(tls: ssl.SSLContext) -> None:
    """By OpenSSL's own variable, as everywhere."""
    async with storage(tls) as server:
        assert await upload(store(server.server_address[1], scheme="https"), {"a": b"a"})


async def test_what_fails_is_said() -> None:
    """A wrong key, nobody there: nothing is told as sent, and no secret stands in the log."""
    async with storage() as server:
        port = server.server_address[1]
        with capture_logs() as logged:
            assert await upload(store(port, "wrong-secret-key"), {"a": b"a"}) == []
    with capture_logs() as unreachable:
        assert await upload(store(port), {"a": b"a"}) == []
    assert [line["event"] for line in (*logged, *unreachable)] == ["evidence.not_sent"] * 2
    assert "secret" not in str(logged) + str(unreachable)
