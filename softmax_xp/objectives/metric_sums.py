# SPDX-License-Identifier: BSD-3-Clause
"""The sums over rows that make a metric, and the choice among its forms; see :mod:`softmax_xp.objectives.metric`."""

__all__ = ["drawn", "metric_of_rows"]

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from softmax_xp.backend import array_namespace, backend_of, scalar
from softmax_xp.data.order import philox
from softmax_xp.data.rows import entry_count, has_sparse_rows, take_rows
from softmax_xp.data.sparse import squared_entries, to_dense
from softmax_xp.losses.contract import Targets
from softmax_xp.objectives.metric import (
    CentredMetric,
    ClassMetric,
    DenseMetric,
    DiagonalMetric,
    LowRankMetric,
    ShiftedMetric,
)
from softmax_xp.ops.definite import inverse_of_sums, jitter_of_sums
from softmax_xp.solvers.contract import Metric
from softmax_xp.threads import Limits
from softmax_xp.typing import Array

if TYPE_CHECKING:
    from softmax_xp.objectives.convex import ConvexObjective

# An inverse of this many rows costs about as much as a few passes over data that are worth a dense metric.
_DENSE_LIMIT = 2500
_RANK = 128
# The inverses of all classes may take this many bytes, or this share of the data.
_CLASS_BYTES, _CLASS_SHARE = 1 << 26, 1 / 6
# What bends less than this share of the class that bends most is lifted to it: so little is soon wrong, as samples
# leave the boundaries. Without, fits of separable data take up to twenty times as many iterations; 1e-3 is as good
# there, and felt where features are nearly collinear.
_SAMPLED = 3e-4
# But by no more than this share of what a feature's own spread makes of it.
_OF_SPREAD = 0.3
# Rows of a matrix whose inverse is worth several threads.
_LARGE = 512
# Inverses are kept in stacks of this many bytes.
_STACK_BYTES = 1 << 22
# Entries of the weights of all classes that are kept while the samples are drawn; or a sixteenth of the data.
_SMALL_WEIGHTS = 1 << 20
# The work of building them, against that of a pass, in which a product of the same size takes about four times as long.
_CLASS_WORK = 32
# The work of the inverses for sparse data, against the entries that a pass multiplies at a twentieth of the speed.
_NARROW_WORK = 800


class _Sums(NamedTuple):
    """Over a sample of the rows."""

    gram: Array | None  # (n_features, n_features)
    edge: Array | None  # (n_features, 1), the column of the bias
    squares: Array  # (n_features, n_columns), the diagonals of all classes
    corner: Array  # (n_columns,), the weights


def metric_of_rows(objective: "ConvexObjective", point: Array, weights: Callable[[Array, Targets], Array]) -> Metric:
    """Build the metric that suits the data.

    Parameters
    ----------
    objective : ConvexObjective
        Whose data.
    point : array of shape (n_rows, n_columns)
        Where.
    weights : callable
        Takes rows, converted, and their targets; returns the ``w_ic`` of shape (n_rows, n_columns).

    Returns
    -------
    Metric
        For points of ``objective``.
    """
    builder = _Builder(objective, weights)
    if has_sparse_rows(objective.linear.X) and not builder.is_narrow():
        return builder.diagonal()
    objective.survey()  # before several threads ask for it
    if objective.shape[0] > _DENSE_LIMIT:
        return builder.low_rank()
    # Where all coefficients are zero, all classes have the same weights, and one inverse is that of each.
    alike = scalar(builder.xp.max(builder.xp.abs(point))) == 0.0  # host: once for each metric
    return builder.classes() if builder.centred and builder.classes_pay() and not alike else builder.dense()


class _Builder:
    """Sums and inverts."""

    def __init__(self, objective: "ConvexObjective", weights: Callable[[Array, Targets], Array]) -> None:
        self.objective, self.weights = objective, weights
        self.linear, self.backend = objective.linear, objective.backend
        self.xp = self.backend.xp
        self.n_samples, self.n_features = objective.linear.X.shape
        self.n_rows, self.n_columns = objective.shape
        self.centred = self.n_columns > 1 and objective.l1 is None
        # More samples do not make the metric better than its form is: half of these cost no iteration, twice as many
        # save none. The last term is about a pass's worth.
        self.sample = max(2 * self.n_rows, 2048, 32 * self.n_samples // self.n_rows)
        self.every = max(self.n_samples // self.sample, 1)
        # A spread below this share of the size is rounding.
        self.least = max(1e-10, self.xp.finfo(self.linear.dtype).eps)

    @property
    def mean(self) -> Array | None:
        """The means of the scaled features that are to be centred, (n_features, 1); None where there is none."""
        return self.objective.survey()[0]

    def is_narrow(self) -> bool:
        """Tell whether sparse data have so few features that the inverses cost no more than some passes.

        Text needs no more than the diagonal. Encoded categories do: each group of columns adds up to the bias.
        """
        work: int = min(self.sample, self.n_samples) * self.n_rows**2 + self.n_rows**3
        entries: int = entry_count(self.linear.X) + 6 * self.n_samples
        return work <= _NARROW_WORK * entries

    def classes_pay(self) -> bool:
        """Tell whether an inverse for each class is worth its memory and its work."""
        itemsize = 8 if self.linear.dtype == self.xp.float64 else 4
        allowed = max(_CLASS_BYTES, _CLASS_SHARE * self.n_samples * self.n_features * itemsize)
        work = min(self._drawn(), self.n_samples) * self.n_rows + 3 * self.n_rows**2
        few: bool = self.n_columns * self.n_rows**2 * 4 <= allowed
        cheap: bool = work <= 4 * _CLASS_WORK * self.n_samples
        return few and cheap and min(self._drawn(), self.n_samples) <= self._affordable()

    def classes(self) -> Metric:
        """Sum and invert class by class, so that only the inverses are ever held together.

        Few samples are in doubt about a class: of all they would be a small part, and so would be the information in a
        sample of all. So the samples are drawn for each class, in proportion to their weights, and count alike. What
        they leave open needs no more than float32.
        """
        xp, linear, dtype = self.xp, self.linear, self.xp.float32
        every = self.n_samples // min(self.n_samples, self._candidates())
        chunks = linear.chunks(self.n_columns, every=every)
        parts = [self.weights(linear.rows(rows), targets) for rows, targets in chunks]
        weights = xp.concat(parts) if len(parts) > 1 else parts[0]  # (n_candidates, n_columns)
        counted = weights.shape[0]
        means = xp.astype(xp.sum(weights, axis=0) * self.objective.total_scale() * (self.n_samples / counted), dtype)
        n_drawn = self._drawn()
        everyone = self._narrow_features(linear.X) if every == 1 and counted <= n_drawn else None
        least = self._least_shares() * xp.max(means) + xp.finfo(dtype).smallest_normal
        identity = xp.eye(self.n_rows, dtype=dtype, device=self.backend.device)
        ridge = identity * (self._l2(dtype) + least)

        def inverse(column: int) -> Array:
            own = weights[:, column]
            if everyone is not None:
                own = own / xp.clip(xp.sum(own), min=xp.finfo(own.dtype).smallest_normal)
                weighted = everyone * xp.sqrt(xp.astype(own, dtype))[:, None]
                total = (weighted.T @ weighted) * means[column]
            else:
                features = self._narrow_features(take_rows(linear.X, drawn(own, n_drawn), every))
                total = (features.T @ features) * (means[column] / n_drawn)
                del features  # large, as all that follows
            return inverse_of_sums(total + ridge, _SAMPLED)

        # Large ones keep all cores busy one by one, and several at once would take several times the memory.
        several_at_once = self.backend.map_chunks if self.n_rows < _LARGE else map
        stacks = _stacked(several_at_once(inverse, range(self.n_columns)), self.n_rows**2 * xp.finfo(dtype).bits // 8)
        read = counted + self.n_columns * min(n_drawn, counted)
        self.objective.passes += 0.5 * read / self.n_samples
        return self._shifted(self._centre(ClassMetric(stacks), None))

    def _least_shares(self) -> Array:
        """Return to which share of the largest class's weight each feature is lifted, (n_rows, 1).

        A feature whose spread is small beside its size bends little in every class: that is no reason to lift it.
        """
        xp, (_, spread) = self.xp, self.objective.survey()
        # What no sample shows may be rare; the least keeps rounding from passing for a spread.
        spread = xp.where(spread > 0, spread, xp.full_like(spread, 1.0 / self.n_samples))
        return xp.astype(xp.clip(_OF_SPREAD * spread, min=self.least, max=_SAMPLED), xp.float32)[:, None]

    def _features(self, rows: Array) -> Array:
        """Return the scaled features of some rows, converted, less their means, and the constant one."""
        features = self.objective.features(rows)
        if self.mean is None:
            return features
        return features - self.xp.concat((self.mean[:, 0], self.xp.zeros_like(self.mean[0, :])), axis=0)

    def _narrow_features(self, rows: Array) -> Array:
        """Return the features of some stored rows in float32, which has room for them once they are scaled."""
        return self.xp.astype(self._features(self.linear.rows(rows)), self.xp.float32, copy=False)

    def _drawn(self) -> int:
        """Return how many samples stand for a class: enough for an inverse that is off by no more than its form."""
        return max(2 * self.n_rows, 1024)

    def _candidates(self) -> int:
        """Return from how many samples to draw: eight times as many, if their weights for all classes are small."""
        small: int = max(_SMALL_WEIGHTS, self.n_samples * self.n_features // 16) // self.n_columns
        return max(self._drawn(), min(8 * self._drawn(), small, self._affordable()))

    def _affordable(self) -> int:
        """Return for how many samples a memory budget has room for the weights of all classes, some of them twice."""
        budget = self.linear.memory_budget
        return self.n_samples if budget is None else budget // (4 * self.n_columns * self.linear.itemsize)

    def dense(self) -> Metric:
        """Invert the shared M; correct its diagonal for each class."""
        xp, objective = self.xp, self.objective
        wide = xp.float64 if self.backend.capabilities.float64 else self.linear.dtype
        sums, scale = self._sums(gram=True)
        assert sums.gram is not None  # noqa: S101 - asked for
        total = xp.astype(sums.gram, wide)
        if objective.fit_intercept:
            assert sums.edge is not None  # noqa: S101 - asked for
            edge, corner = xp.astype(sums.edge, wide), xp.astype(xp.sum(sums.corner), wide) / max(self.n_columns - 1, 1)
            upper = xp.concat((total, edge), axis=1)
            total = xp.concat((upper, xp.concat((edge.T, corner[None, None]), axis=1)), axis=0)
        total = total * scale
        identity = xp.eye(self.n_rows, dtype=wide, device=self.backend.device)
        # The inverse stays wide: rounded, it need not be definite.
        jitter = jitter_of_sums(self.n_rows, self.linear.dtype, xp)
        total = total + identity * (self._l2(wide) + self.least * xp.max(total) + xp.finfo(wide).smallest_normal)
        metric = DenseMetric(inverse_of_sums(total, 2.0 * jitter))
        return self._shifted(self._centre(metric, self._roots(sums, scale)) if self.centred else metric)

    def diagonal(self) -> Metric:
        """Invert the diagonals."""
        xp = self.xp
        sums, scale = self._sums(gram=False)
        diagonals = self._diagonals(sums, scale)
        if self.centred:
            return self._centre(DiagonalMetric(1.0 / diagonals), None)
        shared = xp.sum(diagonals, axis=1, keepdims=True) / max(self.n_columns - 1, 1)
        return DiagonalMetric(1.0 / shared)

    def low_rank(self) -> Metric:
        """Find the leading eigenvectors of M, scaled to a unit diagonal, from its action on a random block."""
        xp = self.xp
        # A fixed block, so that the fit is the same each time and on each device.
        block = self.backend.put(philox(0).standard_normal((self.n_rows, _RANK)), self.linear.dtype)
        block, _ = xp.linalg.qr(block)

        def action(chunk: tuple[Array, Targets]) -> tuple[Array, Array, int]:
            rows = self.linear.rows(chunk[0])
            weight, features = self.weights(rows, chunk[1]), self._features(rows)
            mean = xp.sum(weight, axis=1, keepdims=True) / max(self.n_columns - 1, 1)
            return features.T @ (mean * (features @ block)), (features * features).T @ weight, rows.shape[0]

        sketch, squares, counted = self.backend.sum_chunks(action, self._chunks(), self._limits())
        self.objective.passes += counted / self.n_samples
        scale = self.objective.total_scale() * (self.n_samples / counted)
        shared = xp.sum(squares, axis=1, keepdims=True) * scale / max(self.n_columns - 1, 1)
        ridge = self._l2(self.linear.dtype) + 1e-6 * xp.max(shared) + xp.finfo(shared.dtype).smallest_normal ** 0.5
        metric: Metric = _nystrom(sketch * scale, block, shared + ridge)
        if self.centred:
            metric = self._centre(metric, xp.sqrt((shared + ridge) / (squares * scale + ridge)))
        return self._shifted(metric)

    def _chunks(self) -> Iterable[tuple[Array, Targets]]:
        return self.linear.chunks(max(self.n_features, self.n_columns), every=self.every, dense=True)

    def _limits(self) -> Limits:
        return self.linear.limits(max(self.n_features, self.n_columns), dense=True)

    def _l2(self, dtype: Any) -> Array:
        """Return the penalty's diagonal of shape (n_rows, 1)."""
        if self.objective.l2_rows is None:
            return self.xp.zeros((self.n_rows, 1), dtype=dtype, device=self.backend.device)
        return self.xp.astype(self.objective.l2_rows, dtype)

    def _sums(self, *, gram: bool) -> tuple[_Sums, Array | float]:
        """Sum over a sample of the rows, over all rows of sparse data; also return what makes a mean of the sums."""
        xp, linear, n_columns = self.xp, self.linear, self.n_columns

        def part(chunk: tuple[Array, Targets]) -> tuple[Array | None, Array | None, Array, Array, int]:
            rows = linear.rows(chunk[0])
            weight = self.weights(rows, chunk[1])
            corner = xp.sum(weight, axis=0)
            if not gram:
                squares = squared_entries(rows, self.objective.scale[:, 0]).T @ weight
                return None, None, squares, corner, rows.shape[0]
            features = to_dense(rows) / self.objective.scale[:, 0]
            features = features if self.mean is None else features - self.mean[:, 0]
            squares = (features * features).T @ weight
            root = xp.sqrt(xp.sum(weight, axis=1, keepdims=True) / max(n_columns - 1, 1))
            features = features * root
            return features.T @ features, features.T @ root, squares, corner, rows.shape[0]

        chunks = self._chunks() if gram else linear.chunks(n_columns)
        *sums, counted = self.backend.sum_chunks(part, chunks, self._limits() if gram else linear.limits(n_columns))
        self.objective.passes += counted / self.n_samples
        return _Sums(*sums), self.objective.total_scale() * (self.n_samples / counted)

    def _diagonals(self, sums: _Sums, scale: Array | float) -> Array:
        """Return the diagonals of all M_c, (n_rows, n_columns), none of them zero."""
        xp = self.xp
        squares = sums.squares
        if self.objective.fit_intercept:
            squares = xp.concat((squares, sums.corner[None, :]), axis=0)
        squares = squares * scale
        tiny = 1e-10 * xp.max(squares) + xp.finfo(squares.dtype).smallest_normal
        return squares + self._l2(squares.dtype) + tiny

    def _roots(self, sums: _Sums, scale: Array | float) -> Array:
        """Return what turns the shared diagonal into that of each class."""
        diagonals = self._diagonals(sums, scale)
        l2 = self._l2(diagonals.dtype)
        shared = self.xp.sum(diagonals - l2, axis=1, keepdims=True) / (self.n_columns - 1) + l2
        return self.xp.sqrt(shared / diagonals)

    def _shifted(self, metric: Metric) -> Metric:
        """Let a metric of centred features act on the gradients of the features as they are."""
        return metric if self.mean is None else ShiftedMetric(metric, self.mean)

    def _centre(self, metric: Metric, roots: Array | None) -> Metric:
        """Let a metric act where gradients sum to zero over the classes."""
        if not self.centred:
            return metric
        l2 = self.objective.l2_rows
        gain = None
        if l2 is not None:
            # A penalty that is lost in rounding would blow the gradient's rounding up.
            counts = l2 > self.xp.finfo(l2.dtype).eps
            gain = self.xp.where(counts, 1.0 / self.xp.where(counts, l2, 1.0), self.xp.zeros_like(l2))
        return CentredMetric(metric, roots, gain)


def drawn(weights: Array, count: int) -> Array:
    """Draw places in proportion to their weights, evenly along their sum, so that the draw is the same each time."""
    xp = array_namespace(weights)
    reached = xp.cumulative_sum(weights)
    targets = (xp.arange(count, dtype=weights.dtype, device=backend_of(weights).device) + 0.5) * (reached[-1] / count)
    return xp.clip(xp.searchsorted(reached, targets), 0, weights.shape[0] - 1)


def _stacked(matrices: Iterable[Array], matrix_bytes: int) -> tuple[Array, ...]:
    """Return a few stacks: one of them all would exist beside its parts for a moment."""
    several = max(_STACK_BYTES // matrix_bytes, 1)
    stacks, waiting = list[Array](), list[Array]()
    for matrix in matrices:
        waiting.append(matrix)
        if len(waiting) == several:
            stacks.append(array_namespace(matrix).stack(waiting))
            waiting = []
    return (*stacks, array_namespace(waiting[0]).stack(waiting)) if waiting else tuple(stacks)


def _nystrom(sketch: Array, block: Array, diagonal: Array) -> LowRankMetric:
    """Return the metric of M from ``M @ block``: M is about ``Y (Q' Y)^-1 Y'`` with ``Y = M Q``."""
    xp = array_namespace(sketch)
    n_rows = sketch.shape[0]
    # Of unit size: the squares of a sketch of tiny weights would vanish.
    size = xp.max(xp.abs(sketch)) + xp.finfo(sketch.dtype).smallest_normal
    sketch, diagonal = sketch / size, diagonal / size
    # Shifted by more than its rounding, so that the root of Q' Y exists.
    shift = 8.0 * xp.finfo(sketch.dtype).eps * (xp.sqrt(xp.sum(sketch * sketch)) + 1.0)
    sketch = sketch + shift * block
    core = block.T @ sketch
    lower = xp.linalg.cholesky(0.5 * (core + core.T))
    factor = xp.linalg.solve(lower, sketch.T).T
    roots = 1.0 / xp.sqrt(diagonal)
    left, sizes, _ = xp.linalg.svd(roots * factor, full_matrices=False)
    values = xp.maximum(sizes * sizes - shift, xp.zeros_like(sizes))
    # What no found eigenvector explains of the unit diagonal is spread evenly.
    rest = xp.maximum((n_rows - xp.sum(values)) / n_rows, xp.full_like(values[0], 1e-3))
    gains = rest / (values + rest) - 1.0
    return LowRankMetric(roots / xp.sqrt(rest) / xp.sqrt(size), left, gains[:, None])
