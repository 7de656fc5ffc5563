"""Tracks of a page that says whose they are: what is heard around a mute, which the page shows later than it is."""

from __future__ import annotations

import time

import numpy as np

from bot.audio.frame import AudioFrame
from bot.core import events as ev
from bot.drivers.browser.tracks import TrackInfo
from bot.platforms.pages import hand
from bot.platforms.pages.look import Look, Seen
from bot.platforms.pages.people import Company
from bot.platforms.pages.tracks import HELD_S, PageTracks
from tests.support.fakes.listener import RecordingListener

ANA = Seen("ana", "Ana", muted=False, tracks=("media-ana",))
MUTED = Seen("ana", "Ana", muted=True, tracks=("media-ana",))
BEN = Seen("ben", "Ben", muted=False, tracks=("media-ana",))
"""Has what was Ana's: a connection uses its receivers again, and their tracks keep their ids."""


class Page:
    """A page with Ana in it, whose track comes."""

    def __init__(self) -> None:
        self.listener, self.company = RecordingListener(), Company()
        self.tracks = PageTracks(self.company, True, self.listener.event, self.listener.audio)
        self.tracks.has_interface = True
        self.listener.event(ev.Admitted())
        self.tracks.enter()
        self.tracks.track_opened(TrackInfo("1.1.1", "media-ana"))
        self._position = 0

    def shows(self, *people: Seen) -> None:
        """A look."""
        for event in self.company.look(Look(joined=True, people=people), time.monotonic()):
            if isinstance(event, ev.ParticipantLeft):
                self.tracks.close_of(event.participant_id)
            self.listener.event(event)
        self.tracks.look()

    def says(self, loudness: int, pieces: int, ago: float = 0.0) -> None:
        """So many pieces of 20 ms, the last of them that long ago."""
        for piece in range(pieces, 0, -1):
            arrival = time.monotonic() - ago - piece * 0.02
            pcm = np.full(320, loudness, np.int16)
            self.tracks.audio(AudioFrame("1.1.1", pcm, self._position, 1, arrival))
            self._position += 320

    def heard(self, loudness: int) -> int:
        """How many pieces of this loudness."""
        return sum(frame.pcm[0] == loudness for _, frame in self.listener.frames)


def test_what_is_said_at_once_after_unmuting_is_heard() -> None:
    """The page is looked at twice a second, and its sound comes at once: the first words after a mute are kept until
    the page shows that it is over."""
    page = Page()
    page.shows(MUTED)
    page.says(0, pieces=700)
    page.says(5000, pieces=25)
    assert page.heard(5000) == 0
    page.shows(ANA)
    page.says(5000, pieces=5)
    assert page.heard(5000) == 30
    assert page.heard(0) * 0.02 <= HELD_S
    assert not page.listener.breaches


def test_what_was_said_before_the_page_said_whose_the_track_is_is_heard_although_it_is_muted_by_now() -> None:
    """Of a muted track nothing is heard as it comes; and nothing of long ago when it is not muted any more."""
    page = Page()
    page.says(5000, pieces=25)
    page.shows(MUTED)
    assert page.heard(5000) == 25
    page.says(6000, pieces=25, ago=60.0)
    page.shows(ANA)
    assert page.heard(6000) == 0
    assert not page.listener.breaches


def test_the_longest_time_without_a_look_costs_nothing() -> None:
    """Who comes and speaks while a message is written into a chat that does not open."""
    assert hand.CHAT_S + hand.ACTION_S < HELD_S
    page = Page()
    page.says(5000, pieces=round((hand.CHAT_S + hand.ACTION_S) / 0.02))
    page.shows(ANA)
    assert page.heard(5000) * 0.02 == hand.CHAT_S + hand.ACTION_S


def test_what_came_of_a_muted_track_is_not_the_next_ones() -> None:
    """A track that is somebody else's now: whose the last sound before was, nobody can say."""
    page = Page()
    page.shows(MUTED)
    page.says(5000, pieces=25)
    page.shows(Seen("ana", "Ana", muted=True), BEN)
    assert page.listener.owner == {"1.1.1": "ben"}
    assert page.heard(5000) == 0


def test_whoever_gets_the_track_of_somebody_who_has_just_left_is_not_called_so() -> None:
    """Ana is not shown any more, and it is not certain yet that she has left: what comes now waits, and is Ben's,
    all of it, when the page says so."""
    page = Page()
    page.shows(ANA)
    page.says(5000, pieces=10)
    page.shows()
    page.says(6000, pieces=10)
    assert page.heard(6000) == 0
    page.shows(BEN)
    assert page.listener.owner == {"1.1.1": "ben"}
    assert (page.heard(5000), page.heard(6000)) == (10, 10)
    assert not page.listener.breaches


def test_a_roster_that_is_empty_for_one_look_costs_nothing() -> None:
    """The track stays open, and what was said meanwhile is heard."""
    page = Page()
    page.shows(ANA)
    page.says(5000, pieces=10)
    page.shows()
    page.says(5000, pieces=10)
    page.shows(ANA)
    page.says(5000, pieces=10)
    assert page.heard(5000) == 30
    assert page.listener.count(ev.TrackOpened) == 1
    assert page.listener.count(ev.TrackClosed) == 0
