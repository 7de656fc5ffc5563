"""The interpreter that we run in, as the command of another of our programs."""

from __future__ import annotations

import os
import sys


def module_command(module: str, *arguments: str) -> tuple[str, ...]:
    """`python -m MODULE ARGUMENTS` that finds the modules which we find.

    The current folder is searched only where it is for us, as in a checkout: a stranger's file in it must not take the
    place of a module.
    """
    unsafe = sys.path[0] in ("", os.getcwd())
    return (sys.executable, *(() if unsafe else ("-P",)), "-m", module, *arguments)
