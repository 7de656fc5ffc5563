"""Selector packs: what a platform's page looks like, as data. One TOML file per platform, replaceable at run time.

A pack says by which selectors and words the *signs* (what state the page is in) and the *controls* (what is clicked and
typed into) are found, in order of trust, and how to read the people in the meeting. What no source confirms is listed
under `unverified`, as a language or as the selector itself. docs/selectors.md explains the format to people.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

LANGUAGES = ("en", "de", "fr", "es", "pt", "ja")
SIGNS = {
    "inside": "we are in the meeting: never a leave button, which lobbies have too",
    "lobby": "somebody has to let us in",
    "not_started": "the meeting has not begun",
    "unanswered": "nobody answered our request to join, and the page gave up",
    "denied": "somebody refused us",
    "blocked": "we cannot join, and the page does not say why",
    "bots_refused": "the page takes us for a program and lets none in",
    "captcha": "a challenge that only a person can solve",
    "sign_in": "only with an account",
    "consent": "a question that only a person may answer",
    "not_found": "there is no such meeting",
    "full": "there is no room for us",
    "passcode_refused": "the passcode is wrong",
    "ended": "the meeting is over",
    "removed": "we were removed",
    "left": "we are outside again, and the page does not say why",
    "reconnecting": "the page has lost its connection and tries to get it back",
}
"""Everything that a page can say of its state."""
CONTROLS = {
    "name": "field for our name",
    "passcode": "field for the meeting's passcode",
    "camera": "switch of a camera that is on",
    "microphone": "switch of a microphone that is on",
    "join": "button that joins or asks to",
    "dismiss": "button that gets something out of the way: cookies, hints, a launcher",
    "leave": "button that leaves",
    "leave_confirm": "button that leaves, where the page asks again",
    "chat_open": "button that shows the chat",
    "chat_input": "field of the chat",
    "chat_send": "button that sends what is in it",
    "captions_on": "button that shows captions",
}
"""Everything that is used in a page."""
MAX_ENTRIES = 40
"""Of one list."""
MAX_CHARACTERS = 500
"""Of one entry."""


@dataclass(frozen=True, slots=True)
class Sign:
    """How one state of the page is recognised: any selector that is visible, or any of the words."""

    selectors: tuple[str, ...] = ()
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Language → words that the page shows, compared as `plain` makes them."""
    min_width: int = 0
    min_height: int = 0
    """Pixels; smaller elements do not count."""


@dataclass(frozen=True, slots=True)
class Control:
    """How one control is found: the first selector that is visible, else a button with one of the labels."""

    selectors: tuple[str, ...] = ()
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Language → whole labels; one that ends in `*` is a beginning."""


@dataclass(frozen=True, slots=True)
class People:
    """How the people in the meeting are read. A reading is `selector`, `selector@attribute` or `@attribute`."""

    tiles: tuple[str, ...] = ()
    id: str = ""
    """Attribute of a tile that identifies the participant; empty: the name does."""
    names: tuple[str, ...] = ()
    """Readings, in order of trust."""
    us: tuple[str, ...] = ()
    """A tile that is, or contains, one of these is our own."""
    speaking: tuple[str, ...] = ()
    """... is of somebody who speaks."""
    phantoms: tuple[str, ...] = ()
    """Words with which a tile begins that is nobody's."""
    count: tuple[str, ...] = ()
    """Readings that contain how many are here, we among them."""
    prove: bool = False
    """Whether somebody's tile proves that we are inside."""


@dataclass(frozen=True, slots=True)
class Lines:
    """How chat messages or captions are read: items, and in each of them readings for author and text."""

    items: tuple[str, ...] = ()
    author: tuple[str, ...] = ()
    text: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pack:
    """One platform's page, as data."""

    platform: str
    version: str
    sources: str
    signs: Mapping[str, Sign] = field(default_factory=dict)
    controls: Mapping[str, Control] = field(default_factory=dict)
    people: People = People()
    chat: Lines = Lines()
    captions: Lines = Lines()
    strangers: tuple[str, ...] = ()
    """Parts of the page whose words are not the page's own: names, chat, captions. No sign and no control is there."""
    sign_in_hosts: tuple[str, ...] = ()
    """Hosts to which the page is sent when it wants an account."""


class PackError(ValueError):
    """A pack cannot be used: every problem, each with its place."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def plain(text: str) -> str:
    """Words as they are compared: lower case, straight apostrophes, three dots for an ellipsis, single spaces."""
    straight = re.sub("[\u2018\u2019\u02bc\u00b4`]", "'", text.lower()).replace("\u2026", "...")
    return " ".join(straight.replace("\u00a0", " ").split())


def read_pack(data: object, platform: str) -> Pack:
    """A pack from what its file says.

    Raises:
        PackError: With everything that is wrong with it.
    """
    reader = _Reader()
    pack = reader.pack(data, platform)
    if reader.problems:
        raise PackError(reader.problems)
    return pack


class _Reader:
    """Reads tables, and collects what is wrong with them."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def pack(self, data: object, platform: str) -> Pack:
        top = self._table(
            data,
            "the pack",
            *("platform", "version", "sources", "signs", "controls", "people", "chat", "captions"),
            *("strangers", "sign_in_hosts"),
        )
        words = {key: self._word(top.get(key), key) for key in ("platform", "version", "sources")}
        if words["platform"] and words["platform"] != platform:
            self.problems.append(f"platform: {words['platform']!r}; must be {platform!r}, as the file's name says")
        signs = self._table(top.get("signs", {}), "signs", *SIGNS)
        controls = self._table(top.get("controls", {}), "controls", *CONTROLS)
        self.problems += [
            f"signs.{needed}: missing; without it nothing proves anything"
            for needed in ("inside", "lobby", "removed", "ended")
            if needed not in signs
        ]
        self.problems += [] if "join" in controls else ["controls.join: missing; nothing can be joined without it"]
        return Pack(
            **words,
            signs={name: self._sign(signs[name], f"signs.{name}") for name in SIGNS if name in signs},
            controls={name: self._control(controls[name], f"controls.{name}") for name in CONTROLS if name in controls},
            people=self._people(top.get("people", {})),
            chat=self._lines(top.get("chat", {}), "chat"),
            captions=self._lines(top.get("captions", {}), "captions"),
            strangers=self._selectors(top.get("strangers", []), "strangers"),
            sign_in_hosts=self._list(top.get("sign_in_hosts", []), "sign_in_hosts"),
        )

    def _table(self, value: object, where: str, *keys: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            self.problems.append(f"{where}: not a table")
            return {}
        self.problems += [f"{where}.{key}: unknown; known are {', '.join(keys)}" for key in value if key not in keys]
        return value

    def _word(self, value: object, where: str) -> str:
        if isinstance(value, str) and 0 < len(value) <= MAX_CHARACTERS:
            return value
        self.problems.append(f"{where}: missing, or not a text of 1 to {MAX_CHARACTERS} characters")
        return ""

    def _list(self, value: object, where: str) -> tuple[str, ...]:
        if not isinstance(value, list) or len(value) > MAX_ENTRIES:
            self.problems.append(f"{where}: not a list of at most {MAX_ENTRIES} texts")
            return ()
        return tuple(self._word(entry, f"{where}[{place}]") for place, entry in enumerate(value))

    def _selectors(self, value: object, where: str) -> tuple[str, ...]:
        """Each is put into one selector with others, and into a style sheet: none may reach beyond itself."""
        selectors = self._list(value, where)
        self.problems += [
            f"{where}: {one!r} has a bracket or a quote without its other half"
            for one in selectors
            if not _is_whole(one)
        ]
        return selectors

    def _words(self, value: object, where: str) -> dict[str, tuple[str, ...]]:
        """Language → words."""
        table = self._table(value, where, *LANGUAGES)
        return {
            language: self._list(table[language], f"{where}.{language}") for language in LANGUAGES if language in table
        }

    def _number(self, value: object, where: str) -> int:
        if type(value) is int and 0 <= value <= 10_000:
            return value
        self.problems.append(f"{where}: not a whole number of pixels")
        return 0

    def _unverified(self, table: Mapping[str, Any], where: str, words: Mapping[str, tuple[str, ...]]) -> None:
        """What is said to be unconfirmed must be there."""
        known = {*words, *table.get("selectors", ())} if isinstance(table.get("selectors", []), list) else set(words)
        for entry in self._list(table.get("unverified", []), f"{where}.unverified"):
            if entry not in known:
                self.problems.append(f"{where}.unverified: {entry!r} is neither a language nor a selector of it")

    def _sign(self, value: object, where: str) -> Sign:
        table = self._table(value, where, "selectors", "texts", "unverified", "min_width", "min_height")
        texts = self._words(table.get("texts", {}), f"{where}.texts")
        sign = Sign(
            self._selectors(table.get("selectors", []), f"{where}.selectors"),
            texts,
            self._number(table.get("min_width", 0), f"{where}.min_width"),
            self._number(table.get("min_height", 0), f"{where}.min_height"),
        )
        self._unverified(table, where, texts)
        for text in _all(texts):
            if len(plain(text)) < 4:
                self.problems.append(f"{where}.texts: {text!r} is too short to mean anything on a whole page")
        return sign

    def _control(self, value: object, where: str) -> Control:
        table = self._table(value, where, "selectors", "labels", "unverified")
        labels = self._words(table.get("labels", {}), f"{where}.labels")
        control = Control(self._selectors(table.get("selectors", []), f"{where}.selectors"), labels)
        self._unverified(table, where, labels)
        return control

    def _people(self, value: object) -> People:
        lists = ("tiles", "names", "us", "speaking", "phantoms", "count")
        table = self._table(value, "people", *lists, "id", "prove", "unverified")
        if not isinstance(table.get("prove", False), bool):
            self.problems.append("people.prove: not true or false")
        if not isinstance(table.get("id", ""), str):
            self.problems.append("people.id: not a text")
        return People(
            id=table.get("id", ""),
            prove=table.get("prove", False) is True,
            phantoms=self._list(table.get("phantoms", []), "people.phantoms"),
            **{key: self._selectors(table.get(key, []), f"people.{key}") for key in lists if key != "phantoms"},
        )

    def _lines(self, value: object, where: str) -> Lines:
        keys = ("items", "author", "text")
        table = self._table(value, where, *keys, "unverified")
        return Lines(**{key: self._selectors(table.get(key, []), f"{where}.{key}") for key in keys})


def _is_whole(selector: str) -> bool:
    """Whether all its quotes and brackets are closed; browsers close them at its end, wherever that then is."""
    bare = re.sub(r"""\\.|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'""", "", selector)
    before = ""
    while bare != before:
        before, bare = bare, re.sub(r"""\[[^\[\]()"']*\]|\([^\[\]()"']*\)""", "", bare)
    return not re.search(r"""["'\\\[\](){}]|/\*""", bare)


def _all(words: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for texts in words.values():
        yield from texts


def as_argument(pack: Pack) -> str:
    """The pack as JSON text for `observe.js`, its words as `plain` makes them.

    A part of the script: through an object of hundreds of words Playwright would walk four times at each look (5.9 ms,
    not 2.2).
    """
    given = {
        "signs": {
            name: {
                "selectors": list(sign.selectors),
                "texts": [plain(text) for text in _all(sign.texts)],
                "minWidth": sign.min_width,
                "minHeight": sign.min_height,
            }
            for name, sign in pack.signs.items()
        },
        "controls": {
            name: {"selectors": list(control.selectors), "labels": [plain(label) for label in _all(control.labels)]}
            for name, control in pack.controls.items()
        },
        "people": people_argument(pack),
        "chat": _lines_argument(pack.chat),
        "captions": _lines_argument(pack.captions),
        "strangers": list(pack.strangers),
    }
    return json.dumps(given)


def people_argument(pack: Pack) -> dict[str, Any]:
    """How the people in the meeting are read, as JSON for `observe.js` and `speakers.js`."""
    people = pack.people
    return {
        **{key: list(getattr(people, key)) for key in ("tiles", "names", "us", "speaking", "count")},
        "id": people.id,
        "phantoms": [plain(words) for words in people.phantoms],
    }


def _lines_argument(lines: Lines) -> dict[str, list[str]]:
    return {"items": list(lines.items), "author": list(lines.author), "text": list(lines.text)}
