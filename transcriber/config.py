"""The transcriber's settings, as the command line or the environment give them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from common.problems import reason
from common.redact import redact_url

PORT = 9090
HTTP_PORT = 9091
ENGINES = {"faster-whisper": "transcriber.engine.faster_whisper:load"}
"""Engines with a process of their own, and what makes them."""
OPENAI = "openai"
"""The engine that is a server elsewhere."""
STREAMING = "streaming:"
"""What stands before `module:function` of an engine that is fed audio and answers by itself."""
REMOTE_CALLS = 8
"""Calls of it at once, unless told otherwise."""

_ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^/\s?#@,*]+")


class SettingsError(Exception):
    """A setting that cannot be used: names it and says what is allowed."""


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """A server that decodes: one with OpenAI's API, or whatever a streaming engine speaks to."""

    url: str
    """For OpenAI's API what stands before `/audio/transcriptions`; else as it was given, empty: it was not."""
    key: str | None = field(default=None, repr=False)
    """Sent to it; None: none."""
    timeout: float = 10.0
    """Seconds that one call may take."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One transcriber process."""

    model: str = "demo"
    """`demo`, a folder, or a name that faster-whisper knows."""
    device: str = "auto"
    device_index: int = 0
    """Which of several GPUs."""
    compute_type: str = "default"
    threads: int = 1
    """Threads per decoding on a CPU; one is fastest for short windows."""
    parallel: int = 1
    """Decodings at once."""
    engine: str = "transcriber.engine.faster_whisper:load"
    """`openai`; `module:function` that makes a warm engine of these settings, in a process of its own; or one that
    gives sessions, after `streaming:`."""
    remote: RemoteSettings | None = None
    """Decodes in place of an engine here; for `openai` `model` is then a model of that server."""
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

    @property
    def is_streaming(self) -> bool:
        """The engine is fed audio and answers by itself."""
        return self.engine.startswith(STREAMING)

    @property
    def factory(self) -> str:
        """`module:function` of an engine that is no server."""
        return self.engine.removeprefix(STREAMING)

    @property
    def backend(self) -> str:
        """What the engine is called on `/health`: `openai`, or its module."""
        if self.remote and not self.is_streaming:
            return OPENAI
        return self.factory.partition(":")[0].rpartition(".")[2]


def read_engine(
    engine: str, *, url: str | None, key_file: str | None, timeout: float
) -> tuple[str, RemoteSettings | None]:
    """`--engine` and what belongs to it as `Settings` has them. Raises SettingsError."""
    made_by = ENGINES.get(engine, engine)
    is_streaming = engine.startswith(STREAMING)
    if engine != OPENAI and not re.fullmatch(r"\w+(\.\w+)*:\w+", made_by.removeprefix(STREAMING)):
        known = ", ".join((*ENGINES, OPENAI))
        raise SettingsError(
            f"--engine {engine!a}: use {known}, or for one of your own module:function, {STREAMING}module:function."
        )
    if engine != OPENAI and not is_streaming:
        given = [name for name, value in (("--engine-url", url), ("--engine-key-file", key_file)) if value]
        if given:
            belong = "belongs" if len(given) == 1 else "belong"
            raise SettingsError(
                f"{' and '.join(given)} {belong} to --engine {OPENAI} and {STREAMING}… only, not to {engine!a}."
            )
        return made_by, None
    if engine == OPENAI and not url:
        raise SettingsError(f"--engine {OPENAI} needs --engine-url, for example http://gpu:9091/v1.")
    key = read_key(None, key_file, option="--engine-key")
    address = (
        _api_url(url or "") if engine == OPENAI else _server_url(url, ("ws", "wss", "http", "https")) if url else ""
    )
    return made_by, RemoteSettings(address, key, timeout)


def _api_url(given: str) -> str:
    """What stands before `/audio/transcriptions`: without a path, `/v1`. Raises SettingsError."""
    url = urlsplit(_server_url(given, ("http", "https")))
    path = url.path.rstrip("/").removesuffix("/audio/transcriptions") or "/v1"
    return f"{url.scheme}://{url.netloc}{path}"


def _server_url(given: str, schemes: Sequence[str]) -> str:
    """A URL without secrets, which would be in logs. Raises SettingsError."""
    try:
        url = urlsplit(given.strip())
        is_usable = url.scheme in schemes and url.hostname and (url.port or 1)
    except ValueError:
        is_usable = False
    if not is_usable or url.query or url.fragment or "@" in url.netloc or not given.isascii():
        shown = f"--engine-url {redact_url(given)!a}" if "://" in given else "--engine-url is no URL"
        raise SettingsError(
            f"{shown}: it must be {schemes[0]}(s)://host[:port][/path], such as "
            f"{schemes[0]}://gpu:9091/v1, without user, password and query; the key goes into --engine-key-file."
        )
    return given.strip()


def read_key(key: str | None, file: str | None, option: str = "--api-key") -> str | None:
    """The API key, given or in a file; None: neither. Raises SettingsError."""
    if key and file:
        raise SettingsError(f"{option} and {option}-file are both given: use one of them.")
    if file:
        try:
            key = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{option}-file: cannot read {file} ({reason(error)}).") from error
    if (file or key) and not re.fullmatch(r"[!-~]+", key or ""):  # what fits into a header, on every client
        where = f"{option}-file {file}" if file else option
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
