"""Leave rules: those that a configuration asks for, as the state machine takes them."""

from __future__ import annotations

from dataclasses import replace

from bot.config import BotConfig
from bot.core.leave import LeaveSettings


def leave_settings(config: BotConfig) -> LeaveSettings:
    """The leave rules that the configuration asks for, in seconds."""
    rules = config.automatic_leave
    always = LeaveSettings(
        lobby=rules.waiting_room_timeout / 1000,
        no_one_joined=None,
        everyone_left=None,
        cap=config.max_duration_ms / 1000,
    )
    if not rules.enabled:
        return always
    return replace(
        always,
        no_one_joined=rules.no_one_joined_timeout / 1000,
        everyone_left=rules.everyone_left_timeout / 1000,
        total=None if rules.timeout is None else rules.timeout / 1000,
    )
