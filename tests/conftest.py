"""How tests run here: async tests on a loop of their own, no leaked task, no blocking call in the unit suite."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import structlog
from blockbuster import blockbuster_ctx
from hypothesis import settings

from tests.support.compiling import by_one
from tests.support.cores import Cores, left_by_others, ours, share, speed
from tests.support.examples import EXAMPLES
from tests.support.order import arrange
from tests.support.seeds import headline
from tests.support.tools import RUNNING
from tests.support.virtual_time import loop_factory

# What tests share and asserts, before the first of them imports it.
pytest.register_assert_rewrite(
    "tests.platforms.contract",
    "tests.platforms.one_track_contract",
    "tests.platforms.page_contract",
    "tests.platforms.sfu_contract",
    "tests.support.chain",
    "tests.support.fakes.listener",
    "tests.support.network",
    "tests.support.numbered",
)

ROOT = Path(__file__).parent
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the programs do, before numpy is loaded
# Half of what collecting costs, and of what a child costs that starts, is compiling: whatever is set here, it is kept.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
gc.disable()  # while tests are collected: almost all that they make stays
gc.set_threshold(5_000, 10, 10)  # a tenth of the unit suite's time was the collector's
os.environ.setdefault("NODE_COMPILE_CACHE", str(ROOT.parent / "build" / "node"))  # Playwright's driver
settings.register_profile("earshot", deadline=None, max_examples=EXAMPLES, derandomize=True)
settings.load_profile("earshot")
CORES = pytest.StashKey[Cores]()
SHARED = pytest.StashKey[float]()
SPEED = pytest.StashKey[float]()
CORES_FOLDER = "EARSHOT_TEST_CORES"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts us in the background has it ignored, and our children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """With what chance faults happen in this run, and what it may compute on."""
    shared = config.stash.get(SHARED, None)
    if shared is None:
        return [headline()]
    return [headline(), f"cores: {shared:.1f} of {ours()} are left by others, each worth {config.stash[SPEED]:.1f}"]


def pytest_configure(config: pytest.Config) -> None:
    """Workers share the cores, by way of a folder that whoever starts them has made."""
    if hasattr(config, "workerinput"):
        config.stash[CORES] = Cores(Path(os.environ[CORES_FOLDER]))
    elif config.getoption("tx", None):  # of `-n`, too
        folder = tempfile.mkdtemp(prefix="earshot-test-cores-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        os.environ[CORES_FOLDER] = folder
        config.stash[SHARED], config.stash[SPEED] = left_by_others(), speed()
        Cores.prepare(Path(folder), config.stash[SHARED] * config.stash[SPEED])


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Several workers: one compiles."""
    alone = not hasattr(session.config, "workerinput")
    with contextlib.nullcontext() if alone else by_one(ROOT, Path(os.environ[CORES_FOLDER], "compiling")):
        return (yield)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Several workers: what takes long begins early."""
    if hasattr(config, "workerinput"):
        arrange(items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """What is there now stays to the end: the collector need not look at it again and again."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture
def virtual_time() -> None:
    """Ask for it in an async test: the loop's clock jumps instead of waiting."""


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs `async def` tests; fails one that leaves tasks behind or (unit tests) blocks the loop."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    is_unit = (ROOT / "unit") in Path(pyfuncitem.path).parents

    async def body() -> list[str]:
        before = asyncio.all_tasks()
        await pyfuncitem.obj(**arguments)
        await asyncio.sleep(0)
        return [repr(task) for task in asyncio.all_tasks() - before]

    virtual = "virtual_time" in pyfuncitem.fixturenames
    guard = blockbuster_ctx() if is_unit else contextlib.nullcontext()
    shared = pyfuncitem.funcargs.get("loop_of_file")
    own = asyncio.Runner(loop_factory=loop_factory(virtual))
    with contextlib.nullcontext(shared) if isinstance(shared, asyncio.Runner) else own as runner, guard:
        leaked = runner.run(body())
    assert not leaked, f"tasks left behind: {leaked}"
    return True


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before a test's timeout begins
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test begins when the others leave it enough of the cores. What it configures of logging is undone: later ones
    must not log into its captured, closed streams.

    Not a fixture: thousands of tests would set it up.
    """
    cores = item.config.stash.get(CORES, None)
    root, configured = logging.getLogger(), structlog.get_config()
    handlers, level = list(root.handlers), root.level
    RUNNING.append(item)
    try:
        with contextlib.nullcontext() if cores is None else cores.taken(share(item)):
            return (yield)
    finally:
        RUNNING.pop()
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.configure(**configured)


@pytest.fixture(scope="module")
def loop_of_file() -> Iterator[asyncio.Runner]:
    """Who asks for it runs on one loop with the others of its file that do."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def driver_of_file(loop_of_file: asyncio.Runner) -> Iterator[None]:
    """Who asks for it starts Chromium by one driver of Playwright's with the others of its file that do."""
    from tests.support.one_driver import one_driver  # who starts none need not load it

    with one_driver(loop_of_file):
        yield


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The test's environment without any setting of the bot."""
    for name in (
        "VEXA_BOT_CONFIG",
        "BOT_CONFIG",
        "WHISPER_LIVE_URL",
        "WHISPER_LIVE_URL_FALLBACK",
        "WHISPER_LIVE_API_KEY",
        "WHISPER_LIVE_API_KEY_FILE",
        "REDIS_URL",
        "LOG_LEVEL",
    ):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch
