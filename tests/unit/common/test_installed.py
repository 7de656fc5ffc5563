"""Packages that an installation lacks."""

from __future__ import annotations

import pytest

from common.contracts.status import SubCode
from common.errors import EarshotError
from common.installed import needed


def test_a_package_that_is_missing_is_named_with_what_to_install() -> None:
    """An extra has it; the shell takes the words as they are."""
    with pytest.raises(EarshotError) as caught, needed("earshot room", "webrtc"):
        raise ModuleNotFoundError("No module named 'aiortc'", name="aiortc.codecs")
    assert caught.value.code is SubCode.NOT_INSTALLED
    assert "earshot room needs is not installed here (No module named 'aiortc')" in str(caught.value)
    assert "'.[webrtc]'" in str(caught.value)


def test_a_module_of_ours_that_is_missing_is_a_bug() -> None:
    """Nobody can install it; nor is a missing name known to be a package's."""
    for name in ("bot.gone", "common", None):
        with pytest.raises(ModuleNotFoundError), needed("earshot room", "webrtc"):
            raise ModuleNotFoundError("no", name=name)
