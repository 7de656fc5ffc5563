"""Which encrypted tracks of a LiveKit room can be heard."""

from __future__ import annotations

from bot.platforms.livekit.decryption import (
    BEGINNING_S,
    DECODED_RATE,
    KEY_TIMEOUT_S,
    MIN_PACKETS,
    NOISE_S,
    PROOF_PAUSE_S,
    PROOF_SAMPLES,
    PROOF_TIMEOUT_S,
    SAME_TIME_S,
    Decryption,
)

OPEN, MUTED = {"t": False}, {"t": True}


def test_a_track_that_is_not_encrypted_is_clear() -> None:
    decryption = Decryption()
    assert decryption.is_clear("clear", 0.0)
    assert not decryption.has_other_key("clear")
    assert not decryption.has_begun("clear")


def test_a_track_is_clear_once_the_noise_before_its_first_decrypted_packet_is_over() -> None:
    decryption = Decryption()
    decryption.subscribed("t", "ana", 1, 1.0)
    assert not decryption.is_clear("t", 1.1)
    decryption.decrypted("ben", 1, 1.1)
    assert not decryption.is_clear("t", 1.4)
    decryption.decrypted("ana", 1, 1.4)
    decryption.decrypted("ana", 1, 1.5)  # of another track of hers: this one has its time
    assert not decryption.is_clear("t", 1.4 + NOISE_S - 0.01)
    assert decryption.is_clear("t", 1.4 + NOISE_S)
    assert decryption.review(OPEN, 99.0) == []
    assert decryption.next_timer() is None


def test_another_subscription_begins_with_noise_again() -> None:
    decryption = Decryption()
    decryption.subscribed("t", "ana", 1, 1.0)
    decryption.decrypted("ana", 1, 1.0)
    assert decryption.is_clear("t", 2.0)
    decryption.subscribed("t", "ana", 1, 2.0)
    assert not decryption.is_clear("t", 9.0)


def test_word_of_the_media_may_come_before_word_of_the_track() -> None:
    decryption = Decryption()
    decryption.decrypted("ana", 1, 1.0)
    decryption.subscribed("t", "ana", 1, 1.0 + SAME_TIME_S / 2)
    assert decryption.is_clear("t", 2.0)


def test_a_track_that_is_never_decrypted_has_another_key_which_is_said_once() -> None:
    decryption = Decryption()
    decryption.subscribed("t", "ana", 1, 1.0)
    assert decryption.review(OPEN, 1.0) == []
    assert not decryption.has_other_key("t")
    assert not decryption.has_begun("t")
    assert decryption.next_timer() == 1.0 + KEY_TIMEOUT_S
    assert decryption.review(OPEN, 0.9 + KEY_TIMEOUT_S) == []
    assert decryption.review(OPEN, 1.0 + KEY_TIMEOUT_S) == ["t"]
    assert decryption.found("t", MIN_PACKETS)
    assert decryption.next_timer() is None
    assert decryption.review(OPEN, 99.0) == []
    assert decryption.has_other_key("t")
    decryption.decrypted("ana", 1, 100.0)  # the room's key was changed to ours
    assert decryption.is_clear("t", 101.0)
    assert decryption.has_begun("t")
    assert not decryption.has_other_key("t")


def test_a_muted_track_owes_nothing_and_one_that_is_gone_is_forgotten() -> None:
    decryption = Decryption()
    decryption.subscribed("t", "ana", 1, 1.0)
    assert decryption.review(OPEN, 1.0) == []
    assert decryption.review(MUTED, 99.0) == []
    assert decryption.next_timer() is None
    assert decryption.review(OPEN, 100.0) == []
    assert decryption.next_timer() == 100.0 + KEY_TIMEOUT_S
    assert decryption.review({}, 100.0) == []
    assert decryption.next_timer() is None


def test_who_unmutes_long_after_loses_nothing() -> None:
    """Nothing was decoded before the SDK began to decrypt."""
    decryption = Decryption()
    decryption.subscribed("t", "ana", 1, 1.0)
    decryption.decrypted("ana", 1, 1.0 + BEGINNING_S)
    assert decryption.is_clear("t", 1.0 + BEGINNING_S)


def test_a_track_of_which_nothing_comes_has_no_key_at_all() -> None:
    """A microphone that is open and sends nothing is no reason to leave: it is looked at again, time after time."""
    decryption = Decryption()
    decryption.subscribed("t", "ana", 1, 1.0)
    decryption.review(OPEN, 1.0)
    for now in (1.0 + KEY_TIMEOUT_S, 1.0 + 2 * KEY_TIMEOUT_S):
        assert decryption.next_timer() == now
        assert decryption.review(OPEN, now) == ["t"]
        assert not decryption.found("t", MIN_PACKETS - 1)
        assert not decryption.has_other_key("t")


def test_a_key_that_comes_while_it_is_looked_at_is_ours() -> None:
    """The answer to how many packets came may be late."""
    decryption = Decryption()
    decryption.subscribed("t", "ana", 1, 1.0)
    decryption.review(OPEN, 1.0)
    assert decryption.review(OPEN, 1.0 + KEY_TIMEOUT_S) == ["t"]
    decryption.decrypted("ana", 1, 1.1 + KEY_TIMEOUT_S)
    assert not decryption.found("t", MIN_PACKETS)


def test_each_of_somebodys_tracks_needs_a_proof_of_its_own() -> None:
    """The word that something is decrypted names no track: the one of which sound is decoded is it, not its noise."""
    decryption = Decryption()
    decryption.subscribed("microphone", "ana", 2, 1.0)
    decryption.subscribed("screen", "ana", 2, 1.0)
    assert decryption.unproven(1.0) == []
    decryption.decrypted("ana", 2, 1.1)
    assert decryption.next_timer() == 1.1
    noise, now, opened = DECODED_RATE // 5, 1.1, None
    while due := decryption.unproven(now):
        for track in due:
            sound = round((now - 1.1) * DECODED_RATE) if track == "screen" else min(now - 1.1, 0.2) * DECODED_RATE
            decryption.decoded(track, round(noise + sound), now)
        opened = opened or (now if decryption.is_clear("screen", now + NOISE_S) else None)
        assert not decryption.has_begun("microphone")
        now = decryption.next_timer() or now + PROOF_TIMEOUT_S
    assert opened is not None
    assert PROOF_SAMPLES / DECODED_RATE <= opened - 1.1 <= PROOF_SAMPLES / DECODED_RATE + PROOF_PAUSE_S
    assert decryption.has_begun("screen")
    decryption.decrypted("ana", 2, 100.0)  # she unmutes: the first of it is decrypted
    assert decryption.unproven(100.0) == ["microphone"]
    decryption.decoded("microphone", noise, 100.0)
    decryption.decoded("microphone", noise + PROOF_SAMPLES, 100.3)
    assert decryption.is_clear("microphone", 100.3)


def test_word_of_the_media_that_came_before_its_track_is_proof_of_none_of_several() -> None:
    decryption = Decryption()
    decryption.decrypted("ana", 2, 1.0)
    decryption.subscribed("t", "ana", 2, 1.0 + SAME_TIME_S / 2)
    assert not decryption.has_begun("t")
    assert decryption.unproven(1.1) == ["t"]
    decryption.decoded("t", 0, 1.1 + PROOF_TIMEOUT_S)
    assert decryption.unproven(99.0) == []
