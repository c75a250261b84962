"""Share the places for downloads among those who ask, so that nobody's many keep out another's one."""

import asyncio


class DownloadPlace:
    """The place of one download; ``lost`` is set when somebody else got it, and then it has to end."""

    __slots__ = ("lost", "network")

    def __init__(self, network: str) -> None:
        self.network = network
        self.lost = asyncio.Event()


class DownloadPlaces:
    """A limited number of places, for the event loop's thread only.

    A network may have them all while no other asks. When none is free, one that asks and has fewer gets the youngest
    place of the network with the most: that download has lost the least, and is resumed when there is room again.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._taken: dict[str, list[DownloadPlace]] = {}

    def take(self, network: str) -> DownloadPlace | None:
        """Take a place; ``None`` when none is free and nobody has more than this network would have with one more."""
        if sum(map(len, self._taken.values())) >= self._count:
            most = max(self._taken.values(), key=len)
            if len(most) <= len(self._taken.get(network, ())) + 1:
                return None
            self._take_away(most[-1])
        place = DownloadPlace(network)
        self._taken.setdefault(network, []).append(place)
        return place

    def give_back(self, place: DownloadPlace) -> None:
        """Give a place back; one that was lost is given back already."""
        if not place.lost.is_set():
            self._remove(place)

    def _take_away(self, place: DownloadPlace) -> None:
        self._remove(place)
        place.lost.set()

    def _remove(self, place: DownloadPlace) -> None:
        places = self._taken[place.network]
        places.remove(place)
        if not places:
            del self._taken[place.network]
