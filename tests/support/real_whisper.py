"""Whisper base, where its folder is named: real weights are not in the repository."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from transcriber.engine.faster_whisper import FasterWhisper

FOLDER = os.environ.get("EARSHOT_REAL_MODEL", "")
needs_weights = pytest.mark.skipif(not FOLDER, reason="EARSHOT_REAL_MODEL does not name the folder of Whisper base")
MARKS = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(300), needs_weights]
"""Of tests that decode with it."""


@cache
def base() -> FasterWhisper:
    """The engine, loaded once."""
    return FasterWhisper(Path(FOLDER), "base", device="cpu")
