"""Examples that a property is tried on: few where somebody waits, many where CI does (`.ci/python`)."""

from __future__ import annotations

import os

EXAMPLES = int(os.environ.get("EARSHOT_EXAMPLES", "6"))
"""Of a property that costs a millisecond; dear ones take fewer, those with much to vary a multiple. They are the same
in each run: what one run finds, the next one finds again."""
MALFORMED = 250 * EXAMPLES
"""Values by chance, of one seed, that no reader may break on: 10,000 in `make check`, more in CI's other Pythons."""
