"""The process of one bot: signals in, exit code out, and the hard way out where something will not let go."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from types import FrameType

import structlog

from bot.config import BotConfig
from bot.core.effects import Finish
from bot.health_endpoint import health_port
from bot.platforms import load
from bot.runner import SHUTDOWN_S, Bot
from bot.watchdog import BEAT_INTERVAL_S, Watchdog, leave
from common.contracts.status import MEANINGS, SubCode
from common.destinations.guard import GuardedLoop
from common.logging import drain_log

END_TIMEOUT_S = SHUTDOWN_S + 0.2
"""From a signal to the end, whatever the event loop does: 5 s in all, of which the watchdog needs some."""
SIGNALS = {signal.SIGINT: SubCode.INTERRUPTED, signal.SIGTERM: SubCode.TERMINATED}

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
    bot, watchdog = loop.run_until_complete(_bot(config)), Watchdog()
    _heed_signals(loop, bot, watchdog)
    _beat(loop, watchdog)
    watchdog.start()
    code = _outlive(loop, bot)
    exit_code = MEANINGS[code].exit_code
    if asyncio.all_tasks(loop) or any(not thread.daemon for thread in threading.enumerate()[1:]):
        drain_log()
        os._exit(exit_code)
    loop.close()
    return exit_code


async def _bot(config: BotConfig) -> Bot:
    return Bot(config, load(config.platform))


def _heed_signals(loop: asyncio.AbstractEventLoop, bot: Bot, watchdog: Watchdog) -> None:
    """SIGINT and SIGTERM are orders to leave; the second one is an end at once.

    Not `loop.add_signal_handler`, which a stuck loop never looks at. A handler may come in the middle of anything, a
    log line too: what takes locks is left to a thread.
    """
    heard: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        code = SIGNALS[signal.Signals(number)]
        if heard:
            threading.Thread(target=leave, args=(MEANINGS[code].exit_code,), daemon=True).start()
            return
        heard.append(number)
        watchdog.expect_end(END_TIMEOUT_S)
        loop.call_soon_threadsafe(bot.stop, code)

    for number in SIGNALS:
        signal.signal(number, on_signal)


def _beat(loop: asyncio.AbstractEventLoop, watchdog: Watchdog) -> None:
    watchdog.beat()
    loop.call_later(BEAT_INTERVAL_S, _beat, loop, watchdog)


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
