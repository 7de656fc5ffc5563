"""Each registered platform is there, tested against the contract, and alone in its URLs."""

from __future__ import annotations

from bot.platforms import PLATFORMS, load
from tests.support.source import ROOT

URLS = {
    "livekit": ["wss://meet.example.com", "ws://livekit:7880"],
    "rehearsal": ["rehearsal+ws://127.0.0.1:8765", "rehearsal:configs/meeting.json"],
}


def test_every_platform_has_its_file_its_test_and_its_urls() -> None:
    """One file, one registry line, one test."""
    assert set(URLS) == set(PLATFORMS)
    for name, target in PLATFORMS.items():
        assert target.startswith(f"bot.platforms.{name}.")
        test = (ROOT / "tests" / "platforms" / f"test_{name}.py").read_text(encoding="utf-8")
        assert "contract" in test


def test_no_two_platforms_claim_one_url() -> None:
    """A meeting URL belongs to exactly one platform."""
    for owner, urls in URLS.items():
        for url in urls:
            assert [name for name in PLATFORMS if load(name).claims(url)] == [owner], url
