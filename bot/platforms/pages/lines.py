"""Lines of chat and captions, from look to look: which are new, and which words of captions will not change."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from bot.platforms.pages.look import Line

CHAT_SETTLE_S = 2.0
"""What stands in a chat so soon after its opening is from before: pages load it late."""
MAX_OWN_MESSAGES = 20
"""Messages of ours that the page has not shown yet. Policy when full: the oldest is forgotten."""
CAPTION_QUIET_S = 1.5
"""A caption that has not grown for so long is said as far as it goes."""
CAPTION_GONE_S = 5.0
"""A caption that is not shown may come back so long: pages build their lists anew."""
MIN_KEPT_SHARE = 0.6
"""Share of its beginning that a caption keeps when it grows, or is corrected."""
TAIL_WORDS = 3
"""So many of the last words said show where to go on, if the page corrects or cuts what is before them."""


def new_lines(before: tuple[Line, ...], after: tuple[Line, ...]) -> tuple[Line, ...]:
    """The lines at the end of `after` that `before` did not have; both are the last ones of a list that grows.

    Lines go at the beginning. Where any was changed or taken away, what both have in this order is what was there.
    """
    for overlap in range(min(len(before), len(after)), 1, -1):
        if before[-overlap:] == after[:overlap]:
            return after[overlap:]
    common = [0] * (len(after) + 1)  # of `before` and so many of `after`: the longest that both have
    for line in before:
        diagonal = 0
        for at, one in enumerate(after, 1):
            diagonal, common[at] = common[at], diagonal + 1 if one == line else max(common[at], common[at - 1])
    return after[common.index(common[-1]) :]


class Chat:
    """The chat of one stay in a meeting: what others write from when it can be read, each message once."""

    def __init__(self) -> None:
        self._seen: tuple[Line, ...] = ()
        self._open_since: float | None = None
        self._ours: deque[str] = deque(maxlen=MAX_OWN_MESSAGES)

    def close(self) -> None:
        """We are inside anew, or the page is another one: what stands there then is from before."""
        self._open_since = None

    def wrote(self, message: str) -> None:
        """A message of ours will be shown."""
        self._ours.append(" ".join(message.split()))

    def look(self, lines: tuple[Line, ...], is_open: bool, others: Collection[str], now: float) -> list[Line]:
        """The messages that are new and not ours.

        Args:
            lines: The last ones that are shown.
            is_open: Whether the chat is there, so that none shown means none written.
            others: Names of the other people: what they write is not ours, whatever it is.
            now: Monotonic seconds.
        """
        if not is_open and not lines:
            return []
        if self._open_since is None:
            self._open_since, self._seen = now, ()
        new = new_lines(self._seen, lines)
        if lines:  # a list that is just being built has none
            self._seen = lines
        is_settled = now - self._open_since >= CHAT_SETTLE_S
        return [line for line in new if not self._is_ours(line, others) and is_settled]

    def _is_ours(self, line: Line, others: Collection[str]) -> bool:
        text = " ".join(line.text.split())
        if line.author in others or text not in self._ours:
            return False
        self._ours.remove(text)
        return True


@dataclass(frozen=True, slots=True)
class Caption:
    """Words that captions will not change. Times in monotonic seconds: when the first and the last were shown."""

    author: str
    text: str = field(repr=False)
    start: float
    end: float


@dataclass(slots=True)
class _Growing:
    author: str
    words: list[str]
    start: float  # of what is not said yet
    changed_at: float
    seen_at: float
    said: int = 0  # so many of its words

    def goes_on_as(self, words: Sequence[str]) -> bool:
        """Whether the same caption reads like this now."""
        known, now = " ".join(self.words).casefold(), " ".join(words).casefold()
        both = min(len(known), len(now))
        return (
            SequenceMatcher(None, known[:both], now[:both]).ratio() >= MIN_KEPT_SHARE
            or self._end_of_said(words) is not None
        )

    def _end_of_said(self, words: Sequence[str]) -> int | None:
        tail = _bare(self.words[max(self.said - TAIL_WORDS, 0) : self.said])
        bare = _bare(words)
        ends = [at for at in range(len(tail), len(bare) + 1) if tail and bare[at - len(tail) : at] == tail]
        return min(ends, key=lambda at: abs(at - self.said), default=None)

    def go_on(self, words: list[str], now: float) -> None:
        """It reads like this now."""
        self.seen_at = now
        if words == self.words:
            return
        if self.said == len(self.words):
            self.start = now
        end = self._end_of_said(words)
        self.said = min(self.said, len(words)) if end is None else end
        self.words, self.changed_at = words, now

    def say(self) -> Caption | None:
        """What is new of it, as far as it goes."""
        text = " ".join(self.words[self.said :])
        self.said = len(self.words)
        return Caption(self.author, text, self.start, self.changed_at) if text else None


@dataclass(slots=True)
class Captions:
    """Captions grow while somebody speaks, and are corrected: each word is said once, when it is whole."""

    _known: list[_Growing] = field(default_factory=list)

    def look(self, lines: tuple[Line, ...], now: float) -> list[Caption]:
        """What is whole now: all but the last caption at once, that one when it has not grown for a while."""
        last = self._align(lines, now)
        whole = [
            caption.say()
            for caption in self._known
            if caption is not last or now - caption.changed_at >= CAPTION_QUIET_S
        ]
        self._known = [caption for caption in self._known if now - caption.seen_at < CAPTION_GONE_S]
        return [caption for caption in whole if caption is not None]

    def _align(self, lines: tuple[Line, ...], now: float) -> _Growing | None:
        """Takes in what is shown, in its order; returns the last one."""
        known, rest, last = [], self._known, None
        for line in lines:
            words = line.text.split()
            like = [at for at, one in enumerate(rest) if one.author == line.author and one.goes_on_as(words)]
            # of several the one that it goes on from word by word: a short one may end in a word of any other
            exact = (at for at in like if rest[at].words == words[: len(rest[at].words)])
            at = next(exact, like[0] if like else len(rest))
            if at < len(rest):
                known += rest[:at]
                last, rest = rest[at], rest[at + 1 :]
                last.go_on(words, now)
            else:
                last = _Growing(line.author, words, now, now, now)
            known.append(last)
        self._known = known + rest
        return last


def _bare(words: Sequence[str]) -> list[str]:
    return [word.strip(".,;:!?…").casefold() for word in words]
