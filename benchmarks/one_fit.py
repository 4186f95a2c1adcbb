# SPDX-License-Identifier: BSD-3-Clause
"""Fit once in this process and print what memory it took, as JSON. Started by ``benchmarks.fit_memory``, afresh."""

__all__ = ["main"]

import json
import sys
from time import perf_counter
from typing import Any

import numpy as np

import softmax_xp as sx
from benchmarks.datasets import Data, load
from benchmarks.fits import quietly
from benchmarks.memory import device_pool_bytes, forget_peak, peak_bytes, resident_bytes, return_free_memory
from benchmarks.scaling import teacher_data
from softmax_xp.errors import DataNotFoundError
from softmax_xp.threads import ordered_map

_WARM_SAMPLES = 1000
# Of mean loss: some hundred iterations on random data would tell nothing more about memory.
_C, _TOL, _PEER_MAX_ITER = 0.01, 1e-4, 20


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Load, fit, and count.

    Parameters
    ----------
    request : dict
        ``data``, "random N x D x C" or a name of `benchmarks.datasets`; ``dtype``; ``contestant``, one of our solvers
        or "scikit-learn"; ``device``.

    Returns
    -------
    dict
        Seconds and bytes; or ``skipped``, with the reason.
    """
    # A fit on little data first: threads, their buffers, lazy imports and compiled kernels are not the data's. Those of
    # BLAS come with the first large products of each thread, tens of megabytes whatever the data are.
    small = teacher_data(_WARM_SAMPLES, 20, 10, request["dtype"])
    with quietly():
        _model(request).fit(small.X, small.y)
    _warm_blas(request["dtype"])
    device = request["device"]
    pool = device_pool_bytes(device) or 0
    try:
        data = _data(request["data"], request["dtype"])
    except DataNotFoundError as error:
        return {"skipped": str(error)}
    return_free_memory()  # what loading has freed, the fit may not have for nothing
    before, is_loading_excluded = resident_bytes(), forget_peak()
    with quietly():
        start = perf_counter()
        model = _model(request).fit(data.X, data.y)
        seconds = perf_counter() - start
    peak, data_bytes = peak_bytes(), data.X.nbytes + data.y.nbytes
    held = device_pool_bytes(device)
    on_host = None if before is None or peak is None else 1.0 + (peak - before) / data_bytes
    return {
        "seconds": seconds,
        "accuracy": float(model.score(data.X, data.y)),
        "data_bytes": data_bytes,
        "memory_over_data": on_host if held is None else (held - pool) / data_bytes,
        "is_loading_excluded": is_loading_excluded or held is not None,
    }


def _warm_blas(dtype: str) -> None:
    """Let BLAS make its buffers: those of its own threads, and those of threads that call it."""
    for kind in {dtype, "float64"}:
        factor = np.ones((2048, 512), dtype=kind)
        list(ordered_map(lambda _, factor=factor: float((factor @ factor.T)[0, 0]), range(8), threads=2))
        factor @ factor.T


def _model(request: dict[str, Any]) -> Any:
    """Return the contestant."""
    if request["contestant"] == "scikit-learn":
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=_C, max_iter=_PEER_MAX_ITER)
    return sx.SoftmaxClassifier(C=_C, tol=_TOL, solver=request["contestant"], device=request["device"])


def _data(name: str, dtype: str) -> Data:
    """Load or make the data, and hold nothing else."""
    if not name.startswith("random "):
        data = load(name)
        return data if data.X.dtype == dtype else data.astype(dtype)
    n_samples, n_features, n_classes = (int(size) for size in name.removeprefix("random ").split(" x "))
    return teacher_data(n_samples, n_features, n_classes, dtype)


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
