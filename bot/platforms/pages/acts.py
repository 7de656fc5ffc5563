"""Acts that the flow through a page asks for: what is to be done in it, and what is to be said of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from bot.platforms.pages.look import Spot
from common.contracts.status import SubCode


@dataclass(frozen=True, slots=True)
class Click:
    """Click the control."""

    control: str
    spot: Spot


@dataclass(frozen=True, slots=True)
class Fill:
    """Type into the field, in place of what is in it."""

    control: str
    spot: Spot
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Wake:
    """Move the pointer over the page."""


@dataclass(frozen=True, slots=True)
class Reopen:
    """Open the meeting's page again."""


@dataclass(frozen=True, slots=True)
class InLobby:
    """Say so: we wait for somebody to let us in."""


@dataclass(frozen=True, slots=True)
class Inside:
    """Say so: we are in the meeting, for the first time or again."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Say so: the connection to the meeting is gone, and on its way back."""


@dataclass(frozen=True, slots=True)
class Help:
    """Say so: a person has to do something."""

    reason: str


@dataclass(frozen=True, slots=True)
class Over:
    """It is over for us."""

    code: SubCode
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """Worth a line in the log."""

    what: str
    control: str


Do: TypeAlias = Click | Fill | Wake | Reopen | InLobby | Inside | Lost | Help | Over | Note
