"""A look for somebody else's collector: one that takes every number for a meeting of its own."""

from __future__ import annotations

from contextlib import suppress

import structlog

from common.contracts.keys import SEGMENT_STREAM
from common.redis import FAILURES, address, connect

GROUP = "collector_group"
"""The consumer group of managers' collectors, in every generation."""

log = structlog.get_logger(__name__)


async def warn_of_collector(url: str, meeting_id: int | str) -> None:
    """Warns where a manager's collector reads our stream, and no manager has given us our number.

    v0.10 stores every meeting's segments in one transaction: a number that is no row of its database keeps all of them
    from being stored, those of other meetings too, until the stray one has expired.

    Args:
        url: Of Redis. What cannot be asked there is not said: somebody else finds out that it does not answer.
        meeting_id: Ours.
    """
    if not isinstance(meeting_id, int):
        return
    client = connect(url)
    groups = []
    with suppress(*FAILURES):
        groups = [str(group["name"]) for group in await client.xinfo_groups(SEGMENT_STREAM)]
    with suppress(*FAILURES):
        await client.aclose()
    if GROUP in groups:
        log.warning(
            "redis.collector_found",
            redis=address(url),
            meeting_id=meeting_id,
            advice="a manager's collector reads this Redis and takes a number for a row of its database; "
            "one that is none stops it: use a text as meeting_id, or another Redis (docs/managers.md)",
        )
