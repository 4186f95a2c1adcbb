# SPDX-License-Identifier: BSD-3-Clause
"""Ratios to the physical floor and to the peers, measured side by side in one run: ``python -m benchmarks``.

Every number that counts is a ratio of two times taken within a second of each other, because machines drift. The
data are random numbers of the stated shapes (Fashion-MNIST where its name is written), the settings are each
contestant's own defaults, and nothing here is tuned to either.
"""

__all__: list[str] = []
