"""The `earshot` command: arguments → configuration → run → exit code."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Annotated

import typer
from rich.console import Console
from typer.core import TyperGroup

from bot.config import ConfigError, find_config, json_schema, load_config
from common.contracts.status import MEANINGS, SubCode
from common.errors import EarshotError

EXIT_CODES = (
    "Exit codes: 0 ended or asked to leave · 1 internal error · 2 configuration · "
    "3 Redis or transcriber not reachable · 4 join refused or timed out · 5 removed · "
    "6 connection lost · 130 Ctrl-C · 143 SIGTERM (docs/exit-codes.md)"
)


class _Commands(TyperGroup):
    """Turns failures for people into clean text and their exit code."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Runs the chosen command."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            _print_config_error(error)
            raise typer.Exit(error.exit_code) from None
        except EarshotError as error:
            _print_error(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            raise typer.Exit(MEANINGS[SubCode.INTERRUPTED].exit_code) from None


app = typer.Typer(
    name="earshot",
    cls=_Commands,
    help="A headless meeting participant: joins a call, hears every speaker, and writes who said what, when, to Redis.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigOption = Annotated[
    str | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE|-",
        help="JSON configuration; - reads standard input. Default: VEXA_BOT_CONFIG, else BOT_CONFIG.",
        show_default=False,
    ),
]


@app.command(epilog=EXIT_CODES)
def run(config: ConfigOption = None) -> None:
    """Join one meeting, transcribe it, leave when it ends.

    Example: earshot run --config configs/livekit.example.jsonc
    """
    from common.logging import configure_logging

    configure_logging()
    settings, warnings = load_config(find_config(config, os.environ), os.environ)
    configure_logging(settings.log_level, settings.secrets())
    import structlog

    for warning in warnings:
        structlog.get_logger(__name__).warning("config_warning", warning=warning)
    from bot.runner import run as run_bot

    raise typer.Exit(run_bot(settings))


@app.command(epilog="Exit codes: 0 valid · 2 not")
def validate(config: ConfigOption = None) -> None:
    """Check a configuration: all errors and warnings at once; prints what is in effect, secrets masked.

    Example: earshot validate --config bot.json
    """
    settings, warnings = load_config(find_config(config, os.environ), os.environ)
    _print_warnings(warnings)
    sys.stdout.write(json.dumps(settings.masked(), indent=2) + "\n")


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration (also in configs/bot.schema.json)."""
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")


@app.command(epilog="Exit codes: 0 the meeting ended · 3 Redis not reachable · 130 Ctrl-C")
def tail(
    meeting: Annotated[
        str, typer.Option("--meeting", "-m", metavar="ID", help="meeting_id of the bot's configuration.")
    ],
    redis: Annotated[
        str, typer.Option("--redis", envvar="REDIS_URL", metavar="URL", help="Where the bot writes.")
    ] = "redis://127.0.0.1:6379",
    since_start: Annotated[bool, typer.Option("--since-start", help="Read the whole stream, however long.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Stay when the meeting ends.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="One line per final, even on a terminal.")] = False,
) -> None:
    """Watch a meeting's transcript from Redis, live.

    Example: earshot tail --meeting 42 --redis redis://localhost:6379
    """
    from bot.config.rules import is_redis_url
    from bot.tail import tail as show

    if not is_redis_url(redis):
        raise EarshotError(
            SubCode.CONFIG_INVALID, "--redis must be redis://[:password@]host:port[/db], rediss://… or unix:///path"
        )
    asyncio.run(show(redis, meeting, since_start=since_start, follow=follow, plain=plain))


@app.command()
def room(
    script: Annotated[str, typer.Argument(metavar="SCRIPT", help="Rehearsal script (JSON).", show_default=False)],
    listen: Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Where bots join.")] = "127.0.0.1:8090",
    truth: Annotated[
        str | None, typer.Option("--truth", metavar="FILE", help="Write what was really said, and when, as JSON lines.")
    ] = None,
) -> None:
    """Hold a rehearsal meeting that bots can join with real WebRTC, as the script says.

    Example: earshot room meeting.json --listen 127.0.0.1:8090, then a bot with
    platform rehearsal and meetingUrl rehearsal+ws://127.0.0.1:8090
    """
    from rehearsal.room import main as hold

    raise typer.Exit(hold(script, listen, truth))


@app.command()
def demo(
    room: Annotated[
        str, typer.Option("--room", metavar="rehearsal|livekit", help="Where the meeting is held.")
    ] = "rehearsal",
) -> None:
    """Watch the whole path on this machine: a meeting of three speakers, a bot, a transcriber, Redis.

    Example: earshot demo
    """
    from rehearsal.demo import main as show

    if room not in ("rehearsal", "livekit"):
        raise EarshotError(SubCode.CONFIG_INVALID, f"--room: {room!a}; allowed: rehearsal or livekit")
    raise typer.Exit(show(room))


def main() -> None:
    """Runs the command line and exits."""
    app()


def _stderr() -> Console:
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def _print_warnings(warnings: list[str]) -> None:
    for warning in warnings:
        _stderr().print("warning:", style="bold yellow", end=" ")
        _stderr().print(warning)


def _print_error(error: EarshotError) -> None:
    _stderr().print(f"earshot: {error.code}:", style="bold red", end=" ")
    _stderr().print(str(error))


def _print_config_error(error: ConfigError) -> None:
    """Every problem with path, value and what is allowed, and the warnings: a typo is often the cause."""
    _stderr().print(str(error).splitlines()[0], style="bold red")
    for problem in error.problems:
        _stderr().print(f"  {problem.path}", style="bold")
        _stderr().print(f"      is       {problem.value}")
        _stderr().print(f"      allowed  {problem.allowed}")
    _print_warnings(error.warnings)
