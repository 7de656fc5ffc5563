"""Stable ids, one final per piece, words that never change."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bot.core.segments import MAX_IDS_KEPT, SegmentTracker, Utterance
from common.audio.pcm import SAMPLE_RATE
from common.contracts.segments import Segment, Source, Word

ZERO = 1_800_000_000.0


def utterance(onset: float = 10.0, end: float | None = None) -> Utterance:
    """Ana speaks from `onset` seconds on."""
    return Utterance(1, "ana", "Ana", round(onset * SAMPLE_RATE), None if end is None else round(end * SAMPLE_RATE))


def say(
    book: SegmentTracker,
    who: Utterance,
    start: float,
    end: float,
    text: str,
    completed: bool,
    stable_len: int | None = None,
) -> Segment | None:
    """One segment of the server, in seconds."""
    first, last = round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)
    return book.update(who, first, last, text, completed, "en", stable_len=stable_len)


def test_partials_and_the_final_share_one_id() -> None:
    """The id is fixed at the onset; spaces are tidied; times are in both clocks; the final closes the piece."""
    book, ana = SegmentTracker("bot-1", ZERO), utterance()
    partial = say(book, ana, 9.8, 10.9, " hello", False)
    ana.end = 12 * SAMPLE_RATE
    final = book.update(
        ana, round(9.8 * SAMPLE_RATE), 13 * SAMPLE_RATE, " hello  there", True, "en", [Word("hello", 10, 11, 0.9)]
    )
    assert partial is not None
    assert final is not None
    assert partial.segment_id == final.segment_id == "bot-1:ana:10000"
    assert (partial.text, partial.completed, partial.start, partial.end) == ("hello", False, 10.0, 10.9)
    assert (final.text, final.completed, final.start, final.end) == ("hello there", True, 10.0, 12.0)
    assert (final.speaker, final.speaker_id, final.language) == ("Ana", "ana", "en")
    assert final.absolute_start_time == "2027-01-15T08:00:10.000Z"
    assert final.absolute_end_time == "2027-01-15T08:00:12.000Z"
    assert final.words == (Word("hello", 10, 11, 0.9),)
    assert partial.words is None


def test_an_utterance_has_its_length_when_it_has_ended() -> None:
    """In samples."""
    ana = utterance()
    lengths = [ana.length]
    ana.end = ana.onset + 7
    assert [*lengths, ana.length] == [0, 7]


def test_nothing_new_is_not_published() -> None:
    """Equal partials, empty texts and completed segments that are sent again are silent."""
    book, ana = SegmentTracker("b", ZERO), utterance()
    assert say(book, ana, 10, 11, "hello", False)
    assert say(book, ana, 10, 11.2, "hello", False) is None
    assert say(book, ana, 10, 11.2, "  ", False) is None
    assert say(book, ana, 10, 12, "hello", True)
    assert say(book, ana, 10, 12, "hello", True) is None
    assert say(book, ana, 10.01, 12.02, "hallo", True) is None
    assert say(book, ana, 10, 12, "hello", False) is None


def test_what_is_new_behind_much_that_is_final_is_not_lost() -> None:
    """A server broke after a final and before its acknowledgement: the next one hears it again, and a little more.

    Where it does not say the same again the piece is the same one, heard otherwise.
    """
    book, ana = SegmentTracker("b", ZERO), utterance()
    assert say(book, ana, 10, 14, "We can go on Monday, or later.", True)
    assert say(book, ana, 10, 14.1, "He can go on Sunday, or later", True) is None
    assert say(book, ana, 10, 14.1, "Later it was", True) is None
    assert say(book, ana, 10, 16, "we can go on Monday or later", True) is None
    more = say(book, ana, 10, 16, "we can go on Monday or later, if Ben agrees", True)
    assert more is not None
    assert (more.text, more.start, more.end) == ("if Ben agrees", 14.0, 16.0)


def test_a_long_utterance_has_pieces_with_their_own_ids() -> None:
    """After a cut by the server the next piece gets an id of its own and never reaches back."""
    book, ana = SegmentTracker("b", ZERO), utterance()
    first = say(book, ana, 10, 14, "one", True)
    partial = say(book, ana, 13.98, 15, "two", False)
    second = say(book, ana, 13.98, 16, "two three", True)
    assert first is not None
    assert partial is not None
    assert second is not None
    assert partial.segment_id == second.segment_id == "b:ana:14000" != first.segment_id
    assert second.start == 14.0


def test_ids_stay_unique_for_pieces_within_a_millisecond() -> None:
    """Two pieces that begin at the same moment still differ."""
    book, ana = SegmentTracker("b", ZERO), utterance(onset=10.0)
    first = say(book, ana, 10, 10.0001, "a", True)
    second = say(book, ana, 10, 10.2, "b", True)
    assert first is not None
    assert second is not None
    assert first.segment_id != second.segment_id


def test_a_partial_without_a_final_is_taken_back() -> None:
    """When the server decides there were no words after all, watchers get an empty partial under the same id."""
    book, ana = SegmentTracker("b", ZERO), utterance()
    partial = say(book, ana, 10, 11, "you", False)
    gone = book.decided(ana)
    assert partial is not None
    assert gone is not None
    assert (gone.segment_id, gone.text, gone.completed) == (partial.segment_id, "", False)
    assert book.decided(ana) is None


def test_a_decided_utterance_with_finals_needs_nothing() -> None:
    """No retraction after a final, nor for an utterance that never had text."""
    book, ana = SegmentTracker("b", ZERO), utterance()
    say(book, ana, 10, 11, "yes", True)
    assert book.decided(ana) is None
    assert book.decided(utterance()) is None


def test_text_after_the_decision_has_an_id_of_its_own() -> None:
    """A stock server that was taken to be done may say more: other words never come under an id that was used."""
    book, ana = SegmentTracker("b", ZERO), utterance()
    final = say(book, ana, 10, 11, "yes", True)
    assert book.decided(ana) is None
    assert say(book, ana, 10, 11, "yes", True) is None
    late = say(book, ana, 11, 12, "of course", True)
    assert final is not None
    assert late is not None
    assert late.segment_id != final.segment_id
    assert say(book, ana, 12, 13, "a partial that nobody would take back", False) is None
    assert book.decided(ana) is None


def test_text_after_a_partial_was_taken_back_has_an_id_of_its_own() -> None:
    """The empty partial closes its id."""
    book, ana = SegmentTracker("b", ZERO), utterance()
    partial = say(book, ana, 10, 11, "you", False)
    assert book.decided(ana) is not None
    late = say(book, ana, 10, 11, "you there", True)
    assert partial is not None
    assert late is not None
    assert late.segment_id == "b:ana:10001" != partial.segment_id


def test_two_tracks_of_one_person_never_share_an_id() -> None:
    """Both begin in the same millisecond: a microphone and a second device."""
    book, here, there = SegmentTracker("b", ZERO), utterance(), utterance()
    one, two = say(book, here, 10, 11, "hello", False), say(book, there, 10, 11, "hello", False)
    assert one is not None
    assert two is not None
    assert (one.segment_id, two.segment_id) == ("b:ana:10000", "b:ana:10001")


def test_ids_are_remembered_within_a_bound() -> None:
    """Old ones go: the texts of one moment come minutes apart at most."""
    book = SegmentTracker("b", ZERO)
    for second in range(MAX_IDS_KEPT + 10):
        assert say(book, utterance(second), second, second + 1, "hello", True)
    assert len(book._ids) == MAX_IDS_KEPT


def test_words_lie_within_their_segment() -> None:
    """Where the bounds are clamped the words are, too, in order; where they are not, nothing moves."""
    book, ana = SegmentTracker("b", ZERO), utterance(10, 12)
    words = [Word("a", 9.5, 10.4, 0.9), Word("b", 10.3, 11.0, 0.8), Word("c", 11.9, 12.8, 0.7)]
    final = book.update(ana, round(9.5 * SAMPLE_RATE), 13 * SAMPLE_RATE, "a b c", True, "en", words)
    assert final is not None
    assert [(word.start, word.end) for word in final.words or ()] == [(10.0, 10.4), (10.3, 11.0), (11.9, 12.0)]


def test_stable_characters_are_counted_in_the_published_text() -> None:
    """What will not change of a partial, without the space that is dropped; a final says nothing of it."""
    book, ana = SegmentTracker("b", ZERO), utterance()
    partial = say(book, ana, 10, 11, "  we  meet at noon", False, 10)
    assert partial is not None
    assert partial.text[: partial.stable] == "we meet"
    assert partial.as_json()["stable"] == 7
    final = say(book, ana, 10, 11, " we meet at noon", True, 5)
    assert final is not None
    assert "stable" not in final.as_json()


def test_only_a_final_is_doubtful() -> None:
    """What the server believes of a partial is no news: it will change."""
    book, ana = SegmentTracker("b", ZERO), utterance()
    for completed in (False, True):
        segment = book.update(ana, 10 * SAMPLE_RATE, 11 * SAMPLE_RATE, "we meet", completed, doubtful=True)
        assert segment is not None
        assert segment.doubtful is completed


def test_words_that_are_final_are_not_said_again_with_more() -> None:
    """After a break a server may hear a piece again and join it with the next: only the new words come."""
    book, ana = SegmentTracker("b", ZERO), utterance()
    say(book, ana, 10, 12, " We meet at noon.", True)
    text = "we meet at noon in the hall"
    more = book.update(
        ana, 10 * SAMPLE_RATE, 15 * SAMPLE_RATE, " we meet at noon, in the hall", True, None,
        [Word(word, 10 + i / 2, 10.5 + i / 2, 1) for i, word in enumerate(text.split(" "))],
    )  # fmt: skip
    assert more is not None
    assert (more.text, more.start) == ("in the hall", 12.0)
    assert [word.word for word in more.words or ()] == ["in", "the", "hall"]
    assert say(book, ana, 13, 17, "in the hall", True) is None


@given(st.lists(st.sampled_from(["we", "well-known", "10,000", "he's", "-"]), min_size=1, max_size=8), st.data())
def test_words_are_those_of_the_text_however_a_server_cuts_them(spoken: list[str], data: st.DataObject) -> None:
    """What was said before goes from the words as it goes from the text; a server has pieces of its own."""
    book, ana = SegmentTracker("b", ZERO), utterance()
    said = spoken[: data.draw(st.integers(1, len(spoken)))]
    say(book, ana, 10, 12, " ".join(said), True)
    text = " ".join(spoken)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text)))) | {0, len(text)})
    words = [Word(text[a:b], 10 + a / 100, 10 + b / 100, 1) for a, b in pairwise(cuts)]
    more = book.update(ana, 10 * SAMPLE_RATE, 15 * SAMPLE_RATE, text, True, None, words)
    if more is None:
        assert len(said) == len(spoken)
        return
    assert "".join("".join(word.word for word in more.words or ()).split()) == "".join(more.text.split())


def final_of(book: SegmentTracker, text: str, words: list[str]) -> Segment:
    """A final whose words take half a second each, from second 10 on."""
    timed = [Word(word, 10 + i / 2, 10.5 + i / 2, 1) for i, word in enumerate(words)]
    end = (10 + len(words) / 2) * SAMPLE_RATE
    final = book.update(utterance(), 10 * SAMPLE_RATE, round(end), text, True, None, timed)
    assert final is not None
    return final


def test_a_final_is_parted_by_its_words() -> None:
    """The first part keeps the id, each other has its own; text, words and times are those of its words."""
    book = SegmentTracker("b", ZERO)
    one, two, three = book.split(final_of(book, "I do. You don't!", [" I", " do.", " You", " don", "'t!"]), [1, 1, 3])
    assert [(part.segment_id, part.text, part.start, part.end) for part in (one, two, three)] == [
        ("b:ana:10000", "I", 10.0, 10.5),
        ("b:ana:10500", "do.", 10.5, 11.0),
        ("b:ana:11000", "You don't!", 11.0, 12.5),
    ]
    assert [len(part.words or ()) for part in (one, two, three)] == [1, 1, 3]
    assert (three.absolute_start_time, three.absolute_end_time) == (
        "2027-01-15T08:00:11.000Z",
        "2027-01-15T08:00:12.500Z",
    )
    again = say(book, utterance(), 11, 12, "later", True)
    assert again is not None
    assert again.segment_id not in {one.segment_id, two.segment_id, three.segment_id}


def test_a_final_whose_words_are_not_its_text_stays_whole() -> None:
    """Nor is there anything to part where one part is wanted."""
    book = SegmentTracker("b", ZERO)
    other = final_of(book, "I do", ["I", "did"])
    assert book.split(other, [1, 1]) == [other]
    assert book.split(other, [2]) == [other]
    assert book.split(other, []) == [other]


@given(st.lists(st.sampled_from(["a", "well-known", "10,000", "he's"]), min_size=2, max_size=8), st.data())
def test_parts_are_the_whole_again(spoken: list[str], data: st.DataObject) -> None:
    """No word is lost, doubled or moved, however it is parted."""
    book = SegmentTracker("b", ZERO)
    final = final_of(book, " ".join(spoken), spoken)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(spoken) - 1))) | {0, len(spoken)})
    parts = book.split(final, [b - a for a, b in pairwise(cuts)])
    assert " ".join(part.text for part in parts) == final.text
    assert sum((part.words or () for part in parts), ()) == final.words
    assert len({part.segment_id for part in parts}) == len(parts)
    assert (parts[0].start, parts[-1].end) == (final.start, final.end)
    assert all(one.end <= other.start for one, other in pairwise(parts))


times = st.floats(9, 20).map(lambda s: round(s, 2))


@given(st.lists(st.tuples(times, times, st.sampled_from(["a", "a b", "b", ""]), st.booleans()), max_size=30))
def test_whatever_a_server_sends_finals_are_ordered_and_unique(segments: list[tuple[float, float, str, bool]]) -> None:
    """Resends, shifts, backward times: finals never overlap, ids never repeat, nothing lies outside the utterance."""
    book, ana = SegmentTracker("b", ZERO), utterance(10, 18)
    published = [s for a, b, text, done in segments if (s := say(book, ana, min(a, b), max(a, b), text, done))]
    finals = [segment for segment in published if segment.completed]
    assert len({final.segment_id for final in finals}) == len(finals)
    for before, after in pairwise(finals):
        assert after.start >= before.end
    assert all(10 <= segment.start <= segment.end <= 18.001 for segment in published)


def test_what_was_written_has_an_id_of_its_own() -> None:
    """Neither that of an utterance of the same moment, nor of another message, whatever people are called."""
    book = SegmentTracker("bot", 1000.0)
    said = say(book, Utterance(1, "ana:chat", "?", 24_000), 1.5, 2.0, "hm", completed=True)
    first, second = (book.written(Source.CHAT, "ana", "Ana", "hi", 1.5, 1.5) for _ in range(2))
    assert said is not None
    assert [one.segment_id for one in (said, first, second)] == [f"bot:ana:chat:{at}" for at in (1500, 1501, 1502)]
    assert (first.start, first.end, first.text, first.completed, first.source) == (1.5, 1.5, "hi", True, Source.CHAT)
    assert first.absolute_start_time == "1970-01-01T00:16:41.500Z"
