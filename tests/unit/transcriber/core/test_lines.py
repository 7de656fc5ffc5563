"""What a model said about a packed window becomes lines."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from transcriber.core.lines import lines
from transcriber.core.packing import PackedWindow
from transcriber.core.subtitles import Line, plain
from transcriber.core.windows import Hypothesis, Phrase, Word
from transcriber.core.word_times import MIN_WORD_S
from transcriber.core.words import letters

SECOND = 16_000
WINDOW = PackedWindow(((SECOND, 3 * SECOND), (60 * SECOND, 64 * SECOND)), ((0, 4 * SECOND), (59 * SECOND, 65 * SECOND)))
"""Speech in the seconds 1 to 3 and 5 to 9 of the window, which are 1 to 3 and 60 to 64 of the recording."""
LINE = Line(0, 0, "", channel=1)


def said(*words: tuple[str, float, float]) -> tuple[Word, ...]:
    """Words of the window."""
    return tuple(Word(f" {text}" if text[0].isalpha() else text, start, end, 0.9) for text, start, end in words)


def times(found: list[Line]) -> list[tuple[float, float, str]]:
    """Start, end and text of lines."""
    return [(line.start, line.end, line.text) for line in found]


def test_phrases_are_lines_with_the_times_of_their_words() -> None:
    """On the clock of the recording; what all have in common is kept."""
    words = said(("One", 1.0, 1.5), ("two.", 1.6, 2.2), ("Three.", 2.4, 3.0))
    phrases = (Phrase(" One two.", 0.0, 2.3), Phrase(" Three.", 2.3, 4.0))
    found = lines(WINDOW, Hypothesis("One two. Three.", words=words, phrases=phrases), LINE)
    assert times(found) == [(1.0, 2.2, "One two."), (2.4, 3.0, "Three.")]
    assert [word.text for word in found[0].words] == [" One", " two."]
    assert {line.channel for line in found} == {1}


def test_a_pause_ends_a_line() -> None:
    """Also one that was shortened in the window, and one that the model put into a phrase."""
    words = said(("One", 1.0, 1.5), ("two", 2.2, 2.6), ("three", 4.8, 5.5))
    found = lines(WINDOW, Hypothesis("One two three", words=words, phrases=(Phrase("One two three", 0.0, None),)), LINE)
    assert times(found) == [(1.0, 1.5, "One"), (2.2, 2.6, "two"), (60.0, 60.5, "three")]


def test_punctuation_is_at_its_word() -> None:
    """Whatever the tokenizer calls a word; a line without a letter is none."""
    words = (Word(" ¿", 1.0, 1.0, 0.9), Word("Sí", 1.0, 1.4, 0.9), Word("?", 1.4, 2.0, 0.9), Word(" no", 1.8, 2.4, 0.9))
    phrases = (Phrase(" ¿Sí? no", 0.0, 3.0), Phrase(" ...", 5.0, 6.0))
    [line] = lines(WINDOW, Hypothesis("", words=(*words, Word(" ...", 5.0, 6.0, 0.9)), phrases=phrases), LINE)
    assert (line.text, [word.text for word in line.words]) == ("¿Sí? no", [" ¿Sí?", " no"])


def test_without_word_times_phrases_have_their_own() -> None:
    """Or, without any, the speech of the window; words of another text count for nothing."""
    phrases = (Phrase(" One two.", 0.0, 2.3), Phrase(" Three.", 2.3, None))
    for words in ((), said(("One", 1.0, 2.0), ("too.", 2.0, 2.3), ("Three.", 2.4, 3.0))):
        found = lines(WINDOW, Hypothesis("One two. Three.", words=words, phrases=phrases), LINE)
        assert times(found) == [(1.0, 2.3, "One two."), (2.3, 64.0, "Three.")]
    assert times(lines(WINDOW, Hypothesis("One two."), LINE)) == [(1.0, 64.0, "One two.")]
    assert lines(WINDOW, Hypothesis(""), LINE) == []


def test_words_after_the_last_phrase_that_is_kept_are_left_out() -> None:
    """They are decoded again."""
    words = said(("One", 1.0, 1.5), ("two", 1.6, 2.2), ("three", 5.0, 5.5))
    found = lines(WINDOW, Hypothesis("One two three", words=words, phrases=(Phrase(" One two", 0.0, 2.3),)), LINE)
    assert times(found) == [(1.0, 2.2, "One two")]


def test_a_phrase_inside_a_word_is_between_the_words_around_it() -> None:
    """The alignment knows one word where the model put a time token: the second part of it has no time of its own."""
    words = said(("Onetwo", 1.0, 1.4), ("three", 1.6, 2.2))
    phrases = (Phrase(" One", 0.0, 1.2), Phrase("two", 1.2, 2.0), Phrase(" three", 2.0, 3.0))
    found = lines(WINDOW, Hypothesis("", words=words, phrases=phrases), LINE)
    assert times(found) == [(1.0, 1.4, "One"), (1.4, 1.6, "two"), (1.6, 2.2, "three")]


def test_a_word_that_begins_after_the_next_one_begins_before_it() -> None:
    """And ends there, with length: words are in order whatever their alignment says."""
    words = said(("One", 1.5, 2.5), ("two", 1.2, 1.9))
    [line] = lines(WINDOW, Hypothesis("One two", words=words, phrases=(Phrase("One two", 1.0, 2.0),)), LINE)
    assert [(word.start, word.end) for word in line.words] == [(1.2, 1.22), (1.22, 1.9)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["One", "two,", "¿", "...", "三"]), st.floats(0, 11), st.floats(0, 11), st.booleans()
        ),
        max_size=12,
    )
)
def test_no_word_is_lost_or_out_of_order(spoken: list[tuple[str, float, float, bool]]) -> None:
    """However words are cut into phrases, and whatever the alignment says."""
    words = said(*((text, min(a, b), max(a, b)) for text, a, b, _ in spoken))
    phrases = tuple(
        Phrase("".join(word.text for word, _ in group), 0.0, None)
        for _, group in itertools.groupby(zip(words, spoken, strict=True), key=lambda pair: pair[1][3])
    )
    found = lines(WINDOW, Hypothesis("", words=words, phrases=phrases), LINE)
    assert letters(plain(found)) == letters("".join(word.text for word in words))
    placed = [time for line in found for word in line.words for time in (word.start, word.end)]
    assert placed == sorted(placed)
    assert all(word.end - word.start >= MIN_WORD_S - 1e-9 for line in found for word in line.words)
    assert all(0 <= line.start <= line.end <= 65 for line in found)
    for line in found:
        assert line.words[0].start == line.start
        assert line.words[-1].end == line.end
