"""The `earshot-transcriber` command."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from common.errors import EarshotError
from common.installed import needed
from transcriber.config import (
    HTTP_PORT,
    OPENAI,
    PORT,
    REMOTE_CALLS,
    Settings,
    SettingsError,
    read_engine,
    read_key,
    read_origins,
)

EXIT_CODES = (
    "Exit codes: 0 stopped by a signal · 1 internal error · 2 wrong options · "
    "3 no usable model or package, or port taken"
)


class Device(StrEnum):
    """Where the model runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Level(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


ApiKey = Annotated[
    str | None,
    typer.Option(
        envvar="TRANSCRIBER_API_KEY",
        help="Asked of clients, for streams and recordings. Other users see command lines: prefer the others.",
        show_default=False,
    ),
]
ApiKeyFile = Annotated[
    str | None, typer.Option(envvar="TRANSCRIBER_API_KEY_FILE", help="A file that holds it.", show_default=False)
]
Origins = Annotated[
    list[str] | None,
    typer.Option(
        envvar="TRANSCRIBER_ALLOW_ORIGINS",
        help="A browser page that may connect, such as https://app.example.com; *: any. May be given again, or as a "
        "comma list. Without it: none.",
        show_default=False,
    ),
]
Certificate = Annotated[
    str | None,
    typer.Option(envvar="TRANSCRIBER_TLS_CERT", help="PEM file, the chain: both ports speak TLS.", show_default=False),
]
PrivateKey = Annotated[
    str | None, typer.Option(envvar="TRANSCRIBER_TLS_KEY", help="PEM file, its private key.", show_default=False)
]

Model = Annotated[
    str,
    typer.Option(
        envvar="TRANSCRIBER_MODEL",
        help="`demo` (bundled, about 300 words), the folder of a CTranslate2 Whisper model, or a name such as "
        "tiny, small.en, large-v3, fetched on first use.",
    ),
]
DeviceName = Annotated[
    Device, typer.Option(envvar=["TRANSCRIBER_DEVICE", "DEVICE_TYPE"], help="auto: CUDA if it is there.")
]
ComputeType = Annotated[
    str, typer.Option(envvar="TRANSCRIBER_COMPUTE_TYPE", help="CTranslate2's; default: int8 (CPU), float16 (CUDA).")
]
Threads = Annotated[int, typer.Option(min=1, max=64, envvar="TRANSCRIBER_THREADS", help="Per decoding, CPU.")]
Engine = Annotated[
    str,
    typer.Option(
        envvar="TRANSCRIBER_ENGINE",
        help="What decodes: faster-whisper, here; openai, a server with OpenAI's API; or your own: module:function for "
        "windows, streaming:module:function where it is fed audio and answers by itself.",
    ),
]
EngineUrl = Annotated[
    str | None,
    typer.Option(
        envvar="TRANSCRIBER_ENGINE_URL",
        help="For openai: the server, such as http://gpu:9091/v1 or https://api.openai.com/v1; streaming: also ws(s)://.",
        show_default=False,
    ),
]
EngineModel = Annotated[
    str, typer.Option(envvar="TRANSCRIBER_ENGINE_MODEL", help="For openai, in place of --model: one of the server's.")
]
EngineKeyFile = Annotated[
    str | None,
    typer.Option(
        envvar="TRANSCRIBER_ENGINE_KEY_FILE",
        help="For openai and streaming: a file that holds the server's key.",
        show_default=False,
    ),
]
EngineTimeout = Annotated[
    float,
    typer.Option(
        min=0.1, max=120, envvar="TRANSCRIBER_ENGINE_TIMEOUT",
        help="For openai: seconds that a call may take; with its retries a final may take three times as long.",
    ),
]  # fmt: skip
DeviceIndex = Annotated[
    int, typer.Option(min=0, envvar="TRANSCRIBER_DEVICE_INDEX", help="Which GPU, where there are several.")
]
Parallel = Annotated[
    int | None,
    typer.Option(
        min=1, max=64, envvar="TRANSCRIBER_PARALLEL", help="Decodings at once; default: 1, with --engine openai 8.",
        show_default=False,
    ),
]  # fmt: skip

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True, epilog=EXIT_CODES, subcommand_metavar="[calibrate …]")
def transcribe(
    context: typer.Context,
    model: Model = "demo",
    engine: Engine = "faster-whisper",
    engine_url: EngineUrl = None,
    engine_model: EngineModel = "whisper-1",
    engine_key_file: EngineKeyFile = None,
    engine_timeout: EngineTimeout = 10.0,
    device: DeviceName = Device.AUTO,
    device_index: DeviceIndex = 0,
    compute_type: ComputeType = "default",
    threads: Threads = 1,
    parallel: Parallel = None,
    host: Annotated[
        str, typer.Option(envvar="TRANSCRIBER_HOST", help="Address to listen on; 0.0.0.0 in a container.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, envvar="TRANSCRIBER_PORT", help="WebSocket; 0: any free one.")
    ] = PORT,
    http_port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, envvar="TRANSCRIBER_HTTP_PORT", help="/health, /ready, /metrics, recordings; 0: any free."
        ),
    ] = HTTP_PORT,
    max_clients: Annotated[
        int, typer.Option(min=1, envvar="TRANSCRIBER_MAX_CLIENTS", help="More are told to wait.")
    ] = 64,
    api_key: ApiKey = None,
    api_key_file: ApiKeyFile = None,
    allow_origin: Origins = None,
    tls_cert: Certificate = None,
    tls_key: PrivateKey = None,
    max_requests: Annotated[
        int, typer.Option(min=1, max=1024, envvar="TRANSCRIBER_MAX_REQUESTS", help="Recordings at once, over HTTP.")
    ] = 8,
    max_upload_mb: Annotated[
        int, typer.Option(min=1, max=2048, envvar="TRANSCRIBER_MAX_UPLOAD_MB", help="The largest recording, over HTTP.")
    ] = 25,
    longest_recording: Annotated[
        float, typer.Option(min=1, max=86_400, envvar="TRANSCRIBER_LONGEST_RECORDING", help="Seconds, over HTTP.")
    ] = 7200.0,
    log_level: Annotated[Level, typer.Option(envvar="LOG_LEVEL", case_sensitive=False)] = Level.INFO,
) -> None:
    """Serves the WhisperLive protocol: audio in over a websocket, text out. `calibrate` measures a model for it."""
    if context.invoked_subcommand:
        return _refuse_options(context)
    _refuse_empty(context)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: its threads would spin for tiny products
    with _installed("earshot-transcriber"):
        from common.logging import configure_logging
        from transcriber.engine.base import ModelError
        from transcriber.service import PortError, run

    try:
        key, origins = read_key(api_key, api_key_file), read_origins(allow_origin or [])
        made_by, remote = read_engine(engine, url=engine_url, key_file=engine_key_file, timeout=engine_timeout)
    except SettingsError as error:
        _fail(error, 2)
    secrets = [secret for secret in (key, remote and remote.key) if secret]
    configure_logging(log_level, secrets, silent=["websockets"])  # port scanners are not our errors
    settings = Settings(
        model=engine_model if engine == OPENAI else model, engine=made_by, remote=remote, device=device,
        device_index=device_index, compute_type=compute_type, threads=threads,
        parallel=parallel or (REMOTE_CALLS if engine == OPENAI else 1), host=host, port=port, http_port=http_port,
        max_clients=max_clients, api_key=key, allow_origins=origins, tls_certificate=tls_cert, tls_key=tls_key,
        max_requests=max_requests, max_upload_mb=max_upload_mb, longest_recording=longest_recording,
        log_level=log_level,
    )  # fmt: skip
    try:
        asyncio.run(run(settings))
    except* SettingsError as errors:
        _fail(errors, 2)
    except* (ModelError, PortError) as errors:
        _fail(errors, 3)


@app.command(
    epilog="Exit codes: 0 measured · 1 internal error · 2 wrong options, or speech that will not do · "
    "3 no usable model or package"
)
def calibrate(
    context: typer.Context,
    model: Model,
    device: DeviceName = Device.AUTO,
    device_index: DeviceIndex = 0,
    compute_type: ComputeType = "default",
    threads: Threads = 1,
    speech: Annotated[
        Path | None,
        typer.Option(
            help="A folder with NAME.wav (.flac, .ogg, .mp3, …) and NAME.txt, what is said in it; default: speech in "
            "English, German, Spanish, Japanese and Russian that ships with this, in the model's languages.",
            show_default=False, file_okay=False, exists=True,
        ),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Spoken in that folder; default: the model finds it.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="The file for the result; default: window_sizes.json in the model's folder, or where that is not "
            "writable one in your cache.",
            show_default=False, dir_okay=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure, and write nothing.")] = False,
) -> None:  # fmt: skip
    """Measures how short a model's windows may be, once for each model, in minutes: decodes real speech in several
    sizes, and keeps the cheapest that are hardly worse than the full window."""
    _refuse_empty(context)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with _installed("calibrate"):
        from transcriber.calibration.command import Asked, run
        from transcriber.calibration.speech import SpeechError
        from transcriber.engine.base import ModelError

    settings = Settings(
        model=model, device=device, device_index=device_index, compute_type=compute_type, threads=threads
    )
    try:
        run(settings, Asked(speech, language, output, dry_run))
    except SpeechError as error:
        _fail(error, 2)
    except ModelError as error:
        _fail(error, 3)


@contextmanager
def _installed(command: str) -> Iterator[None]:
    """Within the block, which imports, a package that is missing ends the command."""
    try:
        with needed(command, "transcriber"):
            yield
    except EarshotError as error:
        _fail(error, 3)


def _refuse_empty(context: typer.Context) -> None:
    """An option without a value, as of a shell variable that is not set: an empty key would let everybody in. In the
    environment it is none, as Compose gives it."""
    for name, value in context.params.items():
        source = context.get_parameter_source(name)
        if value in ("", [""]) and source is not None and source.name == "COMMANDLINE":
            context.fail(f"--{name.replace('_', '-')} is empty: give it a value, or leave it out.")


def _refuse_options(context: typer.Context) -> None:
    """The server's options before a command would do nothing: says where the command's stand."""
    command = context.invoked_subcommand
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = f"--{name.replace('_', '-')}"
            context.fail(f"{option} stands before {command}, whose options stand after it: {command} --model …")


def _fail(error: BaseException, code: int) -> NoReturn:
    """Says what is wrong, taken out of the groups that TaskGroups wrap around it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    typer.echo(f"earshot-transcriber: {error}", err=True)
    sys.exit(code)


def main() -> None:
    """Console script."""
    app(prog_name="earshot-transcriber")
