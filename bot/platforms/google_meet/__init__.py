"""Google Meet, in its web page. Guide: docs/google_meet.md; example: configs/google_meet.example.jsonc."""

from __future__ import annotations

from bot.platforms.base import Invitation
from bot.platforms.google_meet.links import HOST, native, parse
from bot.platforms.pages import PagePlatform
from bot.platforms.pages.links import Link
from bot.platforms.pages.settings import PageSettings


class GoogleMeetSettings(PageSettings):
    """How a meeting of Google Meet is attended."""


class GoogleMeet(PagePlatform):
    """The platform `google_meet`: three tracks that carry voices by turns."""

    name = "google_meet"
    title = "Google Meet"
    forms = "https://meet.google.com/abc-defg-hij"
    hosts = (HOST,)
    sign_in_url = "https://accounts.google.com/ServiceLogin"
    settings_model = GoogleMeetSettings

    def parse(self, url: str) -> Link | None:
        """See `PagePlatform`."""
        return parse(url)

    def native(self, meeting_id: str, passcode: str | None, settings: PageSettings) -> Link | None:
        """See `PagePlatform`."""
        return native(meeting_id)

    def page_url(self, invitation: Invitation) -> str:
        """In the language of the browser, whatever the network's country is."""
        settings: PageSettings = invitation.settings or self.settings_model()
        language = invitation.browser.locale.partition("-")[0]
        return self.link(invitation).url(settings.origin, hl=language)
