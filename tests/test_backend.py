# SPDX-License-Identifier: BSD-3-Clause
"""Where arrays live, how they get there and back, and in which dtype they are computed."""

import pickle
import warnings
from threading import get_ident

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from softmax_xp.backend import (
    Backend,
    Capabilities,
    array_namespace,
    as_array,
    backend_of,
    backend_on,
    scalar,
    scalars,
    to_host,
)
from softmax_xp.blas import blas_threads
from softmax_xp.devices import get_backend
from softmax_xp.errors import DeviceMismatchError, InvalidTypeError, InvalidValueError
from softmax_xp.threads import Limits


@pytest.fixture
def ours(backend):
    """The package's own idea of the backend that the test runs on."""
    return backend_on(backend.xp, backend.device)


def test_the_backend_of_an_array_is_where_it_lives(backend, ours):
    found = backend_of(backend.asarray(np.zeros(2)), backend.asarray(np.zeros(3)))
    assert found.xp is backend.xp
    assert found.device == backend.device
    assert found.name == ours.name
    assert array_namespace(backend.asarray(np.zeros(2))) is backend.xp


@pytest.mark.parametrize(
    ("name", "capabilities"),
    [
        ("cpu", Capabilities(float64=True, default_float="float64", scatter=True, row_chunks=True)),
        ("torch:cpu", Capabilities(float64=True, default_float="float64", scatter=True, row_chunks=True)),
        ("jax", Capabilities(float64=True, default_float="float64", scatter=False, row_chunks=False)),
    ],
)
def test_capabilities_of_the_libraries(name, capabilities):
    library = name.partition(":")[0]
    pytest.importorskip("numpy" if library == "cpu" else library)
    assert get_backend(name).capabilities == capabilities


def test_a_library_nobody_knows_gets_the_standards_minimum():
    strict = pytest.importorskip("array_api_strict")
    backend = backend_on(strict, strict.Device("device1"))
    assert backend.capabilities == Capabilities()
    assert not backend.capabilities.scatter
    assert backend.name.startswith("array_api_strict:")


def test_jax_without_x64_has_no_float64():
    jax = pytest.importorskip("jax")
    with jax.enable_x64(False):
        backend = get_backend("jax")
        assert backend.capabilities == Capabilities(float64=False, default_float="float32", row_chunks=False)
        text = (
            r"`dtype` must be float32 on device 'jax:cpu:0'; got float64\. Pass dtype='float32', or call jax\.config\."
        )
        with pytest.raises(InvalidValueError, match=text):
            backend.float_dtype("float64")
        put = backend.put(np.array([1.5, 2.5]))  # no warning about the truncation
        assert str(put.dtype) == "float32"
        assert backend.float_dtype("int64") == backend.xp.float32


def test_a_device_without_float64_says_so():
    strict = pytest.importorskip("array_api_strict")
    narrow = Backend("torch:mps", strict, strict.Device("device1"), Capabilities(False, "float32"))
    text = r"`dtype` must be float32 on device 'torch:mps'; got float64\. Pass dtype='float32'\.$"
    with pytest.raises(InvalidValueError, match=text):
        narrow.float_dtype("float64")
    there = narrow.put(np.array([1.0, 2.5]))
    assert there.dtype == strict.float32
    np.testing.assert_array_equal(to_host(there), [1.0, 2.5])


def test_owns_what_lives_there_and_nothing_else(backend, ours):
    assert ours.owns(backend.asarray(np.zeros(2)))
    assert not ours.owns([1.0])
    assert not ours.owns(1.0)
    assert not ours.owns(None)
    strict = pytest.importorskip("array_api_strict")
    if backend.name != "strict":
        assert not ours.owns(strict.zeros(2))
    if backend.name != "strict-device1":
        assert not ours.owns(strict.zeros(2, device=strict.Device("device1")))


@pytest.mark.parametrize("kind", ["float32", "float64", "int64", "uint8", "bool", "int16"])
def test_put_and_back_keeps_dtype_and_values(backend, ours, kind):
    if kind == "float64" and not backend.float64:
        pytest.skip(f"{backend.name} has no float64")
    host = np.array([[0, 1, 1], [1, 0, 1]]).astype(kind)
    there = ours.put(host)
    assert ours.owns(there)
    back = to_host(there)
    assert type(back) is np.ndarray
    assert back.dtype == kind
    np.testing.assert_array_equal(back, host)


def test_put_copies_nothing_that_is_there_already(backend, ours):
    array = backend.asarray(np.ones(3, "float32"))
    again = ours.put(array)
    assert again is array or np.shares_memory(to_host(again), to_host(array))
    assert ours.put(array, backend.xp.float32) is again or backend.name.startswith("numpy")


def test_put_converts_on_request(backend, ours):
    for host in (np.array([1.5, 2.5]), np.array([1, 2]), [1.5, 2.5]):
        there = ours.put(host, backend.xp.float32)
        assert there.dtype == backend.xp.float32
        assert ours.owns(there)
    assert ours.put(backend.asarray(np.array([1, 2])), backend.xp.float32).dtype == backend.xp.float32
    np.testing.assert_array_equal(to_host(ours.put([1.5, 2.5], backend.xp.float32)), [1.5, 2.5])


@pytest.mark.parametrize("kind", [">f4", ">f8", ">i4"])
def test_big_endian_data_arrive_with_their_values(backend, ours, kind):
    host = np.array([1, 2, 300]).astype(kind)
    np.testing.assert_array_equal(to_host(ours.put(host)), [1, 2, 300])
    np.testing.assert_array_equal(to_host(ours.put(host, backend.xp.float32)), [1, 2, 300])


@pytest.mark.parametrize("kind", ["read-only", "memmap", "reversed", "strided", "fortran", "broadcast"])
def test_data_of_any_layout_arrive_without_a_warning(backend, ours, kind, tmp_path):
    base = np.arange(24.0, dtype="float32").reshape(4, 6)
    if kind == "read-only":
        host = base.copy()
        host.flags.writeable = False
    elif kind == "memmap":
        base.tofile(tmp_path / "x.dat")
        host = np.memmap(tmp_path / "x.dat", "float32", "r", shape=base.shape)
    else:
        host = {
            "reversed": base[::-1, ::-1],
            "strided": base[::2, ::3],
            "fortran": np.asfortranarray(base),
            "broadcast": np.broadcast_to(base[0], (4, 6)),
        }[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        there = ours.put(host)
    assert type(there) is not np.memmap
    np.testing.assert_array_equal(to_host(there), host)


def test_put_brings_arrays_of_other_libraries(backend, ours):
    strict = pytest.importorskip("array_api_strict")
    for device in (strict.Device("CPU_DEVICE"), strict.Device("device1")):
        there = ours.put(strict.asarray([1.0, 2.0], dtype=strict.float32, device=device))
        assert ours.owns(there)
        np.testing.assert_array_equal(to_host(there), [1.0, 2.0])


def test_put_brings_torch_tensors_with_and_without_gradient(ours):
    torch = pytest.importorskip("torch")
    for tensor in (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0], requires_grad=True)):
        np.testing.assert_array_equal(to_host(ours.put(tensor)), [1.0, 2.0])


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_bfloat16_is_read_as_float32(library):
    pytest.importorskip(library)
    backend = get_backend("torch:cpu" if library == "torch" else "jax")
    array = backend.xp.asarray([1.0, 2.5, -3.0], dtype=backend.xp.bfloat16)
    host = to_host(array)
    assert host.dtype == "float32"
    np.testing.assert_array_equal(host, [1.0, 2.5, -3.0])
    assert backend.float_dtype(array.dtype) == backend.xp.float32
    assert to_host(get_backend("cpu").put(array)).dtype == "float32"


def test_to_host_reads_sequences_and_numpy_without_a_copy():
    host = np.ones(3)
    assert to_host(host) is host
    np.testing.assert_array_equal(to_host([[1, 2], [3, 4]]), [[1, 2], [3, 4]])


def test_scalar_reads_one_number(backend):
    for kind, number in (("float32", 2.5), ("int64", 7), ("bool", True)):
        read = scalar(backend.asarray(np.asarray(number, kind)))
        assert type(read) is float
        assert read == number


def test_scalars_reads_several_numbers_in_the_float_of_the_first(backend):
    numbers = [backend.asarray(np.asarray(2.5 + i, "float32")) for i in range(3)]
    read = scalars(*numbers)
    assert read == [2.5, 3.5, 4.5]
    assert {type(number) for number in read} == {float}


def test_as_array_leaves_arrays_and_reads_the_rest(backend):
    array = backend.asarray(np.ones(2, "float32"))
    assert as_array(array) is array
    assert type(as_array([1, 2])) is np.ndarray
    pandas = pytest.importorskip("pandas")
    np.testing.assert_array_equal(as_array(pandas.DataFrame({"a": [1, 2]})), [[1], [2]])


def test_a_memory_map_becomes_a_view_of_the_same_memory(tmp_path):
    np.arange(4.0).tofile(tmp_path / "x.dat")
    mapped = np.memmap(tmp_path / "x.dat", float, "r", shape=(4,))
    plain = as_array(mapped)
    assert type(plain) is np.ndarray
    assert np.shares_memory(plain, mapped)


@pytest.mark.parametrize(
    ("given", "computed"),
    [
        ("float16", "float32"),
        ("bfloat16", "float32"),
        ("float32", "float32"),
        ("float64", "float64"),
        *[
            (name, "default")
            for name in ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
        ],
    ],
)
def test_floats_to_compute_in(ours, given, computed):
    if computed == "float64" and not ours.capabilities.float64:
        pytest.skip(f"{ours.name} has no float64")
    name = ours.capabilities.default_float if computed == "default" else computed
    assert ours.float_dtype(given) == getattr(ours.xp, name)
    own = getattr(ours.xp, given, None)
    if own is not None:
        assert ours.float_dtype(own) == getattr(ours.xp, name)
    if given != "bfloat16":
        assert ours.float_dtype(np.dtype(given)) == getattr(ours.xp, name)


def test_the_default_float_is_single_on_accelerators_only(ours):
    assert ours.float_dtype() == getattr(ours.xp, ours.capabilities.default_float)
    accelerator = Backend("cuda:0", ours.xp, ours.device, Capabilities(True, "float32"))
    assert accelerator.float_dtype() == ours.xp.float32
    assert accelerator.float_dtype("int64") == ours.xp.float32
    assert accelerator.float_dtype("float64") == ours.xp.float64


@pytest.mark.parametrize(
    "dtype", ["complex128", "str", "object", "datetime64[ns]", "float128", "nonsense", np.dtype("U3")]
)
def test_what_is_no_real_number_is_an_error(ours, dtype):
    with pytest.raises(
        InvalidTypeError, match=r"`dtype` must be a real number type; got .*\. Pass float32 or float64\."
    ):
        ours.float_dtype(dtype)


def test_sums_are_wide_on_cpus_only(ours):
    xp = ours.xp
    for dtype in (xp.float32, xp.float64):
        expected = xp.float64 if ours.capabilities.default_float == "float64" else dtype
        assert ours.sum_dtype(dtype) == expected
    accelerator = Backend("cuda:0", xp, ours.device, Capabilities(True, "float32"))
    assert accelerator.sum_dtype(xp.float32) == xp.float32


def test_two_places_are_an_error_that_names_both(backend, ours):
    strict = pytest.importorskip("array_api_strict")
    here = backend.asarray(np.zeros(2))
    device = strict.Device("device2")
    there = strict.zeros(2, device=device)
    with pytest.raises(DeviceMismatchError) as caught:
        backend_of(here, there, names=("W", "X"))
    other = backend_on(strict, device).name
    assert str(caught.value).startswith(f"`X` must be on the device of `W`, {ours.name!r}; got {other!r}. Pass both on")
    with pytest.raises(DeviceMismatchError, match=r"`another` must be on the device of `the first array`"):
        backend_of(here, here, there)


def test_numpy_and_torch_do_not_meet():
    torch = pytest.importorskip("torch")
    text = r"`X` must be on the device of `W`, 'cpu'; got 'torch:cpu'\..* get_backend\('cpu'\)\.put\(X\)\."
    with pytest.raises(DeviceMismatchError, match=text):
        backend_of(np.zeros(2), torch.zeros(2), names=("W", "X"))


def test_the_scope_silences_numpys_warnings_and_ends(ours):
    with ours.scope():
        np.array([1e300]) * 1e300
        np.array([np.inf]) - np.inf
        np.array([1.0]) / 0.0
    with pytest.warns(RuntimeWarning, match="overflow"):
        np.array([1e300]) * 1e300


def test_the_scope_makes_a_cuda_device_current():
    events = []

    class Device:
        def __enter__(self):
            events.append("enter")

        def __exit__(self, *reason):
            events.append("exit")

    backend = Backend("cuda:1", None, Device())
    with backend.scope():
        events.append("work")
    assert events == ["enter", "work", "exit"]


def test_waiting_for_the_device_is_harmless(ours):
    assert ours.synchronise() is None


def test_a_backend_prints_its_name_only_and_compares():
    backend = get_backend("cpu")
    assert repr(backend) == "Backend(name='cpu')"
    assert backend == get_backend("cpu")
    assert hash(backend) == hash(get_backend("cpu"))
    with pytest.raises(AttributeError):
        backend.name = "cuda"


def test_capabilities_pickle():
    assert pickle.loads(pickle.dumps(Capabilities(False, "float32"))) == Capabilities(False, "float32")


def test_what_is_no_array_has_no_namespace():
    with pytest.raises(TypeError):
        array_namespace([1.0])


def test_a_single_chunk_is_left_to_blas():
    backend = get_backend("cpu")
    with threadpool_limits(2, user_api="blas"):
        n_threads = blas_threads()
        assert list(backend.map_chunks(lambda _: (get_ident(), blas_threads()), [1])) == [(get_ident(), n_threads)]
        several = list(backend.map_chunks(lambda _: blas_threads(), [1, 2]))
        assert several == [1, 1]


def test_memory_limits_how_many_chunks_are_worked_on_and_added():
    backend = get_backend("cpu")
    with threadpool_limits(2, user_api="blas"):
        idents = set(backend.map_chunks(lambda _: get_ident(), range(8), Limits(at_once=1)))
        assert idents == {get_ident()}
        (word,) = backend.sum_chunks(lambda item: ("abcd"[item],), range(4), Limits(at_once=1, lanes=2))
    assert word == "acbd"


def test_other_libraries_add_one_chunk_after_the_other():
    backend = get_backend("cpu")
    elsewhere = Backend("somewhere", backend.xp, backend.device)
    assert elsewhere.sum_chunks(lambda item: ("abcd"[item],), range(4)) == ("abcd",)
