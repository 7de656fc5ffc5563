"""Settings that are read or checked before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from transcriber.config import RemoteSettings, Settings, SettingsError, read_engine, read_key, read_origins


def test_the_key_is_given_or_in_a_file(tmp_path: Path) -> None:
    """A line break at the end of the file does not count; an empty variable is no key."""
    file = tmp_path / "key"
    file.write_text("abc-123\n", encoding="utf-8")
    assert read_key(None, str(file)) == "abc-123"
    assert read_key("abc-123", None) == "abc-123"
    assert read_key(None, None) is None
    assert read_key("", "") is None


@pytest.mark.parametrize("text", [b"", b" \n", b"two words", b"two\nlines", "schl\u00fcssel".encode(), b"\xff\xfe"])
def test_a_key_file_that_holds_no_key_is_an_error(tmp_path: Path, text: bytes) -> None:
    """It names the file and never says what is in it; an empty key would let everybody in."""
    file = tmp_path / "key"
    file.write_bytes(text)
    with pytest.raises(SettingsError, match="--api-key-file") as error:
        read_key(None, str(file))
    assert str(file) in str(error.value)
    assert "two" not in str(error.value)


def test_other_problems_with_the_key_are_named(tmp_path: Path) -> None:
    """Both given; no such file; a key that fits into no header."""
    with pytest.raises(SettingsError, match="use one of them"):
        read_key("a", "b")
    with pytest.raises(SettingsError, match="No such file"):
        read_key(None, str(tmp_path / "missing"))
    with pytest.raises(SettingsError, match="visible ASCII") as error:
        read_key("caf\u00e9", None)
    assert "caf" not in str(error.value)


def test_the_settings_do_not_show_the_key() -> None:
    """Not in a traceback nor a log."""
    assert "s3cret" not in repr(Settings(api_key="s3cret"))


def test_origins_are_what_browsers_send() -> None:
    """One per option, or a comma list; lower case; the slash that people add is taken off."""
    assert read_origins([]) == ()
    assert read_origins(["https://App.example.com/, http://localhost:3000", "*", "null", ""]) == (
        "https://app.example.com", "http://localhost:3000", "*", "null",
    )  # fmt: skip


@pytest.mark.parametrize("given", ["app.example.com", "https://app.example.com/path", "https://*.example.com", "//h"])
def test_an_origin_that_no_browser_sends_is_an_error(given: str) -> None:
    """Else it would look as if the page were allowed."""
    with pytest.raises(SettingsError, match="scheme://host"):
        read_origins([given])


def test_the_engine_is_one_of_ours_or_of_ones_own() -> None:
    """By name, or as the function that makes it."""
    assert read("faster-whisper") == ("transcriber.engine.faster_whisper:load", None)
    assert read("acme.engines:load") == ("acme.engines:load", None)
    with pytest.raises(SettingsError, match="faster-whisper, openai, or for one of your own module:function"):
        read("faster_whisper")


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://gpu:9091", "http://gpu:9091/v1"),
        ("http://gpu:9091/v1/", "http://gpu:9091/v1"),
        ("https://[::1]:8000/openai/v1", "https://[::1]:8000/openai/v1"),
        ("https://api.openai.com/v1/audio/transcriptions", "https://api.openai.com/v1"),
    ],
)
def test_the_url_of_an_engine_elsewhere_is_what_stands_before_its_routes(given: str, url: str) -> None:
    """Whether with the route, with a slash, or without `/v1`."""
    assert read("openai", given) == ("openai", RemoteSettings(url, None, 10.0))


@pytest.mark.parametrize(
    "given",
    [
        "gpu:9091",
        "ws://gpu:9091",
        "http://",
        "http://gpu:port/v1",
        "http://gpu/v1?key=s3cret-1",
        "http://me:s3cret-1@gpu",
    ],
)
def test_a_url_that_cannot_be_used_is_an_error(given: str) -> None:
    """It says what is allowed, and shows no password and no key."""
    with pytest.raises(SettingsError, match="--engine-url") as error:
        read("openai", given)
    assert "s3cret" not in str(error.value)
    assert "*" not in str(error.value) or "://" in given


def test_settings_of_an_engine_that_is_not_chosen_are_errors(tmp_path: Path) -> None:
    """Who gives a URL does not want the demo model; who chooses a server must say which; its key is in a file."""
    with pytest.raises(
        SettingsError, match=r"^--engine-url belongs to --engine openai and streaming:… only, not to 'faster-whisper'"
    ):
        read("faster-whisper", "http://gpu:9091")
    with pytest.raises(
        SettingsError, match=r"^--engine-url and --engine-key-file belong to --engine openai and streaming:… only"
    ):
        read("faster-whisper", "http://gpu:9091", "/key")
    with pytest.raises(SettingsError, match="needs --engine-url"):
        read("openai", "")
    with pytest.raises(SettingsError, match="--engine-key-file: cannot read"):
        read("openai", "http://gpu", str(tmp_path / "missing"))
    (key := tmp_path / "key").write_text("s3cret-1\n", encoding="ascii")
    _, remote = read("openai", "http://gpu", str(key))
    assert remote
    assert remote.key == "s3cret-1"
    assert "s3cret" not in repr(remote)


def read(engine: str, url: str | None = None, key_file: str | None = None) -> tuple[str, RemoteSettings | None]:
    """The engine of these options."""
    return read_engine(engine, url=url, key_file=key_file, timeout=10.0)


def test_a_streaming_engine_is_named_as_one(tmp_path: Path) -> None:
    """Its server's address is as it was given, and may be missing; the key comes from a file."""
    (file := tmp_path / "key").write_text("abc", encoding="ascii")
    engine = "streaming:acme.streams:load"
    asked = {"url": "wss://asr.acme.com/v1/listen", "key_file": str(file), "timeout": 5.0}
    assert read_engine(engine, **asked) == (engine, RemoteSettings("wss://asr.acme.com/v1/listen", "abc", 5.0))  # type: ignore[arg-type]
    assert read_engine(engine, url=None, key_file=None, timeout=10.0) == (engine, RemoteSettings(""))
    settings = Settings(engine=engine, remote=RemoteSettings(""))
    assert (settings.is_streaming, settings.factory, settings.backend) == (True, "acme.streams:load", "streams")
    for url in ("asr.acme.com", "ftp://asr.acme.com", "wss://asr.acme.com?key=abc"):
        with pytest.raises(SettingsError, match="--engine-url"):
            read_engine(engine, url=url, key_file=None, timeout=10.0)
    with pytest.raises(SettingsError, match="streaming:module:function"):
        read_engine("streaming:acme", url=None, key_file=None, timeout=10.0)


def test_the_engines_name_on_health() -> None:
    """A server elsewhere by its kind, another by its module."""
    assert Settings().backend == "faster_whisper"
    assert Settings(engine="acme:load").backend == "acme"
    assert Settings(engine="openai", remote=RemoteSettings("http://gpu:9091/v1")).backend == "openai"
