"""Which job a supervisor takes next, on every database that the queue may live in."""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from search.common.limits import Limits
from search.database.lease import identity
from search.database.store import Store
from search.service.queue import CLAIM_S, LACKS_NODES, REST_S, claim
from tests.search.conftest import dead_owner, set_job
from tests.search.service.queued import add, add_live, claim_all, read

CLAIM = """
import sys
from search.database.lease import identity
from search.common.limits import Limits
from search.service.queue import claim
from search.database.store import Store
print(claim(Store(sys.argv[1]), identity(), Limits()).id, flush=True)
sys.stdin.read()
"""

PROCESSES = """
import json, multiprocessing, sys
from search.database.lease import identity
from search.common.limits import Limits
from search.service.queue import claim
from search.database.store import Store

url, processes, limit = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
fork = multiprocessing.get_context("fork")
barrier = fork.Barrier(processes)

def work(claimed):
    store = Store(url)
    ids = []
    barrier.wait()
    while (job := claim(store, identity(), Limits(jobs=limit))) is not None:
        ids.append(job.id)
    claimed.put(ids)
    barrier.wait()  # the claims of a process that has ended are free again

claimed = fork.SimpleQueue()
for _ in range(processes):
    fork.Process(target=work, args=(claimed,)).start()
print(json.dumps([claimed.get() for _ in range(processes)]))
"""


class TestOnEveryDatabase:
    # -- which job is next -------------------------------------------------------------------------

    def test_dead_drivers_jobs_come_first_then_priority_then_age(self, opened: Store) -> None:
        add(opened, "young", created_at=9.0)
        add(opened, "old", created_at=2.0)
        add(opened, "twin-b", created_at=5.0)
        add(opened, "twin-a", created_at=5.0)
        add(opened, "urgent", created_at=9.5, priority=1)
        add(opened, "later", created_at=1.0, priority=-1)
        add(opened, "left", created_at=9.9, priority=-5, status="running", lease_owner=dead_owner())
        assert claim_all(opened) == ["left", "urgent", "old", "twin-a", "twin-b", "young", "later"]

    def test_a_claim_is_a_lease_in_the_supervisors_name(self, opened: Store) -> None:
        add(opened, "one")
        claimed = claim(opened, "me", Limits(), now=1000.0)
        assert claimed is not None
        assert (claimed.id, claimed.lease_owner) == ("one", "me")
        job = read(opened, "one")
        assert (job.status, job.lease_owner, job.lease_until) == ("queued", "me", 1000.0 + CLAIM_S)

    def test_an_empty_queue_gives_nothing(self, opened: Store) -> None:
        assert claim(opened, identity(), Limits()) is None

    @pytest.mark.parametrize("status", ["queued", "running"])
    def test_a_job_of_a_persons_own_command_is_never_taken(
        self, opened: Store, status: str
    ) -> None:
        add(opened, "free", supervised=False, status=status)
        add(opened, "left", supervised=False, status=status, lease_owner=dead_owner())
        assert claim_all(opened) == []

    @pytest.mark.parametrize("status", ["stopped", "failed", "finished"])
    def test_a_job_that_has_ended_is_never_taken(self, opened: Store, status: str) -> None:
        add(opened, "one", status=status)
        assert claim_all(opened) == []

    # -- limits ------------------------------------------------------------------------------------

    def test_the_limit_counts_running_and_claimed_jobs(self, opened: Store) -> None:
        for job_id in "abcd":
            add(opened, job_id)
        add_live(opened, "live")
        assert claim_all(opened, Limits(jobs=3)) == ["a", "b"]
        assert claim_all(opened, Limits(jobs=3)) == []
        set_job(opened, "live", status="finished", supervised=False, lease_owner=None)
        assert claim_all(opened, Limits(jobs=3)) == ["c"]

    def test_the_limit_of_trials_is_one_of_jobs_too(self, opened: Store) -> None:
        for job_id in "abc":
            add(opened, job_id)
        assert claim_all(opened, Limits(jobs=3, trials=2)) == ["a", "b"]

    def test_no_job_is_started_for_which_the_shared_ray_has_no_room(self, opened: Store) -> None:
        add_live(opened, "one", slots=2)
        add_live(opened, "delivering", slots=None)
        for job_id in "abc":
            add(opened, job_id)
        assert claim_all(opened) == ["a", "b", "c"]  # whose drivers have not told their slots yet
        add(opened, "d")
        set_job(opened, "a", slots=2)
        assert claim_all(opened) == []
        set_job(opened, "one", slots=4)  # a node has joined
        assert claim_all(opened) == ["d"]

    def test_on_a_ray_of_this_machine_what_runs_elsewhere_takes_no_room(
        self, opened: Store
    ) -> None:
        add_live(opened, "there", slots=1, owner="ann")
        for job_id in "ab":
            add(opened, job_id, owner="ann")
        limits = Limits(jobs=1, owner_jobs=1)
        assert claim(opened, identity(), limits) is None
        job = claim(opened, identity(), limits, here=True)
        assert job is not None
        assert job.id == "a"
        assert claim(opened, identity(), limits, here=True) is None

    def test_a_job_that_lacks_nodes_lets_others_go_first(self, opened: Store) -> None:
        lacking = f"the cluster has no worker{LACKS_NODES}"
        add(opened, "lacking", priority=9, message=lacking, ended_at=1000.0)
        add(opened, "back", message="its driver was ended", ended_at=1000.0)
        add(opened, "new")
        assert claim_all(opened, now=1000.0 + REST_S) == ["back", "new"]
        assert claim_all(opened, now=1001.0 + REST_S) == ["lacking"]

    def test_ten_tenths_of_the_shared_ray_are_all_of_it(self, opened: Store) -> None:
        for number in range(10):
            add_live(opened, f"live-{number}", slots=10)
        add(opened, "next")
        assert claim_all(opened) == []

    def test_what_a_persons_own_command_runs_does_not_count(self, opened: Store) -> None:
        add_live(opened, "own", supervised=False)
        add(opened, "one")
        assert claim_all(opened, Limits(jobs=1, owner_jobs=1)) == ["one"]

    def test_an_owner_who_has_enough_lets_others_go_first(self, opened: Store) -> None:
        add_live(opened, "live", owner="ann")
        for number, owner in enumerate(["ann", "ann", "bob", "bob", "cid"]):
            add(opened, f"{owner}-{number}", owner=owner, created_at=float(number))
        assert claim_all(opened, Limits(owner_jobs=2)) == ["ann-0", "bob-2", "bob-3", "cid-4"]

    def test_dead_drivers_jobs_count_for_nobody(self, opened: Store) -> None:
        add(opened, "left", status="running", owner="ann", lease_owner=dead_owner())
        add(opened, "next", owner="ann")
        assert claim_all(opened, Limits(jobs=2, owner_jobs=2)) == ["left", "next"]

    def test_full_owners_wait_even_for_their_dead_drivers_jobs(self, opened: Store) -> None:
        add_live(opened, "live", owner="ann")
        add(opened, "left", status="running", owner="ann", lease_owner=dead_owner())
        add(opened, "other", owner="bob")
        assert claim_all(opened, Limits(owner_jobs=1)) == ["other"]

    # -- claims of others --------------------------------------------------------------------------

    @pytest.mark.parametrize("status", ["queued", "running"])
    def test_what_a_live_one_holds_is_left_alone(self, opened: Store, status: str) -> None:
        add(opened, "here", status=status, lease_owner=identity(), lease_until=time.time() + 60)
        add_live(opened, "there", status=status)
        assert claim_all(opened) == []

    @pytest.mark.parametrize("status", ["queued", "running"])
    def test_what_a_dead_one_held_is_taken_at_once(self, opened: Store, status: str) -> None:
        add(opened, "one", status=status, lease_owner=dead_owner(), lease_until=time.time() + 60)
        assert claim_all(opened) == ["one"]
        assert claim_all(opened) == []

    def test_what_a_silent_one_held_is_taken_when_its_lease_has_lapsed(self, opened: Store) -> None:
        add_live(opened, "one", lease_until=1000.0)
        assert claim_all(opened, now=1000.0) == []
        assert claim_all(opened, now=1000.1) == ["one"]

    def test_the_claim_of_a_killed_supervisor_is_taken_at_once(self, opened: Store) -> None:
        add(opened, "one")
        command = [sys.executable, "-c", CLAIM, opened.url]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as supervisor:
            assert supervisor.stdout is not None
            assert supervisor.stdout.readline() == "one\n"
            assert claim_all(opened) == []
            supervisor.kill()
        assert claim_all(opened) == ["one"]

    # -- many at once ------------------------------------------------------------------------------

    def test_two_supervisors_claim_each_job_once_and_keep_the_limit(self, opened: Store) -> None:
        for number in range(30):
            add(opened, f"job-{number:02d}", owner=f"owner-{number % 3}")
        threads = 10
        barrier = threading.Barrier(threads)
        stores = [Store(opened.url) for _ in range(2)]
        limits = Limits(jobs=14, owner_jobs=5)

        def work(number: int) -> list[str]:
            barrier.wait()
            return claim_all(stores[number % 2], limits)

        with ThreadPoolExecutor(threads) as pool:
            claimed = [job_id for ids in pool.map(work, range(threads)) for job_id in ids]
        for store in stores:
            store.close()
        assert len(claimed) == len(set(claimed)) == 14
        owners = Counter(read(opened, job_id).owner for job_id in claimed)
        assert sorted(owners.values()) == [4, 5, 5]

    @pytest.mark.parametrize(("limit", "expected"), [(100, 25), (8, 8)])
    def test_ten_processes_claim_each_job_once_and_keep_the_limit(
        self, opened: Store, limit: int, expected: int
    ) -> None:
        for number in range(25):
            add(opened, f"job-{number:02d}")
        done = subprocess.run(
            [sys.executable, "-c", PROCESSES, opened.url, "10", str(limit)],
            capture_output=True,
            text=True,
            check=True,
        )
        claimed = [job_id for ids in json.loads(done.stdout) for job_id in ids]
        assert len(claimed) == len(set(claimed)) == expected
