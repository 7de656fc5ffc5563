"""The door: each step in its order, proved before the next, given up after some tries."""

from __future__ import annotations

from bot.platforms.pages.acts import Click, Do, Fill, Note
from bot.platforms.pages.door import PROOF_S, TRIES, Door, Guest
from bot.platforms.pages.look import Look, Spot

FREE, BUSY = Spot(1, 2), Spot(1, 2, is_free=False)
GUEST = Guest("Earshot", "1234")


def shows(**controls: Spot) -> Look:
    """A door with these controls."""
    return Look(controls=controls)


def filled(value: str) -> Spot:
    """A field with something in it."""
    return Spot(1, 2, value)


def test_each_step_is_proved_before_the_next() -> None:
    """Name, passcode, devices, join: what is filled in must be there, what is clicked must be gone."""
    door = Door(GUEST)
    everything = dict.fromkeys(("name", "passcode", "camera", "microphone", "join"), FREE)
    seen: list[Do] = door.step(shows(**everything), 0.0)
    assert seen == [Fill("name", FREE, "Earshot")]
    assert "Earshot" not in repr(seen)
    assert door.step(shows(**everything), PROOF_S - 0.1) == []
    assert door.step(shows(**everything), PROOF_S) == [Fill("name", FREE, "Earshot")]
    everything["name"] = filled("Earshot")
    assert door.step(shows(**everything), 3.0) == [Fill("passcode", FREE, "1234")]
    everything["passcode"] = filled("1234")
    for control in ("camera", "microphone", "join"):
        assert door.step(shows(**everything), 4.0) == [Click(control, FREE)]
        del everything[control]
    assert door.step(shows(**everything), 5.0) == []


def test_what_does_not_work_is_given_up() -> None:
    """A camera that stays on is left on; a button that does not join is said, and the door is shut."""
    door = Door(GUEST)
    for control in ("camera", "join"):
        look = shows(camera=FREE, join=FREE)
        tries = [door.step(look, at) for at in (0, PROOF_S, 2 * PROOF_S, 2.5 * PROOF_S, 3 * PROOF_S)]
        assert tries == [[Click(control, FREE)]] * TRIES + [[], [Note("the page did not take it", control)]]
        assert door.is_shut is (control == "join")
    door.forget()
    assert not door.is_shut
    assert door.step(shows(camera=FREE), 0) == [Click("camera", FREE)]


def test_what_is_not_free_waits_if_it_is_needed() -> None:
    """A switch that cannot be clicked yet is no reason not to join; a name is."""
    door = Door(GUEST)
    assert door.step(shows(camera=BUSY, join=FREE), 0) == [Click("join", FREE)]
    assert door.step(shows(name=BUSY, join=FREE), 0) == []


def test_a_passcode_that_nobody_gave() -> None:
    """It is wanted only when it is the next step."""
    door = Door(Guest("Earshot"))
    assert door.wants(shows(name=FREE, passcode=FREE)) is None
    look = shows(name=filled("Earshot"), passcode=FREE)
    assert door.wants(look) == "passcode"
    assert door.step(look, 0) == []
    assert door.wants(shows()) is None


def test_what_lies_over_the_page_is_put_away() -> None:
    """Each thing a few times, by the words by which it was found."""
    door = Door(GUEST)
    for how in ("got it", "accept"):
        look = Look(controls={"dismiss": FREE}, found={"dismiss": how})
        assert [door.clear_the_way(look, at * PROOF_S) for at in range(5)] == [[Click("dismiss", FREE)]] * 3 + [[], []]
    assert door.clear_the_way(shows(), 0) == []
