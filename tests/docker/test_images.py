"""What is in the images, and what is not."""

from __future__ import annotations

import re

import pytest

from tests.support.servers.containers import BROWSER, HARDENED, SDK, TRANSCRIBER, docker, inspect

OURS = pytest.mark.parametrize("image", [SDK, BROWSER, TRANSCRIBER])
SECRET = re.compile(r"(?i)(secret|token|passw|api[_-]?key|private)[^ ]*[=:]|://[^/ ]*:[^/ ]*@|BEGIN [A-Z ]*KEY")


def inside(image: str, script: str, *options: str) -> str:
    """What a shell in the image prints."""
    return docker("run", "--rm", "--network", "none", *options, "--entrypoint", "sh", image, "-c", script)


@pytest.mark.parametrize(("image", "megabytes"), [(SDK, 450), (BROWSER, 1000), (TRANSCRIBER, 600)])
@pytest.mark.usefixtures("images")
def test_sizes_stay_within_their_budget(image: str, megabytes: int) -> None:
    """What is in them: docs/deploy.md."""
    assert inspect(image)["Size"] / 1e6 <= megabytes


@OURS
@pytest.mark.usefixtures("images")
def test_they_run_as_a_normal_user_under_tini_with_health_and_labels(image: str) -> None:
    """The image's own settings: uid 1000, tini, a health check, labels."""
    config = inspect(image)["Config"]
    assert config["User"] == "1000:1000"
    assert config["Entrypoint"][:2] == ["/usr/bin/tini", "--"]
    assert config["Healthcheck"]["Test"][0] == "CMD"
    labels = {name.removeprefix("org.opencontainers.image.") for name in config["Labels"]}
    assert labels >= {"title", "description", "licenses", "version", "revision"}


@OURS
@pytest.mark.usefixtures("images")
def test_no_build_tools_are_left(image: str) -> None:
    """No compiler, no pip, no package index, no build caches."""
    found = inside(
        image,
        "for tool in gcc cc make pip pip3 git curl; do command -v $tool; done; find /var/lib/apt/lists -type f; true",
    )
    assert found.strip() == ""
    assert "No module named pip" in docker(
        "run", "--rm", "--entrypoint", "python", image, "-m", "pip", "--version", check=False
    )


@OURS
@pytest.mark.usefixtures("images")
def test_no_secrets_in_the_history(image: str) -> None:
    """Neither in the steps nor in the environment of the image."""
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
    assert len(history.splitlines()) > 5
    environment = "\n".join(inspect(image)["Config"]["Env"])
    assert [match.group() for match in SECRET.finditer(history + environment)] == []


@OURS
@pytest.mark.usefixtures("images")
def test_its_commands_run_on_a_read_only_root_without_any_capability(image: str) -> None:
    """Nothing is written where the image is, and the user is nobody special."""
    command = "earshot-transcriber" if image == TRANSCRIBER else "earshot"
    said = inside(
        image, f"{command} --help >/dev/null && id -u && grep CapBnd /proc/self/status; touch /x; true", *HARDENED
    )
    assert said.splitlines()[:2] == ["1000", "CapBnd:\t0000000000000000"]
    assert "Read-only file system" in said


@pytest.mark.usefixtures("images")
def test_a_manager_that_starts_every_image_by_one_path_starts_ours() -> None:
    """As the container's command, and as its entrypoint: it is `run`, which asks for a configuration."""
    path = "/app/vexa-bot/entrypoint.sh"
    for options in ([SDK, path], ["--entrypoint", path, SDK]):
        assert "BOT_CONFIG" in docker("run", "--rm", "--network", "none", *options, check=False)


@pytest.mark.usefixtures("images")
def test_the_transcriber_measures_models_with_speech_that_it_carries() -> None:
    """The demo model knows nothing of it, and that is what it says."""
    assert "demo gets" in docker(
        "run", "--rm", "--network", "none", *HARDENED, TRANSCRIBER, "calibrate", "--dry-run", check=False
    )


@pytest.mark.usefixtures("images")
def test_the_bot_does_not_carry_the_transcriber_and_the_reverse() -> None:
    """Each image has its own half: no model in the bot's, no bot in the transcriber's."""
    site = "cd /opt/earshot/lib/python3*/site-packages && ls -d"
    assert not {"transcriber/models", "ctranslate2"} & set(
        inside(SDK, f"{site} transcriber/* ctranslate2 2>/dev/null; true").split()
    )
    assert inside(TRANSCRIBER, f"{site} bot livekit redis 2>/dev/null; true").strip() == ""
