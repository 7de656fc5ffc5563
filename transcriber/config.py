"""The transcriber's settings, as the command line or the environment give them."""

from __future__ import annotations

from dataclasses import dataclass, field

PORT = 9090
HTTP_PORT = 9091


@dataclass(frozen=True, slots=True)
class Settings:
    """One transcriber process."""

    model: str = "demo"
    """`demo`, a folder, or a name that faster-whisper knows."""
    device: str = "auto"
    compute_type: str = "default"
    threads: int = 1
    """Threads per decoding on a CPU; one is fastest for short windows."""
    parallel: int = 1
    """Decodings at once."""
    engine: str = "transcriber.engine.faster_whisper:load"
    """`module:function` that makes a warm engine of these settings, in a process of its own."""
    log_level: str = "info"
    host: str = "127.0.0.1"
    port: int = PORT
    """WebSocket; 0 takes a free one."""
    http_port: int = HTTP_PORT
    """Health, metrics and recordings; 0 takes a free one."""
    max_clients: int = 64
    api_key: str | None = field(default=None, repr=False)
    """HTTP clients that send audio must have it; None: nobody is asked."""
    max_requests: int = 8
    """HTTP requests with audio at once; more are told to come back."""
    max_upload_mb: int = 25
    """The largest file in 2**20 bytes."""
    longest_recording: float = 7200.0
    """Seconds of audio in one file."""
