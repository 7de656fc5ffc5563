"""A transcriber's logs are not what these tests look at, and ten thousand of them would count as memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog
from structlog.typing import EventDict


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Errors only."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    """Everything that is logged, whatever its level."""
    structlog.reset_defaults()
    with structlog.testing.capture_logs() as events:
        yield events
