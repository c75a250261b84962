"""Whose place a newcomer gets."""

import resource

import pytest

from cloud_assistant.producer.gateway.serving import connection_places
from cloud_assistant.producer.gateway.serving.connection_places import ConnectionPlaces


class Connection:
    def __init__(self) -> None:
        self.made_way = False

    def make_way(self) -> None:
        self.made_way = True


def full(count: int) -> tuple[ConnectionPlaces, list[Connection]]:
    places, connections = ConnectionPlaces(count), [Connection() for _ in range(count)]
    assert all(places.enter(one) for one in connections)
    return places, connections


def test_who_owes_a_head_for_the_longest_goes_before_who_is_idle_and_who_waits_stays() -> None:
    places, (waiting, idle, late, early) = full(4)
    places.mark(idle, owes_head=False, is_idle=True)
    for one in (early, late, early):
        places.mark(one, owes_head=True, is_idle=False)
    gone = []
    for _ in range(4):
        places.enter(Connection())
        gone.append([one.made_way for one in (early, late, idle, waiting)])
    assert gone == [
        [True, False, False, False],
        [True, True, False, False],
        [True, True, True, False],
        [True, True, True, False],
    ]


def test_who_is_turned_away_counts_until_gone_and_goes_first() -> None:
    places, waiting = full(2)
    turned_away = Connection()
    assert not places.enter(turned_away)
    places.mark(turned_away, owes_head=True, is_idle=False)
    assert not places.enter(Connection())
    assert turned_away.made_way
    places.leave(waiting[0])
    places.leave(waiting[0])
    assert not places.enter(Connection())
    places.leave(waiting[1])


@pytest.mark.parametrize(("granted", "count"), [(65536, 4096), (1024, 768), (256, 128), (resource.RLIM_INFINITY, 4096)])
def test_there_are_no_more_than_files_are_granted_for(
    monkeypatch: pytest.MonkeyPatch, granted: int, count: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (granted, granted))
    assert connection_places.places_count() == count
