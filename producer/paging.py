"""Pages over an index that is sorted by time, newest first, with filters applied on the way.

Two styles, as the API has them: a page number, or an opaque token that says where the last page ended.
"""

import base64
import binascii
import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from operator import itemgetter
from typing import Generic, TypeVar

import msgspec

from ..broker_config.errors import RecordUnreadable, RequestInvalid
from ..broker_config.redis.client import Redis

Item = TypeVar("Item")

PAGE_SIZE = 10
PAGE_SIZE_MAX = 50
#: Under a filter, matches are counted no further, so that a page over a long history stays quick.
FILTERED_COUNT_MAX = 1_000
#: Where a page number means reading all that comes before, it reaches so far; a token reaches everything.
WALKED_COUNT_MAX = 10_000
_BATCH_COUNT = 100
#: A page that begins further down is past the end of any index; Redis refuses numbers beyond 64 bits.
_FURTHEST_COUNT = 2**40


class PageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which page is wanted; ``max_results`` or ``next_token`` turn the newer style on."""

    number: int = 1
    size: int = PAGE_SIZE
    max_results: int = 0
    next_token: str = ""
    size_max: int = PAGE_SIZE_MAX

    @property
    def by_token(self) -> bool:
        """Whether the newer style is asked for."""
        return bool(self.max_results or self.next_token)

    @property
    def count(self) -> int:
        """How many items the page holds at most."""
        return self.max_results or self.size

    @property
    def first(self) -> int:
        """How many items lie before a page by number."""
        return min((self.number - 1) * self.size, _FURTHEST_COUNT)

    def check(self) -> "PageRequest":
        """Refuse values outside of the API's limits."""
        if self.by_token:
            if not 0 <= self.max_results <= self.size_max:
                raise RequestInvalid(
                    f"MaxResults must be between 1 and {self.size_max}", code="InvalidParameter.MaxResults"
                )
            return self
        if self.number < 1:
            raise RequestInvalid("PageNumber starts from 1", code="InvalidParam.PageNumber")
        if not 1 <= self.size <= self.size_max:
            raise RequestInvalid(f"PageSize must be between 1 and {self.size_max}", code="InvalidParam.PageSize")
        return self

    def check_walk(self) -> "PageRequest":
        """Refuse a page so deep that all before it would have to be read anew for each request.

        Raises:
            RequestInvalid: ``InvalidParam.PageNumber``.
        """
        if not self.by_token and self.number * self.size > WALKED_COUNT_MAX:
            raise RequestInvalid(
                f"with these filters, pages by number reach {WALKED_COUNT_MAX:,} items; go on with MaxResults and "
                "NextToken, which cost the same at any depth",
                code="InvalidParam.PageNumber",
            )
        return self


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """One page of items."""

    items: list[Item]
    total_count: int
    next_token: str = ""
    number: int = 1
    size: int = PAGE_SIZE
    #: What was come across and cannot be read: whether it matches, nobody can tell.
    unreadable: Sequence[RecordUnreadable] = ()


#: Turns ids into items: ``None`` for one that is gone, the error for one that cannot be read.
Load = Callable[[Sequence[str]], Sequence[Item | RecordUnreadable | None]]


def read_page(
    redis: Redis,
    index: str,
    request: PageRequest,
    load: Load[Item],
    *,
    keep: Callable[[Item], bool] | None = None,
    filters: str = "",
) -> Page[Item]:
    """Read one page of an index (a zset scored by time), newest first.

    ``load`` turns ids into items; ``keep`` filters. Without a filter the cost does not
    depend on the length of the index; with one it reads on until the page is full, and counts what matches up to
    ``FILTERED_COUNT_MAX`` or one past the page. ``filters`` names the query, so that a token cannot be used with
    another one.
    """
    request.check()
    if keep is None and not request.by_token:
        first = request.first
        members, total_count = redis.pipeline_or_raise(
            [("ZREVRANGE", index, first, first + request.size - 1), ("ZCARD", index)]
        )
        names = [one.decode("utf-8", "replace") for one in members]
        loaded = load(names) if names else []
        found = [item for item in loaded if not isinstance(item, RecordUnreadable | None)]
        unreadable = [item for item in loaded if isinstance(item, RecordUnreadable)]
        return Page(found, total_count, "", request.number, request.size, unreadable)
    start = read_token(request.next_token, filters)
    passed: list[RecordUnreadable] = []
    matching = walk(redis, index, load, keep=keep, start=start, first_count=request.count + 1, passed=passed)
    return msgspec.structs.replace(page_of_matches(matching, request, filters), unreadable=passed)


def all_pages(read: Callable[[PageRequest], Page[Item]], size: int) -> Iterator[Item]:
    """Yield every item of a list that is read page by page."""
    token = ""
    while True:
        page = read(PageRequest(max_results=size, size_max=size, next_token=token))
        yield from page.items
        token = page.next_token
        if not token:
            return


def page_of_matches(matching: Iterator[tuple[str, Item]], request: PageRequest, filters: str) -> Page[Item]:
    """Fill a page with what comes, each item with its position; count on for a page by number, as ``read_page`` does.

    For a page by token they come from where the token says, else from the beginning.
    """
    request.check().check_walk()
    if request.by_token:
        items: list[Item] = []
        last = ""
        for position, item in matching:
            if len(items) == request.count:
                return Page(items, 0, make_token(last, filters), 1, request.count)
            items.append(item)
            last = position
        return Page(items, 0, "", 1, request.count)
    first = request.first
    found = []
    for _, item in matching:
        found.append(item)
        # One more than the page holds: who pages by the count must see that it is not the last one.
        if len(found) > max(first + request.size, FILTERED_COUNT_MAX):
            break
    return Page(found[first : first + request.size], len(found), "", request.number, request.size)


def page_of_list(found: Sequence[Item], request: PageRequest, filters: str) -> Page[Item]:
    """Cut one page out of items that are all at hand."""
    return page_of_places(list(enumerate(found)), request, filters)


def page_of_places(found: Sequence[tuple[int, Item]], request: PageRequest, filters: str) -> Page[Item]:
    """Cut one page out of what matches of a longer list, each with its place in that, in ascending order.

    A token says the place to go on from: which of them match may have changed by then, and none is passed over for it.
    """
    request.check()
    items = [item for _, item in found]
    if not request.by_token:
        first = request.first
        return Page(items[first : first + request.size], len(found), "", request.number, request.size)
    position = read_token(request.next_token, filters)
    start = int(position[0]) if position else 0
    first = bisect_left(found, start, key=itemgetter(0))
    end = first + request.count
    token = make_token(f"{found[end - 1][0] + 1} -", filters) if end < len(found) else ""
    return Page(items[first:end], len(found), token, 1, request.count)


def read_page_by_name(
    redis: Redis,
    index: str,
    request: PageRequest,
    load: Callable[[Sequence[str]], list[Item | None]],
    keep: Callable[[Sequence[str]], Sequence[str]],
) -> Page[Item]:
    """Read one page by number, where names alone tell what matches: only what is shown is loaded."""
    request.check().check_walk()
    first = request.first
    needed_count = max(first + request.size, FILTERED_COUNT_MAX) + 1
    names: list[str] = []
    for start in count(0, FILTERED_COUNT_MAX):
        found = redis.call("ZREVRANGE", index, start, start + FILTERED_COUNT_MAX - 1)
        batch = [one.decode("utf-8", "replace") for one in found]
        names += keep(batch)
        if len(names) >= needed_count or len(batch) < FILTERED_COUNT_MAX:
            break
    shown = names[first : first + request.size]
    found = [item for item in load(shown) if item is not None] if shown else []
    return Page(found, min(len(names), needed_count), "", request.number, request.size)


def walk(
    redis: Redis,
    index: str,
    load: Load[Item],
    *,
    keep: Callable[[Item], bool] | None = None,
    start: tuple[str, str] | None = None,
    first_count: int = _BATCH_COUNT,
    passed: list[RecordUnreadable] | None = None,
) -> Iterator[tuple[str, Item]]:
    """Yield the items of an index, newest first, each with its position ``score member``; after ``start`` if given.

    ``first_count`` items are read at first, then twice as many each time: what is not shown is not loaded either.
    What cannot be read is passed over, and put into ``passed``.
    """
    for name, score, item in _loaded(redis, index, load, start or ("+inf", ""), min(first_count, _BATCH_COUNT)):
        if isinstance(item, RecordUnreadable):
            if passed is not None:
                passed.append(item)
        elif item is not None and (keep is None or keep(item)):
            yield f"{score} {name}", item


def _loaded(
    redis: Redis, index: str, load: Load[Item], start: tuple[str, str], batch_count: int
) -> Iterator[tuple[str, str, Item | RecordUnreadable | None]]:
    """Yield name, score and item of each member behind ``start``.

    Agents write some of these indexes: any bytes, as many as they like, and one score in two ways (0 and -0).
    """
    top, after = (one.encode() for one in start)
    # Members of one score come in descending order of their bytes. Of those of the score that it ended with, a batch
    # begins with the last one of the batch before.
    skip = 0
    while True:
        reply = redis.call("ZREVRANGEBYSCORE", index, top, "-inf", "WITHSCORES", "LIMIT", skip, batch_count)
        pairs = list(zip(reply[::2], reply[1::2], strict=True))
        fresh = [one for one in pairs if not (after and float(one[1]) == float(top) and one[0] >= after)]
        if skip and len(fresh) == len(pairs):
            # It is gone, and what follows has moved up.
            skip = 0
            continue
        names = [name.decode("utf-8", "replace") for name, _ in fresh]
        for name, (_, score), item in zip(names, fresh, load(names) if names else [], strict=True):
            yield name, score.decode(), item
        if len(pairs) < batch_count:
            return
        skip = skip + batch_count - 1 if float(pairs[-1][1]) == float(top) else 0
        if fresh:
            after, top = fresh[-1]
        batch_count = min(2 * batch_count, _BATCH_COUNT)


def make_token(position: str, filters: str) -> str:
    """Hide a position in a token that is good for one set of filters."""
    mark = hashlib.sha256(filters.encode()).hexdigest()[:8]
    return base64.urlsafe_b64encode(f"{mark} {position}".encode()).decode()


def read_token(token: str, filters: str) -> tuple[str, str] | None:
    """Read a position back from a token; ``None`` when there is none.

    Raises:
        RequestInvalid: the token is not one of ours, or belongs to another query.
    """
    if not token:
        return None
    try:
        mark, score, name = base64.urlsafe_b64decode(token.encode()).decode().split(" ")
        float(score)
    except (binascii.Error, ValueError) as exc:
        raise RequestInvalid("NextToken is not one of ours", code="InvalidParameter.NextToken") from exc
    if mark != hashlib.sha256(filters.encode()).hexdigest()[:8]:
        raise RequestInvalid("NextToken belongs to a query with other filters", code="InvalidParameter.NextToken")
    return score, name
