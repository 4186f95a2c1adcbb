# SPDX-License-Identifier: BSD-3-Clause
"""scikit-learn's solvers as peers, and the passes over the data that they take.

A pass is two products with the samples: one for the logits and one for the gradient, or the two of one product with
the Hessian. They are counted where scikit-learn's own loss makes them, which is private there and may move; then they
are not counted.
"""

__all__ = ["MAX_ITER", "SOLVERS", "TOL", "Passes", "counted_passes", "multinomial_objective", "reason_to_skip"]

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, final

from benchmarks.datasets import Data

TOL = 1e-4  # scikit-learn's default: of the largest entry of the gradient
MAX_ITER = 100_000  # instead of 100, at which several of its fits would end far from their tolerance
# In the order in which they are tried; the first is the default.
SOLVERS = ("lbfgs", "newton-cg", "newton-cholesky", "sag", "saga")
# Its Hessian has that many rows, and is formed and factored in each iteration.
_NEWTON_CHOLESKY_ROWS = 1500
# Products with the samples that each method makes itself; `gradient_hessian_product` returns a function, with two.
_PRODUCTS = {
    "weight_intercept_raw": 1,
    "loss_gradient": 1,
    "gradient": 1,
    "gradient_hessian": 1,
    "gradient_hessian_product": 1,
}


@final
@dataclass(slots=True)
class Passes:
    """What a fit did with the samples.

    Parameters
    ----------
    products : int, default: 0
        Products with the samples, forwards or backwards.
    hessians : int, default: 0
        Explicit Hessians, of far more work than a pass each.
    is_counted : bool, default: True
        False where scikit-learn's loss was not found.
    """

    products: int = 0
    hessians: int = 0
    is_counted: bool = True

    @property
    def passes(self) -> float | None:
        """Pairs of products."""
        return self.products / 2 if self.is_counted else None

    def __str__(self) -> str:
        """Print ``12`` or ``12 + 3 Hessians``."""
        if not self.is_counted:
            return "-"
        return f"{self.products / 2:g}" + (f" + {self.hessians} H" if self.hessians else "")


def reason_to_skip(solver: str, data: Data, *, with_sag: bool) -> str | None:
    """Say why a solver does not take part, or None where it does.

    Parameters
    ----------
    solver : str
        One of ``SOLVERS``.
    data : Data
        What it would be fitted to.
    with_sag : bool
        Whether the stochastic ones were asked for.

    Returns
    -------
    str or None
        The reason, for the notes.
    """
    rows = data.X.shape[1] * data.n_classes
    if solver == "newton-cholesky" and rows > _NEWTON_CHOLESKY_ROWS:
        return f"{solver}: left out where its Hessian has more than {_NEWTON_CHOLESKY_ROWS} rows"
    if solver in {"sag", "saga"} and not with_sag:
        return f"{solver}: takes part with --sag only"
    return None


@contextmanager
def counted_passes() -> Iterator[Passes]:
    """Count what the fits in the block do with the samples."""
    count = Passes()
    try:
        model: Any = importlib.import_module("sklearn.linear_model._linear_loss").LinearModelLoss
        originals = {name: getattr(model, name) for name in _PRODUCTS}
    except (ImportError, AttributeError):
        count.is_counted = False
        yield count
        return
    for name, method in originals.items():
        setattr(model, name, _counting(method, name, count))
    try:
        yield count
    finally:
        for name, method in originals.items():
            setattr(model, name, method)


def _counting(method: Callable[..., Any], name: str, count: Passes) -> Callable[..., Any]:
    """Wrap one method of the loss."""

    @wraps(method)
    def call(*arguments: Any, **options: Any) -> Any:
        count.products += _PRODUCTS[name]
        count.hessians += name == "gradient_hessian"
        answer = method(*arguments, **options)
        if name != "gradient_hessian_product":
            return answer
        gradient, product = answer

        def counted_product(direction: Any) -> Any:
            count.products += 2
            return product(direction)

        return gradient, counted_product

    return call


def multinomial_objective(n_classes: int, notes: list[str]) -> Any:
    """Return scikit-learn's own loss and gradient, which its solvers call; private there, so that it may move.

    Parameters
    ----------
    n_classes : int
        Columns of the logits; there is no bias.
    notes : list of str
        Receives the reason where it is not found.

    Returns
    -------
    object or None
        With the method ``loss_gradient``.
    """
    try:
        loss = importlib.import_module("sklearn._loss").HalfMultinomialLoss
        model = importlib.import_module("sklearn.linear_model._linear_loss").LinearModelLoss
    except (ImportError, AttributeError) as error:
        notes.append(f"scikit-learn: skipped, {error}")
        return None
    return model(loss(n_classes=n_classes), fit_intercept=False)
