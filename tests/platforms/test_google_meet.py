"""Google Meet: the contract suite, through real Chromium on an imitation of its page."""

from __future__ import annotations

from tests.platforms.contract import Attending
from tests.platforms.page_contract import BROWSER, MixContract

pytestmark = BROWSER


class TestGoogleMeet(MixContract):
    """The contract suite."""

    platform = "google_meet"
    names_identify = False

    def owns(self, bot: Attending, *who: str) -> bool:
        """Its streams are nobody's until it is known whose voices they carry, which takes turns."""
        return set(bot.listener.owner.values()) == {None}
