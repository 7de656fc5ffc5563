"""Microsoft Teams: the contract suite, through real Chromium on an imitation of its page."""

from __future__ import annotations

from tests.platforms.page_contract import BY_ONE_DRIVER, MixContract

pytestmark = BY_ONE_DRIVER


class TestTeams(MixContract):
    """The contract suite."""

    platform = "teams"
