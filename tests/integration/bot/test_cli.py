"""The command line: help, clean errors, exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from typer import Typer
from typer.testing import CliRunner

from bot.cli import app
from common.interpreter import module_command
from rehearsal.cli import app as rehearsals
from tests.support.servers.stand_in_manager import Generation, StandInManager, served

ROOT = Path(__file__).parents[3]
RUNNER = CliRunner()
CLEAN = dict.fromkeys(("VEXA_BOT_CONFIG", "BOT_CONFIG", "REDIS_URL", "WHISPER_LIVE_URL", "LOG_LEVEL"), "")
GOOD = {
    "platform": "rehearsal",
    "meetingUrl": "rehearsal:x",
    "redisUrl": "redis://:hidden-canary@h",
    "whisperLiveUrl": "ws://h",
    "textToSpeech": {"enabled": True},
}


@pytest.mark.parametrize(
    ("program", "command"),
    [
        *((app, command) for command in ("run", "validate", "doctor", "schema", "tail")),
        *((rehearsals, command) for command in ("room", "demo")),
    ],
)
def test_help_says_what_with_an_example(program: Typer, command: str) -> None:
    """Each command explains itself."""
    result = RUNNER.invoke(program, [command, "--help"])
    assert result.exit_code == 0
    assert "Example" in result.output or command == "schema"


def test_help_lists_the_exit_codes() -> None:
    """Whoever writes a bot manager finds them without reading the code."""
    output = RUNNER.invoke(app, ["--help"]).output
    assert "Exit codes" in output
    assert "143 SIGTERM" in output


def test_validate_prints_what_is_in_effect() -> None:
    """The effective configuration with defaults, secrets masked, warnings on stderr."""
    result = RUNNER.invoke(app, ["validate", "--config", "-"], input=json.dumps(GOOD), env=CLEAN)
    assert result.exit_code == 0
    effective = json.loads(result.stdout)
    assert effective["redisUrl"] == "redis://***@h"
    assert effective["maxDurationMs"] == 28_800_000
    assert "textToSpeech.enabled" in result.stderr
    assert "hidden-canary" not in result.output


@pytest.mark.parametrize("command", ["run", "validate"])
def test_all_errors_at_once_and_exit_code_2(command: str) -> None:
    """Path, value, what is allowed; warnings too; nothing on stdout."""
    bad = GOOD | {"platform": "webex", "task": "sing", "meetingURL": 1, "token": {"x": "hidden-canary"}}
    result = RUNNER.invoke(app, [command, "-c", "-"], input=json.dumps(bad), env=CLEAN)
    assert result.exit_code == 2
    assert result.stdout == ""
    for words in ("3 errors", "platform", '"webex"', "one of ", ", rehearsal", '"sing"', "meetingUrl?"):
        assert words in result.stderr, words
    assert "hidden-canary" not in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("program", "arguments", "code", "path", "value", "allowed"),
    [
        (app, ["run"], "config_unreadable", "configuration", "(none given)", "BOT_CONFIG"),
        (app, ["validate", "-c", "."], "config_unreadable", "--config", '"."', "(Is a directory)"),
        (app, ["validate", "-c", "-"], "config_unreadable", "configuration", "(not JSON)", "one JSON object"),
        (app, ["run", "-c", "good.json"], "config_invalid", "EARSHOT_HEALTH_PORT", '"no"', "a port, or 0"),
        (app, ["tail", "-m", "1", "--redis", "http://u:p@h"], "config_invalid", "--redis", '"http://***@h"', "redis:"),
        (rehearsals, ["room", "none.json"], "config_invalid", "script", '"none.json"', "(No such file or directory)"),
        (rehearsals, ["room", "script.json", "--listen", "x"], "config_invalid", "--listen", '"x"', "HOST:PORT"),
        (rehearsals, ["demo", "--room", "webex"], "config_invalid", "--room", '"webex"', "one of rehearsal, livekit"),
    ],
)
def test_every_wrong_setting_is_said_in_one_way(
    program: Typer,
    arguments: list[str],
    code: str,
    path: str,
    value: str,
    allowed: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sub-code and count, then where, what stands there, what is allowed: configuration, option or variable."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.json").write_text(json.dumps(GOOD | {"textToSpeech": None}))
    (tmp_path / "script.json").write_text('{"version": 1}')
    result = RUNNER.invoke(program, arguments, env=CLEAN | {"EARSHOT_HEALTH_PORT": "no"})
    assert result.exit_code == 2
    assert result.stdout == ""
    first, where, given, wanted = result.stderr.splitlines()
    assert first.startswith(f"earshot: {code}: 1 error in the ")
    assert (where, given) == (f"  {path}", f"      is       {value}")
    assert wanted.startswith("      allowed  ")
    assert allowed in wanted


def test_schema_is_json() -> None:
    """`earshot schema` is the published file."""
    published = json.loads((ROOT / "configs" / "bot.schema.json").read_text(encoding="utf-8"))
    assert json.loads(RUNNER.invoke(app, ["schema"]).stdout) == published


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["tail", "--meeting", "1", "--redis", "http://h"], 2, "redis://"),
        (["tail", "--meeting", "1", "--redis", "redis://127.0.0.1:1"], 3, "127.0.0.1:1"),
        (["tail"], 2, "--meeting"),
        (["dance"], 2, "dance"),
        (["login", "google_meet", "--out", "no/such/folder/x"], 2, "No such file or directory"),
        (["doctor", "--join"], 2, "only with --url"),
        (["login", "google_meet", "--out", "."], 2, "Is a directory"),
        (["login", "google_meet", "--out", "x", "--url", "meet.example.com"], 2, "https://host/path"),
    ],
)
def test_wrong_use_is_an_error_for_people(arguments: list[str], code: int, words: str) -> None:
    """Clean text and the right exit code."""
    result = RUNNER.invoke(app, arguments, env={**CLEAN, "TERM": "dumb", "NO_COLOR": "1"})
    assert result.exit_code == code
    assert words in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "arguments", [["login", "google_meet", "--out", "x"], ["doctor", "--url", "https://meet.google.com/abc-defg-hij"]]
)
def test_a_page_without_playwright_is_an_error_for_people(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in none of what the demo installs."""
    monkeypatch.setitem(sys.modules, "playwright.async_api", None)
    for module in ("bot.platforms.pages.login", "bot.doctor.page"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    result = RUNNER.invoke(app, arguments, env=CLEAN)
    assert (result.exit_code, "'.[browser]'" in result.output) == (4, True)
    assert "Traceback" not in result.output


def test_rehearsals_are_said_once() -> None:
    """What `earshot --help` says of them is what their own help says."""
    ours, theirs = (
        {
            c.callback.__name__: (c.callback.__doc__ or "").splitlines()[0]
            for c in program.registered_commands
            if c.callback
        }
        for program in (app, rehearsals)
    )
    assert {name: ours[name] for name in theirs} == theirs


@pytest.mark.processes
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["room", "--help"], 0, "Usage: earshot room"),
        (["demo", "-h"], 0, "Usage: earshot demo"),
        (["room"], 2, "SCRIPT"),
        (["room", "no-such-script.json", "--truth", "x"], 2, "no-such-script.json"),
        (["room", "x.json", "--dance"], 2, "--dance"),
        (["demo", "--room", "webex"], 2, "one of rehearsal, livekit"),
    ],
)
def test_rehearsals_are_programs_of_their_own(arguments: list[str], code: int, words: str) -> None:
    """`earshot room` and `earshot demo` go on as `python -m rehearsal`: its help, its errors, its exit codes."""
    environment = {**os.environ, "TERM": "dumb", "NO_COLOR": "1"}
    command = module_command("bot", *arguments)
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=15)
    assert ran.returncode == code
    assert words in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.processes
async def test_a_real_process_reports_everything_and_exits_with_2() -> None:
    """As a bot manager starts it: configuration in the environment, errors on stderr."""
    environment = {**os.environ, **CLEAN, "VEXA_BOT_CONFIG": '{"platform": "webex", "maxDurationMs": "long"}'}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "run", cwd=ROOT, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 2
    assert output == b""
    text = errors.decode()
    assert "4 errors in the configuration" in text
    for path in ("platform", "maxDurationMs", "redisUrl", "whisperLiveUrl"):
        assert f"  {path}\n" in text
    assert "Traceback" not in text


def test_a_manager_that_starts_every_image_by_one_path() -> None:
    """The path as a command is `run`."""
    result = RUNNER.invoke(app, ["/app/vexa-bot/entrypoint.sh"], env=CLEAN)
    assert result.exit_code == 2
    assert "BOT_CONFIG" in result.stderr


@pytest.mark.processes
@pytest.mark.parametrize("generation", get_args(Generation))
async def test_a_configuration_that_cannot_be_used_is_told_to_its_manager(generation: Generation) -> None:
    """It has one row the less to wait for; what is wrong is said without the secrets; exit code 2 all the same."""
    async with served(StandInManager(generation)) as manager:
        config = {
            **manager.settings,
            "connectionId": "bot-1",
            "container_name": "vexa-bot-42",
            "platform": "no-such-platform",
            "redisUrl": "http://:hidden-canary@h",
            "token": "hidden-canary",
            "internalSecret": "hidden-canary-2",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", "run", cwd=ROOT, env={**os.environ, **CLEAN, "BOT_CONFIG": json.dumps(config)},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, errors = await asyncio.wait_for(process.communicate(), 15)
        assert process.returncode == 2
        assert manager.row.moves == (["joining", "failed"] if generation == "v0.12" else ["failed"])
        assert manager.row.completion_reason == (None if generation == "v0.6" else "validation_error")
        value = manager.received[-1].value
        assert (value["exit_code"], value["failure_stage"], value["container_id"]) == (2, "requested", "vexa-bot-42")
        assert "no-such-platform" in json.dumps(value["error_details"])
        assert "hidden-canary" not in str([request.body for request in manager.received]) + errors.decode()


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"connectionId": "b"},
        {"connectionId": 7, "meetingApiCallbackUrl": "http://127.0.0.1:1/x"},
        {"connectionId": "b", "meetingApiCallbackUrl": "ftp://h/x"},
        {"connectionId": "b", "meetingApiCallbackUrl": "http://169.254.169.254/x"},
    ],
)
def test_a_configuration_without_a_manager_that_can_be_told(config: dict[str, Any]) -> None:
    """Is just wrong."""
    result = RUNNER.invoke(app, ["run", "-c", "-"], input=json.dumps(config), env=CLEAN)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


@pytest.mark.parametrize("program", ["bot", "transcriber", "rehearsal"])
def test_ctrl_c_while_a_program_is_loaded_is_no_traceback(program: str, tmp_path: Path) -> None:
    """Nothing has begun: exit code 130, and not a word. Loading is held up by a library that takes its time."""
    (tmp_path / "typer.py").write_text("import time\nprint('loading', flush=True)\ntime.sleep(60)\n")
    where = os.pathsep.join([str(tmp_path), str(ROOT)])
    with subprocess.Popen(
        [sys.executable, "-m", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": where},
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"loading\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (130, b"")
