"""The company: what is reported of the people that a page shows, from look to look."""

from __future__ import annotations

from bot.core.events import ParticipantJoined, ParticipantLeft, ParticipantRenamed, PeopleCounted
from bot.platforms.pages.look import Look, Seen
from bot.platforms.pages.people import ABSENT_S, MAX_NAMES, Company

ANA, BEN, US = Seen("a", "Ana"), Seen("b", "Ben"), Seen("u", "Earshot", is_us=True)


def test_who_comes_who_goes_and_who_is_called_otherwise() -> None:
    """We are not reported; whoever is not shown for a moment has not left."""
    company = Company()
    assert company.look(Look(people=(US, ANA)), 0.0) == [ParticipantJoined("a", "Ana")]
    assert company.look(Look(people=(ANA, BEN)), 1.0) == [ParticipantJoined("b", "Ben")]
    assert company.look(Look(people=(Seen("a", "Dr. Ana"), BEN)), 2.0) == [ParticipantRenamed("a", "Dr. Ana")]
    assert company.look(Look(people=(BEN,)), 20.0) == []
    assert company.look(Look(people=(BEN,)), 20.0 + ABSENT_S - 0.1) == []
    assert company.look(Look(people=(BEN,)), 20.0 + ABSENT_S) == [ParticipantLeft("a")]
    assert company.knows("b")
    assert not company.knows("a")


def test_a_name_that_is_missing_for_a_moment_is_kept() -> None:
    """A tile that is being rebuilt renames nobody."""
    company = Company()
    company.look(Look(people=(ANA,)), 0.0)
    assert company.look(Look(people=(Seen("a", ""),)), 1.0) == []
    assert company.look(Look(people=(Seen("n", ""),)), 1.0) == [ParticipantJoined("n", "")]


def test_tiles_that_are_not_shown_are_no_departures_where_the_page_counts_more() -> None:
    """Of three people two tiles: nobody left. Of one, one left; which of them, the page shows."""
    company = Company()
    company.look(Look(people=(ANA, BEN), count=3), 0.0)
    assert company.look(Look(people=(BEN,), count=3), 1.0) == []
    assert company.look(Look(people=(BEN,), count=3), 10.0) == []
    assert company.look(Look(people=(BEN,), count=2), 20.0) == [ParticipantLeft("a")]


def test_a_count_is_said_where_it_says_more_than_the_tiles() -> None:
    """First when there are more people than tiles; from then on every change."""
    company = Company()
    assert company.look(Look(people=(ANA,), count=2), 0.0) == [ParticipantJoined("a", "Ana")]
    assert company.look(Look(people=(ANA,), count=50), 1.0) == [PeopleCounted(49)]
    assert company.look(Look(people=(ANA,), count=50), 2.0) == []
    assert company.look(Look(people=(ANA,)), 2.5) == []
    assert company.look(Look(people=(ANA,), count=0), 3.0) == [PeopleCounted(0)]


def test_whose_a_track_is_and_whether_it_is_muted() -> None:
    """As the page says, where it does."""
    company = Company()
    company.look(Look(people=(Seen("a", "Ana", muted=True, tracks=("t1",)), Seen("b", "Ben", tracks=("t2",)))), 0.0)
    assert (company.owner_of("t1"), company.owner_of("t2"), company.owner_of("t3")) == ("a", "b", None)
    assert [company.is_muted(one) for one in ("a", "b", "c")] == [True, False, False]


def test_it_forgets_everybody() -> None:
    """Admitted again, everybody is told of anew."""
    company = Company()
    company.look(Look(people=(ANA,), count=9), 0.0)
    company.forget()
    assert company.look(Look(people=(ANA,), count=2), 1.0) == [ParticipantJoined("a", "Ana")]


def test_names_are_kept_within_a_bound() -> None:
    """Of everybody who was ever shown, the last."""
    company = Company()
    for number in range(MAX_NAMES + 1):
        company.look(Look(people=(Seen(str(number), f"name {number}"),)), float(number))
    assert len(company.names) == MAX_NAMES
    assert "name 0" not in company.names


def test_who_is_missing_is_not_certainly_here() -> None:
    """Until the page, which counts more people than it shows, has gone on to count them."""
    company = Company()
    company.look(Look(people=(ANA, BEN), count=3), 0.0)
    assert company.is_here("a", 0.5)
    company.look(Look(people=(BEN,), count=3), 1.0)
    assert not company.is_here("a", 1.5)
    assert company.is_here("a", 1.0 + ABSENT_S)
    assert not company.is_here("x", 0.5)


def test_a_track_that_was_somebodys_who_has_just_gone_is_the_next_ones() -> None:
    """A connection gives what one leaves to the next one, under the same id. Who is not shown has had it before, though
    it is not certain yet that they have left."""
    company = Company()
    company.look(Look(people=(Seen("a", "Ana", tracks=("t1",)), Seen("b", "Ben"))), 0.0)
    company.look(Look(people=(Seen("b", "Ben"),)), 0.5)
    assert company.owner_of("t1") is None
    company.look(Look(people=(Seen("b", "Ben", tracks=("t1",)),)), 1.0)
    assert company.owner_of("t1") == "b"
    assert [company.knows(who) for who in ("a", "b")] == [True, True]
    assert [company.shows(who) for who in ("a", "b")] == [False, True]
