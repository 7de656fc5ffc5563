"""The contract suite's assertions explain themselves as those of test files do."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.platforms.contract", "tests.support.listener")
