"""Selector packs: what a file may say, and that every mistake in it is told with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.platforms.pages.pack import (
    CONTROLS,
    LANGUAGES,
    SIGNS,
    Control,
    Lines,
    PackError,
    People,
    Sign,
    as_argument,
    plain,
    read_pack,
)

SMALL: dict[str, Any] = {
    "platform": "acme",
    "version": "1",
    "sources": "a test",
    "signs": {name: {"selectors": [f".{name}"]} for name in ("inside", "lobby", "removed", "ended")},
    "controls": {"join": {"labels": {"en": ["Join now"]}}},
}


def problems(**changes: Any) -> list[str]:
    """What is wrong with a small pack after changes; a change to None takes a key away."""
    data = {key: value for key, value in (SMALL | changes).items() if value is not None}
    with pytest.raises(PackError) as caught:
        read_pack(data, "acme")
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def test_a_whole_pack_is_read() -> None:
    """Every part of it comes out as it stands in the file."""
    data = SMALL | {
        "signs": SMALL["signs"]
        | {"captcha": {"selectors": ["iframe"], "texts": {"ja": ["ロボットではない"]}, "min_width": 120,
                       "min_height": 40, "unverified": ["ja", "iframe"]}},
        "controls": {"join": {"selectors": ["#join"], "labels": {"de": ["Beitreten"]}, "unverified": ["de"]}},
        "people": {"tiles": [".tile"], "id": "data-id", "names": [".name"], "us": [".me"], "speaking": [".loud"],
                   "phantoms": ["Effects"], "count": ["@title"], "prove": True, "unverified": [".loud"]},
        "chat": {"items": [".line"], "author": [".who"], "text": [".what"], "unverified": []},
        "captions": {"items": [".cc"]},
        "strangers": [".tile"],
        "sign_in_hosts": ["login.example.com"],
    }  # fmt: skip
    pack = read_pack(data, "acme")
    assert (pack.platform, pack.version, pack.sources) == ("acme", "1", "a test")
    assert pack.signs["captcha"] == Sign(("iframe",), {"ja": ("ロボットではない",)}, 120, 40)
    assert pack.controls == {"join": Control(("#join",), {"de": ("Beitreten",)})}
    assert pack.people == People(
        (".tile",), "data-id", (".name",), (".me",), (".loud",), ("Effects",), ("@title",), True
    )
    assert pack.chat == Lines((".line",), (".who",), (".what",))
    assert (pack.captions.items, pack.strangers, pack.sign_in_hosts) == ((".cc",), (".tile",), ("login.example.com",))


def test_words_are_compared_whatever_their_apostrophes_and_spaces() -> None:
    """Straight and curly, an ellipsis and three dots, upper and lower case, hard spaces."""
    assert plain("You’ll JOIN the\u00a0 call…") == plain("you'll join\nthe call...") == "you'll join the call..."
    assert plain("ʼ`´‘") == "''''"


def test_the_page_gets_it_as_json_with_plain_words() -> None:
    """Words of all languages in one list, selectors as they are."""
    sign = {"selectors": [".A"], "texts": {"en": ["Let’s"], "de": ["Bitte WARTEN"]}}
    pack = read_pack(SMALL | {"signs": SMALL["signs"] | {"lobby": sign}, "people": {"phantoms": ["Effects"]}}, "acme")
    argument = json.loads(as_argument(pack))
    assert argument["signs"]["lobby"] == {
        "selectors": [".A"], "texts": ["let's", "bitte warten"], "minWidth": 0, "minHeight": 0,
    }  # fmt: skip
    assert argument["controls"]["join"] == {"selectors": [], "labels": ["join now"]}
    assert argument["people"]["phantoms"] == ["effects"]
    assert argument["chat"] == argument["captions"] == {"items": [], "author": [], "text": []}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"platform": "other"}, "platform: 'other'; must be 'acme', as the file's name says"),
        ({"version": None}, "version: missing, or not a text of 1 to 500 characters"),
        ({"sources": 7}, "sources: missing, or not a text of 1 to 500 characters"),
        ({"colour": "red"}, "the pack.colour: unknown; known are platform, version"),
        ({"signs": []}, "signs: not a table"),
        ({"signs": {}}, "signs.inside: missing; without it nothing proves anything"),
        ({"controls": {}}, "controls.join: missing; nothing can be joined without it"),
        ({"controls": {"joint": {}}}, "controls.joint: unknown; known are name, passcode"),
        ({"strangers": ".tile"}, "strangers: not a list of at most 40 texts"),
        ({"strangers": [".a"] * 41}, "strangers: not a list of at most 40 texts"),
        ({"strangers": [".a", ""]}, "strangers[1]: missing, or not a text of 1 to 500 characters"),
        ({"people": {"prove": "yes"}}, "people.prove: not true or false"),
        ({"people": {"id": 7}}, "people.id: not a text"),
        ({"people": {"tile": []}}, "people.tile: unknown; known are tiles, names"),
        ({"chat": {"item": []}}, "chat.item: unknown; known are items"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_place(changes: dict[str, Any], told: str) -> None:
    """One mistake, one sentence that begins as it should."""
    assert any(problem.startswith(told) for problem in problems(**changes)), problems(**changes)


@pytest.mark.parametrize(
    ("sign", "told"),
    [
        ({"texts": {"xx": ["nobody"]}}, "signs.lobby.texts.xx: unknown; known are en, de, fr, es, pt, ja"),
        ({"texts": {"en": ["ok"]}}, "signs.lobby.texts: 'ok' is too short to mean anything on a whole page"),
        ({"min_width": -1}, "signs.lobby.min_width: not a whole number of pixels"),
        ({"min_height": True}, "signs.lobby.min_height: not a whole number of pixels"),
        ({"selectors": [".a"], "unverified": [".b"]}, "signs.lobby.unverified: '.b' is neither a language nor"),
        ({"selectors": 7, "unverified": ["en"]}, "signs.lobby.unverified: 'en' is neither a language nor"),
    ],
)  # fmt: skip
def test_mistakes_of_a_sign_are_told(sign: dict[str, Any], told: str) -> None:
    """Its words, its size, and what is said to be unconfirmed although it is not there."""
    found = problems(signs=SMALL["signs"] | {"lobby": sign})
    assert any(problem.startswith(told) for problem in found), found


def test_every_mistake_is_told_at_once() -> None:
    """Whoever mends a pack does not find them one by one."""
    assert len(problems(platform=None, signs={}, controls={}, strangers=7)) >= 7


def test_no_table_at_all() -> None:
    """A file that is no table says so."""
    with pytest.raises(PackError, match="the pack: not a table"):
        read_pack([], "acme")


def test_the_vocabulary_says_what_each_word_means() -> None:
    """Signs and controls have a meaning each; the languages are the six."""
    assert all(SIGNS.values())
    assert all(CONTROLS.values())
    assert LANGUAGES == ("en", "de", "fr", "es", "pt", "ja")


@pytest.mark.parametrize(
    "selector", ["[data-name", "div:not(.a", ".a)", "[title='it]", '[a="b]', ".a { } .b", ".a/*", "a]", "(", "a\\"]
)
def test_a_selector_that_reaches_beyond_itself(selector: str) -> None:
    """Browsers close what is open only at the end of everything: what follows would be part of it."""
    words = "has a bracket or a quote without its other half"
    for key in ("tiles", "us", "count"):
        assert problems(people={key: [selector]}) == [f"people.{key}: {selector!r} {words}"]
    assert problems(strangers=[selector, ".b"]) == [f"strangers: {selector!r} {words}"]
    assert problems(chat={"items": [selector]}) == [f"chat.items: {selector!r} {words}"]
    signs = SMALL["signs"] | {"left": {"selectors": [selector]}}
    assert problems(signs=signs) == [f"signs.left.selectors: {selector!r} {words}"]
    assert problems(controls={"join": {"selectors": [selector]}}) == [f"controls.join.selectors: {selector!r} {words}"]


@pytest.mark.parametrize("selector", ["[a='(']", "a:not([b='[']:is(.c, .d))@x", ".a\\{b", r"[a='it\'s']", '[a="[{"]'])
def test_a_selector_is_whole(selector: str) -> None:
    """What is quoted or escaped is no bracket."""
    assert read_pack(SMALL | {"strangers": [selector]}, "acme").strangers == (selector,)
