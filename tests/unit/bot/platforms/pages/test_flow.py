"""The flow: what is done at the door, what is said of what the page shows, when it is over; on a clock of the test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.platforms.pages import flow as fl
from bot.platforms.pages.acts import Click, Do, Fill, Help, InLobby, Inside, Lost, Note, Over, Reopen, Wake
from bot.platforms.pages.door import NOT_STARTED_S, PROOF_S, TRIES, Guest
from bot.platforms.pages.flow import Flow
from bot.platforms.pages.look import Look, Spot
from bot.platforms.pages.stage import Stage
from common.contracts.status import SubCode
from tests.support.examples import EXAMPLES

BUSY = Spot(1, 1, is_free=False)
S = SubCode


class Driven:
    """A flow whose page is the test's. Looks every 0.25 s, as the attendance does."""

    def __init__(self, **guest: Any) -> None:
        self.now = 100.0
        self.flow = Flow(Guest(**{"name": "Earshot", "passcode": None} | guest), "Acme", self.now)
        self.done: list[Do] = []

    def see(self, stage: Stage, seconds: float = 0.25, **controls: Spot | str) -> list[Do]:
        """Looks at the same page for so long; returns what was to be done, without waking."""
        spots = {name: spot if isinstance(spot, Spot) else Spot(1, 1, spot) for name, spot in controls.items()}
        found: list[Do] = []
        until = self.now + seconds
        while self.now < until - 1e-9:
            self.now += 0.25
            look = Look(controls=spots, found=dict.fromkeys(spots, "how"))
            found += self.flow.see(look, stage, self.now)
        found = [do for do in found if do != Wake()]
        self.done += found
        return found

    def inside(self) -> Driven:
        """Lets us in."""
        assert self.see(Stage.INSIDE, 1.0) == [Inside()]
        return self


def names(done: list[Do]) -> Iterator[str]:
    """The controls that were used, in order."""
    for do in done:
        if isinstance(do, Click | Fill):
            yield do.control


# --- the door


def test_the_steps_at_the_door_in_their_order() -> None:
    """Name, camera, microphone, join; nothing before the step before is proved."""
    page = Driven()
    door: dict[str, Any] = {"name": "", "camera": "", "microphone": "", "join": ""}
    assert page.see(Stage.DOOR, **door) == [Fill("name", Spot(1, 1), "Earshot")]
    assert page.see(Stage.DOOR, 1.5, **door) == []
    door["name"] = "Earshot"
    assert list(names(page.see(Stage.DOOR, **door))) == ["camera"]
    del door["camera"]
    assert list(names(page.see(Stage.DOOR, **door))) == ["microphone"]
    del door["microphone"]
    assert list(names(page.see(Stage.DOOR, **door))) == ["join"]
    assert page.see(Stage.LOBBY, 1.0) == [InLobby()]


def test_a_passcode_is_typed() -> None:
    """After the name."""
    page = Driven(passcode="1234")
    assert page.see(Stage.DOOR, name="Earshot", passcode="", join=BUSY) == [Fill("passcode", Spot(1, 1), "1234")]
    assert list(names(page.see(Stage.DOOR, name="Earshot", passcode="1234", join=""))) == ["join"]


def test_a_passcode_that_nobody_gave_is_asked_for_in_time() -> None:
    """Once, and not for ever; a person at the page can type it."""
    page = Driven()
    assert page.see(Stage.DOOR, fl.HELP_S - 1, name="Earshot", passcode="") == [
        Help("Acme: the meeting has a passcode, and none was given (`passcode`)")
    ]
    (over,) = page.see(Stage.DOOR, 2, name="Earshot", passcode="")[:1]
    assert isinstance(over, Over)
    assert over.code is S.PASSCODE_REFUSED
    helped = Driven(can_be_helped=True)
    helped.see(Stage.DOOR, 10 * fl.HELP_S, name="Earshot", passcode="")
    assert not [do for do in helped.done if isinstance(do, Over)]
    assert helped.see(Stage.INSIDE, 1.0) == [Inside()]


def test_a_step_that_the_page_does_not_take_is_tried_again_then_given_up() -> None:
    """A camera that cannot be switched off keeps us from nothing; a button that does not join is said."""
    page = Driven()
    done = page.see(Stage.DOOR, 3 * PROOF_S + 1, camera="", join=BUSY)
    assert list(names(done)) == ["camera"] * TRIES
    assert Note("the page did not take it", "camera") in done
    done = page.see(Stage.DOOR, 20, camera="", join="")
    assert list(names(done)) == ["join"] * TRIES
    assert done[-2:] == [Note("the page did not take it", "join"), Help("Acme: the page does not let us join")]


def test_what_lies_over_the_page_is_put_away() -> None:
    """At most a few times for each; not where it may be the page's last word."""
    page = Driven()
    assert list(names(page.see(Stage.UNKNOWN, 10, dismiss=""))) == ["dismiss"] * TRIES
    assert list(names(page.see(Stage.DOOR, 1, dismiss=BUSY, join=""))) == ["join"]
    ended = Driven().inside()
    assert list(names(ended.see(Stage.ENDED, 5, dismiss=""))) == []


def test_a_door_that_is_not_free_is_waited_for() -> None:
    """A button that is not enabled yet is not clicked."""
    page = Driven()
    assert page.see(Stage.DOOR, 30, name="Earshot", join=BUSY) == []
    assert list(names(page.see(Stage.DOOR, name="Earshot", join=""))) == ["join"]


def test_a_page_that_asks_once_more_after_admission() -> None:
    """The recording notice with its button: joined again, and inside."""
    page = Driven()
    page.see(Stage.DOOR, join="")
    page.see(Stage.LOBBY, 1)
    assert list(names(page.see(Stage.DOOR, 1, join=""))) == ["join"]
    page.inside()


# --- the way in


def test_a_stage_counts_when_it_was_seen_twice() -> None:
    """What flickers by says nothing."""
    page = Driven()
    assert page.see(Stage.INSIDE, 0.25) == []
    assert page.see(Stage.LOBBY, 0.25) == []
    assert page.see(Stage.INSIDE, 0.25) == []
    assert not page.flow.is_inside
    assert page.see(Stage.INSIDE, 0.5) == [Inside()]
    assert page.flow.is_inside


@pytest.mark.parametrize(
    ("stage", "code"),
    [
        (Stage.DENIED, S.JOIN_REFUSED),
        (Stage.REMOVED, S.JOIN_REFUSED),
        (Stage.LEFT, S.JOIN_REFUSED),
        (Stage.UNANSWERED, S.LOBBY_TIMEOUT),
        (Stage.NOT_FOUND, S.MEETING_NOT_FOUND),
        (Stage.FULL, S.MEETING_FULL),
        (Stage.BOTS_REFUSED, S.BOTS_NOT_ALLOWED),
        (Stage.ENDED, S.MEETING_ENDED),
        (Stage.SIGN_IN, S.AUTH_REQUIRED),
    ],
)
def test_what_ends_it_before_we_are_in(stage: Stage, code: SubCode) -> None:
    """From the door as from the lobby, each with its sub-code, and words for people where it is a failure."""
    for before in (Stage.DOOR, Stage.LOBBY):
        page = Driven()
        page.see(before, 1.0)
        done = page.see(stage, 1.0)
        assert [do.code for do in done if isinstance(do, Over)] == [code]
        assert all(do.detail.startswith("Acme: ") or code is S.MEETING_ENDED for do in done if isinstance(do, Over))


@pytest.mark.parametrize(
    ("stage", "code"),
    [
        (Stage.CAPTCHA, S.CAPTCHA),
        (Stage.CONSENT, S.NEEDS_HELP_TIMEOUT),
        (Stage.PASSCODE_REFUSED, S.PASSCODE_REFUSED),
    ],
)
def test_what_a_person_could_solve_is_waited_for(stage: Stage, code: SubCode) -> None:
    """Said once; where nobody can see the page, not for long."""
    page = Driven()
    (asked,) = page.see(stage, fl.HELP_S - 1)
    assert isinstance(asked, Help)
    assert [do.code for do in page.see(stage, 3) if isinstance(do, Over)][:1] == [code]


def test_a_person_at_the_page_has_all_the_time() -> None:
    """The bot's own rules bound it; an account can be given by hand then, too."""
    for stage in (Stage.CAPTCHA, Stage.SIGN_IN):
        page = Driven(can_be_helped=True)
        assert [type(do) for do in page.see(stage, 1_000)] == [Help]
        assert page.see(Stage.DOOR, 1.0, join="") == [Click("join", Spot(1, 1))]
        assert page.see(Stage.LOBBY, 1.0) == [InLobby()]


def test_a_meeting_that_has_not_begun() -> None:
    """Waited for like a lobby, as long as we are told."""
    page = Driven(not_started_s=60.0)
    assert page.see(Stage.NOT_STARTED, 55) == [InLobby()]
    over = page.see(Stage.NOT_STARTED, 10)[0]
    assert over == Over(S.MEETING_NOT_STARTED, "Acme: the meeting has not begun within 1 minutes")
    begun = Driven(not_started_s=60.0)
    begun.see(Stage.NOT_STARTED, 55)
    assert begun.see(Stage.LOBBY, 1_000) == [InLobby()]
    begun.inside()


def test_a_page_that_shows_nothing_known() -> None:
    """It is opened again, once; then a person is asked, then it is a timeout; from the lobby, too."""
    page = Driven()
    assert page.see(Stage.UNKNOWN, fl.BLANK_S) == [Reopen()]
    page.flow.reopened(page.now)
    assert page.see(Stage.UNKNOWN, fl.UNKNOWN_S) == [Help("Acme: the page shows nothing that we know")]
    assert [do.code for do in page.see(Stage.UNKNOWN, fl.HELP_S + 1) if isinstance(do, Over)][:1] == [S.JOIN_TIMEOUT]
    waiting = Driven()
    waiting.see(Stage.LOBBY, 100)
    assert [type(do) for do in waiting.see(Stage.UNKNOWN, fl.UNKNOWN_S + 1)] == [Help]


def test_a_slow_page_gets_its_time_anew_when_its_door_comes() -> None:
    """Help that turned out not to be needed is forgotten."""
    page = Driven()
    page.see(Stage.DOOR, 1, name="Earshot", join=BUSY)
    page.see(Stage.UNKNOWN, fl.UNKNOWN_S + 5)
    assert page.see(Stage.DOOR, 50, name="Earshot", join=BUSY) == []
    assert list(names(page.see(Stage.DOOR, 1, name="Earshot", join=""))) == ["join"]


def test_a_door_that_leads_nowhere_is_a_timeout() -> None:
    """Bounded, whatever the page does."""
    page = Driven()
    (over,) = page.see(Stage.DOOR, fl.JOIN_S, join=BUSY)[-1:]
    assert isinstance(over, Over)
    assert over.code is S.JOIN_TIMEOUT


def test_a_page_that_blocks_us_without_a_reason_is_opened_again() -> None:
    """Twice; then it is a refusal."""
    page = Driven()
    for _ in range(fl.BLOCKED_TRIES):
        assert page.see(Stage.BLOCKED, fl.BLOCKED_PAUSE_S + 0.75) == [Reopen()]
        page.flow.reopened(page.now)
    (over,) = page.see(Stage.BLOCKED, 1.0)[:1]
    assert isinstance(over, Over)
    assert over.code is S.JOIN_REFUSED


def test_a_resting_pointer_hides_toolbars() -> None:
    """It is moved now and then while nothing, or only the lobby, is seen."""
    flow = Flow(Guest("Earshot"), "Acme", 0.0)
    assert Wake() not in flow.see(Look(), Stage.UNKNOWN, 1.0)
    assert Wake() in flow.see(Look(), Stage.UNKNOWN, fl.WAKE_S)
    assert Wake() not in flow.see(Look(), Stage.LOBBY, fl.WAKE_S + 1)
    assert Wake() in flow.see(Look(), Stage.LOBBY, 2 * fl.WAKE_S)
    assert Wake() not in flow.see(Look(), Stage.INSIDE, 5 * fl.WAKE_S)


# --- in the meeting


@pytest.mark.parametrize(
    ("stage", "code"),
    [
        (Stage.REMOVED, S.REMOVED),
        (Stage.LEFT, S.REMOVED),
        (Stage.DENIED, S.REMOVED),
        (Stage.ENDED, S.MEETING_ENDED),
    ],
)
def test_what_ends_the_meeting(stage: Stage, code: SubCode) -> None:
    """When it has been there for a while: a notice that passes by ends nothing."""
    page = Driven().inside()
    assert page.see(stage, fl.ALARM_CONFIRM_S - 0.5) == []
    assert page.see(Stage.INSIDE, 1) in ([], [Inside()])
    assert page.see(stage, fl.ALARM_CONFIRM_S + 0.5)[:1] == [Over(code)]


def test_put_back_into_the_lobby() -> None:
    """Said, and let in again; refused from there is removed."""
    page = Driven().inside()
    assert page.see(Stage.LOBBY, 500) == [InLobby()]
    assert not page.flow.is_inside
    page.inside()
    page.see(Stage.LOBBY, 5)
    assert page.see(Stage.DENIED, 1)[:1] == [Over(S.REMOVED)]


def test_a_connection_that_the_page_gets_back_itself() -> None:
    """Said at once each way; nothing is opened again."""
    page = Driven().inside()
    assert page.see(Stage.RECONNECTING, fl.RECONNECT_S - 5) == [Lost()]
    assert page.see(Stage.INSIDE, 1) == [Inside()]


@pytest.mark.parametrize(
    ("stage", "after"), [(Stage.UNKNOWN, fl.GONE_S), (Stage.BLOCKED, fl.GONE_S), (Stage.RECONNECTING, fl.RECONNECT_S)]
)
def test_a_meeting_that_the_page_has_lost_is_joined_again(stage: Stage, after: float) -> None:
    """Lost, opened again, through the door, and back."""
    page = Driven().inside()
    done = page.see(stage, after + 0.5)
    assert [type(do) for do in done] == [Lost, Reopen]
    page.flow.reopened(page.now)
    assert list(names(page.see(Stage.DOOR, 0.25, join=""))) == ["join"]
    assert page.see(Stage.INSIDE, 1) == [Inside()]


def test_a_meeting_that_is_lost_again_and_again() -> None:
    """Three times in ten minutes; later it counts anew."""
    page = Driven().inside()
    for _ in range(fl.REJOINS):
        assert [type(do) for do in page.see(Stage.UNKNOWN, fl.GONE_S + 0.25)][-1:] == [Reopen]
        page.flow.reopened(page.now)
        page.see(Stage.INSIDE, 1)
    patient = page.see(Stage.INSIDE, fl.REJOINS_WINDOW_S)
    assert patient == []
    for _ in range(fl.REJOINS):
        page.see(Stage.UNKNOWN, fl.GONE_S + 0.25)
        page.flow.reopened(page.now)
        page.see(Stage.INSIDE, 1)
    (over,) = page.see(Stage.UNKNOWN, fl.GONE_S + 0.25)[-1:]
    assert isinstance(over, Over)
    assert over.code is S.CONNECTION_LOST


def test_told_to_come_back() -> None:
    """An order to rejoin is lost and opened again; lost already, only the latter."""
    page = Driven().inside()
    assert page.flow.rejoin() == [Lost(), Reopen()]
    assert page.flow.rejoin() == [Reopen()]
    page.flow.reopened(page.now)
    assert not page.flow.is_inside
    assert page.see(Stage.RECONNECTING, 1) == []


def test_an_account_wanted_in_the_meeting() -> None:
    """A consent or a challenge there is help that is needed, and not the end."""
    page = Driven(can_be_helped=True).inside()
    assert [type(do) for do in page.see(Stage.CONSENT, 10)] == [Help]
    assert not page.flow.is_inside
    page.inside()


def test_a_lobby_that_flickers_is_one_lobby() -> None:
    """Waiting goes on as it began; a camera's switch that is covered keeps us from nothing."""
    page = Driven(not_started_s=10.0)
    page.see(Stage.NOT_STARTED, 6)
    page.see(Stage.UNKNOWN, 0.5)
    done = page.see(Stage.NOT_STARTED, 6)
    assert [do.code for do in done if isinstance(do, Over)][:1] == [S.MEETING_NOT_STARTED]
    covered = Driven()
    assert list(names(covered.see(Stage.DOOR, camera=BUSY, join=""))) == ["join"]


def test_a_page_that_blocked_us_and_then_goes_on_is_not_opened_again() -> None:
    """Its door, its lobby, and above all its meeting are kept."""
    for stage in (Stage.DOOR, Stage.LOBBY, Stage.INSIDE):
        page = Driven()
        page.see(Stage.BLOCKED, 1.0)
        assert Reopen() not in page.see(stage, 2 * fl.BLOCKED_PAUSE_S, join=BUSY)


@pytest.mark.parametrize(
    ("stage", "code", "after"),
    [(Stage.CAPTCHA, S.CAPTCHA, fl.HELP_S), (Stage.NOT_STARTED, S.MEETING_ENDED, NOT_STARTED_S)],
)
def test_help_is_waited_for_no_longer_after_we_were_inside(stage: Stage, code: SubCode, after: float) -> None:
    """On the way back as on the way in."""
    page = Driven().inside()
    assert not [do for do in page.see(stage, after) if isinstance(do, Over)]
    assert [do.code for do in page.see(stage, 5) if isinstance(do, Over)][:1] == [code]


def test_a_meeting_that_is_gone_when_we_come_back_has_ended() -> None:
    """The page died, and there is no such meeting any more: it was attended, and did not fail to be found."""
    page = Driven().inside()
    page.flow.reopened(page.now)
    assert [do for do in page.see(Stage.NOT_FOUND, 1.0) if isinstance(do, Over)][:1] == [Over(S.MEETING_ENDED)]


@given(st.lists(st.tuples(st.sampled_from(Stage), st.integers(1, 40)), max_size=30))
@settings(max_examples=4 * EXAMPLES)
def test_whatever_a_page_shows_inside_is_what_was_seen_as_inside(shown: list[tuple[Stage, int]]) -> None:
    """Said after two looks in a row that prove it; never elsewhere, and nothing is opened again in a meeting."""
    page, row = Driven(), 0
    for stage, looks in shown:
        for _ in range(looks):
            row = row + 1 if stage is Stage.INSIDE else 0
            for do in page.see(stage, 0.25, join="", name="Earshot", dismiss=""):
                if isinstance(do, Over):
                    return
                assert not isinstance(do, Inside) or row >= 2
                assert not (isinstance(do, Reopen) and row >= 3)
                if isinstance(do, Reopen):
                    page.flow.reopened(page.now)
                    row = 0
