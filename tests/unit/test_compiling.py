"""How workers compile the tests once."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from tests.support.compiling import are_compiled, by_one


def compile_one(tests: Path, name: str) -> None:
    """As pytest does."""
    (tests / "__pycache__").mkdir(exist_ok=True)
    (tests / "__pycache__" / f"{name}.{sys.implementation.cache_tag}-pytest-9.0.pyc").touch()


def test_others_wait_for_the_first(tmp_path: Path) -> None:
    """And then go on together; where tests are compiled already nobody waits."""
    (tmp_path / "test_a.py").touch()
    lock, entered, everybody = tmp_path / "lock", threading.Event(), threading.Barrier(3)

    def collect() -> None:
        with by_one(tmp_path, lock):
            entered.set()
            everybody.wait(10)

    others = [threading.Thread(target=collect) for _ in range(2)]
    with by_one(tmp_path, lock):
        for other in others:
            other.start()
        assert not entered.wait(0.1)
        compile_one(tmp_path, "test_a")
        with by_one(tmp_path, lock):
            pass
    everybody.wait(10)
    for other in others:
        other.join()


def test_compiled_is_what_this_python_has_compiled_most_of(tmp_path: Path) -> None:
    """That of other versions, and what no test is, does not count."""
    for name in ("test_a", "test_b", "test_c", "conftest"):
        (tmp_path / f"{name}.py").touch()
    compile_one(tmp_path, "test_a")
    compile_one(tmp_path, "conftest")
    (tmp_path / "__pycache__" / "test_b.cpython-999-pytest-9.0.pyc").touch()
    assert not are_compiled(tmp_path)
    compile_one(tmp_path, "test_b")
    assert are_compiled(tmp_path)
