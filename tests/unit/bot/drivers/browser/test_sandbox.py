"""Reading what the kernel says about a process; the check itself runs in a container (tests/docker)."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bot.drivers.browser.sandbox import (
    ADVICE,
    NO_CHROMIUM,
    NO_PLAYWRIGHT,
    NO_SCREEN,
    NO_START,
    ROOT,
    Confinement,
    SandboxError,
    confinement,
    find_chromium,
    is_sandboxed,
    is_shell,
    main,
    not_started,
)

OURS = Confinement(pid=7, pid_namespaces=1, seccomp_filters=1, capabilities=0)
RENDERER = Confinement(pid=69, pid_namespaces=3, seccomp_filters=2, capabilities=0)


def test_it_reads_a_status_file() -> None:
    """The fields of proc_pid_status(5), among others."""
    text = "Name:\tx\nPid:\t69\nNSpid:\t69\t2\t1\nCapEff:\t00000000a80425fb\nSeccomp:\t2\nSeccomp_filters:\t2\n"
    assert confinement(text) == replace(RENDERER, capabilities=0xA80425FB)


def test_it_reads_the_file_of_this_kernel() -> None:
    """A real one."""
    assert confinement(Path("/proc/self/status").read_text()).pid_namespaces >= 1


def test_a_kernel_that_says_too_little() -> None:
    """Before Linux 5.9 the filters are not counted: said, since the check cannot be made there."""
    with pytest.raises(SandboxError, match=r"does not say 'Seccomp_filters'.*Linux 5\.9") as caught:
        confinement("Pid:\t69\nNSpid:\t69\nCapEff:\t00\n")
    assert caught.value.exit_code == 2


ENDED = (
    "BrowserType.launch: Target page, context or browser has been closed\nBrowser logs:\n<launching> x --no-sandbox\n"
)
FATAL = "[1:1:FATAL:zygote_host_impl_linux.cc(126)] No usable sandbox!"
LIBRARY = "chrome: error while loading shared libraries: libnss3.so"


@pytest.mark.parametrize(
    ("said", "allowed", "code", "advice", "why"),
    [
        (f"{ENDED}[pid=7][err] DBus is missing\n[pid=7][err] {FATAL}\n", False, 1, ADVICE, FATAL),
        (f"{ENDED}[pid=7][err] {LIBRARY}\n", False, 2, NO_START, LIBRARY),
        (f"{ENDED}[pid=7][err] {FATAL}\n", True, 2, NO_START, FATAL),
        (ENDED, False, 1, ADVICE, "Target page, context or browser has been closed"),
        (
            "BrowserType.launch: Executable doesn't exist at /x\n╔═",
            False,
            2,
            NO_CHROMIUM,
            "Executable doesn't exist at /x",
        ),
        ("BrowserType.launch: Error: spawn /x EACCES\n", False, 2, NO_CHROMIUM, "Error: spawn /x EACCES"),
    ],
)
def test_a_browser_that_does_not_start(said: str, allowed: bool, code: int, advice: str, why: str) -> None:
    """What to do, and the one line that matters of all that Playwright says (1.65, shortened)."""
    error = not_started(said, allowed)
    assert (str(error), error.exit_code) == (f"{advice}\n{why}", code)


def test_without_playwright(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is an extra: how to get it, instead of a traceback."""
    monkeypatch.setitem(sys.modules, "playwright.async_api", None)
    monkeypatch.setattr(sys, "argv", ["sandbox"])
    assert main() == 2
    assert capsys.readouterr().err == f"{NO_PLAYWRIGHT}\n"


@pytest.mark.parametrize(
    ("renderer", "confined"),
    [(RENDERER, True), (replace(RENDERER, pid_namespaces=1), False), (replace(RENDERER, seccomp_filters=1), False)],
)
def test_a_container_alone_is_no_sandbox(renderer: Confinement, confined: bool) -> None:
    """The renderer needs a namespace and a filter beyond those that hold for us."""
    assert is_sandboxed(renderer, OURS) is confined


def test_a_window_without_a_screen_is_no_matter_of_the_sandbox() -> None:
    """What Chromium and Playwright say then is told in our words."""
    said = f"{ENDED}[pid=7][err] [7:7:1130/040807:ERROR:ozone_platform_x11.cc(249)] Missing X server or $DISPLAY\n"
    assert str(not_started(said, allow_no_sandbox=False)) == NO_SCREEN


def program(folder: Path, name: str) -> str:
    """Something to start."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return str(path)


def test_the_shell_is_known_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By that of the file behind a link; Playwright's own has none, in whatever folder we are."""
    (tmp_path / "chrome").symlink_to(program(tmp_path, "chrome-headless-shell"))
    (tmp_path / "headless-shell").mkdir()
    monkeypatch.chdir(tmp_path / "headless-shell")
    assert is_shell(str(tmp_path / "chrome"))
    assert not is_shell(str(tmp_path / "chromium"))
    assert not is_shell(None)


def test_which_chromium_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting's, the environment's, Playwright's own (also where it has the shell alone), the system's."""
    theirs = tmp_path / "cache/chromium-1255/chrome-linux64/chrome"
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("EARSHOT_CHROMIUM", "/of/the/environment")
    assert find_chromium("/of/the/setting", str(theirs)) == "/of/the/setting"
    assert find_chromium(None, str(theirs)) == "/of/the/environment"
    monkeypatch.delenv("EARSHOT_CHROMIUM")
    assert find_chromium(None, str(theirs)) is None
    shell = program(tmp_path, "bin/chromium-headless-shell")
    assert find_chromium(None, str(theirs)) == shell
    assert find_chromium(None, str(theirs), "new") == shell
    assert find_chromium(None, str(theirs), "window") is None
    full = program(tmp_path, "bin/chromium")
    assert find_chromium(None, str(theirs)) == shell
    assert find_chromium(None, str(theirs), "new") == full
    assert find_chromium(None, str(theirs), "window") == full
    program(tmp_path, "cache/chromium_headless_shell-1255/chrome-headless-shell-linux64/chrome-headless-shell")
    assert find_chromium(None, str(theirs)) is None
    assert find_chromium(None, str(theirs), "new") == full
    program(tmp_path, "cache/chromium-1255/chrome-linux64/chrome")
    assert find_chromium(None, str(theirs), "new") is None


def test_root_is_told_that_it_is_root(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Not that its kernel lacks namespaces."""
    pytest.importorskip("playwright")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(sys, "argv", ["sandbox"])
    assert main() == 1
    assert capsys.readouterr().err == f"{ROOT}\n"
