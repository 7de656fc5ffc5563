"""Each pure module has a unit test module of its own (its coverage is measured by `make check`)."""

from __future__ import annotations

import pytest

from tests.architecture.test_arrows import PURE, is_inside
from tests.support.source import ROOT, functions, modules


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, tree in modules().items()
        if any(is_inside(name, pure) for pure in PURE) and any(functions(tree))  # dataclasses alone have no behaviour
    ],
)
def test_a_pure_module_has_its_own_test(name: str) -> None:
    """bot/audio/x.py is tested by tests/unit/bot/audio/test_x.py."""
    *folders, last = name.split(".")
    assert (ROOT / "tests" / "unit" / "/".join(folders) / f"test_{last}.py").is_file()
