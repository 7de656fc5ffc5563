"""Evidence: what a page looked like when a meeting failed, with the words of strangers made unreadable.

A picture, and a summary of the page's own controls and words; where it is wanted a trace, in which nothing is blurred.
Bounded: 5 MB a failure, three failures a run. It goes into a folder, for the bot's user alone, or to a bucket of S3.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import secrets
import tempfile
import time
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from playwright.async_api import Error as PlaywrightError

from bot.platforms.pages.private import write_private
from common.errors import EarshotError
from common.problems import reason

if TYPE_CHECKING:
    from bot.drivers.browser.page import MeetingPage
    from bot.platforms.base import Invitation
    from bot.platforms.pages.look import Look
    from bot.platforms.pages.pack import Pack
    from bot.settings import ObjectStoreSettings

MAX_BYTES = 5 * 1024 * 1024
MAX_FAILURES = 3
EVIDENCE_S = 3.0
TRACE_S = 3.0
MAX_ELEMENTS = 400
MAX_NAMES = 300
MIN_NAME_CHARACTERS = 2
FIELDS_AND_PICTURES = ("input", "textarea", "[contenteditable]", "video", "canvas", "img")
MARK = "data-earshot-name"

log = structlog.get_logger(__name__)
_kept = 0  # failures of this run


async def keep_evidence(
    page: MeetingPage | None, pack: Pack, invitation: Invitation, code: str, last: Look, names: Iterable[str]
) -> tuple[str, ...]:
    """Keeps what there is; returns the paths and URLs. Nothing of it fails the bot.

    Args:
        page: As it is now; None, or gone: what was seen last is all there is.
        pack: Says which parts of it are the words of strangers.
        invitation: Says where it goes, and whether a trace was recorded.
        code: Sub-code of the failure, for the files' names.
        last: What was seen last.
        names: Of people; they are not readable in picture and summary, wherever they stand.
    """
    global _kept
    settings = invitation.browser
    store = invitation.object_store if settings.evidence_upload else None
    if (settings.evidence_dir is None and store is None) or _kept >= MAX_FAILURES:
        return ()
    _kept += 1
    when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    stem = f"{pack.platform}-{code}-{when}-{secrets.token_hex(3)}"
    seen = {"host": last.host, "found": dict(last.found), "people": len(last.people)}
    summary: dict[str, Any] = {"platform": pack.platform, "pack": pack.version, "code": code, "last": seen}
    found: dict[str, bytes] = {}
    if page is not None and not page.gone.done():
        try:
            async with asyncio.timeout(EVIDENCE_S):
                await _look(page, pack, _words(names), summary, found, stem)
        except (PlaywrightError, TimeoutError, EarshotError) as error:  # the last one: the page has died meanwhile
            log.warning("evidence.incomplete", error=type(error).__name__)
    found[f"{stem}.json"] = json.dumps(summary, indent=1, ensure_ascii=False).encode()
    if settings.trace and page is not None and not page.gone.done() and (trace := await _end_trace(page)):
        found[f"{stem}.trace.zip"] = trace
    found = _within(found)
    kept = [] if settings.evidence_dir is None else await asyncio.to_thread(_write, Path(settings.evidence_dir), found)
    return (*kept, *await _upload(store, found))


def _words(names: Iterable[str]) -> list[str]:
    """Names and their parts: a page calls people by either."""
    parts = {part: None for name in list(names)[-MAX_NAMES:] for part in (name, *name.split())}
    return [part for part in parts if len(part) >= MIN_NAME_CHARACTERS and not part.isdigit()]


async def _look(
    page: MeetingPage, pack: Pack, names: list[str], summary: dict[str, Any], found: dict[str, bytes], stem: str
) -> None:
    hidden = [*pack.strangers, *pack.people.tiles, *FIELDS_AND_PICTURES]
    script = await asyncio.to_thread(files(__package__).joinpath("evidence.js").read_text, encoding="utf-8")
    argument = {"hidden": hidden, "names": names, "most": MAX_ELEMENTS, "mark": MARK}
    summary["page"] = await page.evaluate(script.rstrip().removesuffix(";"), argument)
    style = f":is({','.join([*hidden, f'[{MARK}]'])}) {{ filter: blur(12px) !important; }}"
    found[f"{stem}.jpeg"] = await page.page.screenshot(type="jpeg", quality=70, style=style)


def _within(found: dict[str, bytes]) -> dict[str, bytes]:
    """As much of it as is allowed: the small and most telling first."""
    left, kept = MAX_BYTES, {}
    for name, content in found.items():
        if len(content) > left:
            log.warning("evidence.too_large", file=name, size=len(content))
            continue
        left -= len(content)
        kept[name] = content
    return kept


def _write(folder: Path, found: dict[str, bytes]) -> list[str]:
    written = []
    for name, content in found.items():
        path = folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private(path, content)
        except OSError as error:
            log.warning("evidence.not_written", path=str(path), error=reason(error))
            break
        written.append(str(path))
    return written


async def _upload(store: ObjectStoreSettings | None, found: dict[str, bytes]) -> list[str]:
    if store is None:
        return []
    storage = await asyncio.to_thread(importlib.import_module, "bot.platforms.pages.storage")  # and its HTTP client
    sent: list[str] = await storage.upload(store, found)
    return sent


# --- a trace of the way in


async def begin_trace(page: MeetingPage) -> None:
    """Records what happens in the page from now on, until `drop_trace` or the evidence."""
    try:
        async with asyncio.timeout(TRACE_S):
            await page.page.context.tracing.start(screenshots=True, snapshots=True)
    except (PlaywrightError, TimeoutError) as error:
        log.warning("evidence.no_trace", error=type(error).__name__)


async def drop_trace(page: MeetingPage) -> None:
    """The way in is over: what was recorded is thrown away, and nothing of the meeting is recorded."""
    try:
        async with asyncio.timeout(TRACE_S):
            await page.page.context.tracing.stop()
    except (PlaywrightError, TimeoutError):
        pass  # it did not begin, or the page is gone


async def _end_trace(page: MeetingPage) -> bytes | None:
    try:
        with tempfile.TemporaryDirectory(prefix="earshot-trace-") as folder:
            path = Path(folder, "trace.zip")
            async with asyncio.timeout(TRACE_S):
                await page.page.context.tracing.stop(path=path)
            return await asyncio.to_thread(path.read_bytes)
    except (PlaywrightError, TimeoutError, OSError) as error:
        log.warning("evidence.no_trace", error=type(error).__name__)
        return None
