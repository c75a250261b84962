"""How deep a page may lie."""

import pytest

from cloud_assistant.broker_config.errors import RequestInvalid
from cloud_assistant.producer.paging import WALKED_COUNT_MAX, PageRequest


def test_a_page_by_number_reaches_so_far_where_all_before_it_must_be_read() -> None:
    PageRequest(number=WALKED_COUNT_MAX // 50, size=50).check_walk()
    with pytest.raises(RequestInvalid, match="NextToken") as refused:
        PageRequest(number=WALKED_COUNT_MAX // 50 + 1, size=50).check_walk()
    assert refused.value.code == "InvalidParam.PageNumber"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (PageRequest(number=0), "InvalidParam.PageNumber"),
        (PageRequest(size=0), "InvalidParam.PageSize"),
        (PageRequest(size=51), "InvalidParam.PageSize"),
        (PageRequest(max_results=-1), "InvalidParameter.MaxResults"),
        (PageRequest(max_results=51), "InvalidParameter.MaxResults"),
    ],
    ids=str,
)
def test_a_page_beyond_the_limits_is_refused(request_: PageRequest, code: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        request_.check()
    assert refused.value.code == code


def test_a_token_reaches_everything() -> None:
    PageRequest(number=10**9, max_results=50).check_walk()
