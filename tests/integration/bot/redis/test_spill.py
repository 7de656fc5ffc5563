"""The spill file: first in, first out, bounded, and honest about a disk that takes nothing."""

from __future__ import annotations

import errno
import os
import tempfile
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.links.redis.link import RedisLink
from bot.links.redis.spill import Spill
from common.contracts.status import SubCode
from common.errors import EarshotError


@given(st.lists(st.one_of(st.text(max_size=20), st.none()), max_size=60))
def test_what_goes_in_comes_out_in_order(steps: list[str | None]) -> None:
    """Texts are put in, None takes one out: a queue, whatever the order; its file is empty when the queue is."""
    spill, queue = Spill(Path(tempfile.gettempdir())), deque[tuple[str, float]]()
    for number, text in enumerate(steps):
        if text is not None:
            assert spill.put(text, number)
            queue.append((text, number))
        elif queue:
            assert spill.take() == queue.popleft()
        assert len(spill) == len(queue)
    while queue:
        assert spill.take() == queue.popleft()
    with pytest.raises(IndexError):
        spill.take()
    spill.close()


def test_a_full_file_refuses_and_takes_again_once_it_is_empty(tmp_path: Path) -> None:
    """What it holds stays; the reason is there while the last payload was refused."""
    spill = Spill(tmp_path, max_bytes=50)
    assert [spill.put("x" * 20, 0.0), spill.put("y" * 20, 0.0)] == [True, False]
    assert "50 bytes" in spill.problem
    assert spill.take() == ("x" * 20, 0.0)
    assert spill.put("z", 1.0)
    assert (spill.problem, spill.take()) == ("", ("z", 1.0))
    spill.close()


@pytest.mark.parametrize("is_partial", [True, False])
def test_a_full_disk_spoils_nothing(is_partial: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a record, or an error: refused, with the reason; the next one is written over what is there of it."""
    spill = Spill(tmp_path)
    write = os.pwrite

    def fail(descriptor: int, data: bytes, offset: int) -> int:
        if is_partial:
            return write(descriptor, data[:3], offset)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert spill.put("before", 0.0)
    with monkeypatch.context() as disk:
        disk.setattr(os, "pwrite", fail)
        assert not spill.put("lost", 1.0)
    assert "space left" in spill.problem
    assert spill.put("after", 2.0)
    assert [spill.take()[0], spill.take()[0]] == ["before", "after"]
    spill.close()


async def test_a_folder_that_cannot_be_used_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    """Said at the start, with the setting, and not when memory is full."""
    with pytest.raises(EarshotError, match=r"redis\.spillDir") as caught:
        await RedisLink("redis://127.0.0.1:1", "bot", 1, spill_dir=str(tmp_path / "nowhere")).open()
    assert caught.value.code is SubCode.CONFIG_INVALID
