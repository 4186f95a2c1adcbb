# SPDX-License-Identifier: BSD-3-Clause
"""Plans within a budget, what a budget may be, and what happens where memory ends."""

import gc
import logging
import weakref

import numpy as np
import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.ops.memory import (
    Footprint,
    RowCeiling,
    check_memory_budget,
    least_budget,
    plan_chunks,
    shrinking,
)
from softmax_xp.threads import UNLIMITED, lane_count, ordered_map, ordered_sum

FOOTPRINTS = (
    Footprint.of(8, 1_000_000, 4, copies=1),
    Footprint.of(784, 10, 8, copies=3),
    Footprint.of(2048, 1000, 4, copies=9, parts=5),
    Footprint.of(100, 5000, 4, copies=5, parts=0),
)


def bytes_of(plan, footprint):
    """What the head of the module says a plan takes."""
    at_once, lanes = plan.limits
    if not footprint.parts:
        return plan.rows * footprint.row * at_once
    return plan.rows * footprint.row * at_once + footprint.part * (at_once + lanes + footprint.parts - 2)


@pytest.mark.parametrize("footprint", FOOTPRINTS)
@pytest.mark.parametrize("factor", [1.0, 1.01, 1.5, 2.0, 3.0, 10.0, 100.0])
@pytest.mark.parametrize("wanted", [1, 67, 5000])
def test_a_plan_stays_within_its_budget(footprint, factor, wanted):
    budget = int(factor * least_budget(footprint))
    plan = plan_chunks(footprint, wanted, budget)
    assert 1 <= plan.rows <= wanted
    assert min(plan.limits) >= 1
    assert bytes_of(plan, footprint) <= budget
    if plan.rows < wanted:  # then another row would be too many
        assert bytes_of(plan._replace(rows=plan.rows + 1), footprint) > budget - (1 << 16)
        assert plan.limits.at_once == 1


def test_all_of_a_large_budget_is_of_use():
    footprint = Footprint.of(784, 10, 4, copies=2)
    plan = plan_chunks(footprint, 1337, 1 << 30)
    assert plan.rows == 1337
    assert plan.limits.lanes == lane_count(footprint.part)
    assert plan.limits.at_once > 64


def test_without_a_budget_a_plan_is_what_was_wanted():
    assert plan_chunks(FOOTPRINTS[0], 123, None) == (123, UNLIMITED)


def test_a_budget_below_the_least_is_the_least():
    assert plan_chunks(FOOTPRINTS[0], 67, 1) == (1, (1, 1))


@pytest.mark.parametrize("budget", [None, 1, np.int64(5), 1 << 40])
def test_a_budget_is_a_plain_integer(budget):
    checked = check_memory_budget(budget)
    assert checked == budget
    assert type(checked) in {int, type(None)}


@pytest.mark.parametrize(
    ("budget", "error", "text"),
    [
        (1.5, InvalidTypeError, "`memory_budget` must be an integer number of bytes or None; got 1.5. Pass 1 << 30"),
        (True, InvalidTypeError, "an integer number of bytes or None; got True"),
        ("1GB", InvalidTypeError, "got '1GB'"),
        (0, InvalidValueError, "`memory_budget` must be at least 1 byte, or None for no budget; got 0"),
        (-5, InvalidValueError, "got -5"),
    ],
)
def test_nonsense_is_refused(budget, error, text):
    with pytest.raises(error, match=text):
        check_memory_budget(budget)


def test_the_least_budget_is_named():
    footprint = FOOTPRINTS[0]
    least = least_budget(footprint)
    assert check_memory_budget(least, footprint) == least
    text = rf"`memory_budget` must be at least {least} bytes for a million classes; got {least - 1}\. Pass more"
    with pytest.raises(InvalidValueError, match=text):
        check_memory_budget(least - 1, footprint, "a million classes")


class _TorchsOutOfMemoryError(RuntimeError):
    pass


_TorchsOutOfMemoryError.__name__ = "OutOfMemoryError"


class TestShrinking:
    @pytest.mark.parametrize(
        "error", [MemoryError(), _TorchsOutOfMemoryError("CUDA"), RuntimeError("RESOURCE_EXHAUSTED: Out of memory")]
    )
    def test_rows_are_halved_until_they_fit_and_stay_so(self, error, caplog):
        ceiling, seen = RowCeiling(), []

        def attempt():
            seen.append(ceiling.lowered(100))
            if seen[-1] > 30:
                raise error
            return "done"

        for _ in range(2):
            assert shrinking(attempt, ceiling, lambda: ceiling.lowered(100)) == "done"
        assert seen == [100, 50, 25, 25]
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        text = (
            "Out of memory with chunks of 100 rows: going on with 50, and with fewer if need be. Pass `memory_budget`"
        )
        assert record.getMessage().startswith(text)

    def test_at_one_row_the_error_comes_through_with_advice(self):
        ceiling, seen = RowCeiling(), []

        def attempt():
            seen.append(ceiling.lowered(5))
            raise MemoryError

        with pytest.raises(MemoryError) as caught:
            shrinking(attempt, ceiling, lambda: ceiling.lowered(5))
        assert seen == [5, 2, 1]
        (note,) = caught.value.__notes__
        assert note.startswith("Not even one row at a time fits in memory")

    @pytest.mark.parametrize("error", [ValueError("x"), RuntimeError("x"), KeyboardInterrupt()])
    def test_other_errors_are_left_alone(self, error):
        ceiling = RowCeiling()

        def attempt():
            raise error

        with pytest.raises(type(error)) as caught:
            shrinking(attempt, ceiling, lambda: 8)
        assert not hasattr(caught.value, "__notes__")
        assert ceiling.rows is None

    @pytest.mark.parametrize("threads", [1, 2])
    @pytest.mark.parametrize("how", [ordered_sum, lambda *given, **options: list(ordered_map(*given, **options))])
    def test_what_a_failed_attempt_had_made_is_gone_before_the_next(self, threads, how):
        class Large:
            """Stands for an array."""

        ceiling, made, alive = RowCeiling(), [], []

        def term(_):
            large = Large()
            made.append(weakref.ref(large))
            if ceiling.rows is None:
                raise MemoryError
            return (1,)

        def attempt():
            alive.extend(reference for reference in made if reference() is not None)
            return how(term, range(4), threads=threads)

        gc.disable()
        try:
            shrinking(attempt, ceiling, lambda: 8)
        finally:
            gc.enable()
        assert made
        assert not alive
