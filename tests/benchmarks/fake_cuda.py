# SPDX-License-Identifier: BSD-3-Clause
"""A CuPy that is NumPy, so that the GPU benchmark's way through events, pools and precisions runs without a GPU."""

__all__ = ["FakeCupy", "fake_bench", "our_cross_entropy"]

import sys
from contextlib import AbstractContextManager
from types import SimpleNamespace

import numpy as np

import softmax_xp as sx
from benchmarks.gpu_bench import QUICK, Bench
from softmax_xp.backend import Backend, Capabilities
from softmax_xp.losses import CrossEntropy


class _Device(str, AbstractContextManager):
    """NumPy's only device, which can also be entered and has a number, as CuPy's has."""

    __slots__ = ()
    id = 0

    def __exit__(self, *details):
        return None


class _Pool:
    """Remembers what was asked of it; holds a fixed number of bytes."""

    def __init__(self):
        self.log = []

    def free_all_blocks(self):
        self.log.append("freed")

    def set_limit(self, size):
        self.log.append(size)

    def total_bytes(self):
        return 3 << 30


class FakeCupy:
    """What the benchmark asks of CuPy, and a log of what it did."""

    float32, int64 = np.float32, np.int64

    def __init__(self, *, milliseconds=2.0):
        self.pool, self.log, self.compute_types = _Pool(), [], []
        self.core = SimpleNamespace(
            get_compute_type=lambda dtype: self.compute_types[-1] if self.compute_types else 1,
            set_compute_type=lambda dtype, kind: self.compute_types.append(kind),
        )
        properties = {
            "name": b"Fake H100",
            "major": 9,
            "minor": 0,
            "multiProcessorCount": 132,
            "totalGlobalMem": 80 << 30,
            "l2CacheSize": 50 << 20,
        }
        self.cuda = SimpleNamespace(
            Event=lambda: SimpleNamespace(
                record=lambda: self.log.append("event"), synchronize=lambda: self.log.append("wait")
            ),
            get_elapsed_time=lambda start, end: milliseconds,
            get_current_stream=lambda: SimpleNamespace(synchronize=lambda: None),
            runtime=SimpleNamespace(
                getDeviceProperties=lambda number: properties,
                driverGetVersion=lambda: 13020,
                runtimeGetVersion=lambda: 12090,
            ),
        )

    def get_default_memory_pool(self):
        return self.pool

    def RawKernel(self, source, name):
        return lambda grid, block, arguments: self.log.append(name)

    def ElementwiseKernel(self, inputs, outputs, body, name):
        return lambda x, z: np.add(x, 1, out=z)

    def install(self, monkeypatch):
        """Make it what `import cupy` finds."""
        monkeypatch.setitem(sys.modules, "cupy", self)
        monkeypatch.setitem(sys.modules, "cupy._core", self.core)
        return self


def fake_bench(monkeypatch, cupy, *, torch=None, sizes=QUICK, **options):
    """Return a run on the fake device; PyTorch takes part, if it is passed, on the CPU."""
    cupy.install(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch", None)
        capabilities = Capabilities(True, "float32", scatter=True, row_chunks=False)
        backend = Backend("cuda:0", sx.get_backend("cpu").xp, _Device("cpu"), capabilities)
        bench = Bench(backend, sizes, with_compile=False, **options)
    if torch is not None:
        bench.torch, bench.torch_device = torch, "cpu"
    return bench


def our_cross_entropy(logits, labels, scale=1.0):
    """Return what the fused function does, by the loss that defines it."""
    wide = np.array(logits, dtype=np.float32)
    loss = CrossEntropy()
    targets = loss.prepare(labels, logits.shape[1], dtype=wide.dtype)
    value, gradient = loss.value_and_gradient(wide, targets, scale=scale)
    logits[...] = gradient
    return value, wide.argmax(axis=1) == labels, logits
