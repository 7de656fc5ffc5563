"""What must not be printed is not."""

from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.segments import Segment
from common.redact import Redactor, printable, redact_url, url_secrets
from tests.support.documents import SEGMENTS

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJyb29tIjoiciJ9.c2lnbmF0dXJlLWhlcmU"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("redis://user:p@ss/w@h:6379", "redis://***@h:6379"),
        ("ws://h/path?token=abc&x=1#f", "ws://h/path?token=***&x=***#f"),
        ("no url with:password", "***"),
        ("wss://s3cret-key@h:9090/x", "wss://***@h:9090/x"),
        ("REDIS://user:pass@h", "REDIS://***@h"),
        ("redis://:two words@h", "redis://***@h"),
        ("redis://:p%40ss%2Fw@h", "redis://***@h"),
        ("redis://:what?why#how@h:6379/0", "redis://***@h:6379/0"),
        ("redis://:a\"b'c@h", "redis://***@h"),
        ("ws://h/?s3cret", "ws://h/?***"),
        ("ws://h/#access_token=s3cret&x", "ws://h/#access_token=***&***"),
        ("ws://h/?", "ws://h/?"),
        ("ws://h/?a=1;b=s3cret", "ws://h/?a=***"),
        ("ws://user:pass@", "ws://***@"),
        ("https://meet.example.com/@room", "https://meet.example.com/@room"),
        ("https://meet.example.com/a?mail=a@b.c", "https://meet.example.com/a?mail=***"),
        ("https://meet.example.com:8443/@room", "https://meet.example.com:***@room"),
        ("ws://[::1]/@room", "ws://[::1]/@room"),
        ("wss://localhost/@room", "wss://localhost/@room"),
    ],
)
def test_urls(url: str, shown: str) -> None:
    """Host and path stay, user, password and query values go."""
    assert redact_url(url) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:1234/s3cret@h", "redis://***@h"),
        ("redis://john.doe:1234/s3cret@h", "redis://john.doe:***@h"),
        ("wss://s3c/ret@h", "wss://***@h"),
        ("redis://user:p@ss/w@h/0", "redis://***@h/0"),
        ("redis://user:a@b?s3cret@h", "redis://***"),
        ("redis://user:1234?s3cret@h", "redis://***"),
        ("ws://h?token=s3@cret", "ws://***"),
        ("ws://h.example:9090?token=s3@cret", "ws://h.example:***"),
        ("ws://user:pass@h?token=s3@cret", "ws://***"),
        ("ws://h.example/a,ws://user:s3cret@h", "ws://h.example:***@h"),
    ],
)
def test_where_an_at_sign_may_end_a_password_it_is_taken_to(url: str, shown: str) -> None:
    """Whatever would be a secret in one of two readings is masked: better no host than half a password."""
    assert redact_url(url) == shown
    assert not {"s3cret", "cret", "ret"} & set(re.findall(r"\w+", Redactor()(f"cannot reach {url}: refused")))


@pytest.mark.parametrize(
    "text",
    [
        "known canary-1234 inside",
        f"bearer {JWT} refused",
        "GET /?access_token=canary-1234&x=1",
        '{"apiSecret": "canary-1234"}',
        "{'password': 'canary-1234'}",
        "Authorization: Bearer canary-1234",
        "Authorization: Bearer KEYcanary-1234",
        "Authorization: bearer KEY-canary-1234",
        "redis://:canary-1234@host",
        "redis://:password@host:port/canary-1234@host",
        "redis://:password@host:portcanary-1234@host",
        "redis://:password@host:port,canary-1234@host",
        "redis://[:password@]host:port[/db]canary-1234@host",
        "token=canary-1234",
        "Authorization: Basic canary-1234",
        "internal_secret=canary-1234",
        '{"whisperLiveApiKey": "canary-1234"}',
        '{"password": "two canary-1234"}',
        "{'password': 'it\\'s canary-1234'}",
        "api-key: canary-1234",
        "cannot reach wss://canary-1234@host",
        "cannot reach WS://user:pa/ss@canary-1234@host: refused",
        "//user:canary-1234@host",
        "GET https://h/stt?key=canary-1234",
        "GET https://h/stt?canary-1234",
        "https://h/#key=canary-1234",
    ],
)
@pytest.mark.parametrize("secrets", [("canary-1234",), ()])
def test_secrets_in_text(text: str, secrets: tuple[str, ...]) -> None:
    """Known secrets, and what looks like one even when nobody told."""
    masked = Redactor(secrets)(text)
    assert JWT not in masked
    assert "canary-1234" not in masked or (not secrets and "known" in text)


SPELLINGS = [str, quote, quote_plus, json.dumps, partial(json.dumps, ensure_ascii=False)]


@pytest.mark.parametrize("secret", ["pass word", 'quo"te\\slash', "p@ss/w:rd", "schl\u00fcssel", "half\ud800secret"])
@pytest.mark.parametrize("spelled", SPELLINGS)
def test_a_secret_is_found_in_every_spelling(secret: str, spelled: Callable[[str], str]) -> None:
    """As it is, percent-encoded in a URL, escaped in JSON."""
    try:
        text = spelled(secret)
    except UnicodeEncodeError:
        return  # such a URL does not exist
    assert text.strip('"') not in Redactor([secret])(f"before {text} after")


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("redis://h", []),
        ("redis://:p%40ss@h", ["p%40ss", "p@ss"]),
        ("redis://user:pa/s:s@h", ["pa/s:s"]),
        ("wss://key@h?a=1+2&b=", ["key", "1 2"]),
        ("ws://h?token=abc#f", ["abc"]),
        ("rtmp://h/live/x?k3y%2F1&verbose", ["k3y/1"]),
        ("https://meet.example.com/@room", []),
        ("ws://u:pass@h/?token=x", ["pass", "x"]),
        ("ws://u:pass@h/@room", ["pass@h/", "pass"]),
    ],
)
def test_the_secrets_of_a_url(url: str, secrets: list[str]) -> None:
    """Password or key, and query values, as they stand and decoded; a name beside a password is none."""
    assert url_secrets(url) == secrets


CREDENTIALS = st.text(st.characters(exclude_categories=["Cs"]), min_size=6, max_size=12).filter(
    lambda text: not set(text) <= set("*@/:.h")
)


@given(CREDENTIALS)
def test_no_password_survives_in_a_known_url(password: str) -> None:
    """Whatever characters it has; also when a library has taken the URL apart."""
    url = f"ws://u:{password}@h:9090/p"
    closed = ["ws://***"] if {"?", "#"} & set(password) else []  # what follows may be a query with an @
    assert redact_url(url) in ("ws://***@h:9090/p", *closed)
    redactor = Redactor(url_secrets(url))
    assert password not in redactor(f"cannot connect to {url}: {password!s}")


@given(st.text(), st.text(), st.sampled_from(["", "/@room", "/?mail=a@b", "//u:p@x"]))
def test_no_part_of_a_password_survives(left: str, right: str, path: str) -> None:
    """Whatever stands before, behind and after it."""
    assert "s3cret" not in redact_url(f"ws://john.doe:{left}s3cret{right}@h.example:9090{path}")


def test_documents_lose_secrets_and_keep_what_consumers_need() -> None:
    """At any depth; keys, spoken text, ids and the consumers' token stay; the original is not changed."""
    spoken = {
        "text": "my token=canary-1234",
        "words": [{"word": "canary-1234", "start": 1.0}],
        "speaker_id": "canary-1234",
    }
    document = {
        "detail": "ws://u:canary-1234@h: refused", "canary-1234": [1, None, True, "canary-1234"],
        "token": "canary-1234",
        "status": "active",
        "meeting": {"id": "canary-1234"}, "segments": (spoken,), "password": "x", "passcode": None, "Api_Key": {"a": 1},
    }  # fmt: skip
    before = copy.deepcopy(document)
    assert Redactor(["canary-1234", "active"]).document(document) == {
        "detail": "ws://***@h: refused", "canary-1234": [1, None, True, "***"],
        "token": "canary-1234", "status": "active",
        "meeting": {"id": "canary-1234"}, "segments": [spoken], "password": "***", "passcode": None, "Api_Key": "***",
    }  # fmt: skip
    assert document == before


@given(st.builds(Segment.as_json, SEGMENTS))
def test_a_segment_survives_a_redactor_that_knows_nothing_of_it(segment: dict[str, Any]) -> None:
    """Nothing but a name that looks like a secret is touched."""
    redacted = Redactor(["canary-1234"]).document(segment)
    for key in segment.keys() - {"speaker"}:
        assert redacted[key] == segment[key]


@pytest.mark.parametrize(
    "text",
    [
        "a" * 16_000,
        "a." * 8_000,
        "//" * 8_000,
        "token" * 3_000,
        "token " * 2_500,
        "ey" * 8_000,
        "?a=" * 5_000,
        "//" + "@" * 16_000,
        "token" + " " * 16_000,
        'secret="' + "\\" * 16_000,
    ],
)
def test_hostile_text_takes_no_time(text: str) -> None:
    """The longest value that a log looks at."""
    began = time.process_time()
    Redactor(["canary-1234"])(text)
    assert time.process_time() - began < 0.25


def test_short_secrets_do_not_eat_innocent_text() -> None:
    """A passcode of four digits is not searched for everywhere."""
    assert Redactor(["1234", ""])("port 1234") == "port 1234"


def test_a_secret_that_is_called_secret_leaves_the_word() -> None:
    """LiveKit's `--dev` has it. Where it is a value it is masked by its key, or by what stands before it."""
    redact = Redactor(["secret"])
    assert redact("Check key, secret and room of the token.") == "Check key, secret and room of the token."
    assert redact("api_secret=secret ws://bots:secret@h/") == "api_secret=*** ws://***@h/"
    assert redact.document({"apiSecret": "secret"}) == {"apiSecret": "***"}


def test_a_secret_that_is_a_word_masks_that_word_alone() -> None:
    """A token `status` is nobody's idea of a secret, and must not take the word out of the others."""
    redactor = Redactor(["status", "Meeting", "k3ypass"])
    assert redactor("status: no_status, statuses of a Meeting, xk3ypassx") == "***: no_status, statuses of a ***, x***x"


def test_ordinary_text_is_left_alone() -> None:
    """Ids, dotted names and versions are not taken for tokens."""
    assert Redactor(["canary-1234"])("PA_abcdefgh.participant.of-a-room") == "PA_abcdefgh.participant.of-a-room"
    text = "bot.links.redis.link 7.0.15 segment bot-1:ana:1000 at 127.0.0.1:6379 token refused"
    assert Redactor(["canary-1234"])(text) == text


@pytest.mark.parametrize(
    "advice",
    [
        "The API key is missing or wrong: send `Authorization: Bearer KEY`, or",
        "it wants a password; write it as redis://:password@host:port. Check",
        "write them as redis://user:password@host:port",
        "allowed: redis://[:password@]host:port[/db], rediss://… or unix:///path",
    ],
)
def test_our_own_advice_is_left_alone(advice: str) -> None:
    """What a refused client is told to send, or to write: a mask there says nothing."""
    assert Redactor(["canary-1234"])(advice) == advice


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
