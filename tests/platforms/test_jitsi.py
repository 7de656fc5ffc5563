"""Jitsi Meet: the contract suite, through real Chromium on an imitation of its page."""

from __future__ import annotations

from tests.platforms.page_contract import BY_ONE_DRIVER, PageContract

pytestmark = BY_ONE_DRIVER


class TestJitsi(PageContract):
    """The contract suite."""

    platform = "jitsi"
