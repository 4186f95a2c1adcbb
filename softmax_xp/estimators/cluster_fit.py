# SPDX-License-Identifier: BSD-3-Clause
"""A fit whose passes over the data are made by the workers of a Dask cluster."""

__all__ = ["check_client", "spread"]

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from softmax_xp.data.dask_source import DaskSource
from softmax_xp.data.streamed import is_streamed
from softmax_xp.errors import InvalidTypeError, InvalidValueError, MissingDependencyError
from softmax_xp.estimators.problem import FitProblem, counting
from softmax_xp.estimators.settings import FitSettings


def check_client(problem: FitProblem, settings: FitSettings, client: Any) -> None:
    """Refuse what no cluster can do, before anything is sent to one.

    Parameters
    ----------
    problem : FitProblem
        The data.
    settings : FitSettings
        The parameters.
    client : distributed.Client or None
        As it was passed.

    Raises
    ------
    InvalidTypeError
        For data that are in this process's memory.
    InvalidValueError
        For minibatches.
    """
    X = problem.linear.X
    is_dask = is_streamed(X) and isinstance(X.source, DaskSource)
    if client is None and not is_dask:
        return
    if settings.is_minibatch:
        msg = (
            f"`solver` must be a full-batch solver on a cluster; got {settings.solver!r}. Use solver='auto', or leave "
            "out `client`."
        )
        raise InvalidValueError(msg)
    if not is_streamed(X):
        msg = (
            f"`X` must be a path, a source or a Dask array for a fit with `client`; got {type(X).__name__}, in "
            "this process's memory. Save it with numpy.save where all workers can read it, or leave out `client`."
        )
        raise InvalidTypeError(msg)
    if X.is_sparse:
        msg = (
            f"`X` must be dense for a fit with `client`; got {X.source.name}, whose samples are sparse. Leave out "
            "`client`: this process then reads them from their storage."
        )
        raise InvalidTypeError(msg)


@contextmanager
def spread(problem: FitProblem, client: Any) -> Iterator[FitProblem]:
    """Put the data of a fit on a cluster, if there is to be one.

    Parameters
    ----------
    problem : FitProblem
        Checked by :func:`check_client`.
    client : distributed.Client or None
        As it was passed.

    Yields
    ------
    FitProblem
        The same, or one whose passes are made by the workers.
    """
    X = problem.linear.X
    is_dask = is_streamed(X) and isinstance(X.source, DaskSource)
    if client is None and not is_dask:
        yield problem
        return
    try:
        from distributed import get_client
    except ImportError as error:
        msg = "A fit on a cluster needs Dask. Install it with: pip install 'softmax-xp[dask]'"
        raise MissingDependencyError(msg) from error
    from softmax_xp.distributed import on_cluster

    if client is None:
        try:
            client = get_client()
        except ValueError as error:
            msg = "`client` must be given for a Dask array where none is current. Call distributed.Client() before."
            raise InvalidValueError(msg) from error
    problem = counting(problem)
    with on_cluster(problem.linear, client) as linear:
        yield problem._replace(linear=linear)
