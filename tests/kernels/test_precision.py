# SPDX-License-Identifier: BSD-3-Clause
"""Rough products: what each library is told, and that it gets its own setting back."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

import softmax_xp as sx
from softmax_xp.backend import Backend
from softmax_xp.errors import InvalidValueError
from softmax_xp.kernels.precision import COMPUTE, can_be_rough, check_compute, products


@pytest.fixture
def cupy(monkeypatch):
    """A stand-in for CuPy's private switch, which no machine without a GPU can turn."""
    core = ModuleType("cupy._core")
    core.setting, core.log = 1, []
    core.get_compute_type = lambda dtype: core.setting

    def write(dtype, value):
        core.log.append((dtype, value))
        core.setting = value

    core.set_compute_type = write
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(_core=core))
    monkeypatch.setitem(sys.modules, "cupy._core", core)
    return core


def test_cupy_is_told_its_own_numbers(cupy):
    backend = Backend("cuda:0", None, None)
    for compute, number in zip(COMPUTE, (1, 7, 6), strict=True):
        with products(backend, compute):
            assert cupy.setting == number
        assert cupy.setting == 1
    assert cupy.log == [("float32", 7), ("float32", 1), ("float32", 6), ("float32", 1)]


def test_exact_products_are_exact_where_the_user_has_turned_rough_ones_on(cupy):
    cupy.setting = 7
    with products(Backend("cuda:0", None, None), "float32"):
        assert cupy.setting == 1
    assert cupy.setting == 7


def test_pytorch_is_told_its_own_words():
    torch = pytest.importorskip("torch")
    before = torch.get_float32_matmul_precision()
    seen = []
    for compute in COMPUTE:
        with products(sx.get_backend("torch:cpu"), compute):
            seen.append(torch.get_float32_matmul_precision())
        assert torch.get_float32_matmul_precision() == before
    assert seen == ["highest", "high", "medium"]


def test_jax_is_told_its_own_words():
    jax = pytest.importorskip("jax")
    seen = []
    for compute in COMPUTE:
        with products(sx.get_backend("jax"), compute):
            seen.append(jax.config.jax_default_matmul_precision)
        assert jax.config.jax_default_matmul_precision is None
    assert seen == ["float32", "tensorfloat32", "bfloat16"]


def test_the_setting_comes_back_after_an_error():
    torch = pytest.importorskip("torch")
    before = torch.get_float32_matmul_precision()
    with pytest.raises(ZeroDivisionError), products(sx.get_backend("torch:cpu"), "tf32"):
        1 / 0  # noqa: B018
    assert torch.get_float32_matmul_precision() == before


def test_numpy_knows_one_way_only():
    assert not can_be_rough(sx.get_backend("cpu"))
    assert can_be_rough(Backend("cuda:1", None, None))
    assert can_be_rough(Backend("torch:cuda:0", None, None))


@pytest.mark.parametrize("compute", ["fp16", "TF32", None, 32, ["tf32"]])
def test_anything_else_is_an_error(compute):
    text = r"`compute` must be one of 'float32', 'tf32', 'bfloat16'; got "
    with pytest.raises(InvalidValueError, match=text):
        check_compute(compute)
    with pytest.raises(InvalidValueError, match=text):
        sx.Trainer(compute=compute)
    with pytest.raises(InvalidValueError, match=text):
        sx.SoftmaxClassifier(compute=compute).fit([[0.0], [1.0]], [0, 1])
