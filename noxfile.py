# SPDX-License-Identifier: BSD-3-Clause
"""Everything that can be checked, one session each: `nox --list` shows them, `nox -s NAME` runs one.

Each session makes its own environment from pyproject.toml, so that nothing but nox is needed beforehand.
What follows `--` goes on to the session's main command.
"""

import argparse
import re
import shutil
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests"]

PROJECT = nox.project.load_toml("pyproject.toml")
# Small matrices: a second thread costs more than it brings, and a machine may run several sessions at once.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
# Each process begins with a half of its own, whose modules' fixtures it makes once, and helps the other at the end.
IN_PARALLEL = ("--numprocesses=auto", "--dist=worksteal")


def install(session: nox.Session, *groups: str, extras: str = "") -> None:
    """Install the dependency groups and, in the same resolution, the package as an editable."""
    session.install(*nox.project.dependency_groups(PROJECT, *groups), "-e", f".{extras}")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, layers, docstrings and the house rules."""
    install(session, "lint", "test")
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")
    session.run("lint-imports", "--no-cache")
    session.run("pytest", "tests/house", env=ONE_THREAD)


@nox.session
def types(session: nox.Session) -> None:
    """Check the types, strictly."""
    install(session, "types")
    session.run("mypy", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests on NumPy, on read-only NumPy and on the strict standard, with coverage."""
    install(session, "test", "cuda")
    env = ONE_THREAD | {"SOFTMAX_XP_TEST_BACKENDS": "numpy,numpy-readonly,strict,strict-device1"}
    if session.posargs:
        # A part of the suite cannot cover the package: the threshold holds for the whole suite only.
        session.run("pytest", *IN_PARALLEL, "--cov", *session.posargs, env=env)
    else:
        # Of each test's parametrisations coverage follows four, and their lines alone reach the threshold.
        env["SOFTMAX_XP_TEST_TRACED"] = "4"
        session.run("pytest", *IN_PARALLEL, "--cov", "--cov-fail-under=95", env=env)


@nox.session
def tests_backends(session: nox.Session) -> None:
    """Run the tests that need PyTorch, JAX or Optax, all on the CPU."""
    install(session, "test", "backends")
    # JAX compiles each operation for each shape, most of what this session does: quickly here. What one process has
    # compiled serves the other, and the next run.
    compiling = {
        "JAX_COMPILATION_CACHE_DIR": str(Path(session.create_tmp()).resolve() / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "XLA_FLAGS": quick_xla_flags(session),
    }
    session.run(
        "pytest",
        *IN_PARALLEL,
        "-m",
        "optional_library and not gpu",
        *session.posargs,
        env=ONE_THREAD | compiling | {"SOFTMAX_XP_TEST_BACKENDS": "torch,jax"},
    )


def quick_xla_flags(session: nox.Session) -> str:
    """Give the flags with which XLA compiles twice as fast, or none where it does not know them: it would end."""
    flags = "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0"
    try:
        session.run("python", "-c", "import jax; jax.devices('cpu')", env={"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"})
    except CommandFailed:
        return ""
    return flags


@nox.session
def gpu(session: nox.Session) -> None:
    """Run the tests and benchmarks that need a CUDA device; `-- --cuda 12` or `13`, else what the driver runs.

    On a machine without a network whose own Python holds CuPy and pytest:
    `nox -s gpu --no-venv -- --cuda installed`.
    """
    parser = argparse.ArgumentParser(prog="nox -s gpu --", allow_abbrev=False)
    parser.add_argument("--cuda", choices=["12", "13", "auto", "installed"], default="auto")
    parser.add_argument("--skip-benchmarks", action="store_true")
    options, pytest_arguments = parser.parse_known_args(session.posargs)
    cuda = newest_cuda_of_the_driver(session) if options.cuda == "auto" else options.cuda
    if cuda != "installed":
        install(session, "test", extras=f"[cuda{cuda},bench]")
    # Without this, a broken CuPy would skip every test and look like success.
    session.run("python", "-c", "import cupy; cupy.show_config(); assert cupy.ones(3).sum() == 3")
    session.run("python", "-m", "pytest", "-m", "gpu", *pytest_arguments, env={"SOFTMAX_XP_TEST_BACKENDS": "cupy"})
    if not options.skip_benchmarks and Path("benchmarks").is_dir():
        # One call of under 8 minutes, which writes its results, with the device's name, to benchmarks/results/.
        session.run("python", "-m", "benchmarks.gpu", "--device", "cuda")


def newest_cuda_of_the_driver(session: nox.Session) -> str:
    """Give the newest major CUDA version that both the driver and this project know."""
    if shutil.which("nvidia-smi") is None:
        session.error("nvidia-smi is not on the PATH: this machine has no NVIDIA driver.")
    report = session.run("nvidia-smi", external=True, silent=True) or ""
    version = re.search(r"CUDA[\w ]*Version:\s*(\d+)", report)
    if version is None or int(version[1]) < 12:
        session.error(f"The NVIDIA driver must run CUDA 12 or newer; nvidia-smi says:\n{report}")
    return str(min(int(version[1]), 13))


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against the physical floor and the peers that are installed."""
    install(session, "bench")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Run every example in the docstrings and every Python block of the README."""
    install(session, "test")
    session.run("pytest", "softmax_xp", "tests/docs", *session.posargs, env=ONE_THREAD)


@nox.session
def notebooks(session: nox.Session) -> None:
    """Execute the notebooks on copies, and fail where a cell fails."""
    install(session, "notebooks", extras="[arrow,dask]")
    copies = Path(session.create_tmp()) / "notebooks"
    shutil.rmtree(copies, ignore_errors=True)
    shutil.copytree("notebooks", copies, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    found = sorted(copies.rglob("*.ipynb"))
    if not found:
        session.error("There is no notebook in notebooks/.")
    for notebook in found:
        session.run("jupyter", "execute", "--timeout=600", str(notebook), env=ONE_THREAD | {"MPLBACKEND": "agg"})


@nox.session
def demo(session: nox.Session) -> None:
    """Train on the digits from the command line, as the README shows it."""
    install(session)
    session.run("softmax-xp", "train", "digits", *session.posargs)
