"""Containers for tests, through the `docker` command as a bot manager or a person would use it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from common.contracts import keys

ROOT = Path(__file__).parents[3]
SDK, BROWSER, TRANSCRIBER, REDIS, RTMP = (
    f"earshot/{name}:test" for name in ("bot-sdk", "bot", "transcriber", "redis", "rtmp")
)
HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")


def docker(*arguments: str, within: float = 60, check: bool = True) -> str:
    """Runs one `docker` command; returns what it wrote. Raises AssertionError with its output when it fails."""
    environment = {**os.environ, "DOCKER_BUILDKIT": os.environ.get("DOCKER_BUILDKIT", "0")}
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=within, env=environment, cwd=ROOT, check=False
    )
    assert done.returncode == 0 or not check, f"docker {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def inspect(name: str) -> dict[str, Any]:
    """What the engine knows about an image or container."""
    found: list[dict[str, Any]] = json.loads(docker("inspect", name))
    return found[0]


def eventually(probe: Callable[[], Any], what: str, within: float = 30) -> Any:
    """The first true answer of `probe`. Raises AssertionError that says `what` never came."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if answer := probe():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"not within {within:g} s: {what}")


@dataclass
class Run:
    """A container in the foreground of a `docker run --rm`: its exit code is the container's."""

    name: str
    process: subprocess.Popen[str]
    log: Path

    def output(self) -> str:
        """What it wrote so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def events(self) -> list[dict[str, Any]]:
        """Its log lines. A line that is not one JSON object is a failure."""
        return [json.loads(line) for line in self.output().splitlines()]

    def exit_code(self, within: float) -> int:
        """Waits for its end."""
        return self.process.wait(within)

    def stop(self) -> float:
        """`docker stop` with the 10 s of a bot manager; returns the seconds it took."""
        began = time.monotonic()
        docker("stop", "--time", "10", self.name)
        return time.monotonic() - began


@dataclass
class World:
    """A user-defined network with Redis and a transcriber under the names that the users' configuration has."""

    folder: Path
    network: str = field(default_factory=lambda: f"earshot-test-{uuid4().hex[:8]}")
    redis: str = ""
    transcriber: str = ""

    def start(self, alias: str, image: str, *options: str, command: tuple[str, ...] = ()) -> str:
        """A container in the background that others reach as `alias`; returns its name."""
        name = f"{self.network}-{alias}"
        docker("run", "-d", "--name", name, *self._place(alias), *options, image, *command)
        return name

    def _place(self, alias: str) -> tuple[str, ...]:
        return (
            "--network",
            self.network,
            "--network-alias",
            alias,
            "--label",
            f"earshot.test={self.network}",
            *HARDENED,
        )

    @contextmanager
    def run(self, alias: str, image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[Run]:
        """A container in the foreground; removed at the end."""
        name = f"{self.network}-{alias}-{uuid4().hex[:4]}"
        log = self.folder / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["docker", "run", "--rm", "--name", name, *self._place(alias), *options, image, *command],
                stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, cwd=ROOT,
            )  # fmt: skip
        try:
            yield Run(name, process, log)
        finally:
            if process.poll() is None:
                docker("rm", "--force", name, check=False)
            process.wait(20)

    @contextmanager
    def bot(self, config: dict[str, Any], *options: str, image: str = SDK) -> Iterator[Run]:
        """A bot, started as a bot manager does it: the JSON in the environment, a label, AutoRemove."""
        environment = ("-e", f"BOT_CONFIG={json.dumps(config)}", "--label", "vexa.user_id=1")
        with self.run("bot", image, *environment, *options) as bot:
            yield bot

    @contextmanager
    def room(self, script: dict[str, Any], page_of: str | None = None) -> Iterator[str]:
        """A rehearsal room in a container of its own, which can read clips in `folder`; yields the meeting URL.

        `page_of`: the room is behind an imitation of that platform's page.
        """
        alias = f"room-{uuid4().hex[:6]}"
        self.folder.chmod(0o755)  # the container's user is not ours
        path = self.folder / f"{alias}.json"
        path.write_text(json.dumps({"version": 1, **script}), encoding="utf-8")
        options = ["--no-healthcheck", "-v", f"{self.folder}:/meetings:ro"]
        command = ["room", f"/meetings/{path.name}", "--listen", "0.0.0.0:8090"]
        if page_of is not None:
            options += ["--entrypoint", "python"]
            command = ["-m", "rehearsal.pages.room", page_of, *command[1:]]
        with self.run(alias, SDK, *options, command=tuple(command)) as room:
            eventually(lambda: "rehearsal+ws://" in room.output(), f"the room listens, see {room.log}")
            yield f"rehearsal+ws://{alias}:8090"

    # --- what consumers see

    def redis_cli(self, *command: str) -> Any:
        """One command in the Redis container; its reply, as JSON has it."""
        return json.loads(docker("exec", self.redis, "redis-cli", "--json", *command))

    def _payloads(self, stream: str) -> list[dict[str, Any]]:
        entries: list[tuple[str, list[str]]] = self.redis_cli("XRANGE", stream, "-", "+")
        return [json.loads(fields[fields.index("payload") + 1]) for _, fields in entries]

    def segments(self, uid: str) -> list[dict[str, Any]]:
        """The entries of one bot on the segment stream."""
        return [payload for payload in self._payloads(keys.SEGMENT_STREAM) if payload["uid"] == uid]

    def finals(self, uid: str) -> list[dict[str, Any]]:
        """The segments in them."""
        return [segment for payload in self.segments(uid) for segment in payload.get("segments", [])]

    def statuses(self, uid: str) -> list[dict[str, Any]]:
        """The lifecycle events of one bot."""
        return [event for event in self._payloads(keys.status_stream(uid)) if event["event"] == "status"]

    def health(self, uid: str, subject: str) -> list[dict[str, Any]]:
        """What one bot has said about a subject, or about all that begin with it."""
        events = self._payloads(keys.status_stream(uid))
        return [event for event in events if event["event"] == "health" and event["subject"].startswith(subject)]

    @contextmanager
    def live(self, meeting_id: int | str) -> Iterator[Iterator[dict[str, Any]]]:
        """Segments as those see them who watch now: partials and finals, from here on, for a minute."""
        watch = ("timeout", "60", "redis-cli", "SUBSCRIBE", keys.live_channel(meeting_id))
        follow = ["docker", "exec", self.redis, *watch]
        with subprocess.Popen(follow, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield (json.loads(line)["segment"] for line in process.stdout if line.startswith("{"))
            finally:
                process.kill()

    def await_status(self, uid: str, status: str, within: float = 30) -> None:
        """Waits until a bot says that it is `status`."""
        eventually(lambda: status in [event["status"] for event in self.statuses(uid)], f"{uid} is {status}", within)


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Network, Redis and transcriber, for as many tests as want them; everything is gone afterwards."""
    here = World(folder)
    docker("network", "create", here.network)
    try:
        conf = ("-v", f"{ROOT}/configs/redis.conf:/etc/redis.conf:ro", "--tmpfs", "/data:uid=999,gid=999")
        here.redis = here.start("vexa-redis-1", REDIS, *conf, command=("/etc/redis.conf",))
        here.transcriber = here.start("vexa-whisperlive-1", TRANSCRIBER)
        eventually(lambda: inspect(here.transcriber)["State"]["Health"]["Status"] == "healthy", "transcriber healthy")
        yield here
    finally:
        left = docker("ps", "-aq", "--filter", f"label=earshot.test={here.network}").split()
        if left:
            docker("rm", "--force", "--volumes", *left)
        docker("network", "rm", here.network, check=False)
