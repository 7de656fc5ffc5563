"""The PyPI WhisperLive server as it is: `stock_server.py MODEL_FOLDER PORT [--batch] [--base]`. With --base its model
costs what Whisper base costs (base_shape.py)."""

from __future__ import annotations

import sys
from typing import Any

import whisper_live.backend.faster_whisper_backend as backend
from whisper_live.server import TranscriptionServer


def main(folder: str, port: str, *options: str) -> None:
    """Serves until killed. In batch mode nobody is turned away, so that the load is the same."""
    if "--base" in options:
        from bench.transcriber.base_shape import cost_like_base

        stock: Any = backend.WhisperModel
        backend.WhisperModel = lambda *given, **named: cost_like_base(stock(*given, **named))
    batch: dict[str, Any] = {"batch_max_queue_wait_s": 1e9, "batch_max_admissions_per_s": 1e9}
    TranscriptionServer().run(
        "127.0.0.1",
        int(port),
        backend="faster_whisper",
        faster_whisper_custom_model_path=folder,
        single_model=True,
        max_clients=256,
        max_connection_time=86_400,
        **({"batch_enabled": True, **batch} if "--batch" in options else {}),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
