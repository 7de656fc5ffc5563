"""`earshot doctor --url`: whose page a URL is, and how it is opened."""

from __future__ import annotations

import sys
from dataclasses import replace

from bot.config import BotConfig
from bot.doctor.findings import Finding
from bot.drivers.browser.settings import BrowserSettings
from bot.platforms import PLATFORMS, load
from bot.platforms.base import Invitation
from bot.platforms.destination import checked, destination_problem
from bot.platforms.pages import PagePlatform
from common.installed import needed
from common.problems import ConfigError, Problem, shown

EVIDENCE_DIR = "earshot-evidence"
BOT_NAME = "Earshot"


def invited(url: str, config: BotConfig | None, allow_no_sandbox: bool) -> tuple[PagePlatform, Invitation]:
    """The platform whose page the URL is, and an invitation to it, as the configuration says where there is one.

    Raises:
        ConfigError: It is none of a platform that is joined in a page, or none of the configuration's.
    """
    pages = {name: found for name in PLATFORMS if isinstance(found := load(name), PagePlatform)}
    if config is not None:
        name = config.platform
        invitation = replace(config.invitation(), meeting_url=url, native_meeting_id=None)
    else:
        name = next((name for name, page in pages.items() if page.claims(url)), "")
        browser = BrowserSettings(allow_no_sandbox=allow_no_sandbox)
        invitation = Invitation(url, "doctor", BOT_NAME, browser=browser)
    page = pages.get(name)
    if page is None:
        forms = "; ".join(f"{found.title}: {found.forms}" for found in pages.values())
        raise ConfigError([Problem("--url", shown(url), f"a meeting's page. {forms}")])
    given = {"meetingUrl": url} | ({name: invitation.settings.model_dump(by_alias=True)} if invitation.settings else {})
    wrong = [*page.problems(given), *filter(None, [destination_problem(page, url)])]
    if wrong:
        raise ConfigError([replace(wrong[0], path="--url")])
    return page, invitation


async def look_at(
    url: str, config: BotConfig | None, *, join: bool, evidence: str | None, allow_no_sandbox: bool
) -> list[Finding]:
    """What is found in the page.

    Raises:
        ConfigError: See `invited`.
        EarshotError: NOT_INSTALLED.
    """
    page, invitation = invited(url, config, allow_no_sandbox)
    with needed("earshot doctor --url", "browser"):
        from bot.doctor.page import examine_page, with_evidence

    sys.stderr.write(f"Looking at the page of {page.title}, which takes up to a minute.\n")
    invitation = with_evidence(await checked(page, invitation), evidence or EVIDENCE_DIR)
    return await examine_page(page, invitation, join=join)
