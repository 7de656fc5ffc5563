"""`earshot demo`: the main job on one machine, with the processes that production has, and a score at the end.

    Redis ◀── bot ◀── rehearsal room (or a real LiveKit server with real publishers,
               │                      or an imitation of a platform's web page, in a real Chromium)
               └────▶ transcriber with the demo model

Nothing is shortened for the demo: the bot gets its JSON on standard input, joins over WebRTC, and what is shown is read
from Redis, as a consumer would. Only the room knows what was really said; the score compares both afterwards.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from common.contracts.keys import SEGMENT_STREAM
from common.contracts.status import MEANINGS, SubCode
from common.errors import EarshotError
from common.interpreter import module_command
from common.redis import connect
from common.transcript.reader import TranscriptReader
from rehearsal.embedded_redis import EmbeddedRedis
from rehearsal.microphone import Truth
from rehearsal.score import Final, Score, score

MEETING = "demo"
SCRIPT = str(files("rehearsal") / "demo.json")
TURNS_SCRIPT = str(files("rehearsal") / "turns.json")
"""For rooms that mix: there a name needs a second in which nobody else speaks."""
PAGES = {
    "meet": ("google_meet", "https://meet.google.com/abc-defg-hij", TURNS_SCRIPT),
    "teams": ("teams", "https://teams.microsoft.com/meet/1234567890123?p=demo", TURNS_SCRIPT),
    "zoom": ("zoom", "https://zoom.us/j/81234567890?pwd=demo", TURNS_SCRIPT),
    "jitsi": ("jitsi", "https://meet.jit.si/EarshotDemo", SCRIPT),
}
"""Room → platform, a meeting of it, and the script."""
ROOMS = ("rehearsal", "livekit", *PAGES)
START_TIMEOUT_S = 30.0
"""How long a process of the demo may take to say that it is ready."""
STOP_TIMEOUT_S = 6.0
UNKNOWN = "unknown"
"""Whose words are nobody's, as consumers read it."""
REDRAWS_PER_S = 12


@dataclass(slots=True)
class Child:
    """A process of the demo; its log goes to a file that is shown if it fails."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    async def line(self, containing: str) -> str:
        """The next line on standard output that contains a text. Raises EarshotError when it ends or takes too long."""
        assert self.process.stdout is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(START_TIMEOUT_S):
                async for raw in self.process.stdout:
                    if containing in (text := raw.decode().strip()):
                        return text
        raise EarshotError(SubCode.INTERNAL_ERROR, f"the {self.name} did not start:\n{self.last_words()}")

    def last_words(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL; returns when it is gone."""
        if self.process.returncode is None:
            self.process.terminate()
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
                await self.process.wait()


class Stage:
    """Starts what the demo needs and ends it again."""

    def __init__(self, folder: Path, console: Console) -> None:
        self.folder = folder
        self.console = console
        self.truth = folder / "truth.jsonl"

    @asynccontextmanager
    async def child(
        self, name: str, *arguments: str, stdin: str | None = None, environment: dict[str, str] | None = None
    ) -> AsyncIterator[Child]:
        """Runs `python -m ARGUMENTS` in a process group of its own: Ctrl-C reaches the demo, which ends it in order."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *module_command(*arguments),
                stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        child = Child(name, process, log)
        try:
            if stdin is not None and process.stdin is not None:
                process.stdin.write(stdin.encode())
                process.stdin.close()
            yield child
        finally:
            await child.stop()

    def tell(self, what: str, detail: str) -> None:
        """One line of progress."""
        self.console.print(Text.assemble(("  ✓ ", "green"), (f"{what:<12}", "bold"), (detail, "dim")))

    @asynccontextmanager
    async def rehearsal(self) -> AsyncIterator[dict[str, Any]]:
        """A rehearsal room; yields the bot's settings for it."""
        arguments = ("rehearsal", "room", SCRIPT, "--listen", "127.0.0.1:0", "--truth", str(self.truth))
        async with self.child("room", *arguments) as room:
            url = await room.line("rehearsal+ws://")
            self.tell("Room", f"{url} · three people over real WebRTC")
            yield {"platform": "rehearsal", "meetingUrl": url}

    @asynccontextmanager
    async def livekit(self) -> AsyncIterator[dict[str, Any]]:
        """A real livekit-server with real publishers; yields the bot's settings for the room."""
        from rehearsal.livekit.server import livekit_server

        with livekit_server() as server:
            self.tell("LiveKit", f"{server.url} · a real livekit-server")
            keys = {"LIVEKIT_API_KEY": server.api_key, "LIVEKIT_API_SECRET": server.api_secret}
            room = ("--url", server.url, "--room", MEETING, "--truth", str(self.truth))
            async with self.child("publishers", "rehearsal.livekit.room", SCRIPT, *room, environment=keys) as child:
                await child.line("ready")
                self.tell("Publishers", "three people with the LiveKit SDK")
                yield {
                    "platform": "livekit",
                    "meetingUrl": server.url,
                    "livekit": {"room": MEETING, "apiKey": server.api_key, "apiSecret": server.api_secret},
                }

    @asynccontextmanager
    async def page(self, room: str) -> AsyncIterator[dict[str, Any]]:
        """An imitation of a platform's page with a room behind it; yields the bot's settings for it."""
        platform, meeting, script = PAGES[room]
        arguments = ("rehearsal.pages.room", platform, script, "--truth", str(self.truth))
        async with self.child("page", *arguments) as child:
            origin = (await child.line("rehearsal+ws://")).replace("rehearsal+ws", "http")
            self.tell("Page", f"{origin} · an imitation of {platform}'s, three people over real WebRTC")
            yield {
                "platform": platform,
                "meetingUrl": meeting,
                platform: {"origin": origin},
                "browser": _browser(),
            }

    def said(self) -> list[Truth]:
        """What was really said, once the room is closed."""
        rows = self.truth.read_text(encoding="utf-8").splitlines() if self.truth.exists() else []
        return [Truth(**json.loads(row)) for row in rows]


def main(room: str) -> int:
    """Runs the demo with one of the `ROOMS`; returns the exit code."""
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="earshot-demo-") as folder, asyncio.Runner() as runner:
        try:
            return runner.run(_demo(room, Stage(Path(folder), console)))
        except (KeyboardInterrupt, asyncio.CancelledError) as stopped:
            console.print("\nStopped; every process has ended.")
            interrupted = isinstance(stopped, KeyboardInterrupt)
            return MEANINGS[SubCode.INTERRUPTED if interrupted else SubCode.TERMINATED].exit_code


async def _demo(room: str, stage: Stage) -> int:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    stage.console.print(Text("Earshot demo: a meeting becomes a transcript, on this machine", style="bold"))
    started = time.monotonic()
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(EmbeddedRedis(append_only=True))
        stage.tell("Redis", f"{redis} · a real redis-server")
        transcriber = await stack.enter_async_context(_transcriber(stage))
        hold = stage.page(room) if room in PAGES else stage.livekit() if room == "livekit" else stage.rehearsal()
        async with hold as platform:
            config = _config(platform, redis, transcriber)
            async with stage.child("bot", "bot", "run", "--config", "-", stdin=json.dumps(config)) as bot:
                stage.tell("Bot", f"platform {platform['platform']} · its JSON config came on standard input")
                code = await _watch(stage, redis, bot)
        if code:
            stage.console.print(f"[red]The bot ended with exit code {code}:[/red]")
            stage.console.print(bot.last_words(), markup=False)
            return code
        segments = await _stored_segments(redis)
        said = stage.said()
        known = {row.name: row.participant for row in said}  # where nothing but the name identifies
        finals = [
            Final(
                "" if segment["speaker"] == UNKNOWN else known.get(segment["speaker_id"], segment["speaker_id"]),
                segment["text"],
                segment["start"],
                segment["end"],
                stored,
            )
            for stored, segment in segments
        ]
        result = score(said, finals)
        _summary(stage, room, result, segments[0][1] if segments else {}, time.monotonic() - started)
    return 0 if result.finals else MEANINGS[SubCode.INTERNAL_ERROR].exit_code


@asynccontextmanager
async def _transcriber(stage: Stage) -> AsyncIterator[str]:
    """The transcriber with the demo model; yields its URL."""
    arguments = ("transcriber", "--model", "demo", "--port", "0", "--http-port", "0")
    async with stage.child("transcriber", *arguments) as child:
        url = await child.line("ws://")
        stage.tell("Transcriber", f"{url} · the bundled demo model on faster-whisper")
        yield url


def _browser() -> dict[str, Any]:
    """Settings for the Chromium that is here: the one that is named, else the system's."""
    found = os.environ.get("EARSHOT_CHROMIUM") or shutil.which("chromium-headless-shell") or shutil.which("chromium")
    named = {} if found is None else {"executable": found}
    return {**named, "allowNoSandbox": os.geteuid() == 0}  # as root there is no sandbox


def _config(platform: dict[str, Any], redis: str, transcriber: str) -> dict[str, Any]:
    return {
        **platform,
        "meeting_id": MEETING,
        "connectionId": f"demo-{secrets.token_hex(3)}",
        "botName": "Earshot",
        "language": "en",
        "redisUrl": redis,
        "whisperLiveUrl": transcriber,
    }


async def _watch(stage: Stage, redis: str, bot: Child) -> int:
    """Shows the transcript as it grows, until the bot ends; returns the bot's exit code."""
    tail = TranscriptReader(redis, MEETING)
    terminal = stage.console.is_terminal
    if not terminal:
        tail = TranscriptReader(redis, MEETING, lambda row: stage.console.print(row.line, markup=False))
    else:
        stage.console.print()
    async with asyncio.TaskGroup() as group:
        following = group.create_task(tail.follow(until_end=True))
        painting = group.create_task(_paint(stage, tail)) if terminal else None
        code = await bot.process.wait()
        await asyncio.wait({following}, timeout=2 if code == 0 else 0)  # the last entries of the stream
        following.cancel()
        if painting is not None:
            painting.cancel()
    return code


async def _paint(stage: Stage, tail: TranscriptReader) -> None:
    def picture() -> Group:
        height = max(stage.console.height - 10, 5)
        rows = tail.view.render(stage.console.width - 4, height)
        caption = "live from Redis · partials are dim, finals are solid · Ctrl-C ends it"
        return Group(Panel(rows, title="transcript", subtitle=caption, border_style="dim", padding=(0, 1)))

    with Live(picture(), console=stage.console, auto_refresh=False) as live:
        try:
            while True:
                live.update(picture(), refresh=True)
                await asyncio.sleep(1 / REDRAWS_PER_S)
        finally:
            live.update(picture(), refresh=True)


async def _stored_segments(redis: str) -> list[tuple[float, dict[str, Any]]]:
    """The segments in the stream, each with the time at which Redis stored it (seconds since 1970)."""
    client = connect(redis)
    try:
        entries: Any = await client.xrange(SEGMENT_STREAM)
    finally:
        await client.aclose()
    found = []
    for entry_id, fields in entries:
        payload = json.loads(fields["payload"])
        stored = int(entry_id.partition("-")[0]) / 1000
        found += [(stored, segment) for segment in payload.get("segments", ())]
    return found


def _summary(stage: Stage, room: str, result: Score, sample: dict[str, Any], seconds: float) -> None:
    table = Table.grid(padding=(0, 2))
    others = [other for other in ROOMS if other != room]
    rows = {
        "Finals in Redis": f"{result.finals} for {result.utterances} utterances",
        "Words": f"word error rate {result.wer:.1%} against the script (jiwer)",
        "Names": f"{result.wrong_names} wrong, {result.unnamed} without a name, {result.missing} utterances missing",
        "Latency": (f"end of speech → final in Redis: p50 {result.latency(50):.2f} s, p95 {result.latency(95):.2f} s"),
        "One of them": json.dumps(sample, ensure_ascii=False),
        "Read yours": "earshot tail --meeting ID --redis URL (this Redis ends now)   ·   docs/redis.md",
        "Try next": f"make demo ROOM={others[0]} (or {', '.join(others[1:])})   ·   earshot room --help",
    }
    for name, value in rows.items():
        table.add_row(Text(name, style="bold"), Text(value))
    stage.console.print(Panel(table, title=f"{seconds:.0f} s", border_style="green", padding=(0, 1)))
