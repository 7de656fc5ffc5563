"""Redis link of one bot: stores what it says and brings what it is told, as its configuration wants it."""

from __future__ import annotations

from collections.abc import Callable

from bot.config import BotConfig, read_command
from bot.core import effects as fx
from bot.core import events as ev
from bot.links.redis.link import RedisLink
from bot.links.redis.retention import Retention


def redis_link(
    config: BotConfig,
    receive: Callable[[ev.Event], None],
    report: Callable[[fx.ReportHealth], None],
    on_stored: Callable[[float], None],
) -> RedisLink:
    """The link that stores, and that commands come from; `receive` hears of them, and how it fares.

    `report` hears what Redis has lost.
    """
    lost = "finals and session marks that Redis had stored are gone from it: check its persistence"
    return RedisLink(
        config.redis_url.get_secret_value(),
        config.connection_id,
        config.meeting_id,
        platform=config.platform,
        container_name=config.container_name,
        on_command=lambda message: receive(read_command(message)),
        spill_dir=config.redis.spill_dir,
        retention=Retention(config.redis.keep_entries, config.redis.keep_hours),
        on_change=lambda up, detail: receive(ev.LinkChanged("redis", up, detail)),
        on_full=lambda full, detail: receive(ev.LinkChanged("outbox", not full, detail)),
        on_stored=on_stored,
        on_gone=lambda entries: report(fx.ReportHealth("gap:redis", False, f"{entries} {lost}")),
    )
