"""Which encrypted tracks of a LiveKit room can be heard."""

from __future__ import annotations

from bot.platforms.livekit.decryption import BEGINNING_S, KEY_TIMEOUT_S, MIN_PACKETS, NOISE_S, SAME_TIME_S, Decryption

OPEN, MUTED = {"t": False}, {"t": True}


def test_a_track_that_is_not_encrypted_is_clear() -> None:
    decryption = Decryption()
    assert decryption.is_clear("clear", 0.0)
    assert not decryption.has_other_key("clear")
    assert not decryption.has_begun("clear")


def test_a_track_is_clear_once_the_noise_before_its_first_decrypted_packet_is_over() -> None:
    decryption = Decryption()
    decryption.subscribed("t", "ana", 1.0)
    assert not decryption.is_clear("t", 1.1)
    decryption.decrypted("ben", 1.1)
    assert not decryption.is_clear("t", 1.4)
    decryption.decrypted("ana", 1.4)
    decryption.decrypted("ana", 1.5)  # of another track of hers: this one has its time
    assert not decryption.is_clear("t", 1.4 + NOISE_S - 0.01)
    assert decryption.is_clear("t", 1.4 + NOISE_S)
    assert decryption.review(OPEN, 99.0) == []
    assert decryption.next_timer() is None


def test_another_subscription_begins_with_noise_again() -> None:
    decryption = Decryption()
    decryption.subscribed("t", "ana", 1.0)
    decryption.decrypted("ana", 1.0)
    assert decryption.is_clear("t", 2.0)
    decryption.subscribed("t", "ana", 2.0)
    assert not decryption.is_clear("t", 9.0)


def test_word_of_the_media_may_come_before_word_of_the_track() -> None:
    decryption = Decryption()
    decryption.decrypted("ana", 1.0)
    decryption.subscribed("t", "ana", 1.0 + SAME_TIME_S / 2)
    assert decryption.is_clear("t", 2.0)


def test_a_track_that_is_never_decrypted_has_another_key_which_is_said_once() -> None:
    decryption = Decryption()
    decryption.subscribed("t", "ana", 1.0)
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
    decryption.decrypted("ana", 100.0)  # the room's key was changed to ours
    assert decryption.is_clear("t", 101.0)
    assert decryption.has_begun("t")
    assert not decryption.has_other_key("t")


def test_a_muted_track_owes_nothing_and_one_that_is_gone_is_forgotten() -> None:
    decryption = Decryption()
    decryption.subscribed("t", "ana", 1.0)
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
    decryption.subscribed("t", "ana", 1.0)
    decryption.decrypted("ana", 1.0 + BEGINNING_S)
    assert decryption.is_clear("t", 1.0 + BEGINNING_S)


def test_a_track_of_which_nothing_comes_has_no_key_at_all() -> None:
    """A microphone that is open and sends nothing is no reason to leave: it is looked at again, time after time."""
    decryption = Decryption()
    decryption.subscribed("t", "ana", 1.0)
    decryption.review(OPEN, 1.0)
    for now in (1.0 + KEY_TIMEOUT_S, 1.0 + 2 * KEY_TIMEOUT_S):
        assert decryption.next_timer() == now
        assert decryption.review(OPEN, now) == ["t"]
        assert not decryption.found("t", MIN_PACKETS - 1)
        assert not decryption.has_other_key("t")


def test_a_key_that_comes_while_it_is_looked_at_is_ours() -> None:
    """The answer to how many packets came may be late."""
    decryption = Decryption()
    decryption.subscribed("t", "ana", 1.0)
    decryption.review(OPEN, 1.0)
    assert decryption.review(OPEN, 1.0 + KEY_TIMEOUT_S) == ["t"]
    decryption.decrypted("ana", 1.1 + KEY_TIMEOUT_S)
    assert not decryption.found("t", MIN_PACKETS)
