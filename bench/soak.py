"""Bots in meetings for half an hour, a fault every few seconds: `python -m bench.soak` writes soak.md and soak.json.

Two meetings at once, a rehearsal room and, where there is one, a room of a real livekit-server; two people talk without
a pause in each. Again and again the meeting's connection is cut, the transcriber is killed or frozen, its engine is
killed, Redis is killed or frozen. Accelerated: what happens once in hours happens every ten seconds, and nobody is ever
silent. The bots' memory, files, threads and tasks are to stay where they are; at the end stands the audit of
tests/faults. Needs tools/hermetic for LiveKit.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.transcriber.trend import trend
from rehearsal.livekit.server import find_livekit_server, livekit_server
from rehearsal.script import Action
from tests.support.chain import PEOPLE, Chain, chain, footprint
from tests.support.meetings import LiveKitMeeting, Meeting, RehearsalMeeting, rehearsal_meeting
from tests.support.processes import engines

HERE = Path(__file__).parent
SAMPLE_S = 2.0
QUIET_S = (6.0, 12.0)
"""Between two faults."""
WARM_SHARE, WARM_S = 0.25, 300.0
"""What counts begins after this share of the time, or after so long: by then everything has been loaded and filled."""
MAX_GROWTH = {"memory_mb": 5.0, "files": 3.0, "threads": 2.0, "tasks": 3.0}
"""From the first quarter of what counts to the last, in medians."""


@dataclass
class Soaked:
    """One meeting. `samples`: seconds, megabytes, files, threads, tasks."""

    kind: str
    samples: list[tuple[float, float, int, int, int]] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    said: int = 0
    finals: int = 0
    problem: str = ""

    def growth(self) -> dict[str, float]:
        """From the first quarter of what counts to the last, in medians."""
        counted = self.counted()
        quarter = max(1, len(counted) // 4)
        return {
            name: round(median(counted[-quarter:], place) - median(counted[:quarter], place), 2)
            for place, name in enumerate(MAX_GROWTH, 1)
        }

    def counted(self) -> list[tuple[float, float, int, int, int]]:
        """The samples after the warm-up."""
        warm = min(WARM_S, WARM_SHARE * self.samples[-1][0])
        return [sample for sample in self.samples if sample[0] >= warm]

    def memory_per_hour(self) -> dict[str, float]:
        """Megabytes, with a 95 % interval."""
        counted = self.counted()
        found = trend([at / 3600 for at, *_ in counted], [mb for _, mb, *_ in counted], 8)
        return {"slope": round(found.slope, 1), "low": round(found.low, 1), "high": round(found.high, 1)}

    def is_flat(self) -> bool:
        """Nothing has grown by more than what is allowed."""
        return all(grown <= MAX_GROWTH[name] for name, grown in self.growth().items())


def median(samples: Sequence[Sequence[float]], place: int) -> float:
    """Of one column."""
    return statistics.median(sample[place] for sample in samples)


async def cut(here: Chain) -> None:
    """The rehearsal's connections break."""
    assert isinstance(here.meeting, RehearsalMeeting)
    began = time.time()
    here.meeting.room.perform(Action.model_validate({"at": 0.0, "do": "cut", "for": here.chance.uniform(0.2, 2.0)}))
    await here.more_finals()
    here.away.append((began, time.time() + 5.0))


async def transcriber_killed(here: Chain) -> None:
    """And started again."""
    await here.transcriber.kill()
    await asyncio.sleep(here.chance.uniform(0.0, 2.0))
    await here.transcriber.start()


async def transcriber_frozen(here: Chain) -> None:
    """For a moment."""
    here.transcriber.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(here.chance.uniform(1.0, 4.0))
    here.transcriber.process.send_signal(signal.SIGCONT)


async def engine_killed(here: Chain) -> None:
    """The transcriber starts another one."""
    for engine in engines(here.transcriber.process.pid):
        os.kill(engine, signal.SIGKILL)


async def redis_killed(here: Chain) -> None:
    """And started again."""
    await here.redis.stop(kill=True)
    await asyncio.sleep(here.chance.uniform(0.0, 2.0))
    await here.redis.start()


async def redis_frozen(here: Chain) -> None:
    """For a moment."""
    os.kill(here.redis.pid, signal.SIGSTOP)
    await asyncio.sleep(here.chance.uniform(0.5, 3.0))
    os.kill(here.redis.pid, signal.SIGCONT)


FAULTS = (transcriber_killed, transcriber_frozen, engine_killed, redis_killed, redis_frozen)


async def watch(here: Chain, tasks: Path, soaked: Soaked) -> None:
    """Samples until cancelled."""
    began = time.monotonic()
    while True:
        await asyncio.sleep(SAMPLE_S)
        with contextlib.suppress(OSError, ValueError):
            soaked.samples.append((round(time.monotonic() - began, 1), *measured(here.bot.pid, tasks)))


def measured(pid: int, tasks: Path) -> tuple[float, int, int, int]:
    """Megabytes, files, threads, tasks of a bot. Raises OSError or ValueError: not just now."""
    now = footprint(pid)
    return round(now.memory, 1), now.files, now.threads, int(tasks.read_text(encoding="ascii"))


async def soak(kind: str, meeting: Meeting, seed: int, minutes: float, folder: Path) -> Soaked:
    """One meeting, from its beginning to the audit."""
    soaked = Soaked(kind)
    faults = (*FAULTS, cut) if kind == "rehearsal" else FAULTS
    async with chain(seed, folder, meeting=meeting) as here:
        await here.start_bot(EARSHOT_TONE_BOT_TASKS=str(folder / "tasks"))
        await here.hears_everybody()
        watching = asyncio.create_task(watch(here, folder / "tasks", soaked))
        try:
            async with here.conversation():
                until = time.monotonic() + 60 * minutes
                while time.monotonic() < until:
                    await asyncio.sleep(here.chance.uniform(*QUIET_S))
                    fault = here.chance.choice(faults)
                    await fault(here)
                    soaked.faults[fault.__name__] += 1
                await here.some_time()
            await here.settled(60)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        soaked.said, soaked.finals = sum(map(len, here.said.values())), len(await here.finals())
        try:
            await here.end()
        except AssertionError as error:
            soaked.problem = str(error)[:500] or "the audit failed"
    return soaked


@asynccontextmanager
async def meetings() -> AsyncIterator[dict[str, Meeting]]:
    """Those that there can be here."""
    async with AsyncExitStack() as stack:
        held: dict[str, Meeting] = {"rehearsal": await stack.enter_async_context(rehearsal_meeting(PEOPLE))}
        if os.environ.get("EARSHOT_HERMETIC") and find_livekit_server():
            server = stack.enter_context(livekit_server())
            held["livekit"] = await stack.enter_async_context(LiveKitMeeting(server, PEOPLE).held())
        yield held


async def run(minutes: float, seed: int) -> list[Soaked]:
    """All meetings at once."""
    with tempfile.TemporaryDirectory() as folder:
        async with meetings() as held:
            folders = {kind: Path(folder) / kind for kind in held}
            for each in folders.values():
                each.mkdir()
            soaking = (soak(kind, meeting, seed, minutes, folders[kind]) for kind, meeting in held.items())
            return list(await asyncio.gather(*soaking))


def as_json(soaked: Soaked) -> dict[str, Any]:
    """One meeting's numbers."""
    return {
        "meeting": soaked.kind,
        "faults": dict(soaked.faults),
        "said": soaked.said,
        "finals": soaked.finals,
        "problem": soaked.problem,
        "flat": soaked.is_flat(),
        "growth": soaked.growth(),
        "memory_mb_per_hour": soaked.memory_per_hour(),
        "samples": soaked.samples[:: max(1, len(soaked.samples) // 300)],
    }


HEAD = """\
# Bots under faults, for longer

Generated by `python -m bench.soak --minutes N`; raw numbers in `soak.json`. Do not edit.

"""


def report(result: dict[str, Any]) -> str:
    """soak.md."""
    note = f"; {result['note']}" if result["note"] else ""
    head = (
        f"{result['date']}: {result['minutes']:g} minutes, seed {result['seed']}, {result['cores']} cores{note}. Two "
        "people talk without a pause in each meeting; every 6 to 12 s there is a fault. Grown: from the first quarter "
        "of what counts (after the warm-up) to the last, in medians.\n"
    )
    lines = [
        head,
        "| Meeting | Utterances | Faults | Memory, MB | grown | per hour (95 %) | files | threads | tasks | Audit |",
        "|---|---:|---|---:|---:|---|---:|---:|---:|---|",
    ]
    for one in result["meetings"]:
        faults = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in one["faults"].items())
        hour, grown = one["memory_mb_per_hour"], one["growth"]
        lines.append(
            f"| {one['meeting']} | {one['said']} | {faults} | {one['samples'][-1][1]:.0f} | {grown['memory_mb']:+.1f} "
            f"| {hour['slope']:+.0f} ({hour['low']:+.0f} to {hour['high']:+.0f}) | {grown['files']:+.0f} "
            f"| {grown['threads']:+.0f} | {grown['tasks']:+.0f} | {one['problem'] or 'nothing lost, nothing twice'} |"
        )
    return HEAD + "\n".join(lines) + "\n"


def main() -> int:
    """Soaks, writes what was measured; 1 where something grew or the audit failed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--minutes", type=float, default=30.0)
    arguments.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    arguments.add_argument("--note", default="", help="what else ran on the machine meanwhile")
    asked = arguments.parse_args()
    soaked = asyncio.run(run(asked.minutes, asked.seed))
    result = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "minutes": asked.minutes,
        "seed": asked.seed,
        "cores": os.cpu_count(),
        "note": asked.note,
        "meetings": [as_json(one) for one in soaked],
    }
    (HERE / "soak.json").write_text(json.dumps(result) + "\n", encoding="utf-8")
    (HERE / "soak.md").write_text(text := report(result), encoding="utf-8")
    print(text)
    return int(any(one.problem or not one.is_flat() for one in soaked))


if __name__ == "__main__":
    raise SystemExit(main())
