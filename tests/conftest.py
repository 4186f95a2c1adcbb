# SPDX-License-Identifier: BSD-3-Clause
"""The fixture `backend`, and the marks that tests get by themselves.

`SOFTMAX_XP_TEST_BACKENDS=numpy,strict` restricts the fixture to the backends named; the others are not even skipped.
"""

import gc
import os
import re
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.backends import NAMES, TestBackend, load
from tests.traced import Sampler, sample

# Read by jax when a test first imports it, with or without the fixture; see tests/backends.py.
os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

_OPTIONAL = re.compile(r"""importorskip\(\s*["'](torch|jax|optax)\b""")


def pytest_configure() -> None:
    """Make Hypothesis repeatable: the same examples in every run, however slow the machine."""
    if find_spec("hypothesis") is not None:
        settings = import_module("hypothesis").settings
        settings.register_profile("repeatable", derandomize=True, deadline=None)
        settings.load_profile("repeatable")


def _names_wanted() -> tuple[str, ...]:
    """Read the environment variable; an unknown name is an error, because a typing mistake would test nothing."""
    wanted = os.environ.get("SOFTMAX_XP_TEST_BACKENDS", "")
    if not wanted.strip():
        return NAMES
    names = tuple(name.strip() for name in wanted.split(","))
    if unknown := sorted(set(names) - set(NAMES)):
        msg = f"SOFTMAX_XP_TEST_BACKENDS must name some of {', '.join(NAMES)}; got {', '.join(unknown)}."
        raise pytest.UsageError(msg)
    return names


@cache
def _load_or_reason(name: str) -> TestBackend | str:
    """Load a backend once; where that is impossible, give the reason."""
    try:
        return load(name)
    except LookupError as reason:
        return str(reason)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that asks for `backend` once on every backend that is wanted."""
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", _names_wanted(), indirect=True)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> TestBackend:
    """Give an array library on a device; skip, with the reason, where it is missing."""
    loaded = _load_or_reason(request.param)
    if isinstance(loaded, str):
        pytest.skip(loaded)
    return loaded


@cache
def _imports_optional_library(path: Path) -> bool:
    return path.suffix == ".py" and _OPTIONAL.search(path.read_text(encoding="utf-8")) is not None


def _backend_of(item: pytest.Item) -> str | None:
    return item.callspec.params.get("backend") if hasattr(item, "callspec") else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a GPU or an optional library, so that `-m` finds it.

    A test needs an optional library when the fixture says so, or when its file says `pytest.importorskip("torch")`
    (or jax, or optax) anywhere. The second marks whole files, thus a few tests too many and none too few.
    """
    for item in items:
        name = _backend_of(item)
        if name == "cupy":
            item.add_marker(pytest.mark.gpu)
        if name in {"torch", "jax"} or (name is None and _imports_optional_library(item.path)):
            item.add_marker(pytest.mark.optional_library)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave what collection made out of every later garbage collection, and most tests out of coverage.

    Thousands of tests and the libraries they import are some millions of objects: one `gc.collect()`, which the package
    calls where memory has ended, took a second, and each automatic collection nearly as much.
    """
    gc.collect()
    gc.freeze()
    number = os.environ.get("SOFTMAX_XP_TEST_TRACED", "")
    if number and session.config.pluginmanager.hasplugin("_cov"):
        running = import_module("coverage").Coverage.current()
        if running is not None:
            chosen = sample(((item.nodeid, _backend_of(item)) for item in session.items), int(number))
            session.config.pluginmanager.register(Sampler(running, chosen), "softmax_xp_sampler")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that was marked `gpu` by hand, with the reason, where there is none."""
    if item.get_closest_marker("gpu") is not None and isinstance(reason := _load_or_reason("cupy"), str):
        pytest.skip(reason)
