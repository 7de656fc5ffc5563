"""The comparison that every fault ends with sees what is lost, doubled, out of order or made up."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.support.numbered import COUNT, HOLE_S, MARGIN_S, STALL_S, UTTERANCE_S, Said, check, read, words_of

SAID = [Said(number, 10.0 * number, 10.0 * number + 1) for number in range(1, 6)]


def heard(*numbers: int) -> list[str]:
    """Finals of these."""
    return [" " + " ".join(words_of(number)) for number in numbers]


def test_every_number_has_words_of_its_own() -> None:
    """Without the same word twice in a row: two tones would be one."""
    assert len({words_of(number) for number in range(COUNT)}) == COUNT
    assert all(first != second for number in range(COUNT) for first, second in pairwise(words_of(number)))
    assert read(" ".join(words_of(7) + words_of(251))) == [7, 251]


def test_pieces_and_merged_utterances_are_the_same_words() -> None:
    """A busy machine may hear a sentence in two pieces, cut within a word, or two as one."""
    first, *rest = words_of(1)
    pieces = [first, " ".join([first, *rest]) + " " + " ".join(words_of(2))]
    assert check(SAID, pieces + heard(3, 4, 5)) == 0


@pytest.mark.parametrize(
    "stored", [(1, 2, 4, 5), (1, 2, 2, 3, 4, 5), (1, 2, 3, 4, 5, 5), (1, 3, 2, 4, 5), (1, 2, 3, 4, 5, 6), ()]
)
def test_without_an_excuse_everything_is_there_once(stored: tuple[int, ...]) -> None:
    """Lost, doubled, out of order, made up, nothing at all."""
    with pytest.raises(AssertionError, match="stored"):
        check(SAID, heard(*stored))


def test_what_was_said_while_nobody_could_hear_may_be_missing() -> None:
    """Or be there in part."""
    away = [(29.0, 41.0)]
    assert check(SAID, [*heard(1, 2), words_of(3)[0], *heard(5)], away) == 5
    assert check(SAID, heard(1, 2, 3, 4, 5), away) == 0


@pytest.mark.parametrize("stored", [(1, 3, 4, 5), (1, 2, 4, 3, 5), (1, 2, 5, 5), (1, 2, 3, 3, 4, 5)])
def test_the_rest_may_not(stored: tuple[int, ...]) -> None:
    """Lost at another time; out of order or doubled at any."""
    with pytest.raises(AssertionError):
        check(SAID, heard(*stored), [(30.0 - MARGIN_S + 2, 41.0)])


def test_half_a_sentence_at_another_time_is_a_loss() -> None:
    """Its other half is missing."""
    with pytest.raises(AssertionError, match="utterance 0,"):
        check(SAID, [words_of(1)[0], *heard(2, 3, 4, 5)], [(30.0, 41.0)])


def test_what_its_sender_tore_may_be_there_in_part() -> None:
    """It took seconds to go out: a busy machine, and no fault of who heard it."""
    torn = [Said(1, 10.0, 10.0 + UTTERANCE_S + 2 * STALL_S), *SAID[1:]]
    assert check(torn, [words_of(1)[2], *heard(2, 3, 4, 5)]) == 2
    with pytest.raises(AssertionError):
        check(SAID, [words_of(1)[2], *heard(2, 3, 4, 5)])


def test_what_its_sender_tore_may_lack_what_was_in_the_middle() -> None:
    """A hole is where it is: known of a sender that says for how long it had nothing to send."""
    first, _, last = words_of(1)
    torn = [Said(1, 10.0, 10.0 + UTTERANCE_S, hole=HOLE_S), *SAID[1:]]
    assert check(torn, [f"{first} {last}", *heard(2, 3, 4, 5)]) == 1
    with pytest.raises(AssertionError):
        check(torn, [f"{last} {first}", *heard(2, 3, 4, 5)])
    with pytest.raises(AssertionError):
        check(SAID, [f"{first} {last}", *heard(2, 3, 4, 5)])


def test_the_same_word_on_both_sides_of_what_is_lost_is_one() -> None:
    """Two tones that are alike are one where nothing is between them."""
    number = next(number for number in range(COUNT) if words_of(number)[0] == words_of(number)[2])
    assert check([Said(number, 10.0, 20.0)], [words_of(number)[0]]) == 2
