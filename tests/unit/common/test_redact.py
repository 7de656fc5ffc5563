"""What must not be printed is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.redact import Redactor, printable, redact_url

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJyb29tIjoiciJ9.c2lnbmF0dXJlLWhlcmU"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("redis://user:p@ss/w@h:6379", "redis://***@h:6379"),
        ("ws://h/path?token=abc&x=1#f", "ws://h/path?token=***&x=***#f"),
        ("no url with:password", "***"),
    ],
)
def test_urls(url: str, shown: str) -> None:
    """Host and path stay, user, password and query values go."""
    assert redact_url(url) == shown


@pytest.mark.parametrize(
    "text",
    [
        "known canary-1234 inside",
        f"bearer {JWT} refused",
        "GET /?access_token=canary-1234&x=1",
        '{"apiSecret": "canary-1234"}',
        "{'password': 'canary-1234'}",
        "Authorization: Bearer canary-1234",
        "redis://:canary-1234@host",
        "token=canary-1234",
    ],
)
@pytest.mark.parametrize("secrets", [("canary-1234",), ()])
def test_secrets_in_text(text: str, secrets: tuple[str, ...]) -> None:
    """Known secrets, and what looks like one even when nobody told."""
    masked = Redactor(secrets)(text)
    assert JWT not in masked
    assert "canary-1234" not in masked or (not secrets and "known" in text)


def test_short_secrets_do_not_eat_innocent_text() -> None:
    """A passcode of four digits is not searched for everywhere."""
    assert Redactor(["1234", ""])("port 1234") == "port 1234"


def test_ordinary_text_is_left_alone() -> None:
    """Ids, dotted names and versions are not taken for tokens."""
    text = "bot.links.redis.link 7.0.15 segment bot-1:ana:1000 at 127.0.0.1:6379 token refused"
    assert Redactor(["canary-1234"])(text) == text


def test_printable_takes_control_out() -> None:
    """Escape sequences vanish, other control and bidi characters become spaces, newlines stay only if asked for."""
    assert printable("\x1b[31mred\x1b[0m\x1b]0;title\x07 a\r\nb\u202ec\x00", 100) == "red a  b c "
    assert printable("a\nb\tc", 100, keep_newlines=True) == "a\nb c"
    assert printable("abcdef", 3) == "abc…"


@given(st.text(), st.integers(1, 50))
def test_printable_is_one_bounded_clean_line(text: str, limit: int) -> None:
    """Whatever comes in, one line without control characters comes out, encodable and bounded."""
    line = printable(text, limit)
    assert len(line) <= limit + 1
    assert all(character >= " " and not "\x7f" <= character < "\xa0" for character in line)
    line.encode()
