"""The PyPI WhisperLive server as it is: `stock_server.py MODEL_FOLDER PORT [MAX_CONNECTION_TIME]`."""

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
    max_connection_time=int(sys.argv[3]) if len(sys.argv) > 3 else 600,
)
