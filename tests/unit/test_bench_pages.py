"""Pages of benchmarks are what their programs make of the numbers beside them: none was edited, and none is old."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from tests.support.source import ROOT

BENCH = ROOT / "bench"


def recordings(module: Any, kept: Any) -> str:
    """Its first row is of what it is held beside."""
    beside, *rows = kept
    page: str = module.report([module.Row(**row) for row in rows], beside)
    return page


def hysteresis(module: Any, kept: Any) -> str:
    """Rows of speech, and of noise."""
    noise = [row for row in kept if "noise" in row]
    page: str = module.report([row for row in kept if row not in noise], noise)
    return page


PAGES: dict[str, Callable[[Any, Any], str]] = {
    "browser": lambda module, kept: module.report(kept),
    "flood": lambda module, kept: module.report(kept["rows"], kept["seconds"]),
    "hangover": lambda module, kept: module.report(kept["rows"]),
    "hysteresis": hysteresis,
    "languages": lambda module, kept: module.report(kept),
    "livekit": lambda module, kept: module.report(kept["scenes"], kept["machine"]),
    "recordings": recordings,
    "roads": lambda module, kept: module.report(kept),
    "sfu": lambda module, kept: module.report(kept),
    "soak": lambda module, kept: module.report(kept),
    "words": lambda module, kept: module.report(kept, "words.json"),
}
"""Those whose numbers hold all that is on the page: others add the machine, draw chances, or wait to be measured."""


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_its_numbers_say(name: str) -> None:
    """Whoever changes how a page is written writes it again."""
    kept = json.loads((BENCH / f"{name}.json").read_text(encoding="utf-8"))
    page = PAGES[name](import_module(f"bench.{name}"), kept)
    assert page == (BENCH / f"{name}.md").read_text(encoding="utf-8")


def test_the_transcribers_page_is_what_its_cells_say() -> None:
    """It is made of one file for each cell."""
    from bench.transcriber import report, results

    assert report.render(results.read()) == report.PAGE.read_text(encoding="utf-8")
