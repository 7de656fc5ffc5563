"""Microsoft Teams, in its web page. Guide: docs/teams.md; example: configs/teams.example.jsonc."""

from __future__ import annotations

from bot.platforms.pages import PagePlatform
from bot.platforms.pages.links import Link
from bot.platforms.pages.settings import PageSettings
from bot.platforms.teams.links import HOSTS, native, parse


class TeamsSettings(PageSettings):
    """How a meeting of Teams is attended."""


class Teams(PagePlatform):
    """The platform `teams`: everybody in one mix, and its page shows who speaks."""

    name = "teams"
    title = "Microsoft Teams"
    forms = "https://teams.microsoft.com/meet/1234567890123?p=…, …/l/meetup-join/… or https://teams.live.com/meet/…"
    hosts = HOSTS
    sign_in_url = "https://teams.microsoft.com/"
    settings_model = TeamsSettings

    def parse(self, url: str) -> Link | None:
        """See `PagePlatform`."""
        return parse(url)

    def native(self, meeting_id: str, passcode: str | None, settings: PageSettings) -> Link | None:
        """See `PagePlatform`; the passcode is part of the page's URL."""
        return native(meeting_id, passcode)
