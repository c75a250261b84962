"""The gateway's own actions for packages, on odd input."""

from pathlib import Path

import pytest
from integration.gateway.whole_gateway import whole_gateway

from harness.redis_server import RedisServer


@pytest.mark.parametrize("content", ["\u00e9", "x", "====", "%%%%"])
def test_a_piece_that_is_no_base64_is_told(redis_server: RedisServer, tmp_path: Path, content: str) -> None:
    with whole_gateway(redis_server.url(), tmp_path / "home", has_master_key=True) as gateway:
        status, answer = gateway.call("UploadFilePart", {"Sha256": "0" * 64, "Offset": "0", "Content": content})
    assert (status, answer["Code"]) == (400, "InvalidParameter.Content")
