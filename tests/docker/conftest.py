"""Needs a Docker engine at DOCKER_HOST; without one these tests are skipped (EARSHOT_DOCKER=required: they fail)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.servers.containers import BROWSER, REDIS, RTMP, SDK, TRANSCRIBER, World, docker, world

BUILDS = {
    REDIS: ("redis", ()),
    RTMP: ("rtmp", ()),
    TRANSCRIBER: ("transcriber", ()),
    SDK: ("bot", ("--target", "bot-sdk")),
    BROWSER: ("bot", ("--target", "bot")),
}
BUILD_SECONDS = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here is marked, and has the time that building the images takes where nothing is cached."""
    for item in items:
        if "tests/docker/" in item.path.as_posix():
            item.add_marker(pytest.mark.docker)
            item.add_marker(pytest.mark.timeout(BUILD_SECONDS))


def no_engine() -> str:
    """Why there is no engine to use, or nothing."""
    if not os.environ.get("DOCKER_HOST"):
        return "DOCKER_HOST is not set; for the local engine: DOCKER_HOST=unix:///var/run/docker.sock"
    try:
        done = subprocess.run(["docker", "version"], capture_output=True, text=True, timeout=20, check=False)
    except FileNotFoundError:
        return "the command docker is not installed"
    except subprocess.TimeoutExpired:
        return f"no answer from {os.environ['DOCKER_HOST']}"
    return done.stderr.strip() if done.returncode else ""


@pytest.fixture(scope="session")
def images() -> None:
    """All images, built from this checkout."""
    if reason := no_engine():
        if os.environ.get("EARSHOT_DOCKER") == "required":
            pytest.fail(f"a Docker engine is required here: {reason}")
        pytest.skip(reason)
    for tag, (name, options) in BUILDS.items():
        docker("build", "-q", "-f", f"docker/{name}.Dockerfile", "-t", tag, *options, ".", within=BUILD_SECONDS)


@pytest.fixture(scope="session")
def here(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One network with Redis and a transcriber for the whole run."""
    with world(tmp_path_factory.mktemp("containers")) as built:
        yield built
