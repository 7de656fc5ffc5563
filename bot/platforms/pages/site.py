"""A site: what an attendance needs to know of the platform whose page it is in, and of the meeting."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.platforms.pages.settings import PageSettings


@dataclass(frozen=True, slots=True)
class Site:
    """One meeting of one platform.

    Args:
        name: Of the platform, as in the registry; of its folder and its pack.
        title: For people.
        url: Of the meeting's page; secrets may be in it.
        settings: The platform's own.
        passcode: That its link carries.
        separates: Whether each track of the page is one participant's, and the page says whose; else each is a mix.
        probe: File beside the pack: a JavaScript function of the window that reads the page's programming interface.
    """

    name: str
    title: str
    url: str = field(repr=False)
    settings: PageSettings
    passcode: str | None = field(default=None, repr=False)
    separates: bool = False
    probe: str | None = None
