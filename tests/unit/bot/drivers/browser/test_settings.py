"""The settings of a browser, as they are given to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from bot.config import ConfigError, load_config
from bot.drivers.browser.launch import proxy
from bot.drivers.browser.settings import BrowserSettings


@pytest.mark.parametrize(
    ("url", "given"),
    [
        ("http://proxy:3128", {"server": "http://proxy:3128"}),
        ("socks5://[fd00::1]:1080", {"server": "socks5://[fd00::1]:1080"}),
        ("http://a%40b:c%3Ad@proxy", {"server": "http://proxy", "username": "a@b", "password": "c:d"}),
    ],
)
def test_proxies(url: str, given: dict[str, str]) -> None:
    """Server, and whom it knows us as."""
    bridge = "127.0.0.1:1"
    assert proxy(BrowserSettings(proxy=SecretStr(url)), bridge) == given | {"bypass": "<-loopback>,127.0.0.1:1"}
    assert proxy(BrowserSettings(), bridge) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("proxy", url) for url in ("proxy:3128", "proxy", "http://", "socks5://me:canary@h:1", "ftp://h:1")),
        *(("storageState", text) for text in ("canary", "[]", '{"canary": 1}', "[" * 100_000)),
    ],
)
def test_what_chromium_could_not_use_is_an_error_of_the_configuration(key: str, value: str) -> None:
    """Nothing of it is shown: it may hold a password."""
    needed = {"redisUrl": "redis://redis", "whisperLiveUrl": "ws://transcriber:9090"}
    page = {"platform": "jitsi", "meetingUrl": "https://meet.jit.si/x", "browser": {key: value}}
    with pytest.raises(ConfigError) as caught:
        load_config(json.dumps(page | needed), {}, in_container=False)
    [problem] = caught.value.problems
    assert problem.path == f"browser.{key}"
    assert ("host:port" if key == "proxy" else "earshot login") in problem.allowed
    assert "canary" not in str(problem)


def test_they_stand_in_the_configuration(tmp_path: Path) -> None:
    """Under `browser`, a session from a file; none of it is shown."""
    session = '{"cookies": [{"name": "sid", "value": "canary"}], "origins": []}'
    (tmp_path / "session.json").write_text(session)
    text = {
        "platform": "livekit_web",
        "meetingUrl": "livekit+https://app.example.com/",
        "redisUrl": "redis://redis",
        "whisperLiveUrl": "ws://transcriber:9090",
        "browser": {"allowNoSandbox": True, "storageStateFile": str(tmp_path / "session.json"), "locale": "pt-BR"},
    }
    config, warnings = load_config(json.dumps(text), {}, in_container=False)
    browser = config.invitation().browser
    assert warnings == []
    assert browser.storage_state is not None
    assert browser.storage_state.get_secret_value() == session
    assert (browser.allow_no_sandbox, browser.locale) == (True, "pt-BR")
    assert "canary" not in json.dumps(config.masked())


def test_a_view_that_nobody_will_be_called_to_is_said() -> None:
    """On a platform whose page asks nobody for help."""
    text = {
        "platform": "livekit_web",
        "meetingUrl": "livekit+https://app.example.com/",
        "redisUrl": "redis://redis",
        "whisperLiveUrl": "ws://transcriber:9090",
        "browser": {"view": True},
    }
    _, warnings = load_config(json.dumps(text), {}, in_container=False)
    assert [warning for warning in warnings if "browser.view does nothing on livekit_web" in warning]


@pytest.mark.parametrize("wrong", [{"locale": "English"}, {"headless": "yes"}, {"executable": ""}])
def test_what_is_no_setting(wrong: dict[str, str]) -> None:
    """Refused when the configuration is read."""
    with pytest.raises(ValidationError):
        BrowserSettings.model_validate(wrong)
