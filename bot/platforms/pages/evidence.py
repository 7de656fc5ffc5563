"""Evidence: what a page looked like when a meeting could not be joined, with the words of strangers made unreadable.

A picture and a summary of the page's own controls and words. Bounded: 5 MB a failure, three failures a run.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from playwright.async_api import Error as PlaywrightError

from bot.platforms.pages.private import write_private
from common.problems import reason

if TYPE_CHECKING:
    from bot.drivers.browser.page import MeetingPage
    from bot.platforms.pages.pack import Pack

MAX_BYTES = 5 * 1024 * 1024
MAX_FAILURES = 3
EVIDENCE_S = 3.0
MAX_ELEMENTS = 400
FIELDS_AND_PICTURES = ("input", "textarea", "[contenteditable]", "video", "canvas", "img")
_SUMMARY = """(arg) => {
  const strange = `:is(${arg.strangers.join(",")})`; // forgives what it does not understand
  const rows = [];
  const shown = "h1,h2,h3,p,button,input,iframe,[role],[aria-label],[data-tid],[data-testid]";
  for (const one of document.querySelectorAll(shown)) {
    if (rows.length >= arg.most) break;
    if (!one.checkVisibility() || one.closest(strange)) continue;
    const row = { tag: one.tagName.toLowerCase() };
    for (const key of ["id", "class", "role", "aria-label", "data-tid", "data-testid", "type", "placeholder"]) {
      const value = one.getAttribute(key);
      if (value) row[key] = value.slice(0, 200);
    }
    const own = [...one.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join(" ").trim();
    if (own) row.text = own.replace(/\\s+/g, " ").slice(0, 200);
    rows.push(row);
  }
  const page = document.documentElement;
  return { host: location.hostname, language: page.lang, rows }; // the title is often the meeting's
}"""

log = structlog.get_logger(__name__)
_kept = 0  # failures of this run


async def keep_evidence(page: MeetingPage, pack: Pack, folder: str | None, code: str) -> tuple[str, ...]:
    """Writes a picture and a summary; returns their paths. Nothing of it fails the bot.

    Args:
        page: As it is now.
        pack: Says which parts of it are the words of strangers.
        folder: Where to; None: nowhere.
        code: Sub-code of the failure, for the files' names.
    """
    global _kept
    if folder is None or _kept >= MAX_FAILURES or page.gone.done():
        return ()
    _kept += 1
    stem = Path(folder, f"{pack.platform}-{code}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{_kept}")
    found: dict[Path, bytes] = {}
    hidden = [*pack.strangers, *pack.people.tiles, *FIELDS_AND_PICTURES]
    try:
        async with asyncio.timeout(EVIDENCE_S):
            style = f":is({','.join(hidden)}) {{ filter: blur(12px) !important; }}"
            found[stem.with_suffix(".jpeg")] = await page.page.screenshot(type="jpeg", quality=70, style=style)
            argument = {"strangers": hidden, "most": MAX_ELEMENTS}
            summary: Any = await page.evaluate(_SUMMARY, argument)
            described = {"platform": pack.platform, "pack": pack.version, "code": code, "page": summary}
            found[stem.with_suffix(".json")] = json.dumps(described, indent=1, ensure_ascii=False).encode()
    except (PlaywrightError, TimeoutError) as error:
        log.warning("evidence.incomplete", error=type(error).__name__)
    return tuple(await asyncio.to_thread(_write, found))


def _write(found: dict[Path, bytes]) -> list[str]:
    written, left = [], MAX_BYTES
    for path, content in found.items():
        if len(content) > left:
            continue
        left -= len(content)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private(path, content)
        except OSError as error:
            log.warning("evidence.not_written", path=str(path), error=reason(error))
            break
        written.append(str(path))
    return written
