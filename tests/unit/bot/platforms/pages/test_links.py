"""Links: every known form of each platform's, ids alone, and that nothing else leads anywhere."""

from __future__ import annotations

import string
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.platforms import load
from bot.platforms.base import Invitation
from bot.platforms.destination import destination_problem
from bot.platforms.google_meet import links as google_meet
from bot.platforms.jitsi import links as jitsi
from bot.platforms.pages import PagePlatform
from bot.platforms.teams import links as teams
from bot.platforms.zoom import links as zoom
from common.contracts.status import SubCode
from common.errors import EarshotError

THREAD = "19:meeting_NGU0YTY3ZjQtMDAw@thread.v2"
TID, OID = "11111111-2222-3333-4444-555555555555", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
CONTEXT = quote(f'{{"Tid":"{TID}","Oid":"{OID}"}}', safe="")
QUOTED, TWICE = quote(THREAD, safe=""), quote(quote(THREAD, safe=""), safe="")
WRAPPED = quote(f"/_#/l/meetup-join/{THREAD}/0?context={CONTEXT}", safe="")
THREAD_PAGE = (
    "https://teams.microsoft.com/l/meetup-join/19%3Ameeting_NGU0YTY3ZjQtMDAw%40thread.v2/0"
    f"?context=%7B%22Tid%22%3A%22{TID}%22%2C%22Oid%22%3A%22{OID}%22%7D"
)
FORMS: dict[str, list[tuple[str, str]]] = {
    "google_meet": [
        ("https://meet.google.com/abc-defg-hij", "https://meet.google.com/abc-defg-hij"),
        ("https://meet.google.com/abcdefghij", "https://meet.google.com/abc-defg-hij"),
        ("https://MEET.google.com/ABC-DEFG-HIJ/", "https://meet.google.com/abc-defg-hij"),
        ("https://meet.google.com/abc-defg-hij?authuser=1&hs=122&pli=1#x", "https://meet.google.com/abc-defg-hij"),
        ("https://meet.google.com/_meet/abc-defg-hij", "https://meet.google.com/abc-defg-hij"),
        ("https://meet.google.com/lookup/weekly-standup", "https://meet.google.com/lookup/weekly-standup"),
    ],
    "zoom": [
        ("https://zoom.us/j/81234567890", "https://app.zoom.us/wc/81234567890/join"),
        ("https://zoom.us/j/81234567890?pwd=AbC.1#success", "https://app.zoom.us/wc/81234567890/join?pwd=AbC.1"),
        ("https://us02web.zoom.us/j/81234567890?pwd=x&uname=y", "https://app.zoom.us/wc/81234567890/join?pwd=x"),
        ("https://acme.zoom.us/s/81234567890", "https://app.zoom.us/wc/81234567890/join"),
        ("https://acme.zoom.com/w/81234567890", "https://app.zoom.us/wc/81234567890/join"),
        ("https://app.zoom.us/wc/81234567890/join?pwd=x", "https://app.zoom.us/wc/81234567890/join?pwd=x"),
        ("https://zoom.us/wc/join/81234567890", "https://app.zoom.us/wc/81234567890/join"),
        ("https://zoom.us/wc/81234567890/start", "https://app.zoom.us/wc/81234567890/join"),
        ("https://zoom.us/launch/jc/81234567890", "https://app.zoom.us/wc/81234567890/join"),
        ("https://agency.zoomgov.com/j/1612345678", "https://app.zoomgov.com/wc/1612345678/join"),
        ("https://zoom.us/my/ana.silva?pwd=x", "https://zoom.us/my/ana.silva?pwd=x"),
        ("zoommtg://zoom.us/join?action=join&confno=81234567890&pwd=x", "https://app.zoom.us/wc/81234567890/join?pwd=x"),
        ("zoomus://zoom.us/join?confno=81234567890", "https://app.zoom.us/wc/81234567890/join"),
    ],
    "teams": [
        ("https://teams.microsoft.com/meet/1234567890123?p=AbC", "https://teams.microsoft.com/meet/1234567890123?p=AbC"),
        ("https://teams.live.com/meet/9312345678901?p=AbC&x=1", "https://teams.live.com/meet/9312345678901?p=AbC"),
        ("https://teams.cloud.microsoft/meet/1234567890123", "https://teams.cloud.microsoft/meet/1234567890123"),
        (f"https://teams.microsoft.com/l/meetup-join/{QUOTED}/0?context={CONTEXT}", THREAD_PAGE),
        (f"https://teams.microsoft.com/l/meetup-join/{TWICE}/0?context={CONTEXT}", THREAD_PAGE),
        (f"https://teams.microsoft.com/v2/?meetingjoin=true#/l/meetup-join/{THREAD}/0?context={CONTEXT}", THREAD_PAGE),
        (f"https://teams.microsoft.com/_#/l/meetup-join/{QUOTED}/0?context={CONTEXT}", THREAD_PAGE),
        ("https://teams.microsoft.com/v2/?x=y#/meet/1234567890123?p=A", "https://teams.microsoft.com/meet/1234567890123?p=A"),
        (f"https://teams.microsoft.com/dl/launcher/launcher.html?url={WRAPPED}&type=meetup-join", THREAD_PAGE),
        (f"https://gov.teams.microsoft.us/l/meetup-join/{QUOTED}/0", f"https://gov.teams.microsoft.us/l/meetup-join/{QUOTED}/0"),
    ],
    "jitsi": [
        ("https://meet.jit.si/StandupRoom", "https://meet.jit.si/StandupRoom"),
        ("https://meet.jit.si/StandupRoom#config.startWithAudioMuted=true", "https://meet.jit.si/StandupRoom"),
        ("https://8x8.vc/vpaas-magic-cookie-1/Room%20One", "https://8x8.vc/vpaas-magic-cookie-1/Room%20One"),
        ("https://meet.jit.si/Room?jwt=a.b.c&x=1", "https://meet.jit.si/Room?jwt=a.b.c"),
        ("https://eu.meet.jit.si/tenant/Room", "https://eu.meet.jit.si/tenant/Room"),
    ],
}  # fmt: skip
PARSE: dict[str, Any] = {
    "google_meet": google_meet.parse,
    "zoom": zoom.parse,
    "teams": teams.parse,
    "jitsi": jitsi.parse,
}


def platform(name: str) -> PagePlatform:
    """A platform that is a web page."""
    found = load(name)
    assert isinstance(found, PagePlatform)
    return found


@pytest.mark.parametrize(("name", "url", "page"), [(name, *form) for name, forms in FORMS.items() for form in forms])
def test_every_known_form_leads_to_its_page(name: str, url: str, page: str) -> None:
    """It is claimed by its platform alone, its destination is allowed, and its page is one of the platform's."""
    assert PARSE[name](url).url() == page
    assert [other for other in PARSE if platform(other).claims(url)] == [name]
    assert destination_problem(platform(name), url) is None
    assert platform(name).problems({"meetingUrl": url}) == []


NOT_LINKS = [
    "", "https://", "http://meet.google.com/abc-defg-hij", "https://meet.google.com/", "https://meet.google.com/landing",
    "https://meet.google.com.evil.com/abc-defg-hij", "https://evil.com/abc-defg-hij", "https://meet.google.com:8443/abc-defg-hij",
    "https://user@meet.google.com/abc-defg-hij", "https://evil.com/?u=https://meet.google.com/abc-defg-hij",
    "https://meet.google.com/abc-defg-hij/../../x", "https://docs.google.com/abc-defg-hij", "https://meet.google.com/lookup/",
    "https://sub.meet.google.com/abc-defg-hij",
    "https://zoom.us/", "https://zoom.us/j/", "https://zoom.us/j/12345678", "https://zoom.us/j/1234567890123456", "https://zoom.us/signin",
    "https://notzoom.us/j/81234567890", "https://zoom.us.evil.com/j/81234567890", "https://zoom.us/wc/81234567890x/join",
    "https://zoom.us/x/81234567890", "https://zoom.us/my/a", "zoommtg://evil.com/join?confno=81234567890", "zoommtg://zoom.us/join",
    "https://teams.microsoft.com/", "https://teams.microsoft.com/meet/", "https://teams.microsoft.com/meet/12",
    "https://teams.microsoft.com/l/channel/19%3Ax%40thread.v2/0", "https://teams.microsoft.com.evil.com/meet/1234567890123",
    "https://teams.microsoft.com/l/meetup-join/19%3Ameeting_x%40evil.v2/0", "https://teams.microsoft.com@evil.com/meet/1234567890123",
    "https://login.microsoftonline.com/meet/1234567890123",
    "https://meet.jit.si/", "https://meet.jit.si/static/close.html", "https://meet.jit.si/config.js", "https://meet.jit.si/a/b/c",
    "https://meet.jit.si/%2e%2e", "https://jitsi.example.com/Room", "https://meet.jit.si/a%2Fb", "https://meet.jit.si/%00",
    "https://meet.jit.si/" + "x" * 201,
    "javascript:alert(1)", "file:///etc/passwd", "https://169.254.169.254/j/81234567890", "https://[::1]/abc-defg-hij",
    "https://meet.google.com\\@evil.com/abc-defg-hij", "https://meet.google.com/abc-defg-hij\nHost: evil", " https://zoom.us/j/81234567890",
]  # fmt: skip


@pytest.mark.parametrize("url", NOT_LINKS)
def test_what_is_no_link_leads_nowhere(url: str) -> None:
    """Other schemes, hosts, ports and users; other pages of the platform; URLs inside URLs."""
    assert [name for name in PARSE if platform(name).claims(url)] == []


HOSTS = st.sampled_from(["meet.google.com", "zoom.us", "teams.live.com", "meet.jit.si"])


@given(st.text(max_size=200) | st.builds("https://{}/{}".format, HOSTS, st.text(max_size=100)))
def test_whatever_is_pasted_the_page_is_the_platforms(url: str) -> None:
    """No text is an error; every page that comes of one is https at a host of its platform, printable and bounded."""
    for name, parse in PARSE.items():
        link = parse(url)
        if link is None:
            continue
        parts = urlsplit(link.url())
        assert (parts.scheme, parts.port, parts.username) == ("https", None, None)
        assert destination_problem(platform(name), link.url()) is None
        assert set(link.url()) <= set(string.printable) - set(string.whitespace)
        assert len(link.url()) < 8_192
        assert parse(link.url()) is not None
        assert parse(link.url()).url() == link.url()


@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=10, max_size=10), st.booleans())
def test_meet_codes(code: str, dashed: bool) -> None:
    """With and without dashes, in a URL or alone, a code is the same meeting."""
    full = f"{code[:3]}-{code[3:7]}-{code[7:]}"
    link = google_meet.native(full if dashed else code)
    assert link == google_meet.parse(f"https://meet.google.com/{code if dashed else full}")
    assert link is not None
    assert link.meeting_id == full


@given(st.integers(10**8, 10**12 - 1), st.sampled_from(["", " ", "-"]))
def test_zoom_numbers(number: int, between: str) -> None:
    """However they are grouped."""
    text = str(number)
    grouped = between.join((text[:3], text[3:7], text[7:]))
    link = zoom.native(grouped)
    assert link is not None
    assert link.url() == f"https://app.zoom.us/wc/{text}/join"


@pytest.mark.parametrize(
    ("name", "native", "passcode", "page"),
    [
        ("google_meet", "abcdefghij", None, "https://meet.google.com/abc-defg-hij?hl=en"),
        ("zoom", "812 3456 7890", "1234", "https://app.zoom.us/wc/81234567890/join"),
        ("teams", "123 456 789 012 3", "AbC", "https://teams.microsoft.com/meet/1234567890123?p=AbC"),
        (
            "teams",
            THREAD,
            None,
            "https://teams.microsoft.com/l/meetup-join/19%3Ameeting_NGU0YTY3ZjQtMDAw%40thread.v2/0",
        ),
    ],
)
def test_an_id_alone_leads_to_the_page(name: str, native: str, passcode: str | None, page: str) -> None:
    """With a passcode, where it is part of the address."""
    invitation = Invitation(None, "bot-1", "Earshot", native_meeting_id=native, passcode=passcode)
    assert platform(name).page_url(invitation) == page
    assert platform(name).problems({"nativeMeetingId": native}) == []


def test_a_jitsi_room_alone_is_on_the_first_server_of_ones_own() -> None:
    """Else on the public one; the page gets our name, nothing of ours switched on, and is asked for no video."""
    found = platform("jitsi")
    invitation = Invitation(None, "bot-1", 'Ea"r', native_meeting_id="Stand up")
    wishes = "config.startWithAudioMuted=true&config.startWithVideoMuted=true&config.startAudioOnly=true"
    tail = f"#{wishes}&userInfo.displayName=%22Ea%5C%22r%22"
    assert found.page_url(invitation) == f"https://meet.jit.si/Stand%20up{tail}"
    assert found.settings_model is not None
    own = found.settings_model.model_validate({"hosts": ["jitsi.example.com"]})
    there = Invitation(None, "bot-1", "E", native_meeting_id="Room", settings=own)
    assert found.page_url(there).startswith("https://jitsi.example.com/Room#")


def test_a_server_of_ones_own_is_named_in_the_settings() -> None:
    """Its rooms are joined then, and are an error of the configuration otherwise."""
    given_ = {"meetingUrl": "https://jitsi.example.com/Room"}
    found = platform("jitsi")
    (problem,) = found.problems(given_)
    assert "jitsi.hosts" in problem.allowed
    assert found.problems(given_ | {"jitsi": {"hosts": ["jitsi.example.com"]}}) == []
    assert found.problems(given_ | {"jitsi": {"hosts": 7}}) == [problem]


@pytest.mark.parametrize("name", list(PARSE))
def test_what_a_configuration_lacks(name: str) -> None:
    """Neither URL nor id, or wrong ones: one sentence that says what is allowed."""
    wrong: list[dict[str, str]] = [{}, {"meetingUrl": "https://evil.com/"}, {"nativeMeetingId": "?"}]
    for given_, path in zip(wrong, ("meetingUrl", "meetingUrl", "nativeMeetingId"), strict=True):
        (problem,) = platform(name).problems(given_)
        assert problem.path == path
        assert name in problem.allowed
    with pytest.raises(EarshotError) as failure:
        platform(name).link(Invitation("https://evil.com/", "bot-1", "Earshot"))
    assert failure.value.code is SubCode.ROOM_UNREACHABLE


def test_an_origin_of_ones_own_takes_the_platforms_place() -> None:
    """Its page is opened there, and no host of the platform is looked up; nor is it behind a proxy."""
    found = platform("zoom")
    assert found.settings_model is not None
    settings = found.settings_model.model_validate({"origin": "http://127.0.0.1:8090/"})
    invitation = Invitation("https://zoom.us/j/81234567890?pwd=x", "bot-1", "Earshot", settings=settings)
    assert found.page_url(invitation) == "http://127.0.0.1:8090/wc/81234567890/join?pwd=x"
    assert found.address(invitation) is None
    plain = Invitation("https://zoom.us/j/81234567890?pwd=x", "bot-1", "Earshot")
    assert found.address(plain) == "https://app.zoom.us/wc/81234567890/join?pwd=x"
    assert "pwd" not in repr(found.link(plain))
    for wrong in ("ftp://h", "http://h/path", "h:80"):
        with pytest.raises(ValueError, match="origin"):
            found.settings_model.model_validate({"origin": wrong})


def test_teams_contexts() -> None:
    """Of the context only tenant and organiser are passed on; what is no context is left out."""
    base = f"https://teams.microsoft.com/l/meetup-join/{QUOTED}/0"
    for context in ("", "[]", "{", "7", '{"Tid":"x"}', "[" * 50_000):
        link = teams.parse(f"{base}?context={quote(context, safe='')}"[:2_000])
        assert link is not None
        assert link.query == ()
    nested = "https://teams.microsoft.com/#" + "/x#" * 20 + "/meet/1234567890123"
    assert teams.parse(nested) is None
