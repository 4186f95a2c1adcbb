# SPDX-License-Identifier: BSD-3-Clause
"""Workers that are processes, and what happens to them. A watchdog in each test turns a hang into a failure."""

import contextlib
import faulthandler
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.data.open_source import open_source
from softmax_xp.distributed import on_cluster
from softmax_xp.distributed.workers import workers_of
from softmax_xp.errors import DataChangedError, InvalidValueError, ShardError, WorkerLostError
from tests.distributed.conftest import cluster_of
from tests.distributed.problems import SHARD_ROWS, fit, linear_over, samples, serially
from tests.house.source import ROOT

dask = pytest.importorskip("dask", reason="Dask is not installed")
pytest.importorskip("distributed", reason="Dask is not installed")
pytestmark = [
    pytest.mark.filterwarnings("ignore::softmax_xp.errors.SmallDataWarning"),
    pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL"),
]


@pytest.fixture(autouse=True)
def watchdog():
    faulthandler.dump_traceback_later(90, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="module")
def processes():
    with cluster_of(2, processes=True) as client:
        yield client


class Killing:
    """A source in which some process dies when a row is read, once or each time."""

    name, labels, feature_names, target_name = "deadly", None, None, None

    def __init__(self, X, error=None, *, first=500):
        self.X, self.shape, self.dtype, self.error, self.first = X, X.shape, X.dtype, error, first

    def read_into(self, start, out):
        if start >= self.first:
            if self.error is None:
                os.kill(os.getpid(), signal.SIGKILL)
            raise self.error
        out[...] = self.X[start : start + len(out)]


def kill(client, address):
    pid = client.submit(os.getpid, workers=[address], pure=False).result(timeout=30)
    os.kill(pid, signal.SIGKILL)
    return pid


def test_a_killed_worker_costs_time_and_no_bit(tmp_path, processes):
    linear = linear_over(tmp_path)
    expected, killed = fit(serially(linear)), []

    def report(row):
        if row["iteration"] == 3:
            killed.append(kill(processes, workers_of(processes)[0].address))

    start = time.monotonic()
    with on_cluster(linear, processes, shard_rows=SHARD_ROWS) as placed:
        found = fit(placed, report=report)
        shares = [numbers for _, numbers in placed.X.engine._shares]
    assert len(killed) == 1
    assert found.point.tobytes() == expected.point.tobytes()
    assert sorted(number for numbers in shares for number in numbers) == list(range(12))
    assert time.monotonic() - start < 30.0


DRIVER = """
import os, signal, sys, distributed, softmax_xp as sx
address, folder = sys.argv[1:]
def killed(row):
    if row["iteration"] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
with distributed.Client(address) as client:
    checkpoint = sx.Checkpoint(folder + "/checkpoints", every_steps=1)
    classifier = sx.SoftmaxClassifier(solver="lbfgs", callbacks=[killed], checkpoint=checkpoint)
    classifier.fit(folder + "/X.npy", folder + "/y.npy", client=client)
"""


def test_a_killed_client_goes_on_from_its_checkpoint_with_the_same_bits(tmp_path, processes):
    X, y = samples()
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    command = [sys.executable, "-c", DRIVER, processes.scheduler.address, str(tmp_path)]
    ended = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL

    def classifier(**options):
        return sx.SoftmaxClassifier(solver="lbfgs", **options).fit(tmp_path / "X.npy", y, client=processes)

    rows = []
    rest = classifier(checkpoint=tmp_path / "checkpoints", callbacks=[lambda row: rows.append(row["iteration"])])
    assert rows[0] == 3
    whole = classifier()
    assert rest.coef_.tobytes() == whole.coef_.tobytes()
    assert rest.certificate_ == whole.certificate_
    assert rest.n_iter_ == whole.n_iter_ > 3


def test_one_worker_and_two_give_the_same_bits(tmp_path, processes):
    linear = linear_over(tmp_path)
    processes.wait_for_workers(2, timeout=30)
    with on_cluster(linear, processes, shard_rows=SHARD_ROWS) as placed:
        two = fit(placed, "newton-cholesky")
        assert len(placed.X.engine._shares) == 2
    with cluster_of(1) as alone, on_cluster(linear, alone, shard_rows=SHARD_ROWS) as placed:
        one = fit(placed, "newton-cholesky")
    assert one.point.tobytes() == two.point.tobytes()
    assert one.certificate == two.certificate


def test_shards_are_spread_again_when_a_worker_is_back(tmp_path, processes):
    linear = linear_over(tmp_path)
    processes.wait_for_workers(2, timeout=30)
    with on_cluster(linear, processes, shard_rows=SHARD_ROWS) as placed:
        fit(placed)
        kill(processes, workers_of(processes)[0].address)
        fit(placed)
        processes.wait_for_workers(2, timeout=30)
        placed.X.engine._looked = 0.0
        fit(placed)
        assert [len(numbers) for _, numbers in placed.X.engine._shares] == [6, 6]


def test_a_file_that_is_gone_is_named(tmp_path, processes):
    X, y = samples()
    np.save(tmp_path / "gone.npy", X)
    source = open_source(tmp_path / "gone.npy")
    (tmp_path / "gone.npy").unlink()
    with pytest.raises(DataChangedError, match=r"gone\.npy, which is gone"):
        sx.SoftmaxClassifier().fit(source, y, client=processes)


def test_a_loader_that_raises_is_told_with_its_rows(processes):
    X, y = samples()
    with pytest.raises(ShardError, match=r"rows 512 to 767 of deadly raised OSError: disk on fire"):
        sx.SoftmaxClassifier().fit(Killing(X, OSError("disk on fire")), y, client=processes)


def test_a_loader_without_memory_is_told_with_its_rows(processes):
    X, y = samples()
    with pytest.raises(ShardError, match=r"must have memory for its shards; it ended while rows 512 to 767"):
        sx.SoftmaxClassifier().fit(Killing(X, MemoryError()), y, client=processes)


def test_values_that_are_no_numbers_are_named_by_their_rows(tmp_path, processes):
    X, y = samples()
    X[1234, 3] = np.nan
    np.save(tmp_path / "X.npy", X)
    with pytest.raises(InvalidValueError, match=r"got NaN at row 1234, column 3 of .*X\.npy"):
        sx.SoftmaxClassifier().fit(tmp_path / "X.npy", y, client=processes)


def test_a_shard_that_kills_each_worker_ends_the_fit():
    X, y = samples()
    # Of its own: after so many deaths a nanny may give up.
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        cluster_of(2, processes=True) as client,
        pytest.raises(WorkerLostError, match=r"several died, one after the other, at shards .* in pass 1 over the"),
    ):
        sx.SoftmaxClassifier().fit(Killing(X, first=1280), y, client=client)


class Hungry:
    """A source that takes 500 MiB for a second when a row is read, or 240 MiB for good."""

    name, labels, feature_names, target_name = "hungry", None, None, None

    def __init__(self, X, *, keeps):
        self.X, self.shape, self.dtype, self.keeps = X, X.shape, X.dtype, keeps

    def read_into(self, start, out):
        if start >= 1280 and not hasattr(sys, "taken"):
            taken = np.ones((240 if self.keeps else 500) << 17)
            if self.keeps:
                sys.taken = taken
            time.sleep(1.0)
        out[...] = self.X[start : start + len(out)]


@contextlib.contextmanager
def narrow_cluster(n_workers, **memory):
    """Workers of 400 MiB."""
    memory = {"target": False, "spill": False, "pause": False, "terminate": False} | memory
    limits = {f"distributed.worker.memory.{name}": share for name, share in memory.items()}
    with (
        dask.config.set(limits | {"distributed.scheduler.allowed-failures": 1}),
        cluster_of(n_workers, processes=True, memory_limit="400MiB") as client,
    ):
        yield client


def test_workers_beyond_their_memory_end_the_fit():
    X, y = samples()
    with narrow_cluster(2, terminate=0.95) as client:  # Dask's default
        before = {worker.address for worker in workers_of(client)}
        start = time.monotonic()
        with pytest.raises(
            WorkerLostError, match=r"several died, one after the other, at shards .* Most often .* memory"
        ):
            sx.SoftmaxClassifier().fit(Hungry(X, keeps=False), y, client=client)
        assert time.monotonic() - start < 30.0
        assert before.isdisjoint(worker.address for worker in workers_of(client))  # the nannies did it


def test_workers_without_free_memory_are_no_endless_wait():
    X, y = samples()
    classifier = sx.SoftmaxClassifier(callbacks=[lambda row: pytest.fail("a pass was made")])
    with narrow_cluster(1, pause=0.5) as client, dask.config.set({"softmax-xp.timeouts.workers": "4s"}):
        with pytest.raises(WorkerLostError, match=r"with free memory; for 4 s it had none, and shards 0 to 5"):
            classifier.fit(Hungry(X, keeps=True), y, client=client)
        assert [worker.is_full for worker in workers_of(client)] == [True]


def test_a_cluster_without_workers_is_no_endless_wait(tmp_path, monkeypatch):
    with cluster_of(1) as client, on_cluster(linear_over(tmp_path), client, shard_rows=SHARD_ROWS) as placed:
        fit(placed)
        placed.X.engine.patience, placed.X.engine._looked = 0.5, 0.0
        client.cluster.scale(0)
        while workers_of(client):
            time.sleep(0.05)
        with pytest.raises(WorkerLostError, match=r"must have a worker; for 0.5 s there was none"):
            fit(placed)


def test_a_cluster_that_is_replaced_whole_goes_on(tmp_path):
    linear = linear_over(tmp_path)
    with cluster_of(1, processes=True) as client, on_cluster(linear, client, shard_rows=SHARD_ROWS) as placed:
        first = fit(placed)
        kill(client, workers_of(client)[0].address)
        assert fit(placed).point.tobytes() == first.point.tobytes()


def test_a_scheduler_that_is_gone_is_no_endless_wait(tmp_path):
    with cluster_of(1) as client, on_cluster(linear_over(tmp_path), client, shard_rows=SHARD_ROWS) as placed:
        fit(placed)
        client.cluster.close(timeout=20)
        placed.X.engine._looked = 0.0
        with pytest.raises(WorkerLostError, match=r"gave up shards|must be reachable"):
            fit(placed)


def test_each_row_of_the_documents_table_names_a_test_that_exists():
    document = (ROOT / "docs" / "distributed.md").read_text(encoding="utf-8")
    named = re.findall(r"\| `(test_\w+\.py)` `(test_\w+)` \|$", document, re.MULTILINE)
    table = document.partition("| fault |")[2].partition("\n\n")[0]
    assert len(named) == len(table.splitlines()) - 2
    for file, name in named:
        text = (ROOT / "tests" / "distributed" / file).read_text(encoding="utf-8")
        assert f"def {name}(" in text, (file, name)
