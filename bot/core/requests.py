"""Requests: what somebody may ask of the bot over its channels, checked by then as the configuration is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, TypedDict

from bot.core.orders import Asked


@dataclass(frozen=True, slots=True)
class SpeechSettings:
    """How speech is transcribed."""

    language: str | None = None
    """Code such as `en`; None: the transcriber detects it."""
    task: str = "transcribe"
    """`transcribe` or `translate`."""
    allowed_languages: tuple[str, ...] = ()
    """Languages to detect; empty: all."""


class SpeechChange(TypedDict, total=False):
    """Fields of `SpeechSettings` that become different; one that is missing stays as it is."""

    language: str | None
    task: str
    allowed_languages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Leave:
    """Leave the meeting."""


@dataclass(frozen=True, slots=True)
class ChangeSpeech:
    """Transcribe differently from now on."""

    change: SpeechChange


@dataclass(frozen=True, slots=True)
class Pause:
    """Stay in the meeting and do not listen; or listen again."""

    paused: bool


@dataclass(frozen=True, slots=True)
class TellState:
    """Say how things are."""


@dataclass(frozen=True, slots=True)
class CarryOut:
    """Do something in the meeting."""

    order: Asked


@dataclass(frozen=True, slots=True)
class Unusable:
    """Nothing that the bot knows, or with values that it cannot take."""

    why: str


Request: TypeAlias = Leave | ChangeSpeech | Pause | TellState | CarryOut | Unusable
