"""Filters for results that are not speech: loops, made-up text on noise, impossible speed, echoes of the prompt.

No single number tells: each of the model's own alone drops real speech. There is no list of phrases that models make up
("Thank you."), because people say all of them; instead text needs evidence, in the sound or in the model's belief.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Sequence
from enum import Enum

from transcriber.core.words import is_sign, letters, pieces, syllables, words

MAX_COMPRESSION_RATIO = 2.4
"""Text that compresses better repeats itself (Whisper's own threshold)."""
MAX_SPOKEN_TOKENS_PER_S = 10.0
SPOKEN_TOKEN_ALLOWANCE = 10
"""Nobody says more than this many tokens plus the rate above, nor more syllables: in Hindi or Georgian each has several
tokens, for the tokenizer spells what it has seldom seen."""
MAX_NO_SPEECH_PROBABILITY = 0.6
DOUBT_LOGPROB = -1.0
"""Not speech where the model says so and does not believe its text either; each alone drops real speech."""
SHORT_SPEECH_S, SHORT_SPEECH_DOUBT_LOGPROB, SHORT_SPEECH_MAX_NO_SPEECH = 0.4, -0.8, 0.4
"""The same for text from less speech than this, in seconds: a hum that sets in fools the detector so long."""
SHORT_SPEECH_SURE_NO_SPEECH, SHORT_SPEECH_MIN_LOGPROB = 0.05, -1.3
"""Such text passes the doubt above only where the model is surer of speech than this, and never below this likelihood.
A single word is never likely, for the model must also believe that nothing follows: "no" and "six" have -0.8 to -1.0
(Whisper base), -0.9 to -1.24 and 0.02 (demo model, which has -1.05 to -1.5 and 0.03 to 0.19 for its word in a hum)."""
MIN_LOGPROB = -1.6
"""Of what the model believes less, one word in seven is right (speech in loud noise, demo model)."""
LOOP_WORD_REPEATS = 8
"""The same word this often in a row is a loop."""
LOOP_SHARE, LOOP_MIN_WORDS = 0.55, 12
"""A phrase said three times or more is a loop where it makes up this share of the text, and this many words."""
DOUBLE_MIN_WORDS, DOUBLE_MIN_SYLLABLES_PER_S = 4, 8.0
"""A phrase of at least so many words that stands twice in a row was said once if all of the text would have to be
spoken this fast. Who says a thing twice takes the time for it: 4 to 6 a second are usual, in these generous units."""
DOUBLE_MIN_SIGNS = 6
"""The same in scripts without spaces, where more is said behind it: "ですか、ですか、" is soon said."""
SHORT_SIGNS = 4
"""Fewer that stand twice are a word (たたみ, 谢谢): in a loop they are said once only where it is more than twice."""
MAX_REPEATED_PIECES = 100
"""Nobody says a longer phrase twice in a window of 30 s, nor does a model; longer ones would take long to find."""
ECHO_SHARE = 0.8
"""A text of which this share stands in the prompt in the same order is an echo of it."""
ECHO_MIN_WORDS = 4
"""Fewer words are an echo only where the evidence is weak: a name may well be all that is said."""


class Verdict(Enum):
    """What a result is worth."""

    KEEP = "keep"
    EMPTY = "empty"
    NO_SPEECH = "no speech"
    PROMPT = "prompt"
    LOOP = "loop"
    TOO_FAST = "too fast"
    UNLIKELY = "unlikely"

    @property
    def is_anomaly(self) -> bool:
        """The decoder went astray: worth one more try, with the full window and without the prompt."""
        return self in (Verdict.PROMPT, Verdict.LOOP, Verdict.TOO_FAST, Verdict.UNLIKELY)


def judge(
    text: str,
    *,
    seconds: float,
    tokens: int,
    avg_logprob: float,
    no_speech: float,
    prompt: str | None,
    speech_seconds: float | None = None,
) -> Verdict:
    """Judges one result: its text, the length of the audio, token count, mean log probability per token, probability
    of no speech, the prompt it was given, and how much of the audio the detector took for speech (None: unknown)."""
    said = words(text)
    if not said:
        return Verdict.EMPTY
    little = speech_seconds is not None and speech_seconds < SHORT_SPEECH_S
    if avg_logprob < DOUBT_LOGPROB and no_speech > (
        SHORT_SPEECH_SURE_NO_SPEECH if little else MAX_NO_SPEECH_PROBABILITY
    ):
        return Verdict.NO_SPEECH
    if little and avg_logprob < SHORT_SPEECH_MIN_LOGPROB:
        return Verdict.NO_SPEECH
    if little and avg_logprob < SHORT_SPEECH_DOUBT_LOGPROB and no_speech > SHORT_SPEECH_MAX_NO_SPEECH:
        return Verdict.NO_SPEECH
    if prompt and _echoes(said, words(prompt), doubtful=little or avg_logprob < DOUBT_LOGPROB):
        return Verdict.PROMPT
    if _loops(said) or _compression(text) > MAX_COMPRESSION_RATIO:
        return Verdict.LOOP
    if speech_seconds and _doubles(said) and syllables(text) > DOUBLE_MIN_SYLLABLES_PER_S * speech_seconds:
        return Verdict.LOOP
    if min(tokens, syllables(text)) > MAX_SPOKEN_TOKENS_PER_S * seconds + SPOKEN_TOKEN_ALLOWANCE:
        return Verdict.TOO_FAST
    return Verdict.UNLIKELY if avg_logprob < MIN_LOGPROB else Verdict.KEEP


def without_repeats(text: str) -> str:
    """A looping text with each phrase said once: what is left where no try gives anything better."""
    kept: list[str] = []
    keys: list[str] = []
    loop: list[str] = []  # signs that were found to be one
    for piece in pieces(text):
        kept.append(piece)
        keys.append(letters(piece))
        for n in range(min(len(kept) // 2, MAX_REPEATED_PIECES), 0, -1):
            if keys[-1] != keys[-1 - n] or keys[-n:] != keys[-2 * n : -n]:
                continue
            spare = n
            if n < SHORT_SIGNS and is_sign(piece.strip()) and keys[-n:] != loop:
                if keys[-n:] != keys[-3 * n : -2 * n]:
                    continue
                loop, spare = keys[-n:], 2 * n
            del kept[-spare:], keys[-spare:]
            break
    return "".join(kept).strip()


def _doubles(words: Sequence[str]) -> bool:
    """A phrase stands twice in a row: at the end, or with more behind it."""
    if any(words[-n:] == words[-2 * n : -n] for n in range(DOUBLE_MIN_WORDS, len(words) // 2 + 1)):
        return True
    least = DOUBLE_MIN_SIGNS if _are_signs(words) else DOUBLE_MIN_WORDS
    return any(_stretch(words, n) >= 2 * n for n in range(least, len(words) // 2 + 1))


def _are_signs(words: Sequence[str]) -> bool:
    """Most are signs of a script without spaces: they say less than words."""
    return 2 * sum(len(word) == 1 for word in words) > len(words)


def _compression(text: str) -> float:
    """How many times smaller the text gets: one byte of each character, for in UTF-8 any Hindi or Burmese compresses
    well (two bytes of three are always the same)."""
    data = bytes(ord(character) & 0xFF for character in text)
    return len(data) / len(zlib.compress(data))


def _loops(words: Sequence[str]) -> bool:
    """One word again and again, a phrase of 3 to 8 words three times at the end, or one that is most of the text."""
    scale = 2 if _are_signs(words) else 1
    if _stretch(words, 1) >= LOOP_WORD_REPEATS * scale:
        return True
    sizes = range(2 * scale, 8 * scale + 1)
    if any(len(words) >= 3 * n and words[-2 * n :] == words[-3 * n : -n] for n in sizes if n > 2 * scale):
        return True
    least = max(LOOP_MIN_WORDS * scale, LOOP_SHARE * len(words))
    return any(_stretch(words, n) >= max(3 * n, least) for n in sizes)


def _stretch(words: Sequence[str], period: int) -> int:
    """How many words in a row repeat with this period, at most."""
    run = longest = 0
    for before, word in zip(words, words[period:], strict=False):
        run = run + 1 if before == word else 0
        longest = max(longest, run)
    return longest + period


def _echoes(words: Sequence[str], prompt: Sequence[str], *, doubtful: bool) -> bool:
    """Whether next to all of the words stand in the prompt beside the same neighbour."""
    if len(words) < ECHO_MIN_WORDS and not doubtful:
        return False
    if len(words) == 1:
        return words[0] in prompt
    pairs = set(itertools.pairwise(prompt))
    known = [False, *(pair in pairs for pair in itertools.pairwise(words)), False]
    return sum(before or after for before, after in itertools.pairwise(known)) >= ECHO_SHARE * len(words)
