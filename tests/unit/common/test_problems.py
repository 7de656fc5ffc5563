"""Problems of settings: what stands there is shown without secrets, and why it cannot be used without numbers."""

from __future__ import annotations

import errno
import socket

import pytest

from common.problems import ConfigError, Problem, reason, shown


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(errno.ENOENT, "x", "/a/path"), "No such file or directory"),
        (OSError(errno.EADDRINUSE, "error while attempting to bind on address ('::', 1)"), "Address already in use"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "not UTF-8 text"),
        (UnicodeError("label empty or too long"), "no host has such a name"),
        (ValueError("embedded null byte"), "embedded null byte"),
    ],
)
def test_reasons_are_words(error: Exception, words: str) -> None:
    """The system's own, without the number and without what the message beside it repeats."""
    assert reason(error) == words


def test_an_error_counts_and_lists_its_problems() -> None:
    """One line each, for a log."""
    problems = [Problem("a", "1", "2"), Problem("b", "(missing)", "a name")]
    assert str(ConfigError(problems)) == (
        "2 errors in the configuration\n  a: 1; allowed: 2\n  b: (missing); allowed: a name"
    )
    assert str(ConfigError(problems[:1], what="the script")).startswith("1 error in the script\n")


def test_values_are_shown_without_secrets() -> None:
    """A secret is masked, but of a URL the host is left; long ones are cut."""
    assert shown("s3cret", secret=True) == "***"
    assert shown("redis://:s3cret@h", secret=True) == '"redis://***@h"'
    assert len(shown("x" * 1000)) < 100


def test_urls_that_stand_where_they_should_not_are_shown_without_secrets() -> None:
    """In a list, in an object, and without one of their slashes."""
    assert shown(["rtmp://h/live/x?k=canary"]) == '["rtmp://h/live/x?k=***"]'
    assert shown({"url": "rtmp://u:canary@h/x"}) == '{"url": "rtmp://***@h/x"}'
    assert shown("rtmp:/h/live/x?canary") == '"rtmp:/h/live/x?***"'
    assert shown(["canary"], secret=True) == "***"
    assert shown([1, "a: b?"]) == '[1, "a: b?"]'
