# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest

from softmax_xp.data.columns import check_feature_count, choose_columns, parse_labels
from softmax_xp.errors import InvalidValueError


@pytest.mark.parametrize("name", ["target", "label", "class", "y", "Label"])
def test_the_usual_names_are_the_target(name):
    assert choose_columns(["a", name, "b"]) == ((0, 2), 1)


@pytest.mark.parametrize(
    ("names", "options", "expected"),
    [
        (["a", "b", "c"], {"target": "a"}, ((1, 2), 0)),
        (["a", "y"], {"target": "a"}, ((1,), 0)),
        (["a", "b"], {"require_labels": False}, ((0, 1), None)),
        (["y", "b"], {"require_labels": False}, ((1,), 0)),
        (["a", "b", "id"], {"feature_names": ("b", "a"), "require_labels": False}, ((1, 0), None)),
        (["b", "y", "a"], {"feature_names": ("a", "b")}, ((2, 0), 1)),
        (["b", "species", "a"], {"feature_names": ("a",), "target": "species"}, ((2,), 1)),
        (["a"], {"feature_names": ("a",), "target": "species", "require_labels": False}, ((0,), None)),
        (["a", "y", "label"], {"feature_names": ("a", "y")}, ((0, 1), 2)),
        (["a", "y", "label"], {"feature_names": ("a",), "require_labels": False}, ((0,), None)),
    ],
)
def test_columns_are_chosen_by_name(names, options, expected):
    assert choose_columns(names, **options) == expected


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (
            ["a", "b"],
            {},
            "f.csv must have exactly one column called target, label, class, y; got none.*--target.*'a', 'b'",
        ),
        (["a", "y", "label"], {}, "got 'y', 'label'"),
        (["a", "y", "label"], {"require_labels": False}, "got 'y', 'label'"),
        (["a", "b"], {"target": "c"}, "`target` must be a column of f.csv; got 'c'. The columns are 'a', 'b'"),
        (["a", "b"], {"target": "c", "require_labels": False}, "got 'c'"),
        (
            ["a", "y"],
            {"feature_names": ("a", "b", "c")},
            "every feature of the model; got no column 'b', 'c' among 'a', 'y'",
        ),
        (["a", "b", "a"], {"target": "b"}, "different names; got 'a' more than once"),
        (["y"], {}, "a feature column beside the target"),
        ([f"f{i}" for i in range(30)], {}, r"'f19', \.\.\. \(30 in all\)"),
    ],
)
def test_unclear_choices_are_refused(names, options, message):
    with pytest.raises(InvalidValueError, match=message):
        choose_columns(names, source="f.csv", **options)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["3", "-1", " 3"], np.asarray([3, -1, 3])),
        (["1.0", "2"], np.asarray([1.0, 2.0])),
        (["007", "7"], np.asarray(["007", "7"])),
        (["1_0", "10"], np.asarray(["1_0", "10"])),
        (["1_0", "2.5"], np.asarray(["1_0", "2.5"])),
        (["cat", "NA "], np.asarray(["cat", "NA"])),
        (["1", "a"], np.asarray(["1", "a"])),
    ],
)
def test_text_labels_become_numbers_only_where_nothing_is_lost(cells, expected):
    found = parse_labels(cells, "f")
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_an_empty_label_is_named():
    with pytest.raises(InvalidValueError, match=r"f\.txt must have a label in each row; got an empty one at row 1"):
        parse_labels(["a", " ", "b"], "f.txt")


def test_widths_are_compared():
    check_feature_count(3, None, "f")
    check_feature_count(2, ("a", "b"), "f")
    with pytest.raises(InvalidValueError, match="f must have 2 features like the model; got 3"):
        check_feature_count(3, ("a", "b"), "f")
