"""Tracks of a page: what the capture engine tells whoever opened the page, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # numpy: not needed to describe a track
    from bot.audio.frame import AudioFrame


class CapturedKind(StrEnum):
    """What is on a captured track, as far as the page alone says it; a platform may know better."""

    MICROPHONE = "microphone"
    SCREEN = "screen"
    MIX = "mix"
    """What the page plays, everybody together, from sources that are no tracks (`MIX_ID`)."""


MIX_ID = "page-mix"
"""Id of the track of what a page plays through WebAudio, opened only where no track of a connection has sound."""


@dataclass(frozen=True, slots=True)
class TrackInfo:
    """One remote audio track of the page.

    Args:
        track_id: Ours: never used again, on another page neither (but for MIX_ID). Frames and signals carry it.
        page_track_id: `MediaStreamTrack.id` in the page.
        stream_ids: `MediaStream.id`s it came with; platforms hide identities in them.
        mid: Of its media section, where there is one.
        kind: See `CapturedKind`.
        element: Attributes of the media element that plays it and of its ancestors, nearest first: `id`, `class`,
            `aria-label` and every `data-*`; empty: none was found (yet, see the signal `track_element`).
        frame_url: Of the frame it lives in, without query and fragment.
    """

    track_id: str
    page_track_id: str = ""
    stream_ids: tuple[str, ...] = ()
    mid: str | None = None
    kind: CapturedKind = CapturedKind.MICROPHONE
    element: tuple[Mapping[str, str], ...] = field(default=(), repr=False)
    frame_url: str = field(default="", repr=False)


class CaptureListener(Protocol):
    """Who hears a page. All methods are synchronous, cheap, and called from the event loop's thread."""

    def track_opened(self, track: TrackInfo) -> None:
        """The page has a remote audio track; frames may follow."""

    def audio(self, frame: AudioFrame) -> None:
        """A piece of an opened track: 16 kHz int16 mono on the sender's clock, `arrival` in monotonic seconds."""

    def track_closed(self, track_id: str) -> None:
        """No frame of the track follows."""

    def signal(self, name: str, payload: Any) -> None:
        """Something that a probe in the page, or the engine itself, says; `payload` is JSON of a stranger.

        Of the engine:

        - `contributing_sources`: `{"track_id", "sources": [ssrc, …]}`, when the CSRCs of a track's packets change,
          before what is heard of them;
        - `track_element`: `{"track_id", "element"}`, when a track's media element was found after it was opened;
        - `capture`: `{"track_id", "way": "frames" | "element", "why"}`, when a track is captured in another way.

        Everything else has the name that the platform's own probe gave it (`earshot.signal(name, payload)`).
        """
