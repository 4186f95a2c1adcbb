# SPDX-License-Identifier: BSD-3-Clause
"""Penalties: one file each, and the table that tests and the command line iterate."""

__all__ = ["L2", "PENALTIES", "ElasticNet", "Penalty"]

from softmax_xp.penalties.contract import Penalty
from softmax_xp.penalties.elastic_net import ElasticNet
from softmax_xp.penalties.l2 import L2

PENALTIES: dict[str, Penalty] = {"l2": L2(), "elastic_net": ElasticNet()}
