"""How speech is transcribed on each lane, whatever is asked for and refused meanwhile."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.core.lane_speech import LaneSpeech
from bot.core.requests import SpeechSettings

EN, DE, FR, YUE, XX = (SpeechSettings(language) for language in ("en", "de", "fr", "yue", "xx"))


def test_a_lane_keeps_what_it_was_opened_with() -> None:
    """Until it is over; one that is not known has what there is now."""
    speech = LaneSpeech(EN)
    speech.opened(1)
    speech.change(DE)
    speech.opened(2)
    assert [speech.of(lane) for lane in (1, 2, 3)] == [EN, DE, DE]
    speech.closed(1)
    assert speech.of(1) == DE


def test_what_is_refused_is_given_up_and_later_ones_end_the_trouble() -> None:
    """Said once each; what a server took before is not given up for a refusal of something else."""
    speech = LaneSpeech(EN)
    speech.opened(1)
    assert not speech.refused(1)
    speech.change(YUE)
    speech.opened(2)
    assert not speech.refused(1)
    assert speech.current == YUE
    assert speech.refused(2)
    assert not speech.refused(2)
    assert (speech.current, speech.of(2)) == (EN, EN)
    assert not speech.taken(2)
    speech.change(DE)
    speech.opened(3)
    assert not speech.taken(1)
    assert speech.taken(3)
    assert not speech.taken(3)


def test_what_was_refused_and_replaced_meanwhile_goes_on_with_the_newest() -> None:
    """Two changes in an outage, the first one bad; then two bad ones."""
    speech = LaneSpeech(EN)
    for lane, settings in enumerate((YUE, DE), 1):
        speech.change(settings)
        speech.opened(lane)
    assert not speech.refused(1)
    assert (speech.of(1), speech.current) == (DE, DE)
    assert not speech.taken(2)
    for lane, settings in enumerate((YUE, XX), 3):
        speech.change(settings)
        speech.opened(lane)
    assert speech.refused(4)
    assert (speech.of(3), speech.of(4), speech.current) == (YUE, DE, DE)
    assert not speech.refused(3)
    assert speech.of(3) == DE


def test_of_a_lane_that_is_over_nothing_follows() -> None:
    """It was closed while it was being dialled."""
    speech = LaneSpeech(EN)
    speech.change(YUE)
    speech.opened(1)
    speech.closed(1)
    assert not speech.refused(1)
    assert not speech.taken(1)
    assert speech.current == YUE


@given(st.lists(st.sampled_from((EN, DE, FR, YUE, XX)), max_size=12), st.randoms())
def test_whatever_is_asked_for_every_lane_comes_to_what_a_server_takes(asked: list[SpeechSettings], random) -> None:  # type: ignore[no-untyped-def]
    """A storm in an outage; when a server is there again that knows three languages, no lane is refused for ever."""
    speech = LaneSpeech(EN)
    for lane, settings in enumerate(asked):
        speech.change(settings)
        speech.opened(lane)
    for _ in range(4 * len(asked)):
        lanes = list(range(len(asked)))
        random.shuffle(lanes)
        for lane in lanes:
            (speech.refused if speech.of(lane) in (YUE, XX) else speech.taken)(lane)
    assert all(speech.of(lane) in (EN, DE, FR) for lane in range(len(asked)))
    assert speech.current in (EN, DE, FR)
