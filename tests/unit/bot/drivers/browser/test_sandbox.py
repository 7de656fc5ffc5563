"""Reading what the kernel says about a process; the check itself runs in a container (tests/docker)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bot.drivers.browser.sandbox import Confinement, confinement, is_sandboxed

OURS = Confinement(pid=7, pid_namespaces=1, seccomp_filters=1, capabilities=0)
RENDERER = Confinement(pid=69, pid_namespaces=3, seccomp_filters=2, capabilities=0)


def test_it_reads_a_status_file() -> None:
    """The fields of proc_pid_status(5), among others."""
    text = "Name:\tx\nPid:\t69\nNSpid:\t69\t2\t1\nCapEff:\t00000000a80425fb\nSeccomp:\t2\nSeccomp_filters:\t2\n"
    assert confinement(text) == replace(RENDERER, capabilities=0xA80425FB)


def test_it_reads_the_file_of_this_kernel() -> None:
    """A real one."""
    assert confinement(Path("/proc/self/status").read_text()).pid_namespaces >= 1


@pytest.mark.parametrize(
    ("renderer", "confined"),
    [(RENDERER, True), (replace(RENDERER, pid_namespaces=1), False), (replace(RENDERER, seccomp_filters=1), False)],
)
def test_a_container_alone_is_no_sandbox(renderer: Confinement, confined: bool) -> None:
    """The renderer needs a namespace and a filter beyond those that hold for us."""
    assert is_sandboxed(renderer, OURS) is confined
