# SPDX-License-Identifier: BSD-3-Clause
"""Minibatch steps of a linear softmax model with few classes, two launches each, on CUDA: see ``linear_steps.cu``."""

__all__ = ["LinearSteps", "linear_steps_kernels"]

from collections.abc import Iterator, Sequence
from typing import Any, final

import numpy as np
from array_api_compat import device

from softmax_xp.backend import array_namespace
from softmax_xp.errors import InvalidValueError
from softmax_xp.kernels.cuda.arguments import as_vector, in_real, row_stride_of
from softmax_xp.kernels.cuda.program import Launcher, launcher_of
from softmax_xp.kernels.cuda.source import Kernel, real_name, type_name
from softmax_xp.kernels.rules import RULES, rule_number
from softmax_xp.typing import Array

_FILE = "linear_steps.cu"
_ELEMENTS = ("uint8", "float16", "bfloat16", "float32", "float64")
_MOST_CLASSES = 64
_MOST_ACCUMULATORS = 4
# As in linear_steps.cu.
_THREADS = 256
_WARPS = _THREADS // 32
_FEATURES = 8


def _kernel(entry: str, dtype: str, label: str, real: str, n_classes: int, rows: int, bias: bool, rule: str) -> Kernel:  # noqa: FBT001
    """Put the macros in their one order, because equal kernels must compare equal."""
    layout = RULES[rule]
    return Kernel(
        _FILE,
        entry,
        (
            ("ELEMENT", type_name(dtype)),
            ("LABEL", type_name(label)),
            ("REAL", type_name(real)),
            ("CLASSES", n_classes),
            ("ROWS", rows),
            ("BIAS", int(bias)),
            ("RULE", rule_number(rule)),
            ("N_ACCUMULATORS", len(layout.accumulators)),
            ("N_SCALARS", len(layout.scalars)),
        ),
    )


def linear_steps_kernels() -> Iterator[Kernel]:
    """Yield kernels of every kind that :class:`LinearSteps` can ask for.

    Yields
    ------
    Kernel
        Each dtype, some numbers of classes from 1 to the largest, and rules with the fewest and the most accumulators;
        :func:`softmax_xp.kernels.cuda.update.update_kernels` has all rules.
    """
    texts: list[tuple[str, str, str, int, int, bool, str]] = [
        *(("float32", "int64", "float32", 10, 1, True, rule) for rule in ("sgd", "adam", "rmsprop_centered_momentum")),
        *((dtype, "int64", "float32", 10, 1, True, "adam") for dtype in ("uint8", "float16")),
        ("bfloat16", "int32", "float32", 10, 4, True, "momentum"),
        *(("float64", "int64", "float64", n_classes, 1, True, "amsgrad") for n_classes in (10, _MOST_CLASSES)),
        *(("float32", "int64", "float32", n_classes, 1, False, "adam") for n_classes in (1, 3, 26, 33, _MOST_CLASSES)),
        *(("float32", "int64", "float32", n_classes, 4, True, "adam") for n_classes in (2, 10, 16)),
    ]
    for text in texts:
        for entry in ("scores_and_gradient", "weight_update"):
            yield _kernel(entry, *text)


@final
class LinearSteps:
    """Takes minibatch steps on cross-entropy, from rows of ``X`` to new parameters, without waiting for the device.

    With ``p = softmax(x @ weight + bias)`` of each row of a batch and its loss as in
    :func:`softmax_xp.kernels.cuda.softmax_cross_entropy.softmax_cross_entropy`, a step follows the gradient of

        sum(losses) / sum(sample_weight * class_weight[label]) + 0.5 * l2 * sum(weight**2)

    or of the penalty alone where the batch's weight is 0.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        Of uint8, float16, bfloat16, float32 or float64; converted where it is used. The elements of a row must be
        neighbours in memory.
    labels : array of int, shape (n_samples,)
        Classes, each in [0, n_classes), which nobody checks here.
    n_classes : int
        How many there are, at most 64.
    bias : bool
        Whether the last row of the parameters is one.
    sample_weight : array of float, shape (n_samples,), optional
        How much each sample counts; 0 for one that does not.
    class_weight : array of float, shape (n_classes,), optional
        How much each class counts.
    shift : array of float, shape (n_features,), optional
        Subtracted from each feature.
    feature_scale : array of float, shape (n_features,), optional
        Multiplies each feature after the shift.
    label_smoothing : float, default: 0.0
        The share of the target that is spread evenly over all classes, in [0, 1].
    temperature : float, default: 1.0
        The logits are divided by it. Positive.
    l2 : float, default: 0.0
        Strength of the penalty on the weight; the bias is free.
    rule : str
        How the optimizer updates, a key of :data:`softmax_xp.kernels.rules.RULES`.
    dtype : dtype, optional
        The float of the parameters; by default float64 for an ``X`` of float64, else float32.
    launcher : Launcher, optional
        What runs the kernels; by default CuPy.

    Raises
    ------
    InvalidTypeError
        For an ``X`` of another dtype, or of another library than CuPy without a launcher.
    InvalidValueError
        For shapes that do not fit, a rule that is unknown, or too many classes.
    """

    def __init__(
        self,
        X: Array,
        labels: Array,
        *,
        n_classes: int,
        bias: bool,
        sample_weight: Array | None = None,
        class_weight: Array | None = None,
        shift: Array | None = None,
        feature_scale: Array | None = None,
        label_smoothing: float = 0.0,
        temperature: float = 1.0,
        l2: float = 0.0,
        rule: str,
        dtype: Any = None,
        launcher: Launcher | None = None,
    ) -> None:
        n_samples, n_features = X.shape
        if not 1 <= n_classes <= _MOST_CLASSES:
            msg = f"`n_classes` must be from 1 to {_MOST_CLASSES}; got {n_classes}. Use `supports` to ask beforehand."
            raise InvalidValueError(msg)
        rule_number(rule)  # an error with the names of the rules
        _check_lengths(n_samples, labels=labels, sample_weight=sample_weight)
        _check_lengths(n_classes, class_weight=class_weight)
        _check_lengths(n_features, shift=shift, feature_scale=feature_scale)
        self.launcher = launcher_of(X, "X") if launcher is None else launcher
        self.rule, self._n_classes, self._bias = rule, n_classes, bias
        self._real_name = str(np.dtype(real_name(X.dtype) if dtype is None else dtype))
        self._real = real = getattr(np, self._real_name)
        self._X, self._row_stride = X, row_stride_of(X, "X")
        if str(labels.dtype) not in {"int32", "int64"}:
            labels = array_namespace(labels).astype(labels, np.int64)
        self._labels = as_vector(labels)
        self._sample_weight, self._class_weight = in_real(sample_weight, real), in_real(class_weight, real)
        self._shift, self._feature_scale = in_real(shift, real), in_real(feature_scale, real)
        self._smoothing, self._inverse_temperature = real(label_smoothing), real(1.0 / temperature)
        self._l2 = real(l2)
        self._scratch: tuple[Array, Array] | None = None

    @staticmethod
    def supports(*, n_classes: int, X_dtype: Any, dtype: Any, rule: str) -> bool:
        """Tell whether the kernels' limits allow a problem.

        Parameters
        ----------
        n_classes : int
            How many classes there are.
        X_dtype : dtype
            Of the data.
        dtype : dtype
            The float of the parameters.
        rule : str
            How the optimizer updates.

        Returns
        -------
        bool
            Whether :class:`LinearSteps` can be made for it.
        """
        are_types_known = str(X_dtype) in _ELEMENTS and str(dtype) in {"float32", "float64"}
        return are_types_known and 1 <= n_classes <= _MOST_CLASSES and rule in RULES

    def run(
        self, packed: Array, accumulators: Sequence[Array], order: Array, *, batch_size: int, scalars: Array
    ) -> tuple[Array, Array]:
        """Take as many steps as it takes to use each row of ``order`` once, in place.

        Parameters
        ----------
        packed : array of shape (n_features + 1, n_classes) or (n_features, n_classes)
            Weight and, below it, bias. C order. Overwritten.
        accumulators : sequence of arrays of the shape of ``packed``
            What the rule remembers. C order. Overwritten.
        order : array of int, shape (n_rows,)
            Row numbers of ``X``, on the device, each in range, which nobody checks here.
        batch_size : int
            How many rows a step takes; the last may take fewer.
        scalars : array of float, shape (n_steps, n_scalars)
            The rule's numbers for each step, on the device. C order.

        Returns
        -------
        values : array of shape (n_rows,)
            Each row's weighted loss before its step, in nats.
        hits : array of bool, shape (n_rows,)
            Whether its first largest logit was at the label.

        Raises
        ------
        InvalidValueError
            For shapes, dtypes or memory orders that do not fit.
        """
        xp = array_namespace(packed)
        values = xp.empty(order.shape, dtype=packed.dtype, device=device(packed))
        hits = xp.empty(order.shape, dtype=xp.bool, device=device(packed))
        if str(order.dtype) != "int64":
            order = xp.astype(order, xp.int64)
        self.start(packed, accumulators, as_vector(order), values, hits, batch_size=batch_size, scalars=scalars)
        return values, hits

    def start(
        self,
        packed: Array,
        accumulators: Sequence[Array],
        order: Array,
        values: Array,
        hits: Array,
        *,
        batch_size: int,
        scalars: Array,
    ) -> None:
        """Do what :meth:`run` does, into arrays of the caller, and with nothing but launches.

        Parameters
        ----------
        packed : array of shape (n_features + 1, n_classes) or (n_features, n_classes)
            Weight and, below it, bias. C order. Overwritten.
        accumulators : sequence of arrays of the shape of ``packed``
            What the rule remembers. C order. Overwritten.
        order : array of int64, shape (n_rows,)
            Row numbers of ``X``, neighbours in memory.
        values : array of shape (n_rows,)
            Gets the losses.
        hits : array of bool, shape (n_rows,)
            Gets the hits.
        batch_size : int
            How many rows a step takes; the last may take fewer.
        scalars : array of float, shape (n_steps, n_scalars)
            The rule's numbers for each step. C order.

        Raises
        ------
        InvalidValueError
            For shapes, dtypes or memory orders that do not fit.
        """
        n_rows = order.shape[0]
        self._check(packed, accumulators, scalars, n_steps=-(-n_rows // batch_size))
        logits_gradient, row_weight = self.prepare(packed, batch_size)
        # Each block of the first kernel reads all weights, so it should take several rows; but only where that
        # leaves two blocks for every multiprocessor.
        is_large = batch_size >= 8 * self.launcher.n_multiprocessors and 4 * self._n_classes <= _MOST_CLASSES
        rows = 4 if is_large else 1
        types = str(self._X.dtype), str(self._labels.dtype), self._real_name
        scores, update = (
            _kernel(entry, *types, self._n_classes, rows, self._bias, self.rule)
            for entry in ("scores_and_gradient", "weight_update")
        )
        n_features, itemsize = self._X.shape[1], np.dtype(self._real).itemsize
        data = self._X, np.int64(self._row_stride), order
        standardisation = self._shift, self._feature_scale
        weights = self._labels, self._sample_weight, self._class_weight
        memory = [*accumulators, *[None] * (_MOST_ACCUMULATORS - len(accumulators))]
        scores_bytes = _WARPS * rows * self._n_classes * itemsize
        update_bytes = (32 + _WARPS * _FEATURES * self._n_classes) * itemsize
        for step, start in enumerate(range(0, n_rows, batch_size)):
            size = min(batch_size, n_rows - start)
            batch = np.int64(start), np.int32(size), np.int32(n_features)
            scalar = self._smoothing, self._inverse_temperature
            outputs = logits_gradient, row_weight, values, hits
            first = (*data, *weights, *standardisation, packed, *scalar, *batch, *outputs)
            self.launcher.run(scores, -(-size // rows), _THREADS, first, scores_bytes)
            rates = self._l2, scalars, np.int64(step)
            second = (*data, *standardisation, *batch, logits_gradient, row_weight, *rates, packed, *memory)
            self.launcher.run(update, -(-packed.shape[0] // _FEATURES), _THREADS, second, update_bytes)

    def prepare(self, packed: Array, batch_size: int) -> tuple[Array, Array]:
        """Return the scratch memory of a step, made at the first call for this size or a larger one.

        Parameters
        ----------
        packed : array
            Whose device and dtype it gets.
        batch_size : int
            How many rows there must be room for.

        Returns
        -------
        logits_gradient : array of shape (batch_size or more, n_classes)
            Passed from the first kernel to the second.
        row_weight : array of shape (batch_size or more,)
            Likewise.
        """
        if self._scratch is None or self._scratch[1].shape[0] < batch_size:
            xp, place = array_namespace(packed), device(packed)
            self._scratch = (
                xp.empty((batch_size, self._n_classes), dtype=self._real, device=place),
                xp.empty((batch_size,), dtype=self._real, device=place),
            )
        return self._scratch

    def _check(self, packed: Array, accumulators: Sequence[Array], scalars: Array, *, n_steps: int) -> None:
        """Compare what a kernel cannot: it would read past an array's end."""
        layout = RULES[self.rule]
        shape = self._X.shape[1] + int(self._bias), self._n_classes
        if len(accumulators) != len(layout.accumulators):
            names = ", ".join(layout.accumulators) or "none"
            msg = f"`accumulators` must be those of {self.rule!r}, {names}; got {len(accumulators)}."
            raise InvalidValueError(msg)
        expected = [("packed", packed, shape), *(("accumulators", array, shape) for array in accumulators)]
        expected.append(("scalars", scalars, (n_steps, len(layout.scalars))))
        for name, array, its_shape in expected:
            is_right = array.shape == its_shape and str(array.dtype) == self._real_name and array.flags.c_contiguous
            if not is_right:
                msg = (
                    f"`{name}` must have shape {its_shape}, {self._real_name} and C order; "
                    f"got shape {tuple(array.shape)} and {array.dtype}. Pass a converted copy."
                )
                raise InvalidValueError(msg)


def _check_lengths(length: int, **vectors: Array | None) -> None:
    """Compare lengths that a kernel cannot see."""
    for name, vector in vectors.items():
        if vector is not None and vector.shape != (length,):
            msg = f"`{name}` must have shape ({length},), one for each; got {tuple(vector.shape)}."
            raise InvalidValueError(msg)
