# SPDX-License-Identifier: BSD-3-Clause
"""The passes over the data of a fit, made by the workers of a Dask cluster.

The solver, the objective and the certificate are those of any fit; only the sums over samples are made elsewhere. The
data are cut into shards by their size alone, each worker sums over the shards that it holds, and the sums of shards are
added along one fixed binary tree in float64. So the number of workers, and who died in between, changes no bit.
"""

__all__ = ["DaskEngine", "SerialEngine", "ShardPlan", "on_cluster", "plan_shards"]

from softmax_xp.distributed.engine import DaskEngine
from softmax_xp.distributed.placement import on_cluster
from softmax_xp.distributed.serial import SerialEngine
from softmax_xp.distributed.shards import ShardPlan, plan_shards
