# SPDX-License-Identifier: BSD-3-Clause
"""Train for one epoch in this process and print what it took, as JSON. Started by ``benchmarks.epoch``, afresh."""

__all__ = ["main"]

import json
import sys
from time import perf_counter
from typing import Any

import numpy as np

import softmax_xp as sx
from benchmarks.memory import device_pool_bytes, forget_peak, peak_bytes, resident_bytes
from softmax_xp.data import load_fashion_mnist
from softmax_xp.errors import DataNotFoundError

_BATCH = 128
_FASHION_MNIST = (60000, 784)
# Adam's default step for pixels in 0 .. 1; the same for pixels in 0 .. 255.
_LEARNING_RATES = {"float32": 1e-3, "uint8": 1e-3 / 255}


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Load, train, and count.

    Parameters
    ----------
    request : dict
        ``device``; ``stored``, "uint8" or "float32"; ``n_samples`` or None for all.

    Returns
    -------
    dict
        Seconds, bytes, and the training accuracy as a sign that something was learned.
    """
    device, stored = request["device"], request["stored"]
    trainer = sx.Trainer(
        optimizer=sx.Adam(_LEARNING_RATES[stored]), epochs=1, batch_size=_BATCH, device=device, dtype="float32"
    )
    # A fit on little data first: threads, their buffers, lazy imports and compiled kernels are not the data's.
    random = np.random.default_rng(0)
    trainer.fit(random.integers(0, 256, (4 * _BATCH, _FASHION_MNIST[1])).astype(stored), np.arange(4 * _BATCH) % 10)
    baseline, pool = resident_bytes(), device_pool_bytes(device) or 0
    X, y, source = _data(stored, request["n_samples"])
    loaded_peak, is_loading_excluded = peak_bytes(), forget_peak()
    start = perf_counter()
    _, history = trainer.fit(X, y)
    seconds = perf_counter() - start
    peak, data_bytes = peak_bytes(), X.nbytes + y.nbytes
    held = device_pool_bytes(device)
    on_host = None if baseline is None or peak is None else (peak - baseline) / data_bytes
    return {
        "source": source,
        "seconds": seconds,
        "samples_per_second": X.shape[0] / seconds,
        "train_accuracy": history["train_accuracy"][-1],
        "data_bytes": data_bytes,
        "memory_over_data": on_host if held is None else (held - pool) / data_bytes,
        "loading_over_data": None if baseline is None or loaded_peak is None else (loaded_peak - baseline) / data_bytes,
        "is_loading_excluded": is_loading_excluded or held is not None,
    }


def _data(stored: str, n_samples: int | None) -> tuple[Any, Any, str]:
    """Return Fashion-MNIST where it is at hand, else numbers of its shape, and which of the two."""
    try:
        loaded = load_fashion_mnist()
    except (DataNotFoundError, ImportError):
        random = np.random.default_rng(1)
        X = random.integers(0, 256, _FASHION_MNIST, dtype=np.uint8)
        y, source = random.integers(0, 10, _FASHION_MNIST[0]), "synthetic"
    else:
        labels: Any = loaded.y
        X, y, source = loaded.X, labels, "Fashion-MNIST"
    if n_samples is not None:
        X, y = X[:n_samples].copy(), y[:n_samples].copy()  # copies, which let go of the rest
    if stored == "float32":
        X = np.multiply(X, np.float32(1 / 255), dtype=np.float32)
    return X, y, source


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
