# SPDX-License-Identifier: BSD-3-Clause
"""Mathematics stays on the device of its input: arrays are created there, and nothing is read back to the host.

What this proves: in every module outside the rim, each call `xp.zeros(...)` (and its siblings) names a device, and
there is no obvious host synchronisation. What it does not prove: that the device is the right one (the backend
`strict-device1` shows that), nor that no array meets `if`, `while`, `in` or an f-string (NumPy code that does so
runs everywhere, slowly; `nox -s gpu` shows it). It looks at names, not at types, so it errs on both sides; a comment
on the line, `# no device: why` or `# host: why`, settles a wrong verdict.
"""

import ast

import pytest

from tests.house.source import Module, modules, parse

# May name array libraries, and talk to the host: that is what they are for.
RIM = ("backend.py", "devices.py", "kernels/", "data/", "io/", "plotting/", "estimators/", "cli/")
# Work with Python numbers that the user passed or will see, on this side of the loop over steps.
HOST_SIDE = (*RIM, "distributed/", "functional/", "loading.py", "model.py", "solvers/loop.py", "training/")
HOST_SIDE += ("hyperparameters.py",)

CREATION = frozenset({"arange", "asarray", "empty", "eye", "from_dlpack", "full", "linspace", "ones", "zeros"})
# Hyperparameters are Python numbers, and they are checked before any array is there.
CONSTRUCTORS = frozenset({"__init__", "__post_init__"})


def creations_without_device(module: Module) -> list[ast.Call]:
    """Find `xp.zeros(...)` and siblings, on any name that is or ends in `xp`, without `device=` (or `**`)."""
    return [
        call
        for call in module.calls_outside(frozenset())
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in CREATION
        and isinstance(call.func.value, ast.Name | ast.Attribute)
        and ast.unparse(call.func.value).endswith("xp")
        and not any(keyword.arg in {"device", None} for keyword in call.keywords)
        and not module.allows(call, "no device")
    ]


def host_synchronisations(module: Module) -> list[ast.Call]:
    """Find what may wait for a GPU, outside constructors: `float(x)`, `int(x)`, `bool(x)`, and the methods.

    The argument may be a literal, or a shape, which is a Python number already: `x.ndim`, `x.shape[0]`, `len(x)`,
    `math.prod(...)`. Of `get` only the call without arguments counts: the dictionaries' one has some.
    """
    return [
        call
        for call in module.calls_outside(CONSTRUCTORS)
        if (_converts_to_number(call) or _is_reading_method(call)) and not module.allows(call, "host")
    ]


def _converts_to_number(call: ast.Call) -> bool:
    if not (isinstance(call.func, ast.Name) and call.func.id in {"bool", "float", "int"} and call.args):
        return False
    return not _is_known_on_host(call.args[0])


def _is_known_on_host(argument: ast.expr) -> bool:
    match argument:
        case ast.Constant() | ast.UnaryOp(operand=ast.Constant()):
            return True
        case ast.Attribute(attr="ndim" | "size") | ast.Subscript(value=ast.Attribute(attr="shape")):
            return True
        case ast.Call(func=ast.Name(id="len")) | ast.Call(func=ast.Attribute(value=ast.Name(id="math"))):
            return True
    return False


def _is_reading_method(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute):
        return False
    return call.func.attr in {"item", "tolist"} or (call.func.attr == "get" and not (call.args or call.keywords))


def test_each_creation_names_its_device():
    found = [
        module.where(call)
        for module in modules()
        if not module.path.startswith(RIM)
        for call in creations_without_device(module)
    ]
    assert not found, "pass device=device(x), or say `# no device: why`:\n" + "\n".join(found)


def test_mathematics_never_waits_for_the_host():
    found = [
        module.where(call)
        for module in modules()
        if not module.path.startswith(HOST_SIDE)
        for call in host_synchronisations(module)
    ]
    assert not found, "use softmax_xp.backend.scalar or to_host, or say `# host: why`:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ("xp.zeros(3)", True),
        ("self.xp.asarray(x, dtype=x.dtype)", True),
        ("xp.zeros(3)  # no device:", True),
        ("xp.zeros(3)  # no device: goes to the host", False),
        ("xp.zeros(3, device=device(x))", False),
        ("xp.zeros(3, **like)", False),
        ("xp.zeros_like(x)", False),
        ("xp.sum(x)", False),
    ],
)
def test_the_rule_about_devices_sees_what_it_claims(line, is_found):
    assert bool(creations_without_device(parse(line))) is is_found


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ("float(loss)", True),
        ("bool(xp.all(x > 0))", True),
        ("int(xp.max(y)) + 1", True),
        ("loss.item()", True),
        ("loss.get()", True),
        ("x.tolist()", True),
        ("def update(x):\n    return float(x)", True),
        ("float(loss)  # host: once per epoch", False),
        ("float('inf')", False),
        ("int(-1)", False),
        ("int(x.shape[0])", False),
        ("float(math.sqrt(2))", False),
        ("config.get('b1')", False),
        ("def __post_init__(self):\n    float(self.learning_rate)", False),
    ],
)
def test_the_rule_about_the_host_sees_what_it_claims(line, is_found):
    assert bool(host_synchronisations(parse(line))) is is_found
