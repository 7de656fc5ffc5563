"""Contributors: names for the numbers of voices, learnt from a page that is late, silent or wrong."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.platforms.pages.contributors import AGREEING_TURNS, LATE_S, MAX_SOURCES, PAUSE_S, Contributors

STEP_S = 0.1


class Meeting:
    """A meeting in steps of 0.1 s: whoever speaks sounds under their number, the page shows them some steps later."""

    def __init__(self, lag: int = 3) -> None:
        self.now = 100.0
        self.lag = lag
        self.numbers = {"ana": "7", "ben": "8", "eve": "9"}
        self.contributors = Contributors(self.now)
        self.wrong: list[str] = []
        self._past: list[frozenset[str]] = [frozenset()] * 20

    def goes_on(self, seconds: float, *speak: str, shows: bool = True, numbered: bool = True) -> None:
        """These people speak."""
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            for who in speak:
                number = [self.numbers[who]] if numbered else []
                self.contributors.sounds(number, self.now)
                if self.contributors.person(number) not in (None, who):
                    self.wrong.append(who)
            self._past.append(frozenset(speak))
            self.contributors.shown(self._past[-1 - self.lag] if shows else (), self.now)

    def turn(self, who: str, **how: bool) -> None:
        """One that teaches."""
        self.goes_on(LATE_S + 1, who, **how)
        self.goes_on(LATE_S + 1)

    def knows(self, who: str) -> bool:
        """Whether their number has their name."""
        return self.contributors.person([self.numbers[who]]) == who


def test_a_name_is_learnt_in_turns_and_kept_without_the_page() -> None:
    """One turn is not enough; two at once are nobody, and a number that was never heard neither."""
    meeting = Meeting()
    meeting.turn("ana")
    assert not meeting.knows("ana")
    meeting.turn("ben")
    meeting.turn("ana")
    assert meeting.knows("ana")
    assert not meeting.knows("ben")
    meeting.goes_on(60.0)
    meeting.goes_on(1.0, "ana", shows=False)
    assert meeting.knows("ana")
    assert meeting.contributors.person(["7", "8"]) is None
    assert meeting.contributors.person([]) is None
    assert meeting.contributors.person(["1"]) is None


def test_one_long_turn_is_one_turn() -> None:
    """However often the page says it."""
    meeting = Meeting()
    meeting.goes_on(60.0, "ana")
    assert not meeting.knows("ana")


def test_what_is_heard_together_or_without_a_number_teaches_nothing() -> None:
    """Nor does anything within the page's lateness after it."""
    meeting = Meeting()
    for _ in range(5):
        meeting.goes_on(5.0, "ana", "ben")
        meeting.goes_on(LATE_S - 1.0, "ana")
        meeting.goes_on(5.0)
        meeting.goes_on(5.0, "eve", numbered=False)
        meeting.goes_on(5.0)
    assert not any(meeting.knows(who) for who in meeting.numbers)
    assert meeting.wrong == []


def test_nothing_is_learnt_of_what_we_came_into() -> None:
    """Somebody may have spoken before we listened."""
    contributors = Contributors(0.0)
    contributors.sounds(["7"], 0.5)
    contributors.shown(["ana"], 1.0)
    contributors.sounds(["7"], 10.0)
    contributors.shown([], 10.1)
    contributors.shown(["ana"], 10.2)
    assert contributors.person(["7"]) is None
    contributors.shown([], 15.0)
    contributors.sounds(["7"], 20.0)
    contributors.shown(["ana"], 20.2)
    assert contributors.person(["7"]) == "ana"


def test_who_is_always_shown_is_no_evidence() -> None:
    """A tile that looks as if it spoke, whoever does: never a name, not its owner's either."""
    meeting = Meeting()
    contributors = meeting.contributors
    for turn in range(10):
        for number in ("7", "8") if turn > 2 else ("8",):
            meeting.now += 5.0
            contributors.sounds([number], meeting.now)
            contributors.shown(["ana"], meeting.now + 0.5)
            contributors.shown(["ana"], meeting.now + 4.0)
        assert contributors.person(["8"]) is None
    assert contributors.person(["7"]) is None


def test_a_contradiction_takes_the_name_back_and_asks_for_more() -> None:
    """A number that is somebody else's now has no name until that is clear."""
    meeting = Meeting()
    for _ in range(AGREEING_TURNS):
        meeting.turn("ana")
    assert meeting.knows("ana")
    meeting.numbers = {"ana": "6", "ben": "7"}
    meeting.turn("ben")
    assert meeting.contributors.person(["7"]) is None
    for _ in range(2 * AGREEING_TURNS - 1):
        assert not meeting.knows("ben")
        meeting.turn("ben")
    assert meeting.knows("ben")


def test_a_number_that_goes_to_somebody_who_is_here_is_doubted_as_soon_as_they_are_shown() -> None:
    """Whoever spoke just before does not hide it: not the old name until then, but none."""
    meeting = Meeting()
    for who in ("ana", "ben", "eve") * AGREEING_TURNS:
        meeting.turn(who)
    meeting.numbers = {"ana": "8", "ben": "7", "eve": "9"}
    meeting.goes_on(LATE_S, "eve")
    meeting.goes_on(LATE_S - 0.5, "ben")
    assert meeting.wrong == ["ben"] * (meeting.lag + 1)  # not even the page knew
    assert meeting.contributors.person(["7"]) is None
    meeting.goes_on(0.5, "eve")
    assert meeting.contributors.person(["9"]) is None  # it may as well have been hers
    meeting.turn("eve")
    assert meeting.knows("eve")


def test_whoever_is_shown_beside_those_who_sound_makes_nobody_doubtful() -> None:
    """Somebody whose voice is not known yet, whoever spoke a moment ago, whoever is always shown."""
    meeting = Meeting()
    for who in ("ana", "ben") * AGREEING_TURNS:
        meeting.turn(who)
    for lag in (1, 10, round(LATE_S / STEP_S) - 2):
        meeting.lag = lag
        for who in ("ana", "ben", "ana", "eve", "ben"):
            meeting.goes_on(1.0, who)
            assert who == "eve" or meeting.knows(who)
            meeting.goes_on(0.3)
    meeting.goes_on(10.0)
    for _ in range(2):
        meeting.contributors.shown(["eve"], meeting.now)
        meeting.goes_on(1.0, "ana", shows=False)
        meeting.contributors.shown(["ana", "eve"], meeting.now)
        assert meeting.knows("ana")
        meeting.goes_on(10.0, shows=False)


def test_shown_beside_somebody_else_is_no_contradiction() -> None:
    """And no evidence: of one voice two people are shown."""
    contributors = Contributors(0.0)
    for at in (10.0, 20.0):
        contributors.sounds(["7"], at)
        contributors.shown(["ana"], at)
        contributors.shown([], at + 5)
    contributors.sounds(["7"], 30.0)
    contributors.shown(["ana", "ben"], 30.0)
    assert contributors.person(["7"]) == "ana"
    contributors.sounds(["8"], 40.0)
    contributors.shown(["ana", "ben"], 40.0)
    assert contributors.person(["8"]) is None
    assert contributors.person(["7"]) == "ana"


def test_two_voices_of_one_person_are_neither() -> None:
    """A second number for the same name: one of both is wrong."""
    meeting = Meeting()
    for _ in range(AGREEING_TURNS):
        meeting.turn("ana")
    meeting.numbers["ana"] = "6"
    meeting.turn("ana")
    assert meeting.contributors.person(["7"]) is None
    assert meeting.contributors.person(["6"]) is None


def test_who_has_left_has_no_number() -> None:
    """It may be somebody else's next, who needs as many turns as anybody."""
    meeting = Meeting()
    for _ in range(AGREEING_TURNS):
        meeting.turn("ana")
    meeting.contributors.left("ana")
    assert not meeting.knows("ana")
    meeting.numbers = {"ben": "7"}
    for _ in range(AGREEING_TURNS):
        meeting.turn("ben")
    assert meeting.knows("ben")
    assert meeting.wrong == []


def test_no_more_than_so_many_are_remembered() -> None:
    """The one that sounded the longest ago goes."""
    meeting = Meeting()
    for _ in range(AGREEING_TURNS):
        meeting.turn("ana")
    for number in range(1000, 1000 + MAX_SOURCES):
        meeting.contributors.sounds([str(number)], meeting.now)
    assert not meeting.knows("ana")


PEOPLE = st.sampled_from(["ana", "ben", "eve"])
TURN = st.tuples(
    st.lists(PEOPLE, max_size=2, unique=True),
    st.floats(0.1, 6.0),
    st.integers(0, round(LATE_S / STEP_S) - 2),
    st.booleans(),
    st.sampled_from([None, None, None, "ana", "ben"]),
)
"""Who speaks, for how long, how late the page is, whether it shows anybody; who left before: their number is Eve's."""


@given(st.lists(TURN, max_size=60))
def test_no_voice_has_ever_somebody_elses_name(turns: list[tuple[list[str], float, int, bool, str | None]]) -> None:
    """Whatever the order, however late (within LATE_S), whoever's number goes to whom when they leave."""
    meeting = Meeting()
    for speak, seconds, lag, shows, leaves in turns:
        meeting.lag = lag
        if leaves is not None:
            meeting.goes_on(LATE_S + PAUSE_S)
            meeting.contributors.left(leaves)
            meeting.numbers[leaves], meeting.numbers["eve"] = meeting.numbers["eve"], meeting.numbers[leaves]
            meeting.contributors.left("eve")
        meeting.goes_on(seconds, *speak, shows=shows)
    assert meeting.wrong == []
