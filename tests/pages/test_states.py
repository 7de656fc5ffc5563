"""The pages in every state, language and form: what each look at them means, and that nothing but a meeting is one.

One Chromium for each platform; its page is told which state to draw. The words are those of the selector pack: what is
tested is that they are found where a page has them, with either apostrophe, and not where a stranger has written them.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from bot.drivers.browser.page import MeetingPage, open_page
from bot.platforms import load
from bot.platforms.pages import PagePlatform
from bot.platforms.pages.attendance import observe_script
from bot.platforms.pages.look import MAX_NAME_CHARACTERS, Look, read_look
from bot.platforms.pages.pack import LANGUAGES, Pack, as_argument
from bot.platforms.pages.packs import load_pack
from bot.platforms.pages.stage import Stage, stage
from rehearsal.pages.room import PLATFORMS
from tests.support.servers.meeting_pages import page_room
from tests.support.servers.pages import Heard, chromium_settings

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(120), pytest.mark.cores(0.9)]

MEANS = {name: Stage(name) for name in set(Stage) - {Stage.UNKNOWN}} | {
    "loading": Stage.UNKNOWN,
    "connecting": Stage.UNKNOWN,
    "launcher": Stage.UNKNOWN,
    "no_devices": Stage.UNKNOWN,
    "leaving": Stage.UNKNOWN,
}
"""State of a page → what a look at it means."""
STATES = {
    "google_meet": "loading door lobby inside reconnecting captcha consent sign_in not_started unanswered denied "
    "blocked not_found full ended removed left",
    "teams": "loading launcher no_devices door lobby not_started inside reconnecting sign_in captcha denied blocked "
    "not_found full passcode_refused ended removed left",
    "zoom": "loading launcher door lobby not_started inside leaving reconnecting bots_refused captcha sign_in denied "
    "not_found full passcode_refused ended removed left",
    "jitsi": "loading door lobby not_started inside reconnecting sign_in denied full passcode_refused ended removed "
    "left",
}
VARIANTS = {
    "google_meet": ("old", "sleepy"),
    "teams": ("old",),
    "zoom": ("classic", "sleepy", "cookies", "devices"),
    "jitsi": ("no_api", "members_only", "shell"),
}
DRAW_AND_LOOK = """([texts, rows, packs = texts.map((text) => JSON.parse(text))]) => rows.map((row) => {
  const [state, words, variants, names, pack] = row;
  settings.state = ''; settings.words = words; settings.variants = variants;
  meeting.name = 'Earshot'; meeting.isAwake = !has('sleepy'); meeting.answered.clear(); meeting.isChatOpen = true;
  meeting.people = new Map(names.map((name, at) => [`p${at}`, {name, muted: false}]));
  meeting.chat = names.map((text) => ({author: text, text}));
  enter(state);
  return (LOOK)();
})"""
DRIFTS = 40
"""Packs with one entry of each list broken, for each platform."""


@dataclass(frozen=True)
class Row:
    """What the page draws, and the pack that it is looked at with."""

    state: str
    words: dict[str, str] = field(default_factory=dict)
    variants: tuple[str, ...] = ()
    names: tuple[str, ...] = ("Ana", "Ben")
    pack: Pack | None = None


class Shown:
    """A platform's page in Chromium."""

    def __init__(self, platform: str, page: MeetingPage, loop: BlockingPortal) -> None:
        found = load(platform)
        assert isinstance(found, PagePlatform)
        self.platform, self.pack, self.states = platform, load_pack(platform), STATES[platform].split()
        self.observe = observe_script(platform, found.probe, as_argument(self.pack))
        self._observe_by = observe_script(platform, found.probe, "packs[pack]")
        self._page, self._loop = page, loop

    def evaluate(self, *script: Any) -> Any:
        """As of `MeetingPage`."""
        return self._loop.call(self._page.evaluate, *script)

    def looks(self, rows: Sequence[Row]) -> list[Look]:
        """Draws and looks, row by row."""
        packs = list({id(row.pack): row.pack or self.pack for row in rows}.values())
        places = {id(pack): place for place, pack in enumerate(packs)}
        given = [
            [row.state, row.words, list(row.variants), list(row.names), places[id(row.pack or self.pack)]]
            for row in rows
        ]
        script = DRAW_AND_LOOK.replace("LOOK", self._observe_by)
        answers = self.evaluate(script, [[as_argument(pack) for pack in packs], given], 100)
        return [read_look(answer) for answer in answers]

    def means(self, look: Look) -> Stage:
        """What a look means."""
        return stage(look, self.pack.sign_in_hosts, self.pack.people.prove)

    def meant(self, rows: Sequence[Row]) -> list[tuple[Row, Stage, Look]]:
        """Each row, and what the look at it means."""
        looks = self.looks(rows)
        return [(row, self.means(look), look) for row, look in zip(rows, looks, strict=True)]


@asynccontextmanager
async def opened(platform: str) -> AsyncIterator[MeetingPage]:
    """The platform's page."""
    async with page_room(platform) as room, open_page(chromium_settings(), Heard()) as page:
        await page.goto(room.room.origin)
        await page.page.wait_for_function("meeting.state !== 'loading'", polling=50)
        yield page


@contextmanager
def showing(platform: str) -> Iterator[tuple[MeetingPage, BlockingPortal]]:
    """The page, and the loop that it lives on: one in a thread of its own, since a test's loop ends with it."""
    with start_blocking_portal() as loop, loop.wrap_async_context_manager(opened(platform)) as page:
        yield page, loop


@pytest.fixture(scope="module", params=PLATFORMS)
def shown(request: pytest.FixtureRequest) -> Iterator[Shown]:
    """A page for all tests of its platform."""
    with showing(request.param) as (page, loop):
        yield Shown(request.param, page, loop)


def test_every_state_means_what_it_is(shown: Shown) -> None:
    """In English, in each form of the page that there is; and the browser understands every selector."""
    forms = ((), ("curly",), *((variant,) for variant in VARIANTS[shown.platform]))
    rows = [Row(state, variants=variants) for variants in forms for state in shown.states]
    for row, means, look in shown.meant(rows):
        assert means is MEANS[row.state], (row, look)
        assert look.unusable == ()


def wordings(pack: Pack, states: list[str]) -> Iterator[Row]:
    """Each of a state's words in the pack, found by themselves: without the selectors of their sign."""
    for state in states:
        if (sign := pack.signs.get(state)) is not None:
            bare = replace(pack, signs={**pack.signs, state: replace(sign, selectors=())})
            for text in (text for language in LANGUAGES for text in sign.texts.get(language, ())):
                for variants in ((), ("curly",)) if "'" in text else ((),):
                    yield Row(state, {state: text}, variants, pack=bare)


def test_every_wording_is_understood(shown: Shown) -> None:
    """Each of the pack's words, in six languages, with straight and curly apostrophes, means its state."""
    rows = list(wordings(shown.pack, shown.states))
    assert len(rows) > 100
    for row, means, look in shown.meant(rows):
        assert means is MEANS[row.state], (row.state, row.words, look.found)


def test_what_strangers_write_is_not_the_pages_word(shown: Shown) -> None:
    """Names and chat messages in the words of every state, in the meeting: we are inside all the same."""
    texts = tuple(text for sign in shown.pack.signs.values() for words in sign.texts.values() for text in words)
    ((_, means, look),) = shown.meant([Row("inside", names=texts)])
    assert means is Stage.INSIDE, look.found
    assert {person.name for person in look.others} >= {" ".join(text.split()) for text in texts}


def test_hostile_names_stay_names(shown: Shown) -> None:
    """Markup, control characters, a megabyte: shown by the page, read as text, bounded."""
    hostile = ("<img src=x onerror=alert(1)>", "Ana\u202e\r\n\x1b[31m", "x" * 1_000_000, "'];DROP", "\u200d" * 50 + "a")
    ((_, means, look),) = shown.meant([Row("inside", names=hostile)])
    assert means is Stage.INSIDE
    assert len(look.others) == len(hostile)
    assert max(len(person.name) for person in look.people) <= MAX_NAME_CHARACTERS
    assert any(person.name == hostile[0] for person in look.people)


def broken(pack: Pack, seed: int) -> Pack:
    """The pack after a change of the page: one entry of each list finds nothing any more."""
    chance = random.Random(seed)

    def without(entries: tuple[str, ...]) -> tuple[str, ...]:
        lost = chance.randrange(len(entries)) if entries else -1
        return tuple(entry for place, entry in enumerate(entries) if place != lost)

    def fewer(words: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        return {language: without(texts) for language, texts in words.items()}

    signs = {
        name: replace(sign, selectors=without(sign.selectors), texts=fewer(sign.texts))
        for name, sign in pack.signs.items()
    }
    controls = {
        name: replace(control, selectors=without(control.selectors), labels=fewer(control.labels))
        for name, control in pack.controls.items()
    }
    people = replace(
        pack.people,
        tiles=without(pack.people.tiles),
        names=without(pack.people.names),
        speaking=without(pack.people.speaking),
        us=without(pack.people.us),
    )
    return replace(pack, signs=signs, controls=controls, people=people)


def test_a_page_that_has_changed_is_never_taken_for_a_meeting(shown: Shown) -> None:
    """One entry of each list broken at random, forty times: the meeting is known, nothing else is taken for it."""
    packs = [broken(shown.pack, seed) for seed in range(DRIFTS)]
    rows = [Row(state, pack=pack) for state in shown.states for pack in packs]
    for row, means, look in shown.meant(rows):
        assert (means is Stage.INSIDE) == (row.state == "inside"), (row.state, look.found)


def test_a_page_in_a_language_that_nobody_knows(shown: Shown) -> None:
    """No word of it is in the pack, and its buttons are those of a meeting: it is not taken for one."""
    outside = [state for state in shown.states if state not in ("inside", "reconnecting")]
    rows = [
        Row(
            state,
            dict.fromkeys((state, f"{state}_more", "home"), "Zzzz qqqq"),
            pack=replace(shown.pack, signs={name: sign for name, sign in shown.pack.signs.items() if name != state}),
        )
        for state in outside
    ]
    for row, means, look in shown.meant(rows):
        assert means is not Stage.INSIDE, (row.state, look.found)


@pytest.mark.parametrize("shown", ["google_meet", "zoom"], indirect=True)
def test_a_badge_is_no_challenge(shown: Shown) -> None:
    """A page that a challenge only guards, and that asks nothing, has its badge of 256 x 60: it is what it is."""
    badge = '<iframe src="about:blank?recaptcha" title="reCAPTCHA" width="256" height="60" style="border:0"></iframe>'
    draw = "(badge) => { settings.state = ''; enter('door'); root().insertAdjacentHTML('beforeend', badge); }"
    shown.evaluate(draw, badge)
    assert shown.means(read_look(shown.evaluate(shown.observe))) is Stage.DOOR


@pytest.mark.parametrize("shown", ["zoom"], indirect=True)
def test_a_page_may_replace_what_reads_json(shown: Shown) -> None:
    """And what writes it: it is looked at all the same."""
    shown.looks([Row("inside")])
    replaced = (
        "() => { window.kept = JSON; window.JSON = {}; Array.prototype.toJSON = Object.prototype.toJSON = () => 1; }"
    )
    shown.evaluate(replaced)
    try:
        assert shown.means(read_look(shown.evaluate(shown.observe))) is Stage.INSIDE
    finally:
        shown.evaluate("() => { window.JSON = kept; delete Array.prototype.toJSON; delete Object.prototype.toJSON; }")


def test_the_pictures_are_of_every_state() -> None:
    """docs/pages.md shows each, and they are small; `python -m tests.pages.pictures` writes them."""
    folder = Path(__file__).parents[2] / "docs" / "pages"
    pictures = {path.stem: path.stat().st_size for path in folder.glob("*.webp")}
    assert set(pictures) == {f"{platform}-{state}" for platform in PLATFORMS for state in STATES[platform].split()}
    assert sum(pictures.values()) < 1_500_000
    shown = (folder.parent / "pages.md").read_text(encoding="utf-8")
    assert all(f"](pages/{name}.webp)" in shown for name in pictures)
