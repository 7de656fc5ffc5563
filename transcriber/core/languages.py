"""Languages of a stream: what one window's probabilities say, and what the stream remembers.

Whisper is often wrong about a second of speech, so a language is decided, and left again, only on enough of it. Audio
never waits for that: an undecided utterance is decoded in the likeliest language, and its words are committed once that
is sure.
"""

from __future__ import annotations

from collections.abc import Mapping

MIN_SPEECH_S = 2.5
"""Speech from which a detection counts: on less it is often wrong."""
MIN_LANGUAGE_SHARE = 0.5
"""Share of the probability that the language found must have; WhisperLive's threshold."""
MIN_LOCK_SPEECH_S = 5.0
"""The same where the language stays for good and is less than sure."""
SURE_LANGUAGE_SHARE = 0.9
"""Share that needs no amount of speech: nothing that got it was wrong, from 0.7 s on (`bench/languages.md`)."""
UNTOLD_LANGUAGE_SHARE = SURE_LANGUAGE_SHARE
"""Of a language that an engine names without a probability: that takes `MIN_SPEECH_S` to be sure."""
SWITCH_ODDS = 4.0
"""How many times likelier than the stream's language another one must be: a borrowed word or a name is not a switch."""


def choose_language(
    probabilities: Mapping[str, float], *, prior: str | None, allowed: frozenset[str], seconds: float
) -> tuple[str, float]:
    """One window's language and its probability among those allowed.

    Args:
        probabilities: What the model finds, at least one language.
        prior: What the stream has spoken so far; it stays unless another is sure, or clearly likelier on enough speech.
        allowed: The only ones that may be found; empty, or none that the model knows: any.
        seconds: Length of the window.
    """
    candidates = {code: share for code, share in probabilities.items() if code in allowed} or dict(probabilities)
    total = sum(candidates.values())
    shares = {code: share / total if total else 1 / len(candidates) for code, share in candidates.items()}
    best = max(shares, key=lambda code: (shares[code], code == prior))
    if prior in shares:
        is_clear = shares[best] > MIN_LANGUAGE_SHARE and shares[best] >= SWITCH_ODDS * shares[prior]
        is_sure = shares[best] > SURE_LANGUAGE_SHARE
        best = best if is_sure or (is_clear and seconds >= MIN_SPEECH_S) else prior
    return best, shares[best]


class StreamLanguage:
    """What one stream speaks, from its finals.

    Args:
        fixed: The client said it; nothing is detected.
        allowed: The only ones that may be detected; empty: any.
        locks: Once decided, the language stays (as in WhisperLive, whose clients hear of it once); otherwise each
            utterance is detected anew.
    """

    def __init__(self, fixed: str | None, allowed: frozenset[str] = frozenset(), *, locks: bool) -> None:
        self.fixed = fixed
        """What every window is in; None: to be detected."""
        self.prior: str | None = None
        """What was spoken last; None while undecided, so that each utterance is heard without prejudice."""
        self.allowed = allowed
        """The only ones that may be detected."""
        self._locks = locks
        self._seconds = 0.0
        self._evidence: dict[str, float] = {}  # seconds, weighted by probability; one entry per language

    def is_sure(self, language: str | None, probability: float, seconds: float) -> bool:
        """Whether words that were heard in this language, None: nobody knows, may be committed, by what so many seconds
        of audio say."""
        if language is None:
            return False
        least = MIN_LANGUAGE_SHARE if seconds >= MIN_SPEECH_S or language == self.prior else SURE_LANGUAGE_SHARE
        return self.allowed == {language} or probability > least

    def hear(self, language: str | None, probability: float, seconds: float) -> tuple[str, float] | None:
        """Takes what was detected in an utterance, None: nothing, and how many seconds of speech that was.

        Returns the stream's language and its probability once, when it is decided.
        """
        if self.fixed is not None or language is None:
            return None
        if self.prior is not None:
            if seconds >= MIN_SPEECH_S:  # a word is not a switch, whatever it was decoded in
                self.prior = language
            return None
        self._seconds += seconds
        self._evidence[language] = self._evidence.get(language, 0.0) + probability * seconds
        best, weight = max(self._evidence.items(), key=lambda item: item[1])
        is_only_one, share = self.allowed == {best}, weight / self._seconds if self._seconds else 0.0
        needed = MIN_LOCK_SPEECH_S if self._locks and share <= SURE_LANGUAGE_SHARE else MIN_SPEECH_S
        if not is_only_one and (self._seconds < needed or share <= MIN_LANGUAGE_SHARE):
            return None
        self.prior = best
        if self._locks:
            self.fixed = best
        return best, 1.0 if is_only_one else min(1.0, share)
