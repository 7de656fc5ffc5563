"""Jitsi Meet: the contract suite, through real Chromium on an imitation of its page."""

from __future__ import annotations

from tests.platforms.page_contract import BROWSER, PageContract

pytestmark = BROWSER


class TestJitsi(PageContract):
    """The contract suite."""

    platform = "jitsi"
