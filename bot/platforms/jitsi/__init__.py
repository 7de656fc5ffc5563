"""Jitsi Meet, in its web page. Guide: docs/jitsi.md; example: configs/jitsi.example.jsonc."""

from __future__ import annotations

import json
import re
from typing import Annotated, cast
from urllib.parse import quote

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from bot.platforms.base import Invitation
from bot.platforms.jitsi.links import PUBLIC_HOSTS, native, parse
from bot.platforms.pages import PagePlatform
from bot.platforms.pages.links import Link
from bot.platforms.pages.settings import PageSettings

_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*")


def _check_host(host: str) -> str:
    if not _HOST.fullmatch(host):
        raise PydanticCustomError("host", "a host such as meet.example.com, without scheme or port (see `origin`)")
    return host


Host = Annotated[str, AfterValidator(_check_host)]


class JitsiSettings(PageSettings):
    """How a meeting of Jitsi Meet is attended."""

    hosts: tuple[Host, ...] = Field(
        default=(),
        max_length=32,
        description="Servers of one's own whose rooms are joined, too; the first by id alone.",
    )


class Jitsi(PagePlatform):
    """The platform `jitsi`: a track for each participant, and the page's own interface says whose it is."""

    name = "jitsi"
    title = "Jitsi Meet"
    forms = f"https://host/Room or https://host/tenant/Room at {' or '.join(PUBLIC_HOSTS)}, or a host of jitsi.hosts"
    settings_model = JitsiSettings
    separates = True
    probe = "interface.js"

    def parse(self, url: str) -> Link | None:
        """See `PagePlatform`; rooms of public servers."""
        return parse(url)

    def _parse(self, url: str, settings: PageSettings) -> Link | None:
        return parse(url, (*PUBLIC_HOSTS, *cast(JitsiSettings, settings).hosts))

    def native(self, meeting_id: str, passcode: str | None, settings: PageSettings) -> Link | None:
        """See `PagePlatform`; a room of the first of one's own servers, else of the public one."""
        return native(meeting_id, (*cast(JitsiSettings, settings).hosts, PUBLIC_HOSTS[0])[0])

    def page_url(self, invitation: Invitation) -> str:
        """With our name, nothing of ours switched on and no video asked for, as the page takes it from its URL."""
        settings: PageSettings = invitation.settings or self.settings_model()
        name = quote(json.dumps(invitation.bot_name))
        wishes = (
            *(f"config.{one}=true" for one in ("startWithAudioMuted", "startWithVideoMuted", "startAudioOnly")),
            f"userInfo.displayName={name}",
        )
        return f"{self.link(invitation).url(settings.origin)}#{'&'.join(wishes)}"
