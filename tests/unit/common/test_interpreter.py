"""The command of another of our programs."""

from __future__ import annotations

import os
import sys

import pytest

from common.interpreter import module_command


def test_the_current_folder_is_searched_only_where_it_is_for_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed program does not take modules from wherever it is started; one in a checkout does."""
    for first, safe in (("/usr/bin", True), (os.getcwd(), False), ("", False)):
        monkeypatch.setattr(sys, "path", [first, *sys.path[1:]])
        command = module_command("rehearsal", "room", "x.json")
        assert command == (sys.executable, *(["-P"] if safe else []), "-m", "rehearsal", "room", "x.json")
