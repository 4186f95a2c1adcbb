# SPDX-License-Identifier: BSD-3-Clause
"""Full-batch solvers for convex objectives: one file each, and the table that tests and the estimators iterate."""

__all__ = [
    "LBFGS",
    "SOLVERS",
    "Certificate",
    "Certified",
    "Curvature",
    "Evaluation",
    "Metric",
    "NewtonCG",
    "NewtonCholesky",
    "Objective",
    "Proximal",
    "Solution",
    "Solver",
    "Status",
    "choose_solver",
    "minimise",
]

from softmax_xp.solvers.choice import choose_solver
from softmax_xp.solvers.contract import Certificate, Certified, Curvature, Evaluation, Metric, Objective, Solver
from softmax_xp.solvers.lbfgs import LBFGS
from softmax_xp.solvers.loop import Solution, Status, minimise
from softmax_xp.solvers.newton_cg import NewtonCG
from softmax_xp.solvers.newton_cholesky import NewtonCholesky
from softmax_xp.solvers.proximal import Proximal

SOLVERS: dict[str, Solver] = {
    "lbfgs": LBFGS(),
    "newton-cg": NewtonCG(),
    "newton-cholesky": NewtonCholesky(),
    "proximal": Proximal(),
}
