"""What a test run finds around it: programs that some tests need."""

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
