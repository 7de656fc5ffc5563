"""Chromium in the container: its own sandbox works without privileges, and nothing runs without it unasked."""

from __future__ import annotations

import json

import pytest

from tests.support.servers.containers import BROWSER, HARDENED, docker

pytestmark = pytest.mark.usefixtures("images")
PROFILE = ("--security-opt", "seccomp=docker/seccomp-chromium.json")


def check(*options: str, arguments: tuple[str, ...] = ()) -> str:
    """Runs the sandbox check hardened, with more options of `docker run`."""
    common = ("--rm", "--network", "none", "--no-healthcheck", "--tmpfs", "/tmp", "--shm-size", "1g", *HARDENED)
    run = (*common, *options, "--entrypoint", "python", BROWSER, "-m", "bot.drivers.browser.sandbox", *arguments)
    return docker("run", *run, check=False)


def test_the_renderer_of_a_local_page_is_sandboxed() -> None:
    """With the shipped profile: namespaces and a seccomp filter of its own, and no capability anywhere."""
    report = json.loads(check(*PROFILE))
    assert report["title"] == "rendered 42"
    assert report["sandboxed"] is True
    assert report["ours"]["capabilities"] == 0
    assert report["renderers"]


def test_without_the_profile_it_says_what_to_do_and_runs_nothing() -> None:
    """Docker's default profile forbids user namespaces: a clear refusal instead of a silent fallback."""
    said = check()
    assert "seccomp-chromium.json" in said
    assert "rendered" not in said


def test_it_runs_without_a_sandbox_only_when_told_to() -> None:
    """The explicit setting, and the report does not flatter."""
    report = json.loads(check(arguments=("--allow-no-sandbox",)))
    assert (report["title"], report["sandboxed"]) == ("rendered 42", False)
