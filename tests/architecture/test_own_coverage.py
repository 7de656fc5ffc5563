"""Each pure module has a unit test module of its own (its coverage is measured by `make check`)."""

from __future__ import annotations

from tests.architecture.test_arrows import PURE, is_inside
from tests.support.source import ROOT, functions, modules


def test_a_pure_module_has_its_own_test() -> None:
    """bot/audio/x.py is tested by tests/unit/bot/audio/test_x.py; dataclasses alone have no behaviour."""
    missing = []
    for name, tree in modules().items():
        *folders, last = name.split(".")
        own = ROOT / "tests" / "unit" / "/".join(folders) / f"test_{last}.py"
        if any(is_inside(name, pure) for pure in PURE) and functions(tree) and not own.is_file():
            missing.append(name)
    assert not missing
