"""The process of one bot: signals in, exit code out, and the hard way out where something will not let go."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading

import structlog

from bot.config import BotConfig
from bot.health_endpoint import health_port
from bot.platforms import load
from bot.runner import Bot
from common.contracts.status import MEANINGS, SubCode

log = structlog.get_logger(__name__)


def run(config: BotConfig) -> int:
    """Attends one meeting; returns the exit code.

    A process that something in it will not let go of (a thread in a DNS lookup, a task that refuses to be cancelled)
    ends all the same, by the hard way, once everything is said.

    Raises:
        ConfigError: The environment is wrong; nothing has begun.
    """
    health_port(os.environ)
    loop = asyncio.new_event_loop()
    code = loop.run_until_complete(_supervised(config))
    exit_code = MEANINGS[code].exit_code
    if asyncio.all_tasks(loop) or any(not thread.daemon for thread in threading.enumerate()[1:]):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)
    loop.close()
    return exit_code


async def _supervised(config: BotConfig) -> SubCode:
    """Runs the bot, with SIGINT and SIGTERM as orders to leave, and says why it ended."""
    bot = Bot(config, load(config.platform))
    loop = asyncio.get_running_loop()
    for number, code in ((signal.SIGINT, SubCode.INTERRUPTED), (signal.SIGTERM, SubCode.TERMINATED)):
        loop.add_signal_handler(number, bot.stop, code)
    ended = await bot.attend()
    meaning = MEANINGS[ended.code]
    level = log.info if meaning.completed else log.error
    level("bot.ended", code=ended.code, exit_code=meaning.exit_code, detail=ended.detail, remedy=meaning.remedy)
    return ended.code
