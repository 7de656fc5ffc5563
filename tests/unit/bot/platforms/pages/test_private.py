"""Files that only the bot's user may read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.platforms.pages.private import write_private


@pytest.fixture(autouse=True)
def _everybody_may_read() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture(params=["new", "there"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file that is to be made, and one that was there for everybody."""
    path = tmp_path / "file"
    if request.param == "there":
        path.write_text("longer, and of the last time")
        path.chmod(0o644)
    return path


def test_nobody_else_can_read_it(path: Path) -> None:
    """What is in it is what was written, for us alone."""
    write_private(path, b"secret")
    assert path.read_bytes() == b"secret"
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_is_closed_to_others_before_a_word_is_in_it(path: Path) -> None:
    """A write that fails finds it closed already: so does whoever reads meanwhile."""
    with pytest.raises(TypeError):
        write_private(path, "no bytes")  # type: ignore[arg-type]
    assert path.stat().st_mode & 0o777 == 0o600
