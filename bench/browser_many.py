"""What bots in pages cost side by side: `python -m bench.browser_many` writes browser_many.md and browser_many.json.

One or four bots, each a process of its own, join an imitation of Google Meet's page in which two people speak: the real
flow, sandbox (as root: without), capture and decoding; no Redis, no transcriber. Of each cell: from the start of the
process to "admitted" and to the first sound; CPU and memory (PSS) of Chromium, of Playwright's driver and of the bot, a
bot, over a window after everybody is in. `shell`: Chromium's headless shell, our default; `new`: the full Chromium
without a window. A Chromium that is not installed is left out, and said to be.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.pages import cpu_seconds, is_driver, pss_mib, run_cell

HERE = Path(__file__).parent
PROGRAMS = {"shell": "chromium-headless-shell", "new": "chromium"}
BOTS = (1, 4)
SETTLE_S, WINDOW_S = 8.0, 15.0
START_S = 120.0


async def attend(origin: str, headless: str) -> None:
    """One bot, until its input ends; says when it was admitted and when it heard something first."""
    began = time.monotonic()
    from bot.core.events import Admitted
    from bot.platforms import load
    from bot.platforms.orders import Orders
    from common.logging import configure_logging
    from tests.support.servers.meeting_pages import invited
    from tests.support.servers.pages import chromium_settings

    configure_logging("error")  # to standard error; by default it would be among what we say

    class Listener:
        heard = False

        def event(self, event: Any) -> None:
            if isinstance(event, Admitted):
                self.say(joined=time.monotonic() - began)

        def audio(self, frame: Any) -> None:
            if not self.heard and abs(frame.pcm).max() > 500:
                self.heard = True
                self.say(heard=time.monotonic() - began)

        def say(self, **what: float) -> None:
            sys.stdout.write(json.dumps(what) + "\n")
            sys.stdout.flush()

    settings = chromium_settings(headless=headless, executable=shutil.which(PROGRAMS[headless]))
    platform = load("google_meet")
    platform.prepare()
    orders = Orders()
    invitation = invited("google_meet", origin, browser=settings)
    attending = asyncio.create_task(platform.attend(invitation, Listener(), orders))
    await asyncio.to_thread(sys.stdin.read)
    orders.leave()
    await attending


async def cell(headless: str, bots: int) -> dict[str, Any]:
    """One run."""
    from bot.drivers.browser.launch import PREFIX, processes
    from rehearsal.script import Participant
    from tests.support.servers.directed import sine
    from tests.support.servers.meeting_pages import page_room

    own = tempfile.mkdtemp(prefix="earshot-")  # Chromiums of others on this machine are not ours
    async with page_room("google_meet") as directed:
        room = directed.room
        for who, hertz in (("ana", 440.0), ("ben", 1000.0)):
            room.enter(Participant(id=who, name=who.title()), True)
            room.speak(who, sine(hertz, 600))
        command = [sys.executable, "-m", "bench.browser_many", "--bot", room.origin, headless]
        started = [
            await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "TMPDIR": own},
            )
            for _ in range(bots)
        ]

        async def there(bot: asyncio.subprocess.Process) -> dict[str, float]:
            said: dict[str, float] = {}
            assert bot.stdout is not None
            while len(said) < 2:
                line = await asyncio.wait_for(bot.stdout.readline(), START_S)
                assert line, "a bot has ended"
                said |= json.loads(line)
            return said

        times = await asyncio.gather(*map(there, started))
        await asyncio.sleep(SETTLE_S)
        of_bots = {bot.pid for bot in started}
        all_of_it = set().union(*(processes(Path(own, name)) for name in os.listdir(own) if name.startswith(PREFIX)))
        driver = {one for one in all_of_it if is_driver(one)}
        groups = {"chromium": all_of_it - driver - of_bots, "driver": driver, "bot": of_bots}
        before = {name: cpu_seconds(group) for name, group in groups.items()}
        since = time.monotonic()
        await asyncio.sleep(WINDOW_S)
        took = (time.monotonic() - since) * bots
        row: dict[str, Any] = {"headless": headless, "bots": bots, "load": os.getloadavg()[0]}
        used = {name: cpu_seconds(group) - before[name] for name, group in groups.items()}
        row |= {f"{name}_cpu": 100 * seconds / took for name, seconds in used.items()}
        row |= {f"{name}_pss": pss_mib(group) / bots for name, group in groups.items()}
        row |= {key: statistics.median(one[key] for one in times) for key in ("joined", "heard")}
        for bot in started:
            assert bot.stdin is not None
            bot.stdin.close()
        await asyncio.gather(*(bot.wait() for bot in started))
    shutil.rmtree(own, ignore_errors=True)
    return row


def report(rows: list[dict[str, Any]], missing: list[str]) -> str:
    """The page."""
    lines = [
        "# Bots in pages, side by side",
        "",
        "Written by `python -m bench.browser_many`; what is measured and how stands at its top. All of it a bot;",
        f"percent of one core, on {os.cpu_count()} cores.",
        *(["", f"Not measured, as it is not installed: {', '.join(missing)}."] if missing else []),
        "",
        "| Chromium | Bots | Joined, heard after | CPU: Chromium, driver, bot | Memory: the same | load |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        cpu = ", ".join(f"{row[f'{name}_cpu']:.1f} %" for name in ("chromium", "driver", "bot"))
        pss = ", ".join(f"{row[f'{name}_pss']:.0f}" for name in ("chromium", "driver", "bot"))
        lines.append(
            f"| {row['headless']} | {row['bots']} | {row['joined']:.1f} / {row['heard']:.1f} s | {cpu} | {pss} MiB |"
            f" {row['load']:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m bench.browser_many")
    parser.add_argument("--bot", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--cell", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.bot is not None:
        asyncio.run(attend(*given.bot))
        return 0
    if given.cell is not None:
        sys.stdout.write(json.dumps(asyncio.run(cell(given.cell[0], int(given.cell[1])))) + "\n")
        return 0
    missing = [program for program in PROGRAMS.values() if shutil.which(program) is None]
    there = [headless for headless, program in PROGRAMS.items() if program not in missing]
    rows = [run_cell("bench.browser_many", headless, str(bots)) for headless in there for bots in BOTS]
    (HERE / "browser_many.json").write_text(json.dumps(rows, indent=1) + "\n")
    (HERE / "browser_many.md").write_text(report(rows, missing))
    return 0


if __name__ == "__main__":
    sys.exit(main())
