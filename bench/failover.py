"""A failover by Redis Sentinel under a bot's link: `python -m bench.failover`; nothing lost, doubled or reordered?

A primary, a replica and three Sentinels of the installed redis-server, on loopback. The link goes through a proxy that
follows the primary, as HAProxy or a service of Kubernetes does in front of such a Redis. It publishes numbered finals;
the primary is killed with -9 in the middle. Once more with a replica that has heard nothing for three seconds before.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from bot.links.redis.link import RedisLink
from common.redis import FAILURES, connect
from rehearsal.embedded_redis import _free_port, find_redis_server
from tests.support.servers.proxies import TcpProxy
from tests.support.servers.redis_server import payloads, running

FINALS_PER_S = 50
BEFORE_S, AFTER_S, DEAF_S = 8.0, 22.0, 3.0


@contextlib.asynccontextmanager
async def redis_server(folder: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """One process of it, killed at the end."""
    binary = find_redis_server()
    assert binary is not None, "this needs an installed redis-server"
    process = await asyncio.create_subprocess_exec(
        binary, *arguments, "--dir", str(folder), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ready(port: int) -> None:
    """Waits until a server answers."""
    while True:
        with contextlib.suppress(*FAILURES):
            await command(port, "PING")
            return
        await asyncio.sleep(0.05)


async def command(port: int, *words: str) -> Any:
    """Asks a server something."""
    client = connect(f"redis://127.0.0.1:{port}")
    try:
        return await client.execute_command(*words)  # type: ignore[no-untyped-call]
    finally:
        await client.aclose()


async def follow(proxy: TcpProxy, sentinel: int) -> None:
    """Points the proxy to whoever Sentinel says is the primary."""
    while True:
        with contextlib.suppress(*FAILURES):
            host, port = await command(sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "earshot")
            if int(port) != proxy.target[1]:
                proxy.lead_to(host, int(port))
        await asyncio.sleep(0.2)


async def failover(*, deaf_replica: bool) -> str:
    """One run; a row of the table."""
    ports = [_free_port() for _ in range(5)]
    primary, replica, *sentinels = ports
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        durable = ("--appendonly", "yes", "--save", "")
        folders = [folder / str(port) for port in ports]
        for each in folders:
            each.mkdir()
        first = await stack.enter_async_context(redis_server(folders[0], "--port", str(primary), *durable))
        await ready(primary)
        await stack.enter_async_context(
            redis_server(folders[1], "--port", str(replica), *durable, "--replicaof", "127.0.0.1", str(primary))
        )
        await ready(replica)
        for place, port in zip(folders[2:], sentinels, strict=True):
            file = place / "sentinel.conf"
            file.write_text(
                f"port {port}\nsentinel monitor earshot 127.0.0.1 {primary} 2\n"
                "sentinel down-after-milliseconds earshot 2000\nsentinel failover-timeout earshot 10000\n"
            )
            await stack.enter_async_context(redis_server(place, str(file), "--sentinel"))
            await ready(port)
        await asyncio.sleep(3)  # the Sentinels find each other and the replica
        proxy = await stack.enter_async_context(TcpProxy("127.0.0.1", primary))
        following = asyncio.create_task(follow(proxy, sentinels[0]))
        stack.callback(following.cancel)
        changes: list[tuple[float, bool]] = []
        link = RedisLink(
            f"redis://127.0.0.1:{proxy.port}", "bot", 1, on_change=lambda up, _: changes.append((time.monotonic(), up))
        )
        sent: list[str] = []
        async with running(link):
            began, killed, is_deaf = time.monotonic(), 0.0, False
            while (passed := time.monotonic() - began) < BEFORE_S + AFTER_S:
                if deaf_replica and passed >= BEFORE_S - DEAF_S and not is_deaf:
                    is_deaf = True
                    await command(primary, "ACL", "SETUSER", "default", "-psync", "-sync")
                    await command(primary, "CLIENT", "KILL", "TYPE", "replica")
                if passed >= BEFORE_S and not killed:
                    first.kill()
                    killed = time.monotonic()
                sent.append(str(len(sent)))
                link.publish_final(sent[-1])
                await asyncio.sleep(1 / FINALS_PER_S)
            left = await link.flush(10)
        back = [at - killed for at, up in changes if up and at > killed]
        client = connect(f"redis://127.0.0.1:{replica}")
        stored = await payloads(client)
        await client.aclose()
    missing, doubled = len(set(sent) - set(stored)), len(stored) - len(set(stored))
    ordered = [int(text) for text in stored] == sorted(int(text) for text in stored)
    kind = f"has heard nothing for {DEAF_S:g} s" if deaf_replica else "healthy"
    resumed = f"{back[0]:.1f} s" if back else "never"
    return f"| {kind} | {len(sent)} | {resumed} | {missing} | {doubled} | {'yes' if ordered else 'no'} | {left} |"


async def main() -> None:
    """Both runs, as a table."""
    print("| Replica | Finals | Resumed after | Lost | Doubled | In order | Not stored at the end |")
    print("|---|---:|---:|---:|---:|---|---:|")
    for deaf in (False, True):
        print(await failover(deaf_replica=deaf))


if __name__ == "__main__":
    asyncio.run(main())
