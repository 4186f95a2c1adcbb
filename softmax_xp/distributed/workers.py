# SPDX-License-Identifier: BSD-3-Clause
"""The workers of a Dask cluster: who they are, whether they fit the client, and what their failures mean."""

__all__ = ["Worker", "check_cluster", "cluster_errors", "facts_here", "killed", "workers_of"]

import platform
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, NamedTuple

from softmax_xp.devices import get_backend
from softmax_xp.distributed.timeouts import timeout_of
from softmax_xp.errors import InvalidValueError, MissingDependencyError, SoftmaxXPError, WorkerLostError
from softmax_xp.version import __version__

# What must be the same on all sides: functions are sent as byte code, and bits are promised.
_PACKAGES = ("array-api-compat", "cloudpickle", "numpy")


class Worker(NamedTuple):
    """One worker."""

    address: str
    threads: int
    memory: int  # how many bytes it may have; 0 where there is no limit
    is_full: bool  # so that it takes no tasks


def workers_of(client: Any) -> list[Worker]:
    """Return the workers that the scheduler knows.

    Parameters
    ----------
    client : distributed.Client
        Connected.

    Returns
    -------
    list of Worker
        In the order of their addresses.

    Raises
    ------
    WorkerLostError
        If the scheduler cannot be reached.
    """
    if client.status != "running":
        raise WorkerLostError(_no_scheduler(client))
    try:
        # Newer versions tell of five workers only, unless they are asked for all.
        known = client.scheduler_info(n_workers=-1)["workers"]
    except (OSError, TimeoutError) as error:
        raise WorkerLostError(_no_scheduler(client)) from error
    return [
        Worker(address, int(facts["nthreads"]), int(facts["memory_limit"] or 0), facts.get("status") == "paused")
        for address, facts in sorted(known.items())
    ]


def _no_scheduler(client: Any) -> str:
    return (
        f"The scheduler must be reachable during a fit; the client is {client.status!r}. Connect anew, and fit again."
    )


@contextmanager
def cluster_errors(what: str) -> Iterator[None]:
    """Say in the words of this package what Dask's own exceptions mean.

    Parameters
    ----------
    what : str
        What was waited for.

    Raises
    ------
    WorkerLostError
        If tasks killed their workers again and again, or the scheduler has gone.
    """
    from distributed import KilledWorker

    try:
        yield
    except SoftmaxXPError:
        raise
    except KilledWorker as error:
        msg = f"{killed(what)} {error}"
        raise WorkerLostError(msg) from error
    except CancelledError as error:
        msg = f"The cluster must last as long as the fit; it gave up {what}: {error}. Connect anew, and fit again."
        raise WorkerLostError(msg) from error


def killed(what: str) -> str:
    """Say that workers die whenever they come to something.

    Parameters
    ----------
    what : str
        Which shards.

    Returns
    -------
    str
        For a WorkerLostError.
    """
    return (
        f"Workers must live through a pass; several died, one after the other, at {what}. Most often it is memory: "
        "give workers more of it, or use more workers."
    )


def facts_here(device: str) -> dict[str, str]:
    """Return what must agree between client and workers; runs on each of them, and computes something.

    Parameters
    ----------
    device : str
        Where to compute.

    Returns
    -------
    dict
        Versions by name.
    """
    backend = get_backend(device)
    with backend.scope():
        ones = backend.xp.ones((2, 2), device=backend.device)
        total = float(backend.xp.sum(ones @ ones))  # host: a dry run
    versions = {name: version(name) for name in _PACKAGES}
    python = ".".join(platform.python_version_tuple()[:2])
    return {"softmax_xp": __version__, "python": python, "2 + 2 + 2 + 2": str(total), **versions}


def check_cluster(client: Any, device: str) -> list[Worker]:
    """Compute something on each worker, and compare its versions with those here.

    Parameters
    ----------
    client : distributed.Client
        Connected.
    device : str
        Where the workers are to compute.

    Returns
    -------
    list of Worker
        At least one.

    Raises
    ------
    InvalidValueError
        For another version of something.
    MissingDependencyError
        If a worker, or the scheduler, has not got this package.
    WorkerLostError
        If there is no worker, or one does not answer.
    """
    timeout = timeout_of("workers")
    try:
        client.wait_for_workers(1, timeout=timeout)
    except TimeoutError:
        msg = f"The cluster must have a worker; for {timeout:g} s there was none. Add workers, and fit again."
        raise WorkerLostError(msg) from None
    workers, ours = workers_of(client), facts_here("cpu")
    tasks = [client.submit(facts_here, device, workers=[worker.address], pure=False) for worker in workers]
    for worker, task in zip(workers, tasks, strict=True):
        try:
            with cluster_errors(f"the dry run on {worker.address}"):
                theirs = task.result(timeout=timeout)
        except TimeoutError:
            msg = f"A worker must answer; {worker.address} did not, for {timeout:g} s. Restart it, and fit again."
            raise WorkerLostError(msg) from None
        except (ImportError, AttributeError) as error:
            msg = f"Workers must have softmax_xp; {worker.address} has not. Install it with: pip install softmax-xp"
            raise MissingDependencyError(msg) from error
        except RuntimeError as error:
            if "deserialization" not in str(error):
                raise
            # A scheduler reads each task before it hands it on.
            msg = (
                "The scheduler must have softmax_xp too, in the versions of the client; it could not read a task. "
                f"Install it where {client.scheduler.address} runs, with: pip install softmax-xp"
            )
            raise MissingDependencyError(msg) from error
        for name, own in ours.items():
            if theirs[name] != own:
                msg = f"Workers must have the versions of the client; got {name} {theirs[name]} on {worker.address}, "
                raise InvalidValueError(msg + f"and {own} here. Install the same everywhere.")
    return workers
