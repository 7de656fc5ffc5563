"""Pictures of every state of the imitated pages, for docs/pages.md: `python -m tests.pages.pictures` writes both.

Each state is drawn by the page itself, as in `test_states`, and photographed in a real Chromium at half its size.
"""

from __future__ import annotations

import sys
from base64 import b64decode
from functools import partial
from pathlib import Path

from bot.platforms import load
from bot.platforms.pages import PagePlatform
from rehearsal.pages.room import PLATFORMS
from tests.pages.test_states import MEANS, STATES, VARIANTS, Row, Shown, showing

DOCS = Path(__file__).parents[2] / "docs"
FOLDER = DOCS / "pages"
WIDTH, HEIGHT, SCALE, QUALITY = 900, 280, 0.5, 55
COLUMNS = 3
STYLE = """body { font: 16px sans-serif; margin: 12px; background: #f4f5f7 }
[data-participant-id], [data-stream-type], [id^=participant_], .video-avatar__avatar {
  display: inline-block; border: 1px solid #999; padding: 20px; margin: 6px }"""
HEAD = """# What the bot sees: the states of the pages

Pictures of our **imitations** (`rehearsal/pages/`), not of the real sites: they have the elements, words and traps that
the [sources](selectors.md) describe, and none of the looks. Under each picture stands what the bot takes it for.
Written by `python -m tests.pages.pictures`; that each state, in each form and language, means this is tested
(`tests/pages/test_states.py`).
"""


def rows(platform: str) -> list[Row]:
    """What is drawn."""
    return [Row(state) for state in STATES[platform].split()]


def page() -> str:
    """docs/pages.md."""
    parts = [HEAD]
    for platform in PLATFORMS:
        found = load(platform)
        assert isinstance(found, PagePlatform)
        parts.append(
            f"\n## {found.title}\n\nOther forms: {', '.join(VARIANTS[platform])}, straight and curly apostrophes.\n"
        )
        cells = [
            f"![{row.state}](pages/{platform}-{row.state}.webp)<br>`{row.state}`: {MEANS[row.state]}"
            for row in rows(platform)
        ]
        cells += [""] * (-len(cells) % COLUMNS)
        parts.append("|" + " |" * COLUMNS + "\n" + "|---" * COLUMNS + "|")
        parts += ["| " + " | ".join(cells[at : at + COLUMNS]) + " |" for at in range(0, len(cells), COLUMNS)]
    return "\n".join(parts) + "\n"


def photograph(platform: str) -> int:
    """Writes the platform's pictures; returns their bytes."""
    size = 0
    with showing(platform) as (opened, loop):
        page, shown = opened.page, Shown(platform, opened, loop)
        session = loop.call(page.context.new_cdp_session, page)
        for row in rows(platform):
            shown.looks([row])
            loop.call(partial(page.add_style_tag, content=STYLE))
            clip = {"x": 0, "y": 0, "width": WIDTH, "height": HEIGHT, "scale": SCALE}
            options = {"format": "webp", "quality": QUALITY, "clip": clip}
            taken = loop.call(session.send, "Page.captureScreenshot", options)
            picture = b64decode(taken["data"])
            (FOLDER / f"{platform}-{row.state}.webp").write_bytes(picture)
            size += len(picture)
    return size


def main() -> None:
    """Writes all of it."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.webp"):
        old.unlink()
    size = sum(photograph(platform) for platform in PLATFORMS)
    (DOCS / "pages.md").write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{size / 1024:.0f} KiB\n")


if __name__ == "__main__":
    main()
