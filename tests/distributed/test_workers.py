# SPDX-License-Identifier: BSD-3-Clause
from concurrent.futures import CancelledError
from types import SimpleNamespace

import pytest

from softmax_xp.distributed import workers
from softmax_xp.distributed.workers import check_cluster, cluster_errors, killed, workers_of
from softmax_xp.errors import InvalidValueError, MissingDependencyError, ShardError, WorkerLostError

pytest.importorskip("distributed", reason="Dask is not installed")


def test_workers_are_told_with_their_threads_and_memory(client):
    found = check_cluster(client, "cpu")
    assert [worker.threads for worker in found] == [1, 1]
    assert all(worker.memory > 0 and not worker.is_full for worker in found)


class Answers:
    """A client whose workers give one answer."""

    status = "running"
    scheduler = SimpleNamespace(address="tcp://scheduler")

    def __init__(self, answer):
        self.answer = answer

    def wait_for_workers(self, count, timeout):
        pass

    def scheduler_info(self, n_workers):
        return {"workers": {"tcp://other": {"nthreads": 1, "memory_limit": 0, "status": "paused"}}}

    def submit(self, *given, **options):
        return SimpleNamespace(result=self.result)

    def result(self, timeout):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_other_versions_are_refused_by_name():
    theirs = workers.facts_here("cpu") | {"numpy": "1.0"}
    with pytest.raises(InvalidValueError, match=r"got numpy 1\.0 on tcp://other, and \d"):
        check_cluster(Answers(theirs), "cpu")


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (ModuleNotFoundError("softmax_xp"), MissingDependencyError, "tcp://other has not"),
        (TimeoutError(), WorkerLostError, "tcp://other did not, for 60 s"),
        (
            RuntimeError("Error during deserialization of the task graph."),
            MissingDependencyError,
            "tcp://scheduler runs",
        ),
        (RuntimeError("something else"), RuntimeError, "^something else$"),
        (CancelledError("gone"), WorkerLostError, "gave up the dry run on tcp://other"),
    ],
)
def test_a_worker_that_does_not_answer_well_is_named(answer, error, text):
    with pytest.raises(error, match=text):
        check_cluster(Answers(answer), "cpu")


def test_a_full_worker_and_a_scheduler_that_is_gone_are_noticed():
    client = Answers(None)
    assert workers_of(client)[0].is_full
    client.status = "connecting"
    with pytest.raises(WorkerLostError, match="the client is 'connecting'"):
        workers_of(client)


def test_errors_of_this_package_stay_what_they_are():
    with pytest.raises(ShardError, match="mine"), cluster_errors("x"):
        raise ShardError("mine")  # noqa: EM101
    assert "shards 1 to 2" in killed("shards 1 to 2")
