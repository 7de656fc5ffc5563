"""The transcriber's settings, as the command line or the environment give them."""

from __future__ import annotations

from dataclasses import dataclass

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
    host: str = "127.0.0.1"
    port: int = PORT
    """WebSocket; 0 takes a free one."""
    http_port: int = HTTP_PORT
    """Health and metrics; 0 takes a free one."""
    max_clients: int = 64
