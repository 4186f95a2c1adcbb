# SPDX-License-Identifier: BSD-3-Clause
import pytest

from benchmarks.gpu_predictions import PREDICTIONS, TARGETS, Bound, Target, is_met, verdict

TARGET = Target("two numbers", "toy", (Bound("speed", ">=", 2.0), Bound("time", "<=", 1.0)))


@pytest.mark.parametrize(
    ("measured", "wrong", "expected"),
    [
        ({"speed": 2.0, "time": 1.0}, (), "met"),
        ({"speed": 1.99, "time": 1.0}, (), "missed"),
        ({"speed": 2.0, "time": 1.01}, (), "missed"),
        ({"speed": 3.0}, (), "not measured"),
        ({"time": 2.0}, (), "missed"),
        ({}, (), "not measured"),
        ({"speed": 3.0, "time": 0.5}, ("toy",), "missed: wrong result"),
        ({"speed": 3.0, "time": 0.5}, ("other",), "met"),
        ({"speed": float("nan"), "time": 0.5}, (), "missed"),
    ],
)
def test_a_target_is_met_only_by_all_of_its_numbers(measured, wrong, expected):
    assert verdict(TARGET, measured, wrong) == expected


def test_a_bound_without_a_number_is_not_judged():
    assert is_met(TARGET.bounds[0], {}) is None


def test_the_five_targets_are_there_and_each_of_their_numbers_stands_in_the_table():
    bounds = {bound.key: (bound.sign, bound.limit) for target in TARGETS for bound in target.bounds}
    assert len(TARGETS) == 5
    assert bounds == {
        "cross_entropy_1000": (">=", 0.9),
        "cross_entropy_4096": (">=", 0.9),
        "cross_entropy_32768": (">=", 0.9),
        "cross_entropy_250000": (">=", 0.9),
        "epoch_times_eager": (">=", 10.0),
        "epoch_times_graph": (">=", 2.0),
        "large_ratio_float32": ("<=", 1.25),
        "large_ratio_tf32": ("<=", 1.25),
        "small_ratio": ("<=", 1.3),
        "many_memory": ("<=", 8.0),
        "many_rate_tf32": (">=", 0.7),
    }
    assert bounds.keys() <= PREDICTIONS.keys()


@pytest.mark.parametrize(
    ("ratio", "numerator", "denominator"),
    [
        ("epoch_times_eager", "epoch_torch_eager", "epoch_ours"),
        ("epoch_times_graph", "epoch_torch_graph", "epoch_ours"),
        ("small_ratio", "small_ours", "small_read"),
        ("large_ratio_float32", "large_ours_float32", "large_products_float32"),
        ("large_ratio_tf32", "large_ours_tf32", "large_products_tf32"),
        ("many_rate_tf32", "many_products_tf32", "many_ours_tf32"),
    ],
)
def test_predicted_ratios_follow_from_the_predicted_times(ratio, numerator, denominator):
    above, below = PREDICTIONS[numerator], PREDICTIONS[denominator]
    assert PREDICTIONS[ratio].low == pytest.approx(above.low / below.high, rel=0.04)
    assert PREDICTIONS[ratio].high == pytest.approx(above.high / below.low, rel=0.04)


def test_predicted_times_are_arithmetic_on_the_ceilings():
    for precision in ("float32", "tf32"):
        rate = PREDICTIONS[f"gemm_{precision}"].low * 1e9  # operations of a millisecond
        large = PREDICTIONS[f"large_products_{precision}"].low
        assert large == pytest.approx(4 * 1.28e6 * 768 * 1000 / rate, rel=0.01)
    assert PREDICTIONS["many_products_tf32"].low == pytest.approx(4 * 8192 * 1024 * 250000 / rate, rel=0.01)
    read = 4 * 60000 * 784 / (PREDICTIONS["copy_bandwidth"].low * 1e9)
    assert PREDICTIONS["small_read"].low == pytest.approx(read, rel=0.01)
    for prediction in PREDICTIONS.values():
        assert (prediction.low is None) == (prediction.high is None) == (not prediction.basis)
