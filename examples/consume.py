"""Reads finals from Redis as a service would: a consumer group, acknowledged after the work, nothing lost on a crash.

    python examples/consume.py redis://localhost:6379

Delivery is at least once: a crash between the work and the acknowledgement brings an entry again, so store segments
under their `segment_id`. Start several with different --name to share the work. Exit codes: 2 the URL is wrong,
3 Redis cannot be reached or says no; started again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from typing import Any

import redis

STREAM, GROUP = "transcription_segments", "example"


def work(payload: dict[str, Any]) -> int:
    """Prints a payload's finals; returns how many there were."""
    segments = payload.get("segments", [])
    for segment in segments:
        print(
            f"{payload['meeting_id']} [{segment['start']}] {segment['speaker']}: {segment['text'].strip()}", flush=True
        )
    return len(segments)


def main() -> int:
    """Reads until interrupted, or until `--stop-after` finals; returns the exit code."""
    parser = argparse.ArgumentParser(description="Read Earshot's finals from Redis.")
    parser.add_argument("url", nargs="?", default="redis://localhost:6379")
    parser.add_argument("--name", default="consumer-1", help="unique per process")
    parser.add_argument("--stop-after", type=int, default=0, metavar="N", help="end after N finals")
    options = parser.parse_args()
    try:
        client = redis.Redis.from_url(options.url, decode_responses=True)
    except ValueError:  # its words may have the password
        print("The URL must be redis://[:password@]host:port[/db], rediss://… or unix:///path", file=sys.stderr)
        return 2
    try:
        read(client, options.name, options.stop_after)
    except redis.RedisError as error:
        why = str(error).rstrip(".")
        print(f"Redis cannot be read ({why}): is it up, and are the URL and its password right?", file=sys.stderr)
        return 3
    finally:
        client.close()
    return 0


def read(client: Any, name: str, stop_after: int) -> None:
    """Reads as the consumer `name` of the group. Raises redis.RedisError."""
    try:
        client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    except redis.ResponseError as error:
        if "BUSYGROUP" not in str(error):  # the group exists: go on where it was
            raise
    finals = 0
    position = "0"  # first what we were given before a crash and never acknowledged, then (">") what is new
    while not (stop_after and finals >= stop_after):
        answer: Any = client.xreadgroup(GROUP, name, {STREAM: position}, count=100, block=1000)
        entries = answer[0][1] if answer else []
        if position == "0" and not entries:
            position = ">"
        for entry_id, fields in entries:
            finals += work(json.loads(fields["payload"]))
            client.xack(STREAM, GROUP, entry_id)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
