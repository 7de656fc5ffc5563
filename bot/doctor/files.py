"""Checks of where files go: folders that can be written to, and whoever takes what is delivered."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

from bot.config import BotConfig
from bot.doctor.findings import Finding, Verdict
from bot.doctor.network import reach
from common.contracts.status import SubCode

LOOK_TIMEOUT_S = 5.0
"""For a look at a folder, which may be a network's."""


async def files(config: BotConfig) -> list[Finding]:
    """Tries each folder that is named, and each neighbour that gets finished files. No bot ends for want of one."""
    recording, bucket = config.recording, config.object_store
    folders = {
        "recording.dir": recording.dir if recording else None,
        "redis.spillDir": config.redis.spill_dir,
        "browser.evidenceDir": config.browser.evidence_dir,
    }
    takers = {
        "recording.processUrl": recording.process_url if recording else None,
        "objectStore.endpoint": bucket.endpoint if bucket else None,
    }
    return list(
        await asyncio.gather(
            *(_folder(name, Path(path)) for name, path in folders.items() if path is not None),
            *(_taker(name, url) for name, url in takers.items() if url is not None),
        )
    )


async def _folder(name: str, path: Path) -> Finding:
    """Whether files can be made in it, or it in the nearest one that is there; nothing is made."""
    try:
        async with asyncio.timeout(LOOK_TIMEOUT_S):
            why = await asyncio.to_thread(_hindrance, path)
    except TimeoutError:
        why = f"no answer within {LOOK_TIMEOUT_S:g} s"
    if why is None:
        return Finding(name, Verdict.WORKS, f"{path} can be written to")
    remedy = f"make it a folder that the bot's user (id {os.getuid()}) may write to; in a container, a volume"
    return Finding(name, Verdict.DOUBTFUL, f"{path}: {why}", remedy)


def _hindrance(path: Path) -> str | None:
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir():
        return "no folder" if there == path else f"{there} is no folder"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"{'it' if there == path else there} must not be written to"
    return None


async def _taker(name: str, url: str) -> Finding:
    """Whether somebody is there; a bot without goes on, and keeps its files."""
    found = await reach(name, url, SubCode.INTERNAL_ERROR, f"check `{name}`, and that its service is up")
    return replace(found, verdict=Verdict.DOUBTFUL, code=None) if found.verdict is Verdict.FAILS else found
