"""Lines of a recording: what a model said about a packed window becomes lines with times in the recording.

A line ends where the model put a time token, and in any pause: who speaks on another channel may come between. Times
are in order, and where somebody speaks; each word has length.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from common.audio.pcm import SAMPLE_RATE
from transcriber.core.packing import PackedWindow
from transcriber.core.subtitles import Line
from transcriber.core.windows import Hypothesis, Phrase, Word
from transcriber.core.word_times import in_order
from transcriber.core.words import letters

MIN_PAUSE_S = 0.5
"""A pause this long ends a line."""


def lines(window: PackedWindow, heard: Hypothesis, line: Line) -> list[Line]:
    """The lines of a window, in order.

    Args:
        window: What was decoded.
        heard: What came of it; its phrases, if any, are its text.
        line: What all of them have in common.
    """
    found: list[Line] = []
    reached = 0.0
    phrases = heard.phrases or (Phrase(heard.text, 0.0, None),)
    shared = _shared(phrases, heard.words)
    placed = _placed(window, [word for words in shared for word in words])
    for phrase, words in zip(phrases, shared, strict=True):
        own, placed = placed[: len(words)], placed[len(words) :]
        limit = placed[0].start if placed else float("inf")
        for start, end, text, said in _parts(phrase, own) if own else [_whole(window, phrase, reached, limit)]:
            found.append(replace(line, start=start, end=end, text=text.strip(), words=said))
            reached = end
    return [said for said in found if letters(said.text)]


def _shared(phrases: Sequence[Phrase], words: Sequence[Word]) -> list[list[Word]]:
    """The words of each phrase; none at all where they are those of another text. There may be more of them."""
    owners = [number for number, phrase in enumerate(phrases) for _ in _visible(phrase.text)]
    shared: list[list[Word]] = [[] for _ in phrases]
    if not "".join(map(_visible, (word.text for word in words))).startswith(
        "".join(map(_visible, (phrase.text for phrase in phrases)))
    ):
        return shared
    first = 0
    for word in words:
        if first < len(owners) and (length := len(_visible(word.text))):
            shared[owners[first]].append(word)
            first += length
    return [_joined(said) for said in shared]


def _joined(words: Sequence[Word]) -> list[Word]:
    """Punctuation at the words it is written at: after a space the next one, else the one before."""
    joined: list[Word] = []
    opening = ""
    for word in words:
        if letters(word.text):
            joined.append(replace(word, text=opening + word.text))
            opening = ""
        elif joined and not word.text.startswith(" "):
            joined[-1] = replace(joined[-1], text=joined[-1].text + word.text)
        else:
            opening += word.text
    return joined


def _placed(window: PackedWindow, words: Sequence[Word]) -> list[Word]:
    """The words with times in the recording, one after the other, all within the window."""
    times = [window.word_times(word.start, word.end) for word in words]
    start, end = window.pieces[0][0] / SAMPLE_RATE, window.pieces[-1][1] / SAMPLE_RATE
    return [
        replace(word, start=first, end=last)
        for word, (first, last) in zip(words, in_order(times, start, end), strict=True)
    ]


def _parts(phrase: Phrase, words: list[Word]) -> Iterator[tuple[float, float, str, tuple[Word, ...]]]:
    """A phrase, cut in its pauses."""
    cuts = [
        n for n, (before, after) in enumerate(itertools.pairwise(words), 1) if after.start - before.end >= MIN_PAUSE_S
    ]
    for first, last in itertools.pairwise([0, *cuts, len(words)]):
        said = tuple(words[first:last])
        text = "".join(word.text for word in said) if cuts else phrase.text
        yield said[0].start, said[-1].end, text, said


def _whole(
    window: PackedWindow, phrase: Phrase, reached: float, limit: float
) -> tuple[float, float, str, tuple[Word, ...]]:
    """A phrase whose words have no times, between what is before and after it."""
    end = window.seconds if phrase.end is None else phrase.end
    start, end = window.times(phrase.start, end)
    return min(max(start, reached), limit), min(max(end, reached), limit), phrase.text, ()


def _visible(text: str) -> str:
    """Without spaces, which models and tokenizers put differently."""
    return "".join(text.split())
