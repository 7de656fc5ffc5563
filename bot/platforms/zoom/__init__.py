"""Zoom, in its web client. Guide: docs/zoom.md; example: configs/zoom.example.jsonc."""

from __future__ import annotations

from bot.platforms.pages import PagePlatform
from bot.platforms.pages.links import Link
from bot.platforms.pages.settings import PageSettings
from bot.platforms.zoom.links import HOSTS, native, parse


class ZoomSettings(PageSettings):
    """How a meeting of Zoom is attended."""


class Zoom(PagePlatform):
    """The platform `zoom`: everybody in one mix, and its page shows who speaks."""

    name = "zoom"
    title = "Zoom"
    forms = "https://zoom.us/j/1234567890?pwd=… of any host below zoom.us"
    hosts = HOSTS
    sign_in_url = "https://zoom.us/signin"
    settings_model = ZoomSettings

    def parse(self, url: str) -> Link | None:
        """See `PagePlatform`."""
        return parse(url)

    def native(self, meeting_id: str, passcode: str | None, settings: PageSettings) -> Link | None:
        """See `PagePlatform`; the passcode is typed."""
        return native(meeting_id)
