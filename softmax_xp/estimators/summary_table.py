# SPDX-License-Identifier: BSD-3-Clause
"""Coefficients with their standard errors: the numbers, and the table that people read."""

__all__ = ["Summary"]

import html
import importlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

from softmax_xp.errors import MissingDependencyError
from softmax_xp.estimators.information import Floats

_COLUMNS = ("coefficient", "standard_error", "z", "p_value", "lower", "upper")
# A longer table helps nobody on a screen; `to_frame` has all rows.
_MOST_ROWS = 200
_MEANINGS = {
    "model": "model-based (inverse of the Hessian)",
    "sandwich": "sandwich (robust, HC0)",
}


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Summary:
    """Coefficients against a reference class, with Wald statistics; printed, it is a table.

    Parameters
    ----------
    coefficient : array of shape (n_contrasts, n_terms)
        Those of each class less those of the reference class; log odds per unit of the feature. A row for each class
        but the reference, as in ``classes``; a column for each term, as in ``terms``.
    standard_error : array of shape (n_contrasts, n_terms)
        In the units of the coefficient; NaN where the data do not determine it.
    z : array of shape (n_contrasts, n_terms)
        ``coefficient / standard_error``.
    p_value : array of shape (n_contrasts, n_terms)
        Of the two-sided Wald test, ``erfc(|z| / sqrt(2))``.
    lower : array of shape (n_contrasts, n_terms)
        Lower end of the confidence interval.
    upper : array of shape (n_contrasts, n_terms)
        Upper end.
    covariance : array of shape (n_contrasts * n_terms, n_contrasts * n_terms)
        Of ``coefficient.ravel()``.
    terms : tuple of str
        "(intercept)", where there is one, then the features.
    classes : tuple
        The classes but the reference.
    reference : object
        The class that all others are compared with.
    covariance_type : {"model", "sandwich"}
        Which estimate of the covariance it is.
    confidence : float
        Of the intervals, between 0 and 1.
    C : float
        Inverse strength of the penalty; infinite without one.
    n_samples : int
        Those of positive weight.
    total_weight : float
        What all samples weigh.
    notes : tuple of str, default=()
        What to beware of; each was also a warning.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.estimators.summary import coefficient_summary
    >>> X, codes = np.array([[0.0], [0.0], [1.0], [1.0], [1.0]]), np.array([0, 1, 0, 1, 1])
    >>> summary = coefficient_summary(X, codes, np.array([[np.log(2.0)]]), np.zeros(1), feature_names=["dose"])
    >>> print(summary)
    Coefficients against class 0; 5 samples.
    Standard errors: model-based (inverse of the Hessian).
    <BLANKLINE>
    class  term         coefficient  std. error     z       p  95% lower  95% upper
    1      (intercept)            0       1.414  0.00  1.0000     -2.772      2.772
    1      dose              0.6931       1.871  0.37  0.7110     -2.974       4.36
    """

    coefficient: Floats
    standard_error: Floats
    z: Floats
    p_value: Floats
    lower: Floats
    upper: Floats
    covariance: Floats
    terms: tuple[str, ...]
    classes: tuple[Any, ...]
    reference: Any
    covariance_type: str
    confidence: float
    C: float
    n_samples: int
    total_weight: float
    notes: tuple[str, ...] = ()

    def to_frame(self) -> Any:
        """Return all rows as a pandas DataFrame.

        Returns
        -------
        pandas.DataFrame
            A row for each class and term, by which it is indexed, in the order of ``covariance``.

        Raises
        ------
        MissingDependencyError
            Where pandas is not installed.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ImportError:
            msg = (
                "`to_frame` needs pandas, which is not installed. Use the summary's arrays, "
                "or install it with: pip install pandas"
            )
            raise MissingDependencyError(msg) from None
        index = pandas.MultiIndex.from_product([self.classes, self.terms], names=["class", "term"])
        return pandas.DataFrame({name: getattr(self, name).ravel() for name in _COLUMNS}, index=index)

    def __str__(self) -> str:
        """Lay the table out in columns."""
        rows = list(self._rows())
        table = [self._header(), *rows]
        widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if place < 2 else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
            ).rstrip()
            for cells in table
        ]
        return "\n".join([*self._introduction(), "", *lines, *self._remarks()])

    def __repr__(self) -> str:
        """Show the table where a session echoes the value."""
        return str(self)

    def _repr_html_(self) -> str:
        """Show the table in a notebook."""
        caption = "<br>".join(html.escape(line) for line in self._introduction())
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in self._header())
        body = "".join(
            "<tr>"
            + "".join(f"<th>{html.escape(cell)}</th>" for cell in cells[:2])
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells[2:])
            + "</tr>"
            for cells in self._rows()
        )
        remarks = "".join(f"<p>{html.escape(line)}</p>" for line in self._remarks() if line)
        return (
            f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{remarks}"
        )

    def _introduction(self) -> list[str]:
        """Say what is compared, and what the standard errors are."""
        weights = "" if self.total_weight == self.n_samples else f", which weigh {self.total_weight:g}"
        lines = [
            f"Coefficients against class {self.reference}; {self.n_samples} samples{weights}.",
            f"Standard errors: {_MEANINGS[self.covariance_type]}.",
        ]
        if math.isfinite(self.C):
            lines.append(f"The penalty (C={self.C:g}) shrinks the coefficients: tests and intervals are approximate.")
        return lines

    def _header(self) -> tuple[str, ...]:
        percent = f"{100.0 * self.confidence:g}%"
        return ("class", "term", "coefficient", "std. error", "z", "p", f"{percent} lower", f"{percent} upper")

    def _rows(self) -> Iterator[tuple[str, ...]]:
        """Yield the cells of each row that is shown."""
        names = ((str(label), term) for label in self.classes for term in self.terms)
        columns = (getattr(self, name).ravel().tolist() for name in _COLUMNS)
        numbers = zip(*columns, strict=True)
        for place, (name, (value, error, z, p, lower, upper)) in enumerate(zip(names, numbers, strict=True)):
            if place == _MOST_ROWS:
                return
            probability = "<0.0001" if p < 1e-4 else f"{p:.4f}"
            yield (*name, f"{value:.4g}", f"{error:.4g}", f"{z:.2f}", probability, f"{lower:.4g}", f"{upper:.4g}")

    def _remarks(self) -> list[str]:
        """Say what is missing from the table, and what to beware of."""
        left = self.coefficient.size - _MOST_ROWS
        more = [f"... and {left} more rows: `to_frame` has them all."] if left > 0 else []
        return [*more, *(line for note in self.notes for line in ("", f"Note: {note}"))]
