"""The `earshot` command: arguments → configuration → run → exit code."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import Annotated, Any, NoReturn

import typer

from bot.config import find_config, json_schema, load_config
from common.command_line import Commands, print_warnings
from common.imports import without
from common.interpreter import module_command
from common.problems import ConfigError, Problem, shown

EXIT_CODES = (
    "Exit codes: 0 ended or asked to leave · 1 internal error · 2 configuration · "
    "3 Redis or transcriber not reachable · 4 join refused or timed out · 5 removed · "
    "6 connection lost, or no transcriber ever answered · 130 Ctrl-C · 143 SIGTERM (docs/exit-codes.md)"
)


app = typer.Typer(
    name="earshot",
    cls=Commands,
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
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: its threads would spin for tiny products
    # For colours, which a bot's log has none of, and for greenlets, in which none of it is written: 7 MB.
    with without("click", "greenlet", "pygments", "rich"):
        import httpx  # noqa: F401
        import structlog

        from common.logging import CONFIG_WARNING, configure_logging

    for number in (signal.SIGINT, signal.SIGTERM):  # until the bot has its own; as PID 1 they would be ignored
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    configure_logging()
    text = find_config(config, os.environ)
    try:
        settings, warnings = load_config(text, os.environ)
    except ConfigError as error:
        from bot.refused import tell_manager

        tell_manager(text, error)
        raise
    configure_logging(settings.log_level, settings.secrets())
    for warning in warnings:
        structlog.get_logger(__name__).warning(CONFIG_WARNING, warning=warning)
    from bot.process import run as run_bot

    raise typer.Exit(run_bot(settings))


@app.command("/app/vexa-bot/entrypoint.sh", hidden=True)
def run_as_other_image() -> None:
    """`run`, under the command that managers of v0.10 give to every image (docs/managers.md)."""
    run(None)


@app.command(epilog="Exit codes: 0 valid · 2 not")
def validate(config: ConfigOption = None) -> None:
    """Check a configuration: all errors and warnings at once; prints what is in effect, secrets masked.

    Example: earshot validate --config bot.json
    """
    settings, warnings = load_config(find_config(config, os.environ), os.environ)
    print_warnings(warnings)
    sys.stdout.write(json.dumps(settings.masked(), indent=2) + "\n")


@app.command(epilog="Exit codes: 0 everything works, or is only doubtful · else that of a bot that would end on it")
def doctor(
    config: ConfigOption = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="Look at this meeting's page only: what of the selector pack is found in it."),
    ] = None,
    join: Annotated[bool, typer.Option("--join", help="With --url: ask to be let in, and leave again.")] = False,
    evidence: Annotated[
        str | None, typer.Option("--evidence", metavar="DIR", help="With --url: where a picture of the page goes.")
    ] = None,
    allow_no_sandbox: Annotated[
        bool, typer.Option("--allow-no-sandbox", help="With --url: start Chromium without its sandbox, as root has to.")
    ] = False,
) -> None:
    """Try what a bot will need: names, Redis, transcribers with a spoken phrase, the meeting's server, the clock.

    Example: earshot doctor --config bot.json; earshot doctor --url https://meet.google.com/abc-defg-hij
    """
    from rich.console import Console

    from bot.doctor.examination import examine
    from bot.doctor.findings import exit_code, print_table
    from bot.doctor.invited import look_at
    from common.destinations.guard import GuardedLoop
    from common.logging import configure_logging

    for option, given in (("--join", join), ("--evidence", evidence), ("--allow-no-sandbox", allow_no_sandbox)):
        if given and url is None:
            raise ConfigError([Problem(option, shown(given), "only with --url, a meeting's page")])
    if url is None or config is not None:
        settings, warnings = load_config(find_config(config, os.environ), os.environ)
        configure_logging("error", settings.secrets())
    else:
        settings, warnings = None, []
        configure_logging("error", ())
    with asyncio.Runner(loop_factory=GuardedLoop) as runner:
        if url is not None or settings is None:
            looking = look_at(str(url), settings, join=join, evidence=evidence, allow_no_sandbox=allow_no_sandbox)
            findings = runner.run(looking)
        else:
            findings = runner.run(examine(settings, warnings))
    print_table(findings, Console(highlight=False, width=None if sys.stdout.isatty() else 200))
    raise typer.Exit(exit_code(findings))


@app.command(
    epilog="Exit codes: 0 the session is stored · 2 no such platform or file · 4 no Chromium, no page, nobody signed in"
)
def login(
    platform: Annotated[str, typer.Argument(metavar="PLATFORM", help="Whose page to sign in at, such as google_meet.")],
    out: Annotated[str, typer.Option("--out", "-o", metavar="FILE", help="Where the session goes; it is a secret.")],
    url: Annotated[str | None, typer.Option("--url", help="Another page to sign in at.", show_default=False)] = None,
    allow_no_sandbox: Annotated[
        bool, typer.Option("--allow-no-sandbox", help="Start Chromium without its sandbox, as root has to.")
    ] = False,
) -> None:
    """Sign a bot in by hand: opens a window, and stores its session for `browser.storageStateFile`.

    Example: earshot login google_meet --out google.json
    """
    from bot.sign_in import run as run_login

    raise typer.Exit(run_login(platform, out, url, allow_no_sandbox))


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration (also in configs/bot.schema.json)."""
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")


@app.command(epilog="Exit codes: 0 the meeting ended · 2 no such URL · 3 Redis not reachable · 130 Ctrl-C")
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
    from bot.config.rules import REDIS_URL_FORM, is_redis_url
    from bot.tail import tail as show

    if not is_redis_url(redis):
        raise ConfigError([Problem("--redis", shown(redis), REDIS_URL_FORM)])
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
