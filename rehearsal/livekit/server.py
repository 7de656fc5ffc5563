"""A livekit-server of one's own: found here (never built), run on keys made for the occasion, told what to do."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from common.contracts.status import SubCode
from common.errors import EarshotError
from common.imports import without
from common.problems import reason

with without("cryptography"):  # for signatures that LiveKit does not know
    import jwt

HERMETIC_ADDRESS = "198.51.100.1"
"""The address inside `tools/hermetic`; livekit-server and its clients ignore the loopback interface."""
MISSING = "livekit-server is missing: run `make build/bin/livekit-server` (needs Go), or name one in LIVEKIT_SERVER"
START_TIMEOUT_S = 15.0
PORTS = range(10_000, 30_000)
PORT_TRIES = 20
_BUILT = Path(__file__).parents[2] / "build" / "bin" / "livekit-server"


@dataclass(frozen=True, slots=True)
class LiveKitServer:
    """A running server and the key pair that it trusts."""

    url: str
    api_key: str
    api_secret: str = field(repr=False)


def find_livekit_server() -> Path | None:
    """The binary to run: environment `LIVEKIT_SERVER`, else the one that the Makefile built, else on PATH."""
    named = os.environ.get("LIVEKIT_SERVER")
    if named:
        return Path(named)
    if _BUILT.exists():
        return _BUILT
    found = shutil.which("livekit-server")
    return Path(found) if found else None


@contextmanager
def livekit_server(
    address: str = HERMETIC_ADDRESS, auto_create: bool = True, redis: str | None = None
) -> Iterator[LiveKitServer]:
    """Runs livekit-server on free ports of `address` until the block ends.

    Args:
        address: Of this machine.
        auto_create: A room comes into being when somebody joins it, else only through the server's API.
        redis: host:port of a Redis, through which it reaches workers of its own, such as egress; None: it has none.

    Raises:
        EarshotError: ROOM_UNREACHABLE when there is no binary or it does not come up, with its last words.
    """
    binary = find_livekit_server()
    if binary is None:
        raise EarshotError(SubCode.ROOM_UNREACHABLE, MISSING)
    port = _free_port(address)
    server = LiveKitServer(f"ws://{address}:{port}", f"key-{secrets.token_hex(4)}", secrets.token_urlsafe(32))
    with tempfile.TemporaryDirectory(prefix="earshot-livekit-") as folder:
        settings, log = Path(folder) / "server.yaml", Path(folder) / "server.log"
        settings.touch(mode=0o600)
        settings.write_text(_settings(server, address, port, auto_create, redis))
        with log.open("wb") as output:
            process = subprocess.Popen([binary, "--config", settings], stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait_until_up(process, address, port, log)
            yield server
        finally:
            process.kill()  # SIGTERM would wait for its rooms to empty
            process.wait()


async def as_host(server: LiveKitServer, call: str, **arguments: Any) -> dict[str, Any]:
    """One call of LiveKit's RoomService, as the host's own server would make it. Raises httpx.HTTPError."""
    room = arguments["room"]
    grants = {"room": room, "roomAdmin": True, "roomCreate": True, "roomList": True}
    claims = {"iss": server.api_key, "sub": "host", "exp": int(time.time()) + 60, "video": grants}
    token = jwt.encode(claims, server.api_secret, algorithm="HS256")
    url = f"{server.url.replace('ws', 'http', 1)}/twirp/livekit.RoomService/{call}"
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(url, json=arguments, headers={"Authorization": f"Bearer {token}"})
    answer.raise_for_status()
    return dict(answer.json())


def _free_port(address: str) -> int:
    """The first of three free ports in a row (signalling, media over TCP and over UDP), below those that the system
    gives to connections on their way out. Raises EarshotError."""
    for _ in range(PORT_TRIES):
        first = PORTS.start + secrets.randbelow(len(PORTS))
        try:
            with ExitStack() as taken:
                for number, kind in enumerate((socket.SOCK_STREAM, socket.SOCK_STREAM, socket.SOCK_DGRAM)):
                    taken.enter_context(socket.socket(socket.AF_INET, kind)).bind((address, first + number))
        except OSError as error:
            why = reason(error)
        else:
            return first
    raise EarshotError(SubCode.ROOM_UNREACHABLE, f"no free ports for a livekit-server on {address}: {why}")


def _settings(server: LiveKitServer, address: str, port: int, auto_create: bool, redis: str | None) -> str:
    shared = f'redis: {{address: "{redis}"}}\nwebhook: {{api_key: {server.api_key}}}' if redis else ""
    return f"""
port: {port}
bind_addresses: ["{address}"]
rtc: {{tcp_port: {port + 1}, udp_port: {port + 2}, use_external_ip: false}}
keys: {{{server.api_key}: {server.api_secret}}}
room: {{auto_create: {str(auto_create).lower()}}}
logging: {{level: warn}}
{shared}
"""


def _wait_until_up(process: subprocess.Popen[bytes], address: str, port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((address, port), timeout=0.5).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    words = log.read_text(errors="replace").strip()[-500:] or "it said nothing"
    raise EarshotError(SubCode.ROOM_UNREACHABLE, f"livekit-server did not come up on {address}:{port}: {words}")
