"""Words that were not heard: chat, and the platform's captions where no sound comes; cleaned, bounded, each once.

Captions are a fallback. While the room is heard they are held for as long as it takes to notice that it is not any
more, and then forgotten: what was said in those seconds is published once it is known that nobody heard it.
"""

from __future__ import annotations

import math
from collections import deque

from bot.core.effects import PublishText, ReportHealth
from bot.core.events import CaptionHeard, ChatReceived
from bot.core.health import DEAF_TIMEOUT_S
from bot.core.roster import clean_name, one_line
from bot.core.segments import UNKNOWN_SPEAKER
from common.contracts.segments import Source

MAX_TEXT_CHARACTERS = 4_000
"""Of one message or caption; the rest is cut."""
TEXTS_PER_S = 4.0
BURST_TEXTS = 40
"""So many at once, and TEXTS_PER_S after that; what is beyond is dropped, and said once a flood."""
CAPTION_LAG_S = 2.0
"""Captions are shown so long after what they say, at most."""
UNHEARD_S = DEAF_TIMEOUT_S - CAPTION_LAG_S
"""Captions from so long before no sound was noticed are surely of words that nobody heard."""
MAX_HELD_CAPTIONS = 100
"""Captions that wait for word whether there is sound. Policy when full: the oldest goes."""


class Written:
    """The chat and the captions of one meeting. Time is monotonic seconds."""

    def __init__(self) -> None:
        self._left, self._at = float(BURST_TEXTS), -math.inf
        self._is_flooded = False
        self._held: deque[PublishText] = deque(maxlen=MAX_HELD_CAPTIONS)
        self._is_soundless = False
        self._deaf = math.inf, math.inf  # from when until when nothing is, or was, heard

    def take(self, event: ChatReceived | CaptionHeard, now: float) -> list[PublishText | ReportHealth]:
        """What follows from a line; a caption waits for `captions`."""
        if isinstance(event, ChatReceived):
            source, text, start, end = Source.CHAT, event.message, now, now
        else:
            source, text, start, end = Source.CAPTIONS, event.caption, event.start, event.end
        text = one_line(text, MAX_TEXT_CHARACTERS)
        if not text:
            return []
        if not self._may_pass(now):
            was_flooded, self._is_flooded = self._is_flooded, True
            detail = f"more than {TEXTS_PER_S:g} lines a second: some are not published"
            return [] if was_flooded else [ReportHealth(f"gap:{source}", False, detail)]
        published = PublishText(
            source, event.participant_id or UNKNOWN_SPEAKER, clean_name(event.name) or UNKNOWN_SPEAKER, text, start, end
        )
        if source is Source.CHAT:
            return [published]
        self._held.append(published)
        return []

    def captions(self, is_soundless: bool, now: float) -> list[PublishText]:
        """The captions that are published now: those of which most was said while no sound came."""
        if is_soundless is not self._is_soundless:
            self._is_soundless = is_soundless
            self._deaf = (now - UNHEARD_S, math.inf) if is_soundless else (self._deaf[0], now + CAPTION_LAG_S)
        begin, end = self._deaf
        held, self._held = list(self._held), deque(maxlen=MAX_HELD_CAPTIONS)
        found = []
        for caption in held:
            middle = (caption.start + caption.end) / 2
            if begin <= middle < end:
                found.append(caption)
            elif middle >= now - UNHEARD_S:
                self._held.append(caption)
        return found

    def _may_pass(self, now: float) -> bool:
        self._left = min(self._left + (now - self._at) * TEXTS_PER_S, float(BURST_TEXTS))
        self._at = now
        if self._left == BURST_TEXTS:
            self._is_flooded = False
        if self._left < 1:
            return False
        self._left -= 1
        return True
