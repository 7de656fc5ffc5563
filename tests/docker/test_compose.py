"""The Compose files: `up`, then one command that shows a transcript."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.support.lanes import free_port
from tests.support.servers.containers import ROOT, docker, eventually

pytestmark = pytest.mark.usefixtures("images")
FILES = ("-f", "compose.yaml", "-f", "compose.build.yaml")


class Compose:
    """One project of its own name and network, with the images of this run."""

    def __init__(self) -> None:
        self.name = f"earshot-test-{uuid4().hex[:8]}"
        plugin = "Docker Compose" in docker("compose", "version", check=False)
        self.command = ["docker", "compose"] if plugin else ["docker-compose"]
        if not plugin and shutil.which("docker-compose") is None:
            pytest.skip("no Compose: neither `docker compose` nor `docker-compose`")

    def __call__(self, *arguments: str, within: float = 120) -> str:
        """Runs one command in `docker/`; returns its standard output. A failure shows everything."""
        done = subprocess.run(
            [*self.command, *FILES, "-p", self.name, *arguments],
            cwd=ROOT / "docker",
            env={**os.environ, "EARSHOT_TAG": "test", "EARSHOT_NETWORK": self.name},
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}:\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def compose() -> Iterator[Compose]:
    """A project that is gone afterwards."""
    project = Compose()
    try:
        yield project
    finally:
        project("--profile", "demo", "--profile", "browser", "--profile", "rtmp", "down", "--volumes", "--timeout", "5")


def test_up_and_one_command_show_a_transcript(compose: Compose) -> None:
    """Redis and transcriber, then the rehearsal meeting with the names of its people; both neighbours stay healthy."""
    compose("up", "-d", "--no-build")
    reach = "import socket; socket.create_connection(('transcriber', 9090), 60)"  # by the name in the examples
    compose("run", "--rm", "-T", "--entrypoint", "python", "bot", "-c", reach)
    lines = compose("--profile", "demo", "run", "--rm", "-T", "demo").splitlines()
    assert {line.split("] ")[1].split(":")[0] for line in lines} >= {"Ana Silva", "Ben Okafor", "Ewan Reid"}
    assert len(lines) >= 10
    service = '{{.Label "com.docker.compose.service"}}'
    healthy = docker("ps", "--filter", f"network={compose.name}", "--filter", "health=healthy", "--format", service)
    assert set(healthy.split()) >= {"redis", "transcriber-cpu"}


def test_its_browser_service_is_sandboxed(compose: Compose) -> None:
    """The seccomp profile reaches the engine through Compose."""
    check = ("--rm", "-T", "--no-deps", "--entrypoint", "python", "bot-browser", "-m", "bot.drivers.browser.sandbox")
    report = json.loads(compose("--profile", "browser", "run", *check))
    assert report["sandboxed"] is True


def test_its_rtmp_server_wants_a_secret(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one it says so and ends; with one it stays."""
    monkeypatch.setenv("RTMP_PUBLISH", f"127.0.0.1:{free_port()}")
    monkeypatch.setenv("RTMP_SECRET", "")
    compose("--profile", "rtmp", "up", "-d", "--no-build", "rtmp")
    eventually(lambda: "at least 16 characters" in compose("logs", "rtmp"), "it wants a secret")
    monkeypatch.setenv("RTMP_SECRET", "0123456789abcdef0123")
    compose("--profile", "rtmp", "up", "-d", "--no-build", "rtmp")
    ports = "set -- $(grep -c :078F /proc/net/tcp); test $1 -gt 0"
    eventually(lambda: compose("exec", "-T", "rtmp", "sh", "-c", f"{ports} && echo up || true"), "it listens")


def test_published_images_only() -> None:
    """compose.yaml builds nothing; every image has a tag."""
    text = (ROOT / "docker/compose.yaml").read_text(encoding="utf-8")
    assert "build:" not in text
    images = [line.split("image:")[1].strip() for line in text.splitlines() if " image:" in line]
    assert len(images) >= 5
    assert all(":" in image.rsplit("/", 1)[-1] for image in images)
