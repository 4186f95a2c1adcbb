# SPDX-License-Identifier: BSD-3-Clause
"""What an H100 was expected to do before anybody had measured it here, and what is asked of it.

Every prediction is arithmetic on four ceilings: 3.0 TB/s of memory traffic (what good kernels for long rows reach on
an H100 80GB HBM3, of 3.35 on paper), and 50, 400 and 790 TFLOP/s of matrix products in float32, TF32 and bfloat16. Of
small problems it is the number of calls times what a call costs the processor. `basis` says which sum it was. A
prediction is never changed after a measurement: it stands beside it.
"""

__all__ = ["PREDICTIONS", "TARGETS", "Bound", "Prediction", "Target", "is_met", "verdict"]

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple


class Prediction(NamedTuple):
    """A number with its unit; `low` and `high` are None where nothing was predicted."""

    what: str
    unit: str
    low: float | None
    high: float | None
    basis: str


class Bound(NamedTuple):
    """What one number must be: the key of a prediction, ``">="`` or ``"<="``, and the limit."""

    key: str
    sign: str
    limit: float


class Target(NamedTuple):
    """What is asked for, and the numbers that decide it; `subject` is what must compute the right thing as well."""

    text: str
    subject: str
    bounds: tuple[Bound, ...]


_EPOCH = "epoch of 60000 x 784 x 10 at batch 128"
_SMALL = "full batch 60000 x 784 x 10"
_LARGE = "full batch 1.28M x 768 x 1000"
_MANY = "8192 rows x 1024 x 250000"
_ROW_KERNEL = "85 to 90 % of 3.35 TB/s for rows that are read once, over a copy at 3.0"

# Key -> what was predicted. The sections of the benchmark write their numbers under the same keys, in these units.
PREDICTIONS: Mapping[str, Prediction] = MappingProxyType({
    "copy_bandwidth": Prediction("copy of 4 GB, bytes read and written", "TB/s", 3.0, 3.0, "ceiling"),
    "gemm_float32": Prediction("product 8192 x 8192 x 8192, float32", "TFLOP/s", 50, 50, "ceiling"),
    "gemm_tf32": Prediction("product 8192 x 8192 x 8192, TF32", "TFLOP/s", 400, 400, "ceiling"),
    "gemm_bfloat16": Prediction("product 8192 x 8192 x 8192, bfloat16", "TFLOP/s", 790, 790, "ceiling"),
    "call_cost": Prediction("one elementwise call of CuPy, on the processor", "us", 12, 15, "published timings"),
    "epoch_ours": Prediction(f"{_EPOCH}: ours", "ms", 2.3, 3.8, "469 steps of two kernels, 5 to 8 us, in a graph"),
    "epoch_kernels_off": Prediction(f"{_EPOCH}: ours without kernels", "ms", 115, 165, "20 to 24 calls a step"),
    "epoch_torch_eager": Prediction(f"{_EPOCH}: PyTorch eager", "ms", 55, 95, "120 to 200 us a step"),
    "epoch_torch_compiled": Prediction(f"{_EPOCH}: PyTorch compiled", "ms", 28, 47, "60 to 100 us a step"),
    "epoch_torch_graph": Prediction(f"{_EPOCH}: PyTorch, its best CUDA graph", "ms", 9, 19, "20 to 40 us a step"),
    "epoch_times_eager": Prediction(f"{_EPOCH}: times as fast as PyTorch eager", "x", 14, 41, "of the above"),
    "epoch_times_graph": Prediction(f"{_EPOCH}: times as fast as its best graph", "x", 2.4, 8.3, "of the above"),
    "small_read": Prediction(f"{_SMALL}: one read of X", "ms", 0.063, 0.063, "188 MB at 3.0 TB/s"),
    "small_ours": Prediction(f"{_SMALL}: ours", "ms", 0.068, 0.080, "one pass over X, and the partial sums"),
    "small_kernels_off": Prediction(f"{_SMALL}: ours without kernels", "ms", 0.35, 0.50, "2 products, 12 calls"),
    "small_ratio": Prediction(f"{_SMALL}: ours over one read of X", "x", 1.08, 1.28, "of the above"),
    "large_products_float32": Prediction(f"{_LARGE}, float32: two bare products", "ms", 78.6, 78.6, "3.93 TFLOP"),
    "large_ours_float32": Prediction(f"{_LARGE}, float32: ours", "ms", 83, 83, "products, one pass over the logits"),
    "large_kernels_off_float32": Prediction(f"{_LARGE}, float32: without kernels", "ms", 100, 100, "12 passes"),
    "large_torch_eager_float32": Prediction(f"{_LARGE}, float32: PyTorch eager", "ms", None, None, ""),
    "large_torch_compiled_float32": Prediction(f"{_LARGE}, float32: PyTorch compiled", "ms", None, None, ""),
    "large_ratio_float32": Prediction(f"{_LARGE}, float32: ours over the products", "x", 1.06, 1.06, "of the above"),
    "large_products_tf32": Prediction(f"{_LARGE}, TF32: two bare products", "ms", 9.8, 9.8, "3.93 TFLOP"),
    "large_ours_tf32": Prediction(f"{_LARGE}, TF32: ours", "ms", 14, 15, "products, one pass over the logits"),
    "large_kernels_off_tf32": Prediction(f"{_LARGE}, TF32: without kernels", "ms", 32, 32, "12 passes"),
    "large_torch_eager_tf32": Prediction(f"{_LARGE}, TF32: PyTorch eager", "ms", 19, 21, "5 to 6 passes"),
    "large_torch_compiled_tf32": Prediction(f"{_LARGE}, TF32: PyTorch compiled", "ms", 16, 18, "3 passes"),
    "large_ratio_tf32": Prediction(f"{_LARGE}, TF32: ours over the products", "x", 1.43, 1.53, "of the above"),
    "cross_entropy_1000": Prediction("fused cross-entropy, C = 1000, of the copy", "share", 0.95, 1.0, _ROW_KERNEL),
    "cross_entropy_4096": Prediction("fused cross-entropy, C = 4096, of the copy", "share", 0.95, 1.0, _ROW_KERNEL),
    "cross_entropy_32768": Prediction("fused cross-entropy, C = 32768, of the copy", "share", 0.95, 1.0, _ROW_KERNEL),
    "cross_entropy_250000": Prediction(
        "fused cross-entropy, C = 250000, of the copy", "share", 0.63, 0.67, "a row of 1 MB is read twice: 3 traffics"
    ),
    "many_products_tf32": Prediction(f"{_MANY}, TF32: two bare products", "ms", 21.0, 21.0, "8.4 TFLOP"),
    "many_ours_tf32": Prediction(f"{_MANY}, TF32: ours", "ms", 27.9, 27.9, "products, one pass, weights read again"),
    "many_rate_tf32": Prediction(f"{_MANY}, TF32: ours, of the products' rate", "share", 0.75, 0.75, "of the above"),
    "many_products_float32": Prediction(f"{_MANY}, float32: two bare products", "ms", None, None, ""),
    "many_ours_float32": Prediction(f"{_MANY}, float32: ours", "ms", None, None, ""),
    "many_rate_float32": Prediction(f"{_MANY}, float32: ours, of the products' rate", "share", None, None, ""),
    "many_memory": Prediction(f"{_MANY}, TF32: memory held at the peak", "GiB", None, None, ""),
    "error_tf32": Prediction("relative error of a gradient in TF32", "", 3e-4, 3e-4, "10 bits of mantissa"),
})

# The five numbers that are asked for.
TARGETS: tuple[Target, ...] = (
    Target(
        "fused softmax cross-entropy at >= 90 % of the copy's bandwidth from 1000 classes on",
        "cross_entropy",
        tuple(Bound(f"cross_entropy_{n_classes}", ">=", 0.9) for n_classes in (1000, 4096, 32768, 250000)),
    ),
    Target(
        "an epoch of small batches >= 10x as fast as PyTorch eager and >= 2x as fast as its best CUDA graph",
        "minibatch",
        (Bound("epoch_times_eager", ">=", 10.0), Bound("epoch_times_graph", ">=", 2.0)),
    ),
    Target(
        "full batch of 1000 classes within 1.25x of the bare products in the same precision",
        "large",
        (Bound("large_ratio_float32", "<=", 1.25), Bound("large_ratio_tf32", "<=", 1.25)),
    ),
    Target("full batch of 10 classes within 1.3x of one read of X", "small", (Bound("small_ratio", "<=", 1.3),)),
    Target(
        "250,000 classes within 8 GiB at >= 70 % of the products' rate",
        "many",
        (Bound("many_memory", "<=", 8.0), Bound("many_rate_tf32", ">=", 0.7)),
    ),
)


def is_met(bound: Bound, measured: Mapping[str, float]) -> bool | None:
    """Tell whether a number keeps its bound; None where it was not measured."""
    value = measured.get(bound.key)
    if value is None:
        return None
    return value >= bound.limit if bound.sign == ">=" else value <= bound.limit


def verdict(target: Target, measured: Mapping[str, float], wrong: Collection[str] = ()) -> str:
    """Judge a target.

    Parameters
    ----------
    target : Target
        What is asked.
    measured : mapping of str to float
        By the keys of ``PREDICTIONS``.
    wrong : collection of str, optional
        The subjects that computed something else.

    Returns
    -------
    str
        ``"missed"`` as soon as one number breaks its bound or the result is wrong, ``"not measured"`` where a number
        is missing, else ``"met"``.
    """
    if target.subject in wrong:
        return "missed: wrong result"
    judged = [is_met(bound, measured) for bound in target.bounds]
    if False in judged:
        return "missed"
    return "not measured" if None in judged else "met"
