"""Looks: what a page answers is a stranger's word, and is read so."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.platforms.pages.look import MAX_LINES, MAX_NAME_CHARACTERS, MAX_PEOPLE, Line, Look, Seen, Spot, read_look


def test_a_whole_answer() -> None:
    """Everything that a page can say."""
    look = read_look(
        {
            "host": "Meet.Example.com",
            "signs": {"lobby": "asking to be let in", "unheard_of": "x"},
            "controls": {
                "join": {"x": 10, "y": 20.5, "value": "", "free": True, "how": "join now"},
                "name": {"x": 1, "y": 2, "value": "Earshot", "free": False},
                "leave": {"x": "1", "y": 2},
                "camera": {"x": True, "y": 2},
                "nothing": {"x": 1, "y": 2},
                "chat_open": 7,
            },
            "people": [{"id": "a", "name": " Ana ", "speaks": True, "muted": False, "tracks": ["t1", 7, ""]}],
            "count": 3,
            "joined": True,
            "chat": [{"author": "Ana", "text": "hello"}, {"author": "Ana", "text": " "}],
            "captions": [{"text": "words"}],
            "unusable": ["a[", 7],
        }
    )
    assert look == Look(
        host="meet.example.com",
        signs=frozenset({"lobby"}),
        controls={"join": Spot(10, 20.5), "name": Spot(1, 2, "Earshot", False)},
        people=(Seen("a", "Ana", speaks=True, muted=False, tracks=("t1",)),),
        count=3,
        joined=True,
        chat=(Line("Ana", "hello"),),
        captions=(Line("", "words"),),
        found={
            "lobby": "asking to be let in",
            "join": "join now",
            "name": "",
            "leave": "",
            "camera": "",
            "chat_open": "",
        },
        unusable=("a[", ""),
    )


def test_people_are_told_apart_by_id_or_name() -> None:
    """Several tiles of one person are one, who speaks if any of them shows it; nobody has neither id nor name."""
    people = [
        {"name": "Ana"},
        {"name": "Ana", "speaks": True},
        {"id": "b", "name": ""},
        {"id": "", "name": ""},
        {"name": "Us", "us": True},
        "Ben",
    ]
    look = read_look({"people": people})
    assert look.people == (Seen("Ana", "Ana", speaks=True), Seen("b", ""), Seen("Us", "Us", is_us=True))
    assert look.others == look.people[:2]


def test_it_is_bounded() -> None:
    """However much a page says."""
    look = read_look(
        {
            "people": [{"id": str(number), "name": "x" * 5_000} for number in range(5_000)],
            "chat": [{"author": "a", "text": str(number)} for number in range(500)],
            "count": 10**9,
            "controls": {"join": {"x": 1e9, "y": 0}},
        }
    )
    assert len(look.people) == MAX_PEOPLE
    assert len(look.people[0].name) == MAX_NAME_CHARACTERS
    assert [line.text for line in look.chat] == [str(number) for number in range(500 - MAX_LINES, 500)]
    assert look.count is None
    assert not look.controls


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    ["host", "signs", "controls", "people", "count", "chat", "join", "lobby", "id", "name", "x", "y"]
                ),
                inner,
                max_size=6,
            )
        ),
        max_leaves=20,
    )
)
def test_nothing_that_a_page_says_is_an_error(answer: Any) -> None:
    """What is not as it should be is left out."""
    assert isinstance(read_look(answer), Look)
