"""The benchmark's scores, on messages made by hand."""

from __future__ import annotations

import json
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jiwer import process_words

from bench.transcriber.score import (
    Seg,
    Shown,
    Spoken,
    align,
    commits,
    parse,
    percentile,
    revisions,
    score,
    summary,
    words,
)

ONE, TWO = Spoken(1.0, 2.0, "One two three."), Spoken(3.0, 4.0, "four five")


def done(start: float, end: float, text: str) -> Seg:
    """A completed segment."""
    return Seg(start, end, text, True)


def partial(start: float, end: float, text: str) -> Seg:
    """One that may change."""
    return Seg(start, end, text, False)


def test_messages_without_segments_show_nothing() -> None:
    """Ready messages and languages are not text; times may be strings."""
    assert parse(1.0, json.dumps({"uid": "u", "message": "SERVER_READY"})) is None
    assert parse(1.0, json.dumps({"segments": []})) is None
    rows = [{"start": "0.500", "end": "1.250", "text": " One", "completed": True}, {"start": 2, "end": 3, "text": "x"}]
    assert parse(1.5, json.dumps({"segments": rows})) == Shown(1.5, (done(0.5, 1.25, " One"), partial(2.0, 3.0, "x")))


def test_an_utterance_is_timed_from_its_onset_and_from_its_end() -> None:
    """First text after the onset, final after the end, updates between: messages that repeat themselves are none."""
    shown = [
        Shown(1.6, (partial(1.0, 1.5, "one"),)),
        Shown(1.8, (partial(1.0, 1.7, "one"),)),
        Shown(2.1, (partial(1.0, 2.0, "one two"),)),
        Shown(2.5, (done(1.0, 2.0, "One, two three"),)),
        Shown(3.5, (done(1.0, 2.0, "One, two three"), partial(3.0, 3.4, "four"))),
        Shown(4.25, (done(1.0, 2.0, "One, two three"), done(3.0, 4.0, "four five"))),
    ]
    result = score([ONE, TWO], shown)
    assert [heard.first for heard in result.utterances] == [pytest.approx(0.6), pytest.approx(0.5)]
    assert [heard.final for heard in result.utterances] == [pytest.approx(0.5), pytest.approx(0.25)]
    assert [heard.gaps for heard in result.utterances] == [pytest.approx([0.5, 0.4]), pytest.approx([0.75])]
    assert summary(result) | {"first_p50": None, "first_p95": None, "final_p50": None} == {
        "utterances": 2, "never_final": 0, "first_p50": None, "first_p95": None, "final_p50": None,
        "final_p95": pytest.approx(0.4875), "final_p99": pytest.approx(0.4975), "update_p95": pytest.approx(0.725),
        "ne": 0.0, "upwr": 0.0, "changes": 0, "wer": 0.0, "deletions": 0.0, "insertions": 0, "committed_words": 5,
        "tail": None, "errors": [0, 0, 0], "wait_p50": None, "wait_p95": None,
    }  # fmt: skip


def test_where_somebody_goes_on_the_final_is_a_wait() -> None:
    """No pause follows the first clip: its 2 s are no final latency, and it counts as lost if it never comes."""
    goes_on = Spoken(1.0, 2.0, "One two three.", goes_on=True)
    found = summary(score([goes_on, TWO], [Shown(4.0, (done(1.0, 2.0, "one two three"),))]))
    assert (found["wait_p50"], found["final_p50"], found["never_final"]) == (pytest.approx(2.0), None, 1)
    assert summary(score([goes_on, TWO], []))["never_final"] == 2


def test_words_that_are_written_in_two_ways_are_one() -> None:
    """Digits, titles, hyphens and both apostrophes."""
    assert words("Mister Dashwood’s 6th ill-disposed") == words("mr. Dashwood's sixth, ill disposed")


def test_a_segment_over_two_utterances_is_split_by_its_words() -> None:
    """One commit, two finals; a word may only stand for one of an utterance that its segment overlaps."""
    shown = [Shown(5.0, (done(0.0, 4.0, "one two three four five"),))]
    assert [heard.final for heard in score([ONE, TWO], shown).utterances] == [pytest.approx(3.0), pytest.approx(1.0)]
    far = score([ONE, TWO], [Shown(5.0, (done(2.9, 4.0, "one two three four five"),))])
    assert far.utterances[0].final is None
    assert (far.deletions, far.insertions, far.substitutions) == (3, 3, 0)


def test_the_last_word_decides_and_a_wrong_one_counts() -> None:
    """Without its last word an utterance is not final, unless a committed segment covers its end."""
    cut = score([ONE], [Shown(2.2, (done(1.0, 1.4, "one two"),))])
    assert cut.utterances[0].final is None
    assert summary(cut)["final_p95"] is None
    covered = score([ONE], [Shown(2.2, (done(1.0, 1.4, "one two"),)), Shown(2.6, (done(1.4, 2.0, "uh"),))])
    assert covered.utterances[0].final == pytest.approx(0.6)
    deleted = score([ONE], [Shown(2.4, (done(1.0, 1.9, "one two"),))])
    assert deleted.utterances[0].final == pytest.approx(0.4)
    assert summary(deleted)["deletions"] == pytest.approx(1 / 3)


def test_committed_segments_that_change_or_vanish_are_counted() -> None:
    """Only lists that reach back as far can show that one is gone."""
    first, other, second = done(1.0, 2.0, "one"), done(1.0, 2.0, "won"), done(3.0, 4.0, "four")
    assert commits([Shown(2.0, (first,)), Shown(4.0, (first, second)), Shown(5.0, (second,))])[1] == 0
    known, changes = commits([Shown(2.0, (first,)), Shown(3.0, (other,)), Shown(4.0, (second,))])
    assert [(commit.at, commit.segment) for commit in known] == [(3.0, other), (4.0, second)]
    assert changes == 1
    assert commits([Shown(2.0, (first, second)), Shown(3.0, (first,))])[1] == 1


def test_revisions_count_the_erased_end_and_the_words_that_go() -> None:
    """`a b c` to `a x c` erases two words and keeps one of them; committing what was shown erases none."""
    shown = [
        Shown(1.0, (partial(0.0, 1.0, "a b c"),)),
        Shown(2.0, (partial(0.0, 2.0, "a x c"),)),
        Shown(3.0, (done(0.0, 2.0, "a x c"), partial(2.0, 3.0, "d"))),
        Shown(4.0, (partial(2.0, 3.0, "d e"),)),
    ]
    assert revisions(shown) == (2, 1)


def test_the_tail_is_counted_apart() -> None:
    """What is said right before END_OF_AUDIO is neither an utterance nor in the word error rate."""
    result = score([ONE], [Shown(2.4, (done(1.0, 2.0, "one two three"),)), Shown(4.2, (done(3.0, 4.0, "four"),))], TWO)
    assert len(result.utterances) == 1
    assert summary(result)["wer"] == 0.0
    assert summary(result)["tail"] == 0.5
    wrong = score([ONE], [Shown(2.4, (done(1.0, 2.0, "one two three"), done(3.0, 4.0, "four or five")))], TWO)
    assert (wrong.insertions, wrong.tail_heard) == (0, 2)
    before = score([ONE], [Shown(4.4, (done(1.0, 4.0, "one two three or four five"),))], TWO)
    assert before.insertions == 1


def test_streams_add_up() -> None:
    """Counts and utterances of several streams."""
    total = score([ONE], [])
    total.add(score([TWO], [Shown(4.5, (done(3.0, 4.0, "four nine"),))]))
    assert (total.words, total.deletions, total.substitutions, total.committed_words) == (5, 3, 1, 2)
    assert summary(total)["never_final"] == 1


@given(st.text("abc").map(list), st.text("abc").map(list))
def test_without_times_the_distance_is_the_usual_one(said: list[str], found: list[str]) -> None:
    """Where all overlaps all, errors are those that jiwer counts."""
    spoken = Spoken(0.0, 9.0, " ".join(said) or "a")
    result = score([spoken], [Shown(9.0, (done(0.0, 9.0, " ".join(found)),))])
    usual = process_words(" ".join(words(spoken.text)), " ".join(found) or "")
    errors = result.substitutions + result.deletions + result.insertions
    assert errors == usual.substitutions + usual.deletions + usual.insertions


def test_nothing_aligns_with_nothing() -> None:
    """No words on one side: none stands for another."""
    assert align([("a", 0)], [], [ONE]) == [None]
    assert align([], [], []) == []


def test_percentiles_lie_between_the_nearest_ranks() -> None:
    """Of nothing there is none."""
    assert percentile([], 50) is None
    assert percentile([3.0], 99) == 3.0
    assert percentile([1.0, 3.0, 2.0], 50) == 2.0
    assert percentile([0.0, 1.0], 95) == pytest.approx(0.95)
    assert [percentile([1.0, 2.0, inf, inf, inf], percent) for percent in (25, 26, 75)] == [2.0, inf, inf]
