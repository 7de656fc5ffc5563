"""What a test run finds around it: programs that some tests need."""

from __future__ import annotations

import os

import pytest

RUNNING: list[pytest.Item] = []
"""The test that runs, last; empty: none does."""


def require(tool: object, reason: str, mark: str | None = None) -> None:
    """Skips the test with `reason` when `tool` is falsy; with CI=true a missing tool is a failure.

    So is a test without the mark that leaves it its share of the cores, wherever it runs.
    """
    if mark and RUNNING and RUNNING[-1].get_closest_marker(mark) is None:
        pytest.fail(f"a test that takes this has the mark `{mark}`: else the others leave it no core (CONTRIBUTING.md)")
    if tool:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must provide it: {reason}")
    pytest.skip(reason)
