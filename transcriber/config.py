"""The transcriber's settings, as the command line or the environment give them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from common.problems import reason

PORT = 9090
HTTP_PORT = 9091

_ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^/\s?#@,*]+")


class SettingsError(Exception):
    """A setting that cannot be used: names it and says what is allowed."""


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
    """Clients must have it, on the websocket and for recordings; None: nobody is asked."""
    allow_origins: tuple[str, ...] = ()
    """Browser pages that may connect, such as `https://app.example.com`; `*`: any."""
    tls_certificate: str | None = None
    """PEM file with the certificate chain, for both ports; None: no TLS."""
    tls_key: str | None = None
    """PEM file with its private key; None: it is in the certificate's file."""
    max_requests: int = 8
    """HTTP requests with audio at once; more are told to come back."""
    max_upload_mb: int = 25
    """The largest file in 2**20 bytes."""
    longest_recording: float = 7200.0
    """Seconds of audio in one file."""


def read_key(key: str | None, file: str | None) -> str | None:
    """The API key, given or in a file; None: neither. Raises SettingsError."""
    if key and file:
        raise SettingsError("--api-key and --api-key-file are both given: use one of them.")
    if file:
        try:
            key = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"--api-key-file: cannot read {file} ({reason(error)}).") from error
    if (file or key) and not re.fullmatch(r"[!-~]+", key or ""):  # what fits into a header, on every client
        where = f"--api-key-file {file}" if file else "--api-key"
        raise SettingsError(f"{where}: the key must be one line of visible ASCII characters without spaces.")
    return key or None


def read_origins(given: Iterable[str]) -> tuple[str, ...]:
    """Origins, also several in one text with commas, as browsers send them. Raises SettingsError."""
    origins = tuple(part.strip().lower().rstrip("/") for text in given for part in text.split(",") if part.strip())
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise SettingsError(
                f"--allow-origin {origin!a}: an origin is scheme://host or scheme://host:port without a path, "
                "for example https://app.example.com; * allows every page."
            )
    return origins
