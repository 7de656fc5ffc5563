"""What these tests of the link to Redis need."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def impatient() -> None:
    """Not here: how long a Redis that is not there is waited for is among what is tested."""
