"""Our transcriber with an engine that costs what Whisper base costs: `our_server.py PORT HTTP_PORT CLIENTS`."""

from __future__ import annotations

import asyncio
import sys

from common.logging import configure_logging
from transcriber.config import Settings
from transcriber.service import run


def main(port: str, http_port: str, clients: str) -> None:
    """Serves until SIGTERM. All options but these as the command line has them."""
    configure_logging("warning")
    engine = "bench.transcriber.base_shape:load"
    asyncio.run(run(Settings(port=int(port), http_port=int(http_port), max_clients=int(clients), engine=engine)))


if __name__ == "__main__":
    main(*sys.argv[1:])
