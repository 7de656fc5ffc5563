"""When an utterance is decoded: partials on new speech, one final at its end."""

from __future__ import annotations

import pytest

from transcriber.core.gate import ONSET_SAMPLES
from transcriber.core.load import FINALS_ONLY_EFFORT, LADDER
from transcriber.core.policy import (
    FIRST_PARTIAL_SAMPLES,
    LAG_SAMPLES,
    LEAD_SAMPLES,
    MAX_UTTERANCE_SAMPLES,
    PAUSE_SAMPLES,
    DecodeRequest,
    PassKind,
    PassOutcome,
    Policy,
)

CADENCE = LADDER[0].cadence


def test_partials_need_new_speech() -> None:
    """The first one soon, the next after the cadence, none without speech."""
    policy = Policy()
    policy.hear(0, 512, now=0)
    assert policy.next_request() is None
    policy.open(1000, now=0)
    policy.hear(2000, 2000 + FIRST_PARTIAL_SAMPLES - 1, now=1)
    assert policy.next_request() is None
    policy.hear(20_000, 20_001, now=2)
    assert policy.next_request() == DecodeRequest(PassKind.FIRST_PARTIAL, 2.5)
    work = policy.begin(heard_until=21_000)
    assert (work.start, work.end, work.kind) == (1000, 21_000, PassKind.FIRST_PARTIAL)
    policy.hear(21_000, 21_000 + CADENCE, now=3)
    assert policy.next_request() is None  # one pass at a time
    assert policy.finish() is PassOutcome.SHOW
    assert policy.next_request() == DecodeRequest(PassKind.PARTIAL, 4)
    policy.begin(heard_until=30_000)
    policy.finish()
    assert policy.next_request() is None


def test_the_end_brings_one_final() -> None:
    """Everything before it stays undecided until then; the bounds are those of the speech, a little wider."""
    policy = Policy(start=100)
    assert not policy.current
    assert (policy.undecided, policy.ended_at) == (None, 100)
    policy.open(0, now=0)
    assert (policy.undecided, policy.current is not None) == (100, True)
    policy.hear(5000, 9000, now=1)
    policy.close(20_000, now=5)
    assert (policy.undecided, policy.current is not None, policy.ended_at) == (100, False, 20_000)
    assert policy.next_request() == DecodeRequest(PassKind.FINAL, 6)
    work = policy.begin(heard_until=50_000)
    assert (work.start, work.end) == (100, 20_000)
    assert work.utterance.bounds(work.end) == (5000 - LEAD_SAMPLES, 9000 + LAG_SAMPLES)
    assert (policy.undecided, policy.finish(), policy.undecided) == (100, PassOutcome.FINAL, None)
    policy.close(15_000, now=6)
    assert policy.ended_at == 20_000


def test_bounds_without_known_speech_are_those_of_the_audio() -> None:
    """And never leave the utterance."""
    policy = Policy()
    policy.open(1000, now=0)
    assert policy.current
    assert policy.current.bounds(3000) == (1000, 3000)


def test_what_has_no_speech_in_it_is_not_decoded() -> None:
    """Two frames of it are needed, wherever the client says that an utterance ends; a cut can leave too little."""
    policy = Policy()
    for start in (0, 8000):
        policy.open(start, now=0)
        policy.hear(start + 5000, start + 5000 + ONSET_SAMPLES - 1, now=0)
        policy.pause(start + 5000 + ONSET_SAMPLES + PAUSE_SAMPLES, now=0)
        assert policy.next_request() is None
        policy.close(start + 8000, now=1)
    assert policy.undecided == 0
    assert [policy.settle() is None for _ in range(3)] == [False, False, True]
    policy.open(16_000, now=2)
    policy.hear(20_000, 20_000 + ONSET_SAMPLES, now=2)
    policy.cut(20_100, now=3)
    assert policy.settle()
    assert policy.undecided == 20_100
    policy.hear(30_000, 30_100, now=4)
    policy.close(40_000, now=5)
    assert policy.next_request() == DecodeRequest(PassKind.FINAL, 6)


def test_a_partial_that_comes_after_the_end_is_no_news() -> None:
    """The final follows at once."""
    policy = Policy()
    policy.open(0, now=0)
    policy.hear(0, FIRST_PARTIAL_SAMPLES, now=0)
    policy.begin(FIRST_PARTIAL_SAMPLES)
    policy.close(FIRST_PARTIAL_SAMPLES, now=1)
    policy.open(FIRST_PARTIAL_SAMPLES, now=0)
    assert policy.finish() is PassOutcome.DROP
    assert policy.next_request() == DecodeRequest(PassKind.FINAL, 2)


def test_what_is_overlong_is_cut() -> None:
    """At any point; the rest is an utterance of its own."""
    policy = Policy()
    assert policy.overlong(10 * MAX_UTTERANCE_SAMPLES) is None
    policy.open(500, now=0)
    assert policy.overlong(500 + MAX_UTTERANCE_SAMPLES - 1) is None
    assert policy.overlong(500 + MAX_UTTERANCE_SAMPLES) is policy.current
    policy.hear(800, 9000, now=0)
    policy.cut(400_000, now=1)
    assert policy.current
    first = policy.begin(500_000)
    policy.finish()
    assert (first.start, first.end, first.utterance.number) == (500, 400_000, 1)
    assert policy.undecided == 400_000


def test_speech_after_a_cut_belongs_to_the_next_utterance() -> None:
    """It begins at the cut, although it was heard before the cut was made."""
    policy = Policy()
    policy.open(0, now=0)
    policy.hear(100, 20_000, now=0)
    policy.cut(5000, now=1)
    first = policy.begin(20_000).utterance
    policy.finish()
    assert first.bounds(5000) == (0, 5000)
    assert policy.next_request() == DecodeRequest(PassKind.FIRST_PARTIAL, 1.5)
    assert policy.begin(20_000).utterance.bounds(20_000) == (5000, 20_000)


def test_speech_before_an_utterance_is_none_of_it() -> None:
    """Listened to after the cut; a frame that reaches into it counts from its start."""
    policy = Policy()
    policy.open(0, now=0)
    policy.cut(8000, now=1)
    policy.hear(7000, 8000, now=1)
    assert policy.current
    assert (policy.current.speech, policy.current.stretches) == (0, [])
    policy.hear(7800, 8312, now=1)
    assert policy.current.stretches == [(8000, 8312)]


def test_a_cut_counts_speech_and_not_the_silence_in_it() -> None:
    """Little speech before it is decoded all the same, and a pause that is being decoded stays the final."""
    policy = Policy(effort=FINALS_ONLY_EFFORT)
    policy.open(0, now=0)
    policy.hear(0, 3000, now=0)
    policy.hear(3000, 4000, now=0)
    policy.hear(90_000, 92_000, now=1)
    policy.cut(3500, now=2)
    first = policy.begin(100_000)
    assert (first.end, first.utterance.speech, first.utterance.bounds(3500)) == (3500, 3500, (0, 3500))
    policy.finish()
    second = policy.current
    assert second
    assert (second.speech, second.bounds(100_000)) == (2500, (3500, 92_000 + LAG_SAMPLES))

    policy = Policy()
    end = pausing(policy)
    policy.begin(end + PAUSE_SAMPLES)
    policy.hear(90_000, 92_000, now=1)
    policy.cut(80_000, now=2)
    assert policy.finish() is PassOutcome.KEEP
    assert policy.settle()


def test_passes_are_asked_for() -> None:
    """Beginning or finishing what is not there is a bug of the caller."""
    with pytest.raises(RuntimeError):
        Policy().begin(0)
    with pytest.raises(RuntimeError):
        Policy().finish()


def pausing(policy: Policy, speech: int = 4000) -> int:
    """Somebody speaks and stops; returns the end of the speech."""
    policy.open(0, now=0)
    policy.hear(0, speech, now=0)
    policy.pause(speech + PAUSE_SAMPLES - 1, now=0.4)
    assert policy.next_request() is None
    policy.pause(speech + PAUSE_SAMPLES, now=0.5)
    return speech


def test_a_pause_is_decoded_as_if_it_were_the_end() -> None:
    """If it is, the final is there when the utterance closes, and nothing is decoded again."""
    policy = Policy()
    end = pausing(policy)
    assert policy.next_request() == DecodeRequest(PassKind.EAGER_FINAL, 1.0)
    policy.begin(end + PAUSE_SAMPLES)
    assert policy.finish() is PassOutcome.KEEP
    policy.pause(end + 2 * PAUSE_SAMPLES, now=0.7)
    assert not policy.next_request()
    assert not policy.settle()
    policy.close(end + 8000, now=1)
    assert policy.next_request() is None
    assert policy.undecided == 0
    settled = policy.settle()
    assert settled is not None
    assert (settled.number, settled.end) == (1, end + 8000)
    assert not policy.settle()
    assert policy.undecided is None


def test_no_partial_begins_in_what_may_become_a_pause() -> None:
    """One call at a time: it would keep the pass that may be the last word waiting. Who goes on has it at once; so has
    who gets no eager final."""
    policy = Policy()
    policy.open(0, now=0)
    policy.hear(0, end := FIRST_PARTIAL_SAMPLES, now=0)
    policy.begin(end)
    policy.finish()
    policy.hear(end, end := end + CADENCE, now=1)
    assert policy.next_request() == DecodeRequest(PassKind.PARTIAL, 2)
    policy.pause(end + 512, now=1.1)
    assert policy.next_request() is None
    policy.hear(end + 512, end := end + 1024, now=1.25)
    assert policy.next_request() == DecodeRequest(PassKind.PARTIAL, 2.15)  # what it was held back, it did not wait
    policy.pause(end + 512, now=1.3)
    policy.adapt(LADDER[3])
    assert policy.next_request() == DecodeRequest(PassKind.PARTIAL, 2.15)
    policy.adapt(LADDER[0])
    policy.pause(end + PAUSE_SAMPLES, now=1.5)
    assert policy.next_request() == DecodeRequest(PassKind.EAGER_FINAL, 2.0)


def test_who_goes_on_after_a_pause_gets_another_final() -> None:
    """Also if the speech came while the pause was being decoded."""
    for during in (True, False):
        policy = Policy()
        end = pausing(policy)
        policy.begin(end + PAUSE_SAMPLES)
        if during:
            policy.hear(9000, 9512, now=1)
        assert policy.finish() is (PassOutcome.SHOW if during else PassOutcome.KEEP)
        if not during:
            policy.hear(9000, 9512, now=1)
        policy.close(20_000, now=2)
        assert policy.settle() is None
        assert policy.next_request() == DecodeRequest(PassKind.FINAL, 3)


def test_an_utterance_may_end_while_its_pause_is_being_decoded() -> None:
    """The result is the final all the same."""
    policy = Policy()
    end = pausing(policy)
    policy.begin(end + PAUSE_SAMPLES)
    policy.close(end + 8000, now=1)
    assert policy.settle() is None
    assert policy.finish() is PassOutcome.KEEP
    assert policy.settle() is not None


def test_a_cut_before_the_pause_leaves_nothing_of_what_it_gave() -> None:
    """Some of it belongs to the next utterance."""
    policy = Policy()
    end = pausing(policy)
    policy.begin(end + PAUSE_SAMPLES)
    policy.cut(1000, now=1)
    assert policy.finish() is PassOutcome.DROP
    assert policy.next_request() == DecodeRequest(PassKind.FINAL, 2)


def test_under_load_there_is_less() -> None:
    """No eager finals, fewer partials, or none."""
    policy = Policy(effort=LADDER[3])
    policy.open(0, now=0)
    policy.hear(0, end := FIRST_PARTIAL_SAMPLES, now=0)
    policy.pause(end + PAUSE_SAMPLES, now=0.5)
    assert policy.next_request() == DecodeRequest(PassKind.FIRST_PARTIAL, 0.5)
    policy.begin(end)
    policy.finish()
    policy.hear(end, end + LADDER[3].cadence - 1, now=1)
    assert policy.next_request() is None
    policy.hear(90_000, 90_001, now=2)
    assert policy.next_request() == DecodeRequest(PassKind.PARTIAL, 3)
    policy.adapt(FINALS_ONLY_EFFORT)
    policy.hear(90_001, 190_000, now=3)
    policy.adapt(LADDER[3])
    assert policy.next_request() is None  # what became due in between is not late now
    policy.hear(190_000, 190_001, now=4)
    assert policy.next_request() == DecodeRequest(PassKind.PARTIAL, 5)


def test_a_pause_that_is_not_worth_a_pass_any_more_is_forgotten() -> None:
    """And with nobody speaking there is nothing to forget."""
    policy = Policy()
    policy.adapt(LADDER[0])
    end = pausing(policy)
    policy.adapt(LADDER[3])
    policy.pause(end + 2 * PAUSE_SAMPLES, now=0.6)
    assert policy.next_request() is None


def test_a_final_that_fails_is_tried_once_more_and_alone() -> None:
    """Then the utterance is given up, and the next one goes on."""
    policy = Policy()
    policy.open(0, now=0)
    policy.hear(0, 4000, now=0)
    policy.close(8000, now=1)
    assert policy.begin(8000) is policy.under_way
    assert not policy.fail(now=5)
    assert policy.next_request() == (again := DecodeRequest(PassKind.FINAL, 6, alone=True))
    assert again.due == 5
    policy.begin(8000)
    assert policy.undecided == 0
    assert policy.fail(now=6)
    with pytest.raises(RuntimeError):
        policy.fail(now=7)
    assert (policy.next_request() or policy.undecided) is None


def test_an_utterance_whose_partial_failed_waits_for_its_end() -> None:
    """Its final is the second try, and the last."""
    policy = Policy()
    policy.open(0, now=0)
    policy.hear(0, FIRST_PARTIAL_SAMPLES, now=0)
    policy.begin(8000)
    assert not policy.fail(now=1)
    policy.hear(8000, 8000 + CADENCE, now=2)
    assert policy.next_request() is None
    policy.close(30_000, now=3)
    assert policy.next_request() == DecodeRequest(PassKind.FINAL, 4, alone=True)
    policy.begin(30_000)
    assert policy.fail(now=4)


def test_a_pause_without_speech_before_it_means_nothing() -> None:
    """Nor one before any utterance."""
    policy = Policy()
    policy.pause(50_000, now=1)
    policy.open(0, now=0)
    policy.pause(50_000, now=1)
    assert policy.next_request() is None


def test_a_pass_that_may_be_the_last_is_careful() -> None:
    """Recordings have no other."""
    assert [kind for kind in PassKind if not kind.is_careful] == [PassKind.FIRST_PARTIAL, PassKind.PARTIAL]
