"""Imports without what is only there by chance."""

from __future__ import annotations

import sys

import pytest

from common.imports import without


def leave_out_and_fail(*names: str) -> None:
    """A block that ends with an error."""
    with without(*names):
        for name in names:
            with pytest.raises(ModuleNotFoundError):
                __import__(name)
        raise ZeroDivisionError


def test_what_is_left_out_is_not_to_be_had_and_is_as_before_afterwards() -> None:
    """Also where it was imported already; and where the block fails."""
    import colorsys

    sys.modules.pop("this", None)
    with pytest.raises(ZeroDivisionError):
        leave_out_and_fail("colorsys", "this")
    assert sys.modules["colorsys"] is colorsys
    assert "this" not in sys.modules
