"""How the jobs on one Ray share it; nobody may ever use what another was promised."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, update

from search.common.limits import Limits
from search.database.lease import Lease, LeaseLostError
from search.database.store import Store
from search.database.tables import Job
from search.driver.shares import Need, Share, allot, room
from tests.search.conftest import add_job, dead_owner, make_spec

SPEC = make_spec()
FREE = Limits()


def need(job_id: str, slots: int = 4, wanted: int = 99, used: int = 0, owner: str = "ann") -> Need:
    return Need(job_id, owner, slots, wanted, used)


class TestAllot:
    def test_a_job_alone_gets_all_that_it_can_use(self) -> None:
        assert allot([need("a")], FREE) == {"a": 4}
        assert allot([need("a", wanted=3)], FREE) == {"a": 3}

    def test_everyone_gets_one_even_where_there_is_no_room(self) -> None:
        needs = [need(job_id, slots=2) for job_id in "abc"]
        full = Limits(trials=1, owner_trials=1)
        assert allot(needs, FREE) == allot(needs, full) == {"a": 1, "b": 1, "c": 1}

    def test_equal_jobs_get_equal_shares_and_the_first_what_is_left(self) -> None:
        needs = [need(job_id, slots=8) for job_id in "abc"]
        assert allot(needs, FREE) == {"a": 3, "b": 3, "c": 2}

    def test_what_one_does_not_want_the_others_get(self) -> None:
        needs = [need("a", slots=9, wanted=2), need("b", slots=9), need("c", slots=9)]
        assert allot(needs, FREE) == {"a": 2, "b": 4, "c": 3}

    def test_parts_of_the_cluster_are_equal_where_trials_are_not(self) -> None:
        small, large = need("small", slots=12), need("large", slots=6)
        assert allot([small, large], FREE) == {"small": 6, "large": 3}

    def test_a_small_trial_goes_where_a_large_one_does_not_fit(self) -> None:
        large, small = need("large", slots=2), need("small", slots=10)
        assert allot([large, small], FREE) == {"large": 1, "small": 5}

    @pytest.mark.parametrize("jobs", [3, 7, 10, 24])
    def test_thirds_and_the_like_make_a_whole(self, jobs: int) -> None:
        needs = [need(str(number), slots=2 * jobs) for number in range(jobs)]
        assert set(allot(needs, FREE).values()) == {2}

    def test_the_limit_in_all_is_shared_fairly(self) -> None:
        needs = [need(job_id, slots=8) for job_id in "abc"]
        assert allot(needs, Limits(trials=4)) == {"a": 2, "b": 1, "c": 1}

    def test_the_limit_of_an_owner_leaves_the_rest_to_others(self) -> None:
        needs = [need("a", slots=9), need("b", slots=9), need("c", slots=9, owner="bob")]
        assert allot(needs, Limits(owner_trials=3)) == {"a": 2, "b": 1, "c": 3}
        assert allot(needs, Limits(owner_trials=3, trials=5)) == {"a": 2, "b": 1, "c": 2}


NEEDS = st.lists(
    st.builds(
        Need,
        job_id=st.uuids().map(str),
        owner=st.sampled_from(["ann", "bob"]),
        slots=st.integers(1, 12),
        wanted=st.integers(1, 12),
        used=st.just(0),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda one: one.job_id,
)
CAP = st.one_of(st.none(), st.integers(1, 12))
LIMITS = st.builds(Limits, trials=CAP, owner_trials=CAP)


@given(NEEDS, LIMITS)
def test_shares_fill_the_cluster_as_far_as_limits_and_needs_allow(
    needs: list[Need], limits: Limits
) -> None:
    shares = allot(needs, limits)
    of_owner = Counter[str]()
    for one in needs:
        of_owner[one.owner] += shares[one.job_id]
        assert 1 <= shares[one.job_id] <= min(one.wanted, one.slots)
    part = sum(shares[one.job_id] / one.slots for one in needs)
    jobs = Counter(one.owner for one in needs)
    assert part <= max(1, sum(1 / one.slots for one in needs)) + 1e-6
    assert limits.trials is None or of_owner.total() <= max(limits.trials, len(needs))
    for owner, trials in of_owner.items():
        assert limits.owner_trials is None or trials <= max(limits.owner_trials, jobs[owner])
    for one in needs:
        assert (
            shares[one.job_id] == min(one.wanted, one.slots)
            or part + 1 / one.slots > 1
            or (limits.trials is not None and of_owner.total() >= limits.trials)
            or (limits.owner_trials is not None and of_owner[one.owner] >= limits.owner_trials)
        ), "one more would have fitted"


@given(NEEDS, st.integers(1, 12), CAP)
def test_of_equal_trials_nobody_gets_two_more_than_one_who_wants_more(
    needs: list[Need], slots: int, trials: int | None
) -> None:
    needs = [replace(one, slots=slots) for one in needs]
    shares = allot(needs, Limits(trials=trials))
    hungry = [shares[one.job_id] for one in needs if shares[one.job_id] < min(one.wanted, slots)]
    assert max(shares.values()) <= min(hungry, default=slots) + 1


class TestRoom:
    def test_it_is_the_share_where_others_keep_to_theirs(self) -> None:
        mine, other = need("a"), need("b", used=2)
        assert room(mine, [mine, other], FREE) == 2

    @pytest.mark.parametrize(("used", "left"), [(4, 0), (3, 1), (2, 2), (1, 2), (0, 2)])
    def test_a_new_job_waits_until_others_have_come_down(self, used: int, left: int) -> None:
        mine, other = need("a"), need("b", used=used)
        assert room(mine, [mine, other], FREE) == left

    def test_a_job_above_its_share_comes_down_to_it(self) -> None:
        mine, other = need("a", used=4), need("b")
        assert room(mine, [mine, other], FREE) == 2

    def test_large_trials_wait_for_many_small_ones(self) -> None:
        mine = need("a", slots=4)
        for used, left in [(8, 0), (7, 0), (6, 1), (5, 1), (4, 2)]:
            assert room(mine, [mine, need("b", slots=8, used=used)], FREE) == left

    def test_the_limit_in_all_counts_what_others_use(self) -> None:
        mine, other = need("a", slots=9), need("b", slots=9, used=4)
        assert room(mine, [mine, other], Limits(trials=6)) == 2
        assert room(mine, [mine, other], Limits(trials=3)) == 0

    def test_the_limit_of_an_owner_counts_what_their_other_jobs_use(self) -> None:
        mine, other = need("a", slots=9), need("b", slots=9, used=4)
        foreign = need("c", slots=9, used=1, owner="bob")
        limits = Limits(owner_trials=5)
        assert room(mine, [mine, other, foreign], limits) == 1
        assert room(foreign, [mine, other, foreign], limits) == 4

    def test_more_jobs_than_slots_leave_the_last_without(self) -> None:
        mine = need("c", slots=2)
        others = [need("a", slots=2, used=1), need("b", slots=2, used=1)]
        assert room(mine, [*others, mine], FREE) == 0


# -- drivers that look now and then ----------------------------------------------------------------


@dataclass
class Pretender:
    """A driver whose trials are numbers."""

    share: Share
    owner: str
    cpus: int
    wanted: int
    slots: int
    running: int = 0
    granted: int = 0

    def look(self) -> None:
        self.granted = self.share.look(self.slots, self.wanted, self.running)

    def start(self) -> None:
        self.running = max(self.running, min(self.granted, self.wanted))

    def turn(self) -> None:
        self.look()
        self.start()

    def end(self) -> None:
        self.running = max(0, self.running - 1)

    def leave(self) -> None:
        """Die, and its trials with it; come again as another driver of the job."""
        self.running = self.granted = 0
        self.share.lease.release()
        self.share.lease.acquire()


def pretend(
    store: Store, job_id: str, limits: Limits, *, cpus: int, cluster: int, owner: str = "ann",
    wanted: int = 99, here: bool = False,
) -> Pretender:  # fmt: skip
    add_job(store, SPEC, job_id, owner=owner, supervised=True)
    lease = Lease(store, job_id)
    lease.acquire()
    return Pretender(Share(lease, limits, here=here), owner, cpus, wanted, max(1, cluster // cpus))


@pytest.fixture(scope="module")
def in_memory() -> Iterator[Store]:
    store = Store("sqlite://")
    store.migrate(upgrade=False)
    yield store
    store.close()


DRIVERS = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from(["ann", "bob"]), st.integers(1, 6)),
    min_size=2,
    max_size=4,
)
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 3), st.sampled_from(["look", "turn", "turn", "start", "end", "end", "leave"])
    ),
    min_size=10,
    max_size=40,
)


@given(drivers=DRIVERS, events=EVENTS, cluster=st.integers(3, 6), limits=LIMITS)
@settings(max_examples=60)
def test_drivers_whose_views_lag_never_run_more_than_there_is(
    in_memory: Store,
    drivers: list[tuple[int, str, int]],
    events: list[tuple[int, str]],
    cluster: int,
    limits: Limits,
) -> None:
    with in_memory.session() as session:
        session.execute(delete(Job))
    pretenders = [
        pretend(in_memory, str(number), limits, cpus=cpus, cluster=cluster, owner=owner,
                wanted=wanted)
        for number, (cpus, owner, wanted) in enumerate(drivers)
    ]  # fmt: skip
    for number, event in events:
        getattr(pretenders[number % len(pretenders)], event)()
        running = Counter[str]()
        for one in pretenders:
            running[one.owner] += one.running
        assert sum(one.running * one.cpus for one in pretenders) <= cluster
        assert limits.trials is None or running.total() <= limits.trials
        assert limits.owner_trials is None or max(running.values()) <= limits.owner_trials


class TestOnEveryDatabase:
    def test_two_jobs_come_to_equal_shares_as_trials_end(self, opened: Store) -> None:
        first = pretend(opened, "first", FREE, cpus=1, cluster=4)
        first.turn()
        assert first.running == 4
        second = pretend(opened, "second", FREE, cpus=1, cluster=4)
        seen = []
        for _ in range(4):
            first.turn()
            second.turn()
            seen.append((first.running, second.running))
            first.end()
        assert seen == [(4, 0), (3, 1), (2, 2), (2, 2)]

    def test_a_job_that_ends_leaves_all_to_the_other(self, opened: Store) -> None:
        first, second = (pretend(opened, name, FREE, cpus=1, cluster=4) for name in "ab")
        for one in (first, second, first, second):
            one.look()
        assert (first.granted, second.granted) == (2, 2)
        with opened.session() as session:
            session.execute(update(Job).where(Job.id == "a").values(slots=None))
        second.look()
        assert second.granted == 4

    def test_priority_and_age_decide_who_gets_the_odd_one(self, opened: Store) -> None:
        old, young = (pretend(opened, name, FREE, cpus=1, cluster=3) for name in "ab")
        for one in (young, old):
            one.look()
        with opened.session() as session:
            session.execute(update(Job).values(slots_used=0))
        old.look()
        assert old.granted == 2
        with opened.session() as session:
            session.execute(update(Job).values(slots_used=0))
            session.execute(update(Job).where(Job.id == "b").values(priority=1))
        young.look()
        assert young.granted == 2

    @pytest.mark.parametrize(
        "left", [{"lease_owner": dead_owner()}, {"lease_until": 0.0}, {"supervised": False}]
    )
    def test_what_a_dead_driver_or_a_persons_command_told_counts_no_more(
        self, opened: Store, left: dict[str, object]
    ) -> None:
        gone, mine = (pretend(opened, name, FREE, cpus=1, cluster=4) for name in "ab")
        gone.turn()
        mine.look()
        assert mine.granted == 0
        with opened.session() as session:
            session.execute(update(Job).where(Job.id == "a").values(**left))
        mine.look()
        assert mine.granted == 4

    def test_jobs_of_another_machine_take_nothing_of_a_ray_of_this_one(self, opened: Store) -> None:
        there, mine = (
            pretend(opened, name, FREE, cpus=1, cluster=4, here=name == "b") for name in "ab"
        )
        there.turn()
        mine.look()
        assert mine.granted == 0
        with opened.session() as session:
            elsewhere = {"lease_owner": "elsewhere:1:2:ab"}
            session.execute(update(Job).where(Job.id == "a").values(**elsewhere))
        mine.look()
        assert mine.granted == 4

    def test_a_job_that_was_taken_from_the_queue_gets_nothing(self, opened: Store) -> None:
        one = pretend(opened, "a", FREE, cpus=1, cluster=4)
        with opened.session() as session:
            session.execute(update(Job).values(supervised=False))
        one.look()
        assert one.granted == 0

    def test_drivers_that_look_at_the_same_moment_are_not_promised_the_same(
        self, opened: Store
    ) -> None:
        drivers = 5
        barrier = threading.Barrier(drivers)
        pretenders = [
            pretend(opened, str(number), FREE, cpus=1, cluster=2) for number in range(drivers)
        ]

        def look(one: Pretender) -> int:
            barrier.wait()
            one.look()
            return one.granted

        with ThreadPoolExecutor(drivers) as pool:
            for _ in range(5):
                with opened.session() as session:
                    session.execute(update(Job).values(slots=None, slots_used=None))
                assert sum(pool.map(look, pretenders)) == 2

    def test_a_driver_that_lost_its_job_is_told(self, opened: Store) -> None:
        one = pretend(opened, "a", FREE, cpus=1, cluster=4)
        with opened.session() as session:
            session.execute(update(Job).values(lease_owner="elsewhere:1:2:ab"))
        with pytest.raises(LeaseLostError, match="job a was taken over by another driver"):
            one.look()

    def test_between_two_looks_the_last_answer_holds(
        self, opened: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = pretend(opened, "a", FREE, cpus=1, cluster=4)
        monkeypatch.setattr("search.driver.shares.LOOK_S", 1000.0)
        assert one.share.of(4, 4, 0) == 4
        assert one.share.of(4, 1, 0) == 4
        one.share.next_look = 0.0
        assert one.share.of(4, 1, 0) == 1
