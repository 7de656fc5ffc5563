"""The PyPI WhisperLive server as it is: `stock_server.py MODEL_FOLDER PORT`."""

from __future__ import annotations

import sys

from whisper_live.server import TranscriptionServer

TranscriptionServer().run(
    "127.0.0.1",
    int(sys.argv[2]),
    backend="faster_whisper",
    faster_whisper_custom_model_path=sys.argv[1],
    single_model=True,
    max_clients=8,
)
