"""Guards of a window: whether to believe what a model said about it, what it left out, what to keep of a loop.

As Whisper's own decoding has them: what repeats itself or is improbable is decoded once more, less strictly; what ends
long before the speech does is taken up where it ends. Nothing is dropped because it is doubtful.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from common.audio.pcm import SAMPLE_RATE
from transcriber.core.filters import (
    MAX_SPOKEN_TOKENS_PER_S,
    MIN_LOGPROB,
    SHORT_SPEECH_MAX_NO_SPEECH,
    SPOKEN_TOKEN_ALLOWANCE,
    Verdict,
    judge,
    without_repeats,
)
from transcriber.core.packing import PackedWindow
from transcriber.core.windows import Hypothesis, Window
from transcriber.core.words import syllables, words

MIN_PROGRESS_S = 0.2
"""By which each pass over what was left out is shorter than the one before: they end, whatever a model says."""
MIN_REST_SAMPLES = SAMPLE_RATE
"""Speech after the last time token that is worth another pass: the token is not exact."""
MIN_MISSED_SAMPLES = 3 * SAMPLE_RATE
"""Speech about which a model may not say nothing at once: it is asked again, as about what went astray."""
MIN_CUT_SPEECH_SAMPLES, MIN_DOUBTFUL_SPEECH_SAMPLES = SAMPLE_RATE, 2 * SAMPLE_RATE
"""Certain speech of which something is kept where each try went astray: of a loop one repeat, else what is likelier."""
MAX_PHRASE_TOKENS = 200
"""More without an end: the decoder was stopped."""


def verdict_of(window: Window, heard: Hypothesis | None, speech_seconds: float | None = None) -> Verdict:
    """What a result is worth; None: nothing was heard. In a recording how little is spoken is no evidence: None."""
    if heard is None:
        return Verdict.EMPTY
    return judge(
        heard.text,
        seconds=len(window.samples) / SAMPLE_RATE,
        tokens=heard.tokens,
        avg_logprob=heard.avg_logprob,
        no_speech=heard.no_speech,
        prompt=window.prompt,
        speech_seconds=speech_seconds,
    )


def is_missed(verdict: Verdict, speech: int) -> bool:
    """Nothing was heard in so many samples of speech."""
    return verdict is Verdict.EMPTY and speech >= MIN_MISSED_SAMPLES


def agreed(first: Hypothesis, second: Hypothesis) -> bool:
    """Whether two hearings of a short utterance, one with what was said before it and one by itself, are to be believed
    though neither is likely alone: they are of the same words, and the model took both for speech.

    A single word is seldom likely ("six": -0.9 to -1.3 with Whisper base), and the two have different things before it.
    Two that are alike to the last digit are one: of an engine that does not hear what was said before. A number has two
    spellings ("6", "Six."): where one of them has it in digits, the second may be the words of the first, too.
    """
    likelihood = _likelihood(second, words(first.text))
    return (
        bool(words(first.text))
        and first.avg_logprob != second.avg_logprob
        and max(first.no_speech, second.no_speech) <= SHORT_SPEECH_MAX_NO_SPEECH
        and min(first.avg_logprob, likelihood) >= MIN_LOGPROB
    )


def _likelihood(heard: Hypothesis, said: Sequence[str]) -> float:
    """Of these words, as the model heard them; negative infinity where it did not."""
    if words(heard.text) == said:
        return heard.avg_logprob
    if _is_number(words(heard.text)) == _is_number(said):
        return -math.inf
    return max((other.avg_logprob for other in heard.others if words(other.text) == said), default=-math.inf)


def _is_number(said: Sequence[str]) -> bool:
    return all(word.isdecimal() for word in said)


def best_of(tries: Sequence[tuple[Verdict, Hypothesis]], speech: int) -> tuple[Verdict, Hypothesis] | None:
    """What is kept where each try went astray or heard nothing; None: nothing, there is too little certain speech.

    The last loop: its words were sure before it looped. Else the likeliest; an echo of the prompt says nothing.
    """
    tries = [(verdict, replace(heard, is_doubtful=True)) for verdict, heard in tries]
    loops = [(verdict, replace(unlooped(heard), words=())) for verdict, heard in tries if verdict is Verdict.LOOP]
    if loops:
        return loops[-1] if speech >= MIN_CUT_SPEECH_SAMPLES else None
    texts = [each for each in tries if each[0] in (Verdict.TOO_FAST, Verdict.UNLIKELY)]
    best = max(texts, key=lambda each: each[1].avg_logprob, default=None)
    return best if speech >= MIN_DOUBTFUL_SPEECH_SAMPLES else None


def is_stopped(heard: Hypothesis) -> bool:
    """The decoder was stopped in the middle of its first phrase: nobody knows how far it came."""
    return heard.tokens > MAX_PHRASE_TOKENS and len(heard.phrases) == 1 and heard.phrases[0].end is None


def left_out(part: PackedWindow, heard: Hypothesis) -> tuple[PackedWindow, Hypothesis, PackedWindow | None]:
    """What was decoded of a window, the result for that, and what is to be decoded again, if there is enough of it.

    That is the last phrase, if it has no end, and the speech after it.
    """
    if not heard.phrases:
        return part, heard, None
    *complete, last = heard.phrases
    is_unfinished = last.end is None and bool(complete)
    until = last.start if is_unfinished else last.end
    said = "".join(phrase.text for phrase in (complete if is_unfinished else heard.phrases))
    if until is None or syllables(said) > MAX_SPOKEN_TOKENS_PER_S * until + SPOKEN_TOKEN_ALLOWANCE:
        return part, heard, None  # nobody knows how far it came: this much is not said until then
    decoded, rest = part.split(max(until, MIN_PROGRESS_S))
    if rest.spoken < MIN_REST_SAMPLES:
        return part, heard, None
    return decoded, replace(heard, phrases=tuple(complete)) if is_unfinished else heard, rest


def unlooped(heard: Hypothesis) -> Hypothesis:
    """The same result with each repeat of a loop once."""
    phrases = tuple(replace(phrase, text=without_repeats(phrase.text)) for phrase in heard.phrases)
    return replace(heard, text=without_repeats(heard.text), phrases=phrases)
