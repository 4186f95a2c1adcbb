# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch's cross entropy in float64, with the sample weights and the mean that this package documents."""

__all__ = ["OPTIONS", "Case", "torch_mean"]

import itertools
from dataclasses import dataclass
from typing import final

import numpy as np
import pytest

from softmax_xp.losses import CrossEntropy

N_SAMPLES, N_CLASSES = 11, 5
_RNG = np.random.default_rng(11)
LOGITS = _RNG.standard_normal((N_SAMPLES, N_CLASSES)) * 3
LABELS = _RNG.integers(0, N_CLASSES, N_SAMPLES)
SOFT = _RNG.dirichlet(np.full(N_CLASSES, 0.5), N_SAMPLES)
SAMPLE_WEIGHT = np.append(_RNG.uniform(0.1, 3.0, N_SAMPLES - 2), [0.0, 2.0])
CLASS_WEIGHTS = {"none": None, "given": (0.3, 1.0, 2.0, 0.7, 1.5), "with zero": (0.3, 0.0, 2.0, 0.0, 1.5)}
IGNORED = -100


@final
@dataclass(frozen=True)
class Case:
    """One combination of the loss's options with targets and weights that fit it."""

    soft: bool
    label_smoothing: float
    class_weight: str
    ignore: bool
    temperature: float
    weighted: bool

    @property
    def loss(self) -> CrossEntropy:
        ignore_index = IGNORED if self.ignore else None
        return CrossEntropy(self.label_smoothing, CLASS_WEIGHTS[self.class_weight], ignore_index, self.temperature)

    @property
    def targets(self) -> np.ndarray:
        if self.soft:
            return SOFT
        return np.where(np.arange(N_SAMPLES) % 4 == 1, IGNORED, LABELS) if self.ignore else LABELS

    @property
    def sample_weight(self) -> np.ndarray | None:
        return SAMPLE_WEIGHT if self.weighted else None

    def __str__(self) -> str:
        kind, ignore = "soft" if self.soft else "hard", "ignore" if self.ignore else "all"
        weighted, classes = "weighted" if self.weighted else "equal", f"class weight {self.class_weight}"
        return f"{kind}-smooth {self.label_smoothing}-{classes}-{ignore}-T {self.temperature}-{weighted}"


OPTIONS = [
    Case(*values)
    for values in itertools.product(
        [False, True], [0.0, 0.1, 1.0], CLASS_WEIGHTS, [False, True], [1.0, 2.5], [False, True]
    )
    if not (values[0] and values[3])  # PyTorch ignores `ignore_index` beside probabilities; here that is an error
]


def torch_mean(case: Case, logits: np.ndarray = LOGITS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the unreduced values, the mean and the mean's gradient, from PyTorch's own function in float64."""
    torch = pytest.importorskip("torch")
    x = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    targets, class_weight = torch.tensor(case.targets), CLASS_WEIGHTS[case.class_weight]
    weight = None if class_weight is None else torch.tensor(class_weight, dtype=torch.float64)
    options = {"weight": weight, "label_smoothing": case.label_smoothing, "ignore_index": IGNORED}
    each = torch.nn.functional.cross_entropy(x / case.temperature, targets, reduction="none", **options)
    if case.weighted:
        each = each * torch.tensor(case.sample_weight)
        counts = torch.tensor(case.sample_weight)
        if not case.soft:
            counts = counts * (targets != IGNORED)
            counts = counts if weight is None else counts * weight[torch.clamp(targets, min=0)]
        mean = each.sum() / counts.sum()
    else:
        mean = torch.nn.functional.cross_entropy(x / case.temperature, targets, **options)
    mean.backward()
    return each.detach().numpy(), mean.detach().numpy(), x.grad.numpy()
