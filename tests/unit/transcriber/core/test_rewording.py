"""Where committed words end in a pass that words them differently."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.core.rewording import end_of, in_common, pairs


@pytest.mark.parametrize(
    ("committed", "heard", "rest"),
    [
        ("we can not", "we cannot do that", "do that"),
        ("we cannot", "we can not do that", "do that"),
        ("we can't", "we can not do that", "do that"),
        ("we won't", "we will not do that", "do that"),
        ("we can", "we can't go", "can't go"),
        ("I do", "I don't know", "don't know"),
        ("wir können", "wir können nicht gehen", "nicht gehen"),
        ("we will", "we'll not do it", "not do it"),
        ("je sais", "je n'sais pas", "n'sais pas"),
        ("we did not", "we did it", ""),
        ("twenty five", "25 people came", "25 people came"),
        ("we have 25", "we have twenty five people", "twenty five people"),
        ("at 10.30", "at 10 30 on Monday", "on Monday"),
        ("it took for tea", "it took forty days", "days"),
        ("is any one", "is anyone here", "here"),
        ("is anyone", "is any one here", "here"),
        ("okay so", "OK so we begin", "we begin"),
        ("I'm", "I am not sure", "not sure"),
        ("gonna", "going to leave", "to leave"),
        ("in a", "in the house", "house"),
        ("so we", "see me meet", "meet"),
        ("one two three", "won two tree four", "four"),
        ("one two three", "one three four", "four"),
        ("one two", "", ""),
    ],
)
def test_words_end_where_their_letters_do(committed: str, heard: str, rest: str) -> None:
    """However they are spelled now; no word after them is lost, and no meaning is reversed."""
    end, _ = end_of(committed.split(), heard.split())
    assert " ".join(heard.split()[end:]) == rest


def test_what_is_not_close_is_not_certain() -> None:
    """Word times, if there are any, know better."""
    assert end_of(["we", "meat"], ["we", "meet", "now"]) == (2, True)
    assert end_of(["twenty", "five"], ["25", "people"]) == (0, False)
    assert end_of(["one", "two", "three"], ["one", "two", "now"]) == (3, False)


def test_each_word_has_its_place() -> None:
    """Unless it is not heard any more, or new."""
    assert pairs(["one", "two", "three"], ["One,", "tree"]) == [(2, 1), (0, 0)]
    assert pairs(["one", "two"], ["one", "or", "two"]) == [(1, 2), (0, 0)]


WORDS = st.lists(st.sampled_from(["a", "ab", "not", "can't", "cannot", "25", "日", "不", "the"]), max_size=8)


@given(WORDS.filter(bool), WORDS, WORDS)
def test_what_is_said_again_ends_where_it_ended(wanted: list[str], heard: list[str], more: list[str]) -> None:
    """Whatever follows; and anything else has an end, too."""
    assert end_of(wanted, [*wanted, *more]) == (len(wanted), True)
    assert 0 <= end_of(wanted, heard)[0] <= len(heard)
    assert in_common(wanted, [*wanted, *more]) == len(wanted)
