"""Programs of the guides in docs/: what a reader is told to save and run, taken from the page word by word."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from tests.support.source import ROOT


def program(page: str, heading: str) -> str:
    """The first Python program below a heading of a page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    return text.partition("```python\n")[2].partition("```")[0]


def module(page: str, heading: str) -> Any:
    """The same as a module."""
    made = ModuleType(heading.replace(" ", "_"))
    exec(compile(program(page, heading), page, "exec"), made.__dict__)
    return made
