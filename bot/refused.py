"""A configuration that cannot be used: the manager that wrote it is told so, where it says how it can be reached.

Without that, a manager waits for its bot for minutes, and one of v0.6 for ever.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from bot.config.sources import parse
from bot.settings import forbidden, is_url
from common.contracts.events import StatusEvent
from common.contracts.generations import CallbackTarget, callback_target
from common.contracts.status import State
from common.contracts.times import iso_utc
from common.destinations.guard import GuardedLoop
from common.problems import ConfigError
from common.redact import SECRET_KEYS, Redactor

TELL_TIMEOUT_S = 4.0
"""For telling it; then the process ends all the same."""


def tell_manager(text: str, error: ConfigError) -> None:
    """Says `failed`, because of the configuration, to the manager that it names; nothing where it names none."""
    try:
        raw = parse(text)
    except ConfigError:  # nobody can be found in it
        return
    target = _target(raw)
    connection_id = raw.get("connectionId")
    if target is None or not isinstance(connection_id, str) or not connection_id:
        return
    with asyncio.Runner(loop_factory=GuardedLoop) as runner:
        runner.run(_tell(target, raw, connection_id, error))


def _target(raw: dict[str, Any]) -> CallbackTarget | None:
    def usable(key: str) -> str | None:
        url = raw.get(key)
        return url if isinstance(url, str) and is_url(url, "http", "https") and not forbidden(url) else None

    return callback_target(usable("botManagerCallbackUrl"), usable("meetingApiCallbackUrl"))


async def _tell(target: CallbackTarget, raw: dict[str, Any], connection_id: str, error: ConfigError) -> None:
    from bot.links.callbacks import CallbackLink

    secret, container = raw.get("internalSecret"), raw.get("container_name")
    secrets = [value for key, value in raw.items() if key.lower() in SECRET_KEYS and isinstance(value, str)]
    link = CallbackLink(target, secret if isinstance(secret, str) and secret.isascii() else None, secrets)
    event = StatusEvent(
        connection_id=connection_id,
        meeting_id=connection_id,
        container_name=container if isinstance(container, str) else None,
        status=State.FAILED,
        timestamp=iso_utc(time.time()),
        detail=str(error),
        code=error.code,
    )
    link.status(Redactor(secrets).document(event.as_json()))
    await link.flush(TELL_TIMEOUT_S)
    await link.close()
