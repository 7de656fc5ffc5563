"""What is done to the network of tools/hermetic: packets of a port vanish; a process gets a network of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.tools import require
from tests.support.waiting import eventually

ENTER = """
until ip link show meeting && ip link show near; do sleep 0.05; done >/dev/null 2>&1
ip link set lo up
ip addr add "$1.2/30" dev meeting; ip addr add "$2.2/30" dev near
ip link set meeting up; ip link set near up
ip route add 198.51.100.0/24 via "$1.1"
shift 2
exec "$@"
"""


def require_network() -> None:
    """Skips with the reason where the network is not the tests' own, or cannot be changed."""
    require(os.environ.get("EARSHOT_HERMETIC"), "needs a network of its own: tools/hermetic pytest …")
    require(shutil.which("iptables"), "needs iptables: apt install iptables")


async def run(*words: str) -> None:
    """Runs a command that must work."""
    process = await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert process.returncode == 0, f"{' '.join(words)}: {said.decode()}"


@asynccontextmanager
async def rules(*each: tuple[str, ...]) -> AsyncIterator[None]:
    """Rules of iptables while the block runs. `-w`: other tests change them too."""
    async with contextlib.AsyncExitStack() as stack:
        for rule in each:
            await run("iptables", "-w", "-A", *rule)
            stack.push_async_callback(run, "iptables", "-w", "-D", *rule)
        yield


@asynccontextmanager
async def partition(port: int | str) -> AsyncIterator[None]:
    """Whatever goes to a port of loopback and comes from it vanishes; nobody is told."""
    ways = [("INPUT", "-i", "lo", "-p", "tcp", side, str(port), "-j", "DROP") for side in ("--dport", "--sport")]
    async with rules(*ways):
        yield


class Island:
    """A process in a network namespace of its own, with one link for its meeting and one for its neighbours.

    The meeting's servers are at 198.51.100.1, the neighbours at `near`; there is no other way out. Start the process by
    `command`, then `connect` it. `cut` unplugs the meeting's link.
    """

    def __init__(self) -> None:
        number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) * 4
        self._meeting, self._near = f"10.9.{number}", f"10.8.{number}"
        self.near = f"{self._near}.1"
        """Where it finds us beside the meeting."""
        self.inside = f"{self._near}.2"
        """Where we find it."""
        self._link = ""

    def command(self) -> tuple[str, ...]:
        """What stands before the command that is to be run there."""
        return ("unshare", "--net", "sh", "-c", ENTER, "sh", self._meeting, self._near)

    @asynccontextmanager
    async def connected(self, pid: int) -> AsyncIterator[None]:
        """Plugs the process in. Media go by the meeting's link alone."""
        await eventually(lambda: os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net"), 10)
        self._link = f"em{pid}"
        for name, inner, address in ((self._link, "meeting", self._meeting), (f"en{pid}", "near", self._near)):
            await run("ip", "link", "add", name, "type", "veth", "peer", "name", inner, "netns", str(pid))
            await run("ip", "addr", "add", f"{address}.1/30", "dev", name)
            await run("ip", "link", "set", name, "up")
        async with rules(("INPUT", "-i", f"en{pid}", "-p", "udp", "-j", "DROP")):
            yield

    async def cut(self, seconds: float) -> None:
        """Unplugs the meeting for so long."""
        await run("ip", "link", "set", self._link, "down")
        await asyncio.sleep(seconds)
        await run("ip", "link", "set", self._link, "up")
