"""What a test run has to do with around it: programs that some tests need, and other workers."""

from __future__ import annotations

import os

import pytest


def require(tool: object, reason: str) -> None:
    """Skips the test with `reason` when `tool` is falsy; with CI=true a missing tool is a failure."""
    if tool:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must provide it: {reason}")
    pytest.skip(reason)


def worker_number() -> int:
    """Which of the processes is this that share the tests (pytest-xdist), from 0; for numbers that must not meet."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
