# SPDX-License-Identifier: BSD-3-Clause
import json
import os
import pickle
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from softmax_xp.data import arrow_source
from softmax_xp.data.arrow_source import open_arrow, open_parquet
from softmax_xp.data.open_source import open_source
from softmax_xp.data.source import rows_at
from softmax_xp.errors import DataChangedError, DataNotFoundError, InvalidValueError, MissingDependencyError

X = np.arange(150, dtype=np.float32).reshape(50, 3)
NAMES = np.asarray(["a", "b", "c"])[np.arange(50) % 3]


def table(X=X, **others):
    columns = {name: X[:, place] for place, name in enumerate(("u", "v", "w")[: X.shape[1]])}
    return pa.table(columns | {"label": NAMES[: len(X)]} | others)


def stored(tmp_path, form, written=None):
    written = table() if written is None else written
    if form == "parquet":
        pq.write_table(written, tmp_path / "t.parquet", row_group_size=16)
        return open_parquet(tmp_path / "t.parquet")
    path = tmp_path / "t.arrow"
    new = pa.ipc.new_file if form == "file" else pa.ipc.new_stream
    with new(str(path), written.schema) as writer:
        writer.write_table(written, max_chunksize=16)
    return open_arrow(path)


def read(source, start, stop):
    out = np.empty((stop - start, source.shape[1]), dtype=source.dtype)
    source.read_into(start, out)
    return out


@pytest.fixture(params=["parquet", "file", "stream"])
def form(request):
    return request.param


def test_rows_are_those_of_the_table(monkeypatch, tmp_path, form):
    monkeypatch.setattr(arrow_source, "_BATCH_BYTES", 5 * 12)  # batches end within blocks, and blocks within batches
    source = stored(tmp_path, form)
    assert (source.shape, source.dtype, source.feature_names) == ((50, 3), np.float32, ("u", "v", "w"))
    assert source.labels.tolist() == NAMES.tolist()
    assert source.target_name == "label"
    assert source.kind == form
    for start in range(0, 50, 7):
        for stop in range(start + 1, 51, 5):
            np.testing.assert_array_equal(read(source, start, stop), X[start:stop])
    index = np.asarray([49, 0, 17, 17, 16])
    np.testing.assert_array_equal(rows_at(source, index), X[index])


def test_a_pass_decodes_each_batch_once(monkeypatch, tmp_path, form):
    monkeypatch.setattr(arrow_source, "_BATCH_BYTES", 5 * 12)
    decoded, original = [], arrow_source.matrix_of
    monkeypatch.setattr(
        arrow_source, "matrix_of", lambda records, *rest: decoded.append(records.num_rows) or original(records, *rest)
    )
    source = stored(tmp_path, form)
    for start in (0, 4, 12, 8, 16, 24, 20, 28, 32, 36, 40, 44):  # as two threads may ask
        np.testing.assert_array_equal(read(source, start, start + 4), X[start : start + 4])
    read(source, 48, 50)
    assert sum(decoded) == 50
    read(source, 0, 4)
    assert sum(decoded) == 55
    assert len(source._reader.kept) <= arrow_source._KEPT


def test_a_source_can_be_pickled_in_the_middle_of_a_file(tmp_path, form):
    source = stored(tmp_path, form)
    read(source, 0, 20)
    twin = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(read(twin, 10, 50), X[10:])


def test_embeddings_in_lists(tmp_path, form):
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 3)
    source = stored(tmp_path, form, pa.table({"embedding": vectors, "label": np.arange(50) % 3}))
    np.testing.assert_array_equal(read(source, 0, 50), X)
    assert source.feature_names == ("embedding[0]", "embedding[1]", "embedding[2]")
    assert source.labels.dtype == np.int64


def test_a_table_may_have_no_labels(tmp_path, form):
    source = stored(tmp_path, form, table().drop_columns("label"))
    assert source.labels is None
    assert source.target_name is None


def test_damaged_empty_and_changed_files_are_named(tmp_path, form):
    source = stored(tmp_path, form)
    path = source.path
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataChangedError, match=f"{path.name}, which has changed"):
        read(source, 0, 50)
    path.unlink()
    with pytest.raises(DataChangedError, match="which is gone"):
        read(source, 0, 50)
    if form != "stream":  # half a stream is a shorter one
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InvalidValueError, match=f"must name an intact table; got .*{path.name}"):
            (open_parquet if form == "parquet" else open_arrow)(path)
    with pytest.raises(InvalidValueError, match="must have at least one row; got none"):
        stored(tmp_path, form, table()[:0])


def test_missing_values_are_named_by_their_row(tmp_path, form):
    holes = table(others=pa.array([1.0] * 33 + [None] + [1.0] * 16))
    source = stored(tmp_path, form, holes)
    with pytest.raises(InvalidValueError, match="no missing values; got one in column 'others', row 33"):
        read(source, 0, 50)


def test_files_are_opened_by_their_suffix(tmp_path):
    pq.write_table(table(), tmp_path / "t.parquet")
    pq.write_table(table(), tmp_path / "u.parquet")
    assert open_source(tmp_path / "t.parquet", target="label", feature_names=["w", "u"]).shape == (50, 2)
    both = open_source(tmp_path)
    assert (both.shape, both.feature_names, len(both.labels)) == ((100, 3), ("u", "v", "w"), 100)
    with pytest.raises(InvalidValueError, match="`target` must be a column of t.parquet; got 'kind'"):
        open_source(tmp_path / "t.parquet", target="kind")
    with pytest.raises(DataNotFoundError, match="must name a table; got .*none.parquet"):
        open_parquet(tmp_path / "none.parquet")
    pq.write_table(table(X[:, :2]), tmp_path / "u.parquet")
    with pytest.raises(InvalidValueError, match="agree in their features; got 3 in t.parquet and 2 in u.parquet"):
        open_source(tmp_path)


def test_hugging_faces_folders_list_their_files(tmp_path):
    for number, rows in enumerate([slice(0, 30), slice(30, 50)]):
        with pa.ipc.new_stream(str(tmp_path / f"data-{number:05d}-of-00002.arrow"), table().schema) as writer:
            writer.write_table(table()[rows.start : rows.stop])
    os.link(tmp_path / "data-00000-of-00002.arrow", tmp_path / "cache-1234.arrow")
    listed = [{"filename": f"data-{number:05d}-of-00002.arrow"} for number in range(2)]
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": listed}))
    (tmp_path / "dataset_info.json").write_text("{}")
    source = open_source(tmp_path)
    np.testing.assert_array_equal(read(source, 0, 50), X)
    assert source.labels.tolist() == NAMES.tolist()


def test_without_pyarrow_the_error_says_what_to_install(monkeypatch, tmp_path):
    source = stored(tmp_path, "parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"t.parquet needs pyarrow.*pip install 'softmax-xp\[arrow\]'"):
        open_source(source.path)
