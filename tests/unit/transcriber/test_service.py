"""The service, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from transcriber.engine.base import ModelError
from transcriber.service import speech_model


def test_a_damaged_speech_detector_is_an_error_for_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a missing one is: what cannot be used is named, without a traceback."""
    file = tmp_path / "damaged.onnx"
    file.write_bytes(b"")
    monkeypatch.setattr("common.audio.silero.bundled_model", lambda: file)
    with pytest.raises(ModelError, match=r"damaged\.onnx is not the Silero speech model"):
        speech_model()
