"""The script of a rehearsal: who is in the meeting and what happens when. Pure; format version 1, `docs/rehearsal.md`.

Times are seconds since the first bot was admitted. A participant without a `join` in the timeline is there from the
start. `text` is what a clip says: the truth that a transcript is scored against; it never reaches a bot.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from common.problems import ConfigError, Problem, shown

OPENING_S = 0.5
"""Seconds between joining and the first word: as long as a real track takes to be heard by everyone."""

Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]

NEEDS: dict[str, tuple[str, ...]] = {
    "join": ("who",),
    "speak": ("who", "clip"),
    "mute": ("who",),
    "unmute": ("who",),
    "rename": ("who", "name"),
    "leave": ("who",),
    "cut": ("for",),
    "remove": (),
    "end": (),
}
"""Action → keys it needs beside `at` and `do`."""
MAY = {"speak": ("text",), "join": ("name",)}
"""Action → keys it may have; no others."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class Lobby(_Part):
    """A bot waits `delay` seconds; then it is admitted, refused, or left waiting."""

    delay: Seconds = 0.0
    then: Literal["admit", "refuse", "ignore"] = "admit"


class Participant(_Part):
    """Somebody who can be in the meeting."""

    id: Id
    name: Name


class Action(_Part):
    """One entry of the timeline."""

    at: Seconds
    do: Literal["join", "speak", "mute", "unmute", "rename", "leave", "cut", "remove", "end"]
    who: Id | None = None
    clip: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = None
    text: Annotated[str, StringConstraints(max_length=16_384)] | None = None
    name: Name | None = None
    seconds: Annotated[float, Field(gt=0, le=86_400)] | None = Field(default=None, alias="for")


@dataclass(frozen=True, slots=True)
class Script:
    """A checked script. `timeline` is in order of time; entries of the same time keep the order of the file."""

    participants: tuple[Participant, ...]
    timeline: tuple[Action, ...]
    lobby: Lobby | None = None

    def from_start(self) -> frozenset[str]:
        """Participants who are there when the first bot comes."""
        joining = {action.who for action in self.timeline if action.do == "join"}
        return frozenset(participant.id for participant in self.participants) - joining

    def with_track(self) -> frozenset[str]:
        """Participants who ever use a microphone: only they get a track, hence a connection per bot."""
        return frozenset(action.who for action in self.timeline if action.who and action.do in _MICROPHONE)


_MICROPHONE = ("speak", "mute", "unmute")


class ScriptError(ConfigError):
    """The script cannot be played; `problems` has every reason."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems, what="the rehearsal script")


def parse_script(text: str) -> Script:
    """Reads and checks a script: one JSON object; whole lines beginning with `//` are comments.

    Raises:
        ScriptError: With every problem: path, value, what is allowed.
    """
    try:
        raw = json.loads(re.sub(r"(?m)^[ \t]*//.*$", "", text))
    except (json.JSONDecodeError, RecursionError) as error:
        where = f", line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else ""
        raise ScriptError([Problem("script", "(not JSON)", f"one JSON object{where}")]) from None
    if not isinstance(raw, dict):
        raise ScriptError([Problem("script", f"(a JSON {type(raw).__name__})", "one JSON object")])
    problems = [
        Problem(key, shown(value), "no such key; known: version, lobby, participants, timeline")
        for key, value in raw.items()
        if key not in ("version", "lobby", "participants", "timeline")
    ]
    if raw.get("version") != 1 or isinstance(raw.get("version"), bool):
        problems.append(Problem("version", shown(raw["version"]) if "version" in raw else "(missing)", "1"))
    lobby = _read(Lobby, raw["lobby"], "lobby", problems) if raw.get("lobby") is not None else None
    participants = _read_list(Participant, raw, "participants", problems)
    actions = _read_list(Action, raw, "timeline", problems)
    _check_identities(participants, problems)
    unread = _written_ids(raw) - {participant.id for _, participant in participants}
    for index, action in actions:
        _check_keys(index, action, _written_ids(raw), problems)
    ordered = sorted(actions, key=lambda item: item[1].at)
    script = Script(tuple(p for _, p in participants), tuple(a for _, a in ordered), lobby)
    _check_story([item for item in ordered if item[1].who not in unread], script, problems)
    if problems:
        raise ScriptError(problems)
    return script


P = TypeVar("P", bound=_Part)


def _read_list(model: type[P], raw: dict[str, Any], key: str, problems: list[Problem]) -> list[tuple[int, P]]:
    """The valid entries of a list, with their index; problems of the others."""
    items = raw.get(key, [])
    if not isinstance(items, list):
        problems.append(Problem(key, shown(items), "a list"))
        return []
    read = [(index, _read(model, item, f"{key}[{index}]", problems)) for index, item in enumerate(items)]
    return [(index, part) for index, part in read if part is not None]


def _read(model: type[P], raw: Any, path: str, problems: list[Problem]) -> P | None:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        for detail in error.errors():
            where = ".".join([path, *(str(step) for step in detail["loc"])])
            kind, allowed = detail["type"], detail["msg"].removeprefix("Input should be ")
            if kind == "extra_forbidden":
                known = ", ".join(field.alias or name for name, field in model.model_fields.items())
                allowed = f"no such key; known: {known}"
            elif kind == "model_type":
                allowed = "an object"
            missing = kind == "missing"
            problems.append(
                Problem(where, "(missing)" if missing else shown(detail["input"]), "a value" if missing else allowed)
            )
        return None


def _check_identities(participants: list[tuple[int, Participant]], problems: list[Problem]) -> None:
    seen: set[str] = set()
    for index, participant in participants:
        if participant.id in seen:
            problems.append(Problem(f"participants[{index}].id", shown(participant.id), "an id of its own"))
        seen.add(participant.id)


def _written_ids(raw: dict[str, Any]) -> set[str]:
    """The participants' ids, also of those that have other errors: an entry of the timeline about them is none."""
    items = raw.get("participants")
    found = [item.get("id") for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return {value for value in found if isinstance(value, str)}


def _check_keys(index: int, action: Action, known: set[str], problems: list[Problem]) -> None:
    """Keys that the action needs or does not know, and an unknown `who`."""
    given = {
        key: value
        for key, value in action.model_dump(by_alias=True, exclude_none=True).items()
        if key not in ("at", "do")
    }
    missing = [key for key in NEEDS[action.do] if key not in given]
    problems += [Problem(f"timeline[{index}].{key}", "(missing)", f"needed by {action.do}") for key in missing]
    for key, value in given.items():
        if key not in NEEDS[action.do] + MAY.get(action.do, ()):
            problems.append(Problem(f"timeline[{index}].{key}", shown(value), f"not a key of {action.do}"))
    if action.who is not None and action.who not in known:
        problems.append(Problem(f"timeline[{index}].who", shown(action.who), f"one of {', '.join(sorted(known))}"))


def _check_story(ordered: list[tuple[int, Action]], script: Script, problems: list[Problem]) -> None:
    """Whether the timeline can happen: nobody joins twice, speaks while away or without a moment to connect."""
    since: dict[str, float] = dict.fromkeys(script.from_start(), 0.0)
    ended: float | None = None
    for index, action in ordered:
        path, who = f"timeline[{index}]", action.who or ""
        if ended is not None:
            problems.append(Problem(f"{path}.at", shown(action.at), f"nothing happens after the end at {ended:g} s"))
        if action.do == "end":
            ended = action.at
        if action.do == "join":
            if who in since:
                problems.append(Problem(path, shown(f"join {who}"), f"{who} is in the meeting already"))
            since[who] = action.at
        elif who and who not in since:
            problems.append(Problem(path, shown(f"{action.do} {who}"), f"{who} is not in the meeting then; join first"))
        elif action.do == "leave":
            since.pop(who, None)
        elif action.do == "speak" and action.at < since[who] + OPENING_S:
            allowed = f"at least {since[who] + OPENING_S:g}: half a second after joining, so that the track is open"
            problems.append(Problem(f"{path}.at", shown(action.at), allowed))
