"""Sessions: a client's stream as its connection sees it, whatever engine is behind.

An engine that decodes windows of audio gets its sessions from `windowed.py`: gate, policy and transcript are ours. One
that is fed audio and answers by itself brings sessions of its own (`streaming.py`, docs/transcriber-engines.md).
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from common.whisperlive.protocol import Handshake, WireSegment
from transcriber.core.windows import Samples


class SessionListener(Protocol):
    """Whom the results of a session are for; called on the event loop."""

    def show(self, segments: list[WireSegment]) -> None:
        """Something was decided or is news: these segments, often none."""

    def lose(self, start: float, end: float) -> None:
        """The speech between these seconds is given up."""


class Session(Protocol):
    """One stream. Positions are samples on its clock, `now` is seconds on the event loop's."""

    @property
    def detected(self) -> tuple[str, float] | None:
        """The language found and its probability, once sure."""

    @property
    def decided(self) -> int:
        """Everything before this sample is decided: its finals were shown, nothing is shown for it any more."""

    @property
    def is_settled(self) -> bool:
        """Nothing that was heard waits for a final."""

    @property
    def is_full(self) -> bool:
        """The client must wait: too much is undecided. `hear` is not called until that has changed, after a `show`."""

    @property
    def is_attentive(self) -> bool:
        """The next message may matter: somebody may have stopped speaking, or the client may say so."""

    def is_stalled(self, now: float) -> bool:
        """The engine gives no results any more: what is undecided need not be waited for."""

    def serve(self, listener: SessionListener) -> AbstractAsyncContextManager[None]:
        """Tells the results until the block ends, however it does; then whatever serves the stream is let go.

        Raises:
            EngineLost: in place of the block's end, when the stream cannot go on; what is undecided is lost with it.
        """

    def hear(self, first_sample: int, samples: Samples, now: float) -> bool:
        """Takes the next samples, shape (n,), at most a second; a gap before them is silence.

        True if `decided` may have changed.
        """

    def end_utterance(self, sample: int, now: float) -> None:
        """All audio before `sample` belongs to closed utterances: the client says so."""

    def end(self, now: float) -> None:
        """No more audio, at least for now: whatever is open ends here."""


class Sessions(Protocol):
    """An engine as the server sees it: what can be asked of it, and a session for each stream."""

    @property
    def name(self) -> str:
        """The model."""

    @property
    def languages(self) -> frozenset[str]:
        """Codes that a client may name; one: there is nothing to find; none: any, for it is not known."""

    @property
    def is_up(self) -> bool:
        """The engine can be used at all."""

    @property
    def admits(self) -> bool:
        """A new stream can be served in time; else it is told to wait."""

    def session(self, handshake: Handshake, granted: frozenset[str], clock_start: int) -> Session:
        """For what a client asks for, with these extensions; its first sample has the index `clock_start`.

        Raises:
            ProtocolError: it asks for something that the engine cannot do, such as a task; it is told, and closed.
        """
