# SPDX-License-Identifier: BSD-3-Clause
"""Device strings: each of them, what is said when one cannot be used, and what "auto" chooses.

A machine without a GPU plays every machine: `importlib.import_module` hands out a CuPy made for the test.
"""

import importlib
import logging
from types import ModuleType

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp import devices
from softmax_xp.backend import Backend
from softmax_xp.devices import LIBRARIES, DeviceReport, available_devices, device_reports, get_backend
from softmax_xp.errors import DeviceUnavailableError, InvalidValueError, SoftmaxXPError


class CUDARuntimeError(RuntimeError):
    """What CuPy raises."""


class FakeDevice:
    """A CUDA device that can be made current."""

    def __init__(self, number):
        self.id = number

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        return None


class FakeArray:
    """The result of a product on the device."""

    def __matmul__(self, other):
        return self

    def __add__(self, other):
        return self

    def get(self):
        return np.ones((2, 2))


def fake_cupy(count=2, current=0, driver=None, cublas=None):
    """Make a CuPy that sees `count` devices; `driver` and `cublas` are the errors of a broken installation."""

    def fail_or(error, value):
        def call(*arguments, **options):
            if error is not None:
                raise error
            return value

        return call

    cupy, cuda, runtime = ModuleType("cupy"), ModuleType("cupy.cuda"), ModuleType("cupy.cuda.runtime")
    runtime.CUDARuntimeError = CUDARuntimeError
    runtime.getDeviceCount = fail_or(driver, count)
    runtime.getDevice = fail_or(driver, current)
    runtime.runtimeGetVersion = fail_or(None, 13000)
    cuda.runtime, cuda.Device = runtime, FakeDevice
    cupy.__version__, cupy.cuda, cupy.float32, cupy.ones = "14.0.0", cuda, "float32", fail_or(cublas, FakeArray())
    return cupy


@pytest.fixture
def install(monkeypatch):
    """Replace libraries for one test: a module stands for itself, an exception is what importing raises."""

    def install(**libraries):
        original = importlib.import_module

        def import_module(name, package=None):
            wanted = libraries.get(name)
            if isinstance(wanted, Exception):
                raise wanted
            if name == "array_api_compat.cupy" and "cupy" in libraries:
                return ModuleType(name)
            return wanted or original(name, package)

        monkeypatch.setattr(importlib, "import_module", import_module)

    devices._auto.cache_clear()
    yield install
    devices._auto.cache_clear()


NO_CUPY = ModuleNotFoundError("No module named 'cupy'")
NO_DRIVER = CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")


def test_cpu_is_numpy():
    backend = get_backend("cpu")
    assert (backend.name, backend.device) == ("cpu", "cpu")
    assert backend.xp.__name__ == "array_api_compat.numpy"
    assert sx.get_backend is get_backend


def test_cpu_has_no_number():
    with pytest.raises(InvalidValueError, match=r"`device` must be 'cpu' without a number for NumPy; got 'cpu:1'\."):
        get_backend("cpu:1")


@pytest.mark.parametrize("device", ["gpu", "CUDA", "", "tpu:0", ":", "cuda0", " cpu", 0, 1.5, b"cpu", ("cpu",)])
def test_what_names_no_device_is_an_error(device):
    text = r"`device` must be 'auto', None or start with one of 'cpu', 'cuda', 'torch', 'jax'; got "
    with pytest.raises(InvalidValueError, match=text) as caught:
        get_backend(device)
    assert repr(device) in str(caught.value)
    assert ("Use 'cuda' for an NVIDIA GPU." in str(caught.value)) == (device == "gpu")


def test_a_backend_is_its_own_device():
    backend = get_backend("cpu")
    assert get_backend(backend) is backend


def test_none_follows_the_array(backend):
    followed = get_backend(None, like=backend.asarray(np.zeros(2)))
    assert followed.xp is backend.xp
    assert followed.device == backend.device


@pytest.mark.parametrize("like", [None, [1.0, 2.0], 3.0])
def test_none_without_an_array_is_numpy(like):
    assert get_backend(None, like=like).name == "cpu"


def test_a_missing_cupy_is_named_with_the_command_that_brings_it(install):
    install(cupy=NO_CUPY)
    text = r"`device` 'cuda' needs CuPy, which cannot be imported \(No module named 'cupy'\)\. Install it with: pip"
    with pytest.raises(DeviceUnavailableError, match=text) as caught:
        get_backend("cuda")
    assert caught.value.install.startswith("pip install 'softmax-xp[cuda13]'")
    assert "softmax-xp[cuda12]" in caught.value.install
    assert caught.value.reason.endswith("(No module named 'cupy').")
    assert isinstance(caught.value, SoftmaxXPError)
    assert isinstance(caught.value, RuntimeError)


def test_a_missing_driver_is_named_and_no_pip_command_is_promised(install):
    install(cupy=fake_cupy(driver=NO_DRIVER))
    text = r"`device` 'cuda' needs an NVIDIA driver and a GPU; CuPy 14\.0\.0 found none \(cudaErrorNoDevice"
    with pytest.raises(DeviceUnavailableError, match=text) as caught:
        get_backend("cuda:0")
    assert not caught.value.install


@pytest.mark.parametrize("error", [ImportError("libcublas.so.13: cannot open"), RuntimeError("libnvrtc not found")])
def test_a_missing_cuda_library_is_named_with_the_command_that_brings_it(install, error):
    install(cupy=fake_cupy(cublas=error))
    text = rf"`device` 'cuda' needs the CUDA libraries that CuPy calls; one is missing \({error}\)\."
    with pytest.raises(DeviceUnavailableError, match=text) as caught:
        get_backend("cuda")
    assert caught.value.install == "pip install 'softmax-xp[cuda13]'"


@pytest.mark.parametrize(
    ("device", "count"), [("cuda:2", 2), ("cuda:-1", 2), ("cuda:7", 1), ("cuda", 0), ("cuda:0", 0)]
)
def test_a_device_number_that_is_not_there_is_an_error(install, device, count):
    install(cupy=fake_cupy(count=count))
    number = device.partition(":")[2] or "0"
    text = rf"`device` must name one of the {count} CUDA devices; got 'cuda:{number}'\."
    with pytest.raises(DeviceUnavailableError, match=text):
        get_backend(device)


@pytest.mark.parametrize("device", ["cuda:x", "cuda:1.5", "cuda:0:1"])
def test_a_device_number_that_is_none_is_an_error(install, device):
    install(cupy=fake_cupy())
    with pytest.raises(InvalidValueError, match=rf"`device` must be 'cuda' or 'cuda:<number>'; got '{device}'\."):
        get_backend(device)


@pytest.mark.parametrize(("device", "name"), [("cuda", "cuda:1"), ("cuda:0", "cuda:0"), ("cuda:1", "cuda:1")])
def test_cuda_is_the_current_or_the_numbered_gpu(install, device, name):
    install(cupy=fake_cupy(count=2, current=1))
    backend = get_backend(device)
    assert backend.name == name
    assert backend.device.id == int(name[-1])
    assert backend.capabilities == (True, "float32", True, False)


def test_auto_chooses_cuda_where_it_works_and_says_so_once(install, caplog):
    install(cupy=fake_cupy())
    with caplog.at_level(logging.INFO, logger="softmax_xp"):
        names = {get_backend("auto").name for _ in range(3)} | {get_backend().name}
    assert names == {"cuda:0"}
    assert [record.getMessage() for record in caplog.records] == ["device='auto' chose 'cuda:0'."]


@pytest.mark.parametrize(
    ("library", "reason"),
    [
        (NO_CUPY, "needs CuPy"),
        (fake_cupy(driver=NO_DRIVER), "needs an NVIDIA driver"),
        (fake_cupy(count=0), "0 CUDA devices"),
        (fake_cupy(cublas=RuntimeError("libcublas")), "needs the CUDA libraries"),
    ],
    ids=["no CuPy", "no driver", "no device", "no cuBLAS"],
)
def test_auto_falls_back_to_the_cpu_and_says_why_once(install, caplog, library, reason):
    install(cupy=library)
    with caplog.at_level(logging.INFO, logger="softmax_xp"):
        names = {get_backend("auto").name for _ in range(3)}
    assert names == {"cpu"}
    (record,) = caplog.records
    assert record.getMessage().startswith("device='auto' chose 'cpu': ")
    assert reason in record.getMessage()
    assert record.levelno == logging.INFO


def test_cuda_by_name_never_falls_back(install):
    install(cupy=NO_CUPY)
    get_backend("auto")
    with pytest.raises(DeviceUnavailableError):
        get_backend("cuda")


@pytest.mark.parametrize("device", ["torch", "torch:cpu"])
def test_torch_on_the_cpu(device):
    pytest.importorskip("torch")
    backend = get_backend(device)
    assert backend.name == "torch:cpu"
    assert backend.xp.__name__ == "array_api_compat.torch"
    assert get_backend(backend.name) == backend


@pytest.mark.parametrize("device", ["torch:cuda:9", "torch:nonsense", "torch:mps:4", "torch:cpu:x"])
def test_a_torch_device_that_cannot_be_used_is_an_error_of_one_sentence(device):
    pytest.importorskip("torch")
    with pytest.raises(
        DeviceUnavailableError, match=rf"`device` '{device}' cannot be used by PyTorch [\d.]+.*: .*\.$"
    ) as caught:
        get_backend(device)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("device", "extra"), [("torch:cpu", "torch"), ("jax", "jax"), ("jax:cpu:0", "jax")])
def test_a_missing_library_is_named_with_the_command_that_brings_it(install, device, extra):
    install(**{extra: ModuleNotFoundError(f"No module named '{extra}'")})
    text = rf"cannot be imported \(No module named '{extra}'\)\. Install it with: pip install 'softmax-xp\[{extra}\]'"
    with pytest.raises(DeviceUnavailableError, match=text) as caught:
        get_backend(device)
    assert caught.value.install == f"pip install 'softmax-xp[{extra}]'"


@pytest.mark.parametrize("device", ["jax", "jax:cpu", "jax:cpu:0"])
def test_jax_on_the_cpu(device):
    pytest.importorskip("jax")
    backend = get_backend(device)
    assert backend.name == "jax:cpu:0"
    assert backend.xp.__name__ == "jax.numpy"
    assert get_backend(backend.name).device == backend.device


@pytest.mark.parametrize("device", ["jax:cpu:99", "jax:nonsense", "jax:cpu:x"])
def test_a_jax_device_that_is_not_there_is_an_error(device):
    pytest.importorskip("jax")
    with pytest.raises(DeviceUnavailableError, match=rf"`device` '{device}' is not one of JAX's devices \["):
        get_backend(device)


def test_each_name_is_the_string_that_gives_it_back():
    for name in available_devices():
        assert get_backend(name).name == name


def test_reports_cover_every_library(install):
    torch_missing, jax_missing = ModuleNotFoundError("no torch"), ModuleNotFoundError("no jax")
    install(cupy=fake_cupy(driver=NO_DRIVER), torch=torch_missing, jax=jax_missing)
    reports = device_reports()
    assert [report.device for report in reports] == [name for _, _, names in LIBRARIES.values() for name in names]
    assert [report.device for report in reports if report.usable] == ["cpu"]
    for report in reports:
        assert type(report) is DeviceReport
        assert report.reason
        assert report.library == LIBRARIES[report.device.partition(":")[0]][0]
    commands = {report.device: report.install for report in reports}
    assert commands == {
        "cpu": "",
        "cuda": "",
        "torch:cpu": "pip install 'softmax-xp[torch]'",
        "torch:cuda": "pip install 'softmax-xp[torch]'",
        "torch:mps": "pip install 'softmax-xp[torch]'",
        "jax": "pip install 'softmax-xp[jax]'",
    }
    assert available_devices() == ("cpu",)


def test_a_usable_device_is_reported_with_its_full_name_and_version(install):
    missing = ModuleNotFoundError("absent")
    install(cupy=fake_cupy(count=1), torch=missing, jax=missing)
    usable = {report.device: report for report in device_reports() if report.usable}
    assert set(usable) == {"cpu", "cuda:0"}
    assert usable["cpu"].reason == f"numpy {np.__version__}"
    assert usable["cuda:0"].reason == "cupy 14.0.0"
    assert available_devices() == ("cpu", "cuda:0")


def test_every_library_builds_a_backend_or_says_why():
    reasons, names = [], []
    for _, build, candidates in LIBRARIES.values():
        for candidate in candidates:
            try:
                built = build(candidate.partition(":")[2])
            except DeviceUnavailableError as error:
                reasons.append(error.reason)
            else:
                names.append(built.name)
                assert isinstance(built, Backend)
    assert all(reason.startswith("`device` ") for reason in reasons)
    assert "cpu" in names
    assert len(reasons) + len(names) == 6
