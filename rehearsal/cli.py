"""The commands `earshot room` and `earshot demo`: the bot's command line hands them over to `python -m rehearsal`."""

from __future__ import annotations

from typing import Annotated

import typer

from common.command_line import Commands
from common.installed import needed
from common.problems import ConfigError, Problem, shown

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def room(
    script: Annotated[str, typer.Argument(metavar="SCRIPT", help="Rehearsal script (JSON).", show_default=False)],
    listen: Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Where bots join.")] = "127.0.0.1:8090",
    truth: Annotated[
        str | None, typer.Option("--truth", metavar="FILE", help="Write what was really said, and when, as JSON lines.")
    ] = None,
    owned: Annotated[bool, typer.Option("--owned", hidden=True)] = False,
) -> None:
    """Hold a rehearsal meeting that bots can join with real WebRTC, as the script says.

    Example: earshot room meeting.json --listen 127.0.0.1:8090, then a bot with
    platform rehearsal and meetingUrl rehearsal+ws://127.0.0.1:8090
    """
    with needed("earshot room", "webrtc"):
        from rehearsal.webrtc.room import main as hold

    raise typer.Exit(hold(script, listen, truth, owned))


@app.command()
def demo(
    room: Annotated[
        str,
        typer.Option("--room", metavar="rehearsal|livekit|meet|teams|zoom|jitsi", help="Where the meeting is held."),
    ] = "rehearsal",
) -> None:
    """Watch the whole path on this machine: a meeting of three speakers, a bot, a transcriber, Redis.

    Example: earshot demo
    """
    with needed("earshot demo", "demo"):
        import jiwer  # noqa: F401 (the score's, after half a minute)

        from rehearsal.demo import ROOMS
        from rehearsal.demo import main as show

    if room not in ROOMS:
        raise ConfigError([Problem("--room", shown(room), f"one of {', '.join(ROOMS)}")])
    raise typer.Exit(show(room))


def main() -> None:
    """Runs the command line and exits; it speaks as `earshot`, which people have typed."""
    app(prog_name="earshot")
