"""What the rehearsal platform says about itself, and what it makes of a room's first line."""

from __future__ import annotations

import pytest

from bot.platforms.rehearsal import Rehearsal
from bot.platforms.rehearsal.attendance import _said_url
from common.contracts.status import SubCode
from common.errors import EarshotError


def test_claims_rooms_and_scripts() -> None:
    """A running room, or a script to start one with."""
    urls = ("rehearsal+ws://h:1", "rehearsal:x.json", "ws://h", "https://h", "")
    assert [Rehearsal().claims(url) for url in urls] == [True, True, False, False, False]


@pytest.mark.parametrize("url", ["rehearsal+ws://127.0.0.1:8090", "rehearsal:a/b.json", "rehearsal:///tmp/x.json"])
def test_both_forms_are_accepted(url: str) -> None:
    """A running room, or a script."""
    assert Rehearsal().problems({"meetingUrl": url}) == []


@pytest.mark.parametrize(
    "url", [None, "rehearsal+ws://", "rehearsal+ws://h:0", "rehearsal:", "rehearsal://", 3, "ws://h"]
)
def test_what_it_needs(url: object) -> None:
    """Without a room or a script: one error that shows what stands there and says what is allowed."""
    (problem,) = Rehearsal().problems({} if url is None else {"meetingUrl": url})
    assert problem.path == "meetingUrl"
    assert problem.value == "(missing)" if url is None else str(url) in problem.value
    assert "rehearsal+ws://host:port" in problem.allowed


def test_a_room_says_its_url_or_why_there_is_none() -> None:
    """The child's own words and sub-code are the bot's; one that says nothing is unreachable."""
    assert _said_url("rehearsal+ws://127.0.0.1:9\n", "x.json") == "rehearsal+ws://127.0.0.1:9"
    for line, code, words in (
        ('{"code": "config_invalid", "message": "1 error in x.json"}\n', SubCode.CONFIG_INVALID, "1 error in x.json"),
        ("", SubCode.ROOM_UNREACHABLE, "no room could be started with x.json"),
        ("Traceback\n", SubCode.ROOM_UNREACHABLE, "no room could be started with x.json"),
    ):
        with pytest.raises(EarshotError, match=words) as failure:
            _said_url(line, "x.json")
        assert failure.value.code is code
