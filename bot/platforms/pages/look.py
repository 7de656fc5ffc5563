"""A look at a page: which signs and controls are there, and who. Read from what a stranger's page answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bot.platforms.pages.pack import CONTROLS, SIGNS

MAX_PEOPLE = 1_000
"""More tiles than that are not looked at."""
MAX_LINES = 30
"""Chat messages, or captions, of one look: the last ones."""
MAX_ID_CHARACTERS = 256
MAX_NAME_CHARACTERS = 1_024
MAX_LINE_CHARACTERS = 4_096


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a control is, in pixels of the page, and how it stands."""

    x: float
    y: float
    value: str = field(default="", repr=False)
    """Of a field."""
    is_free: bool = True
    """Enabled, and nothing lies over it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Somebody as the page shows them."""

    id: str
    name: str
    is_us: bool = False
    speaks: bool = False
    muted: bool | None = None
    """None: the page does not say."""
    tracks: tuple[str, ...] = ()
    """Ids of their `MediaStreamTrack`s, where the page says so."""


@dataclass(frozen=True, slots=True)
class Line:
    """A chat message, or a caption as far as it goes."""

    author: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at once."""

    host: str = ""
    """Of the page's address."""
    signs: frozenset[str] = frozenset()
    controls: Mapping[str, Spot] = field(default_factory=dict)
    people: tuple[Seen, ...] = ()
    count: int | None = None
    """How many the page says are here, we among them."""
    joined: bool | None = None
    """What the page's own programming interface says about us; None: it has none."""
    chat: tuple[Line, ...] = ()
    captions: tuple[Line, ...] = ()
    found: Mapping[str, str] = field(default_factory=dict)
    """Sign or control → the selector or the words by which it was found."""
    unusable: tuple[str, ...] = ()
    """Selectors that the browser does not understand."""

    @property
    def others(self) -> tuple[Seen, ...]:
        """Everybody but us."""
        return tuple(person for person in self.people if not person.is_us)


def read_look(answer: object) -> Look:
    """The look in a page's answer; what is not as it should be is left out."""
    top = _table(answer)
    count = top.get("count")
    return Look(
        host=_text(top.get("host"), MAX_ID_CHARACTERS).lower(),
        signs=frozenset(name for name in _table(top.get("signs")) if name in SIGNS),
        controls=dict(_spots(top.get("controls"))),
        people=tuple(_people(top.get("people"))),
        count=count if type(count) is int and 0 <= count <= 100_000 else None,
        joined=_flag(top.get("joined")),
        chat=tuple(_lines(top.get("chat"))),
        captions=tuple(_lines(top.get("captions"))),
        found={
            str(name): _text(how, MAX_ID_CHARACTERS)
            for part in ("signs", "controls")
            for name, how in _found(top.get(part))
        },
        unusable=tuple(_text(selector, MAX_ID_CHARACTERS) for selector in _list(top.get("unusable"))[:MAX_LINES]),
    )


def _found(value: object) -> Iterator[tuple[str, object]]:
    for name, what in _table(value).items():
        if name in SIGNS or name in CONTROLS:
            yield name, what.get("how") if isinstance(what, dict) else what


def _spots(value: object) -> Iterator[tuple[str, Spot]]:
    for name, what in _table(value).items():
        spot = _table(what)
        x, y = _number(spot.get("x")), _number(spot.get("y"))
        if name in CONTROLS and x is not None and y is not None:
            yield name, Spot(x, y, _text(spot.get("value"), MAX_NAME_CHARACTERS), spot.get("free") is True)


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) <= 100_000 else None


def _people(value: object) -> Iterator[Seen]:
    """Everybody once, even if shown in several tiles; whoever has neither id nor name is nobody."""
    known: dict[str, Seen] = {}
    for entry in _list(value)[:MAX_PEOPLE]:
        person = _table(entry)
        name = _text(person.get("name"), MAX_NAME_CHARACTERS).strip()
        identity = _text(person.get("id"), MAX_ID_CHARACTERS).strip() or name[:MAX_ID_CHARACTERS]
        if not identity:
            continue
        seen = Seen(
            identity,
            name,
            person.get("us") is True,
            person.get("speaks") is True,
            _flag(person.get("muted")),
            tuple(filter(None, (_text(track, MAX_ID_CHARACTERS) for track in _list(person.get("tracks"))[:8]))),
        )
        if before := known.get(identity):
            seen = replace(before, is_us=before.is_us or seen.is_us, speaks=before.speaks or seen.speaks)
        known[identity] = seen
    yield from known.values()


def _lines(value: object) -> Iterator[Line]:
    for entry in _list(value)[-MAX_LINES:]:
        line = _table(entry)
        text = _text(line.get("text"), MAX_LINE_CHARACTERS).strip()
        if text:
            yield Line(_text(line.get("author"), MAX_NAME_CHARACTERS).strip(), text)


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(value: object, most: int) -> str:
    return value[:most] if isinstance(value, str) else ""


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
