"""The faults of a run follow from its seed."""

from faults.plan import Fault, plan


def test_the_same_seed_draws_the_same_faults_and_another_one_others() -> None:
    assert plan(7, 60, ["i-1", "i-2"]) == plan(7, 60, ["i-1", "i-2"])
    assert plan(7, 60, ["i-1", "i-2"]) != plan(8, 60, ["i-1", "i-2"])


def test_agents_without_supervisors_have_every_fault_but_theirs() -> None:
    first, second = plan(1, 600, ["i-1", "i-2"], has_supervisors=False)
    assert {one.fault for one in (*first, *second)} == set(Fault) - {Fault.SUPERVISOR_KILLED}


def test_ten_minutes_have_every_fault_and_more_than_two_hundred() -> None:
    first, second = plan(1, 600, ["i-1", "i-2"])
    assert {one.fault for one in (*first, *second)} == set(Fault)
    assert len(first) + len(second) >= 200
    assert max(one.hold_seconds for one in second) == 60
