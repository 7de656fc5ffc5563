"""The script format: what is accepted, and that every error is said at once with path, value and what is allowed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.status import SubCode
from rehearsal.script import Lobby, ScriptError, parse_script

PEOPLE = [{"id": "ana", "name": "Ana"}, {"id": "ben", "name": "Ben"}]


def problems(script: Any) -> dict[str, str]:
    """Path → value and what is allowed, of a script that must be refused."""
    with pytest.raises(ScriptError) as failure:
        parse_script(script if isinstance(script, str) else json.dumps(script))
    assert failure.value.code is SubCode.CONFIG_INVALID
    found = {problem.path: f"{problem.value}; {problem.allowed}" for problem in failure.value.problems}
    assert all(path in str(failure.value) for path in found)
    return found


def played(*timeline: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A script with Ana and Ben."""
    return {"version": 1, "participants": PEOPLE, "timeline": list(timeline)} | more


def test_everything_the_format_has() -> None:
    """All keys and actions, comments, and an order by time that keeps the file's for equal times."""
    script = parse_script(
        """// a comment
        {"version": 1, "lobby": {"delay": 2, "then": "refuse"},
        "participants": [{"id": "ana", "name": "Ana"}, {"id": "ben", "name": "Ben"}],
          // another
        "timeline": [{"at": 20, "do": "cut", "for": 2.5}, {"at": 1, "who": "ben", "do": "join", "name": "B."},
        {"at": 1, "who": "ana", "do": "speak", "clip": "ana1", "text": "hello"}, {"at": 3, "who": "ben", "do": "mute"},
        {"at": 4, "who": "ben", "do": "unmute"}, {"at": 5, "who": "ana", "do": "rename", "name": "Dr. Ana"},
        {"at": 6, "who": "ana", "do": "leave"}, {"at": 30, "do": "remove"}, {"at": 31, "do": "end"}]}"""
    )
    assert [action.do for action in script.timeline] == (
        ["join", "speak", "mute", "unmute", "rename", "leave", "cut", "remove", "end"]
    )
    assert script.lobby == Lobby(delay=2, then="refuse")
    assert script.timeline[6].seconds == 2.5
    assert script.from_start() == {"ana"}
    assert script.with_track() == {"ana", "ben"}


def test_an_empty_meeting() -> None:
    """Nobody and nothing is a script; without actions of a microphone nobody has a track."""
    assert parse_script('{"version": 1}').timeline == ()
    script = parse_script(json.dumps(played({"at": 1, "who": "ana", "do": "leave"})))
    assert script.from_start() == {"ana", "ben"}
    assert script.with_track() == frozenset()


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "(not JSON)"), ("[1]", "a JSON list"), ("", "(not JSON)"), ("[" * 100_000, "(not JSON)")],
)
def test_no_object(text: str, said: str) -> None:
    """What is not a JSON object."""
    assert said in problems(text)["script"]


def test_every_error_at_once() -> None:
    """Errors of the header, of values, of keys and of the story come together."""
    found = problems(
        {
            "version": 2,
            "lobby": {"delay": -1, "then": "perhaps"},
            "participants": [{"id": "ana", "name": "Ana"}, {"id": "ana", "name": "B"}, {"id": "b c"}, 7],
            "timeline": [
                {"at": 1, "who": "zoe", "do": "mute"},
                {"at": "soon", "do": "dance", "when": 1},
                {"at": 1, "who": "ana", "do": "speak", "name": "A"},
                {"at": 2, "do": "cut"},
                {"at": 2, "who": "ana", "do": "end"},
                {"at": 3, "do": "remove", "for": 0},
            ],
            "title": "x",
        }
    )
    assert set(found) == {
        "version",
        "title",
        "lobby.delay",
        "lobby.then",
        "participants[1].id",
        "participants[2].id",
        "participants[2].name",
        "participants[3]",
        "timeline[0].who",
        "timeline[0]",
        "timeline[1].at",
        "timeline[1].do",
        "timeline[1].when",
        "timeline[2].clip",
        "timeline[2].name",
        "timeline[3].for",
        "timeline[4].who",
        "timeline[5].for",
    }
    assert found["version"] == "2; 1"
    assert "ana" in found["timeline[0].who"]
    assert "speak" in found["timeline[1].do"]
    assert "known: at, do, who, clip, text, name, for" in found["timeline[1].when"]
    assert found["timeline[2].clip"] == "(missing); needed by speak"


def test_one_error_is_told_once() -> None:
    """What a participant with an error does in the timeline is no error of its own."""
    found = problems(
        {
            "version": 1,
            "participants": [{"id": "ana", "nam": "Ana"}, 7],
            "timeline": [{"at": 1, "who": "ana", "do": "speak", "clip": "ana1"}, {"at": 2, "who": "zoe", "do": "mute"}],
        }
    )
    assert set(found) == {
        "participants[0].name", "participants[0].nam", "participants[1]", "timeline[1].who", "timeline[1]",
    }  # fmt: skip
    assert found["timeline[1].who"].endswith("one of ana")


@pytest.mark.parametrize("version", [None, True, 1.5, "1"])
def test_version(version: object) -> None:
    """Only 1 is known, and it must be said."""
    assert "version" in problems({"version": version} if version is not None else {})


def test_lists_must_be_lists() -> None:
    """An object in place of a list."""
    assert problems({"version": 1, "timeline": {}, "participants": "ana"}).keys() == {"timeline", "participants"}


@pytest.mark.parametrize(
    ("timeline", "path", "said"),
    [
        ([{"at": 1, "who": "ana", "do": "join"}, {"at": 2, "who": "ana", "do": "join"}], "timeline[1]", "already"),
        ([{"at": 2, "who": "ana", "do": "join"}, {"at": 1, "who": "ana", "do": "mute"}], "timeline[1]", "join first"),
        ([{"at": 1, "who": "ana", "do": "leave"}, {"at": 2, "who": "ana", "do": "mute"}], "timeline[1]", "join first"),
        ([{"at": 0.4, "who": "ana", "do": "speak", "clip": "x"}], "timeline[0].at", "at least 0.5"),
        (
            [{"at": 3, "who": "ana", "do": "join"}, {"at": 3.2, "who": "ana", "do": "speak", "clip": "x"}],
            "timeline[1].at",
            "at least 3.5",
        ),
        ([{"at": 1, "do": "end"}, {"at": 2, "who": "ana", "do": "mute"}], "timeline[1].at", "after the end at 1 s"),
    ],
)
def test_stories_that_cannot_happen(timeline: list[dict[str, Any]], path: str, said: str) -> None:
    """Joining twice, acting while away, speaking before the track is open, anything after the end."""
    assert said in problems(played(*timeline))[path]


def test_leaving_and_coming_back() -> None:
    """Who left may join again and speak half a second later."""
    parse_script(
        json.dumps(
            played(
                {"at": 1, "who": "ana", "do": "join"},
                {"at": 2, "who": "ana", "do": "leave"},
                {"at": 3, "who": "ana", "do": "join"},
                {"at": 3.5, "who": "ana", "do": "speak", "clip": "x"},
            )
        )
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["at", "do", "who", "id", "name", "for", "clip", "delay"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["version", "lobby", "participants", "timeline", "x"]), JSON))
def test_any_json_is_read_or_refused(raw: dict[str, Any]) -> None:
    """Nothing but a script or a ScriptError comes out."""
    try:
        parse_script(json.dumps(raw))
    except ScriptError as error:
        assert error.problems  # noqa: PT017 (either outcome is right)
