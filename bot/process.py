"""The process of one bot: signals in, exit code out, and the hard way out where something will not let go."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import structlog

from bot.config import BotConfig
from bot.core.events import Finish
from bot.health_endpoint import health_port
from bot.platforms import load
from bot.runner import Bot
from common.contracts.status import MEANINGS, SubCode
from common.destinations.guard import GuardedLoop
from common.logging import drain_log

log = structlog.get_logger(__name__)


def run(config: BotConfig) -> int:
    """Attends one meeting; returns the exit code.

    A process that something in it will not let go of (a thread in a DNS lookup, a task that refuses to be cancelled)
    ends all the same, by the hard way, once everything is said.

    Raises:
        ConfigError: The environment is wrong; nothing has begun.
    """
    health_port(os.environ)
    loop = GuardedLoop()
    code = _outlive(loop, loop.run_until_complete(_bot(config)))
    exit_code = MEANINGS[code].exit_code
    if asyncio.all_tasks(loop) or any(not thread.daemon for thread in threading.enumerate()[1:]):
        drain_log()
        os._exit(exit_code)
    loop.close()
    return exit_code


async def _bot(config: BotConfig) -> Bot:
    """The bot, with SIGINT and SIGTERM as orders to leave."""
    bot = Bot(config, load(config.platform))
    loop = asyncio.get_running_loop()
    for number, code in ((signal.SIGINT, SubCode.INTERRUPTED), (signal.SIGTERM, SubCode.TERMINATED)):
        loop.add_signal_handler(number, bot.stop, code)
    return bot


def _outlive(loop: asyncio.AbstractEventLoop, bot: Bot) -> SubCode:
    """Runs the bot to its end and says why it ended.

    SystemExit and KeyboardInterrupt stop a loop, whichever task or callback raises them: it goes on, to end in order.
    """
    ended = Finish(SubCode.INTERNAL_ERROR, "a bug in the bot, see the log")
    life = loop.create_task(bot.attend())
    while not life.done():
        try:
            ended = loop.run_until_complete(life)
        except BaseException as error:
            log.error("bot.bug", task="event loop", exc_info=error)
            loop.call_soon(bot.fail, ended.code, ended.detail)
    meaning = MEANINGS[ended.code]
    level = log.info if meaning.completed else log.error
    level("bot.ended", code=ended.code, exit_code=meaning.exit_code, detail=ended.detail, remedy=meaning.remedy)
    return ended.code
