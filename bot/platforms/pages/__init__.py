"""Platforms that are web pages: what they share. One flow through all of them, and a selector pack for each as data.

Of its own a platform has its links, its pack, and where its page has a programming interface, a probe that reads it.
Guide: docs/joining.md; how the packs are written: docs/selectors.md.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from bot.core.orders import Rejoin, SendChat
from bot.platforms.base import Invitation, Listener, Platform
from bot.platforms.orders import Orders
from bot.platforms.pages.links import Link
from bot.platforms.pages.pack import LANGUAGES
from bot.platforms.pages.packs import load_pack, pack_path
from bot.platforms.pages.settings import PageSettings
from bot.platforms.pages.site import Site
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.problems import Problem, shown


class PagePlatform(Platform):
    """A platform whose meetings are joined in a web page."""

    name: ClassVar[str]
    """As in the registry; of its folder and its pack."""
    title: ClassVar[str]
    """For people."""
    forms: ClassVar[str]
    """What a `meetingUrl` looks like."""
    settings_model: ClassVar[type[PageSettings]] = PageSettings
    carries_out = frozenset({SendChat, Rejoin})
    opens_page = True
    sign_in_url: ClassVar[str | None] = None
    """Where a bot's account is signed in; None: it has none."""
    separates: ClassVar[bool] = False
    """See `Site`."""
    probe: ClassVar[str | None] = None
    """See `Site`."""

    @abstractmethod
    def parse(self, url: str) -> Link | None:
        """The meeting of a URL; None: it is none of this platform's. Pure."""

    @abstractmethod
    def native(self, meeting_id: str, passcode: str | None, settings: PageSettings) -> Link | None:
        """The meeting with an id of the platform's own; None: it is none. Pure."""

    def claims(self, url: str) -> bool:
        """Whether the URL is one of a meeting of ours."""
        return self.parse(url) is not None

    def host(self, url: str) -> str | None:
        """See `Platform.host`: of the page that is opened, however the meeting was named."""
        link = self.parse(url)
        return None if link is None else super().host(link.url())

    def problems(self, given: Mapping[str, Any]) -> list[Problem]:
        """A meeting must be named, by URL or by id; selector packs that go before ours must be some."""
        return [*self._unnamed(given), *self._unusable_pack(given)]

    def _unusable_pack(self, given: Mapping[str, Any]) -> list[Problem]:
        browser = given.get("browser")
        folder = browser.get("selectorsDir") if isinstance(browser, Mapping) else None
        if not isinstance(folder, str):
            return []
        try:
            load_pack(self.name, folder)
        except EarshotError as error:
            words = str(error).removeprefix("browser.selectorsDir: ")
            return [Problem("browser.selectorsDir", shown(folder), f"a folder of selector packs: {words}")]
        return []

    def warnings(self, invitation: Invitation) -> list[str]:
        """What is taken and does nothing, or less than somebody may think."""
        browser, settings = invitation.browser, invitation.settings
        found = []
        if browser.selectors_dir is not None and not pack_path(self.name, browser.selectors_dir).is_file():
            found.append(f"browser.selectorsDir has no {self.name}.toml: our own pack is used")
        if browser.locale.partition("-")[0] not in LANGUAGES:
            known = ", ".join(LANGUAGES)
            found.append(f"browser.locale is {browser.locale}, and the selector packs have words in {known} alone")
        if settings is not None and settings.captions and not self._can_read_captions(browser.selectors_dir):
            found.append(f"{self.name}.captions is true, but its selector pack knows no captions: there will be none")
        return found

    def _can_read_captions(self, selectors_dir: str | None) -> bool:
        pack = load_pack(self.name, selectors_dir)
        return bool(pack.captions.items) and "captions_on" in pack.controls

    def _unnamed(self, given: Mapping[str, Any]) -> list[Problem]:
        url, native = given.get("meetingUrl"), given.get("nativeMeetingId")
        if isinstance(url, str) and self._parse(url, self._settings(given)) is None:
            return [Problem("meetingUrl", shown(url), f"for {self.name}: {self.forms}")]
        if url is None and native is None:
            allowed = f"for {self.name}: {self.forms}; or nativeMeetingId"
            return [Problem("meetingUrl", "(missing)", allowed)]
        if url is None and isinstance(native, str) and self.native(native, None, self._settings(given)) is None:
            allowed = f"for {self.name}: the id alone, as in {self.forms}; a whole link is a meetingUrl"
            return [Problem("nativeMeetingId", shown(native), allowed)]
        return []

    def _settings(self, given: Mapping[str, Any]) -> PageSettings:
        """As far as they are right; what is wrong with them is said by the model."""
        try:
            return self.settings_model.model_validate(given.get(self.name, {}))
        except ValueError:
            return self.settings_model()

    def _parse(self, url: str, settings: PageSettings) -> Link | None:
        """As `parse`, where settings widen what is ours."""
        return self.parse(url)

    def link(self, invitation: Invitation) -> Link:
        """The meeting that an invitation names. Raises EarshotError: ROOM_UNREACHABLE."""
        settings: PageSettings = invitation.settings or self.settings_model()
        if invitation.meeting_url is not None:
            found = self._parse(invitation.meeting_url, settings)
        else:
            found = self.native(invitation.native_meeting_id or "", invitation.passcode, settings)
        if found is None:
            raise EarshotError(SubCode.ROOM_UNREACHABLE, f"`meetingUrl` must be, for {self.name}: {self.forms}")
        return found

    def page_url(self, invitation: Invitation) -> str:
        """Where the meeting's page is opened."""
        settings: PageSettings = invitation.settings or self.settings_model()
        return self.link(invitation).url(settings.origin)

    def address(self, invitation: Invitation) -> str | None:
        """See `Platform.address`; at another origin, or behind a proxy, the page is none of the platform's hosts."""
        settings: PageSettings = invitation.settings or self.settings_model()
        if settings.origin is not None or invitation.browser.proxy is not None:
            return None
        return self.link(invitation).url()

    def prepare(self) -> None:
        """See `bot.platforms.base.Platform`: Playwright and numpy."""
        import bot.platforms.pages.attendance  # noqa: F401

    def site(self, invitation: Invitation) -> Site:
        """The meeting's page. Raises EarshotError: ROOM_UNREACHABLE."""
        url, passcode = self.page_url(invitation), self.link(invitation).passcode
        settings: PageSettings = invitation.settings or self.settings_model()
        return Site(self.name, self.title, url, settings, passcode, self.separates, self.probe)

    async def attend(self, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
        """See `bot.platforms.base.Platform`."""
        from bot.platforms.pages.attendance import attend

        return await attend(self.site(invitation), invitation, listener, orders)
