"""Places for downloads go to who asks, and from who has many to who has fewer."""

from cloud_assistant.producer.gateway.downloads.download_places import DownloadPlace, DownloadPlaces


def taken(places: DownloadPlaces, *networks: str) -> list[DownloadPlace]:
    """Take one place for each name; all must be given."""
    found = [places.take(network) for network in networks]
    assert None not in found
    return [place for place in found if place is not None]


def test_one_alone_may_have_all_places_and_no_more() -> None:
    places = DownloadPlaces(3)
    held = taken(places, "a", "a", "a")
    assert places.take("a") is None
    places.give_back(held[0])
    assert places.take("a") is not None
    assert not any(place.lost.is_set() for place in held)


def test_who_has_fewer_gets_the_youngest_place_of_who_has_most() -> None:
    places = DownloadPlaces(3)
    held = taken(places, "a", "a", "a", "b")
    assert [place.lost.is_set() for place in held] == [False, False, True, False]
    # With one more, b would have as many as a has left: that is fair as it is.
    assert places.take("b") is None


def test_where_all_have_one_place_nobody_loses_it() -> None:
    places = DownloadPlaces(3)
    held = taken(places, "a", "b", "c")
    assert places.take("d") is None
    assert not any(place.lost.is_set() for place in held)


def test_a_lost_place_is_not_given_back_twice() -> None:
    places = DownloadPlaces(2)
    held = taken(places, "a", "a", "b")
    for place in held:
        places.give_back(place)
    taken(places, "c", "c")
    assert places.take("c") is None
