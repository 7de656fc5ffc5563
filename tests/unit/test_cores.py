"""How workers share the cores."""

from __future__ import annotations

import threading
from pathlib import Path

from tests.support.cores import Cores


def test_what_one_has_the_other_waits_for(tmp_path: Path) -> None:
    """And who wants more than there is gets all of it."""
    ours, theirs = Cores(tmp_path / "cores", 1.0), Cores(tmp_path / "cores", 1.0)
    entered = threading.Event()

    def want(cores: float) -> None:
        with theirs.taken(cores):
            entered.set()

    with ours.taken(0.6):
        with theirs.taken(0.4), ours.taken(0.0):
            pass
        waiting = threading.Thread(target=want, args=(7.0,))
        waiting.start()
        assert not entered.wait(0.1)
    assert entered.wait(10)
    waiting.join()
    ours.close()
    theirs.close()
