"""The `earshot` command: arguments → configuration → run → exit code."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Annotated, Any, NoReturn

import typer

from bot.config import ConfigError, find_config, json_schema, load_config
from common.command_line import Commands, stderr
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.interpreter import module_command

EXIT_CODES = (
    "Exit codes: 0 ended or asked to leave · 1 internal error · 2 configuration · "
    "3 Redis or transcriber not reachable · 4 join refused or timed out · 5 removed · "
    "6 connection lost · 130 Ctrl-C · 143 SIGTERM (docs/exit-codes.md)"
)


class _Commands(Commands):
    """Errors of the configuration one below the other."""

    def print_error(self, error: EarshotError) -> None:
        """Every problem with path, value and what is allowed, and the warnings: a typo is often the cause."""
        if not isinstance(error, ConfigError):
            super().print_error(error)
            return
        stderr().print(str(error).splitlines()[0], style="bold red")
        for problem in error.problems:
            stderr().print(f"  {problem.path}", style="bold")
            stderr().print(f"      is       {problem.value}")
            stderr().print(f"      allowed  {problem.allowed}")
        _print_warnings(error.warnings)


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
    from common.logging import CONFIG_WARNING, configure_logging

    configure_logging()
    settings, warnings = load_config(find_config(config, os.environ), os.environ)
    configure_logging(settings.log_level, settings.secrets())
    import structlog

    for warning in warnings:
        structlog.get_logger(__name__).warning(CONFIG_WARNING, warning=warning)
    from bot.process import run as run_bot

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


FORWARDED: dict[str, Any] = {
    "add_help_option": False,
    "context_settings": {"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False},
}
"""A command of another program: every argument is its own, `--help` too."""


@app.command(**FORWARDED)
def room(ctx: typer.Context) -> None:
    """Hold a rehearsal meeting that bots can join with real WebRTC, as the script says."""
    _become("rehearsal", "room", *ctx.args)


@app.command(**FORWARDED)
def demo(ctx: typer.Context) -> None:
    """Watch the whole path on this machine: a meeting of three speakers, a bot, a transcriber, Redis."""
    _become("rehearsal", "demo", *ctx.args)


def _become(module: str, *arguments: str) -> NoReturn:
    """Goes on as `python -m MODULE`: the same process, with its terminal, its signals and its exit code."""
    command = module_command(module, *arguments)
    os.execv(command[0], command)


def main() -> None:
    """Runs the command line and exits."""
    app(prog_name="earshot")


def _print_warnings(warnings: list[str]) -> None:
    for warning in warnings:
        stderr().print("warning:", style="bold yellow", end=" ")
        stderr().print(warning)
