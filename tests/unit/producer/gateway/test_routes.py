"""Pages beside the API: how they are found, limited, and what happens when one fails."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
import pytest
from unit.producer.gateway.doubles import KeysInMemory, NoncesInMemory, ReadersOnlyDescribe
from unit.producer.gateway.signing import now_text

from cloud_assistant.producer.gateway import other_paths
from cloud_assistant.producer.gateway.access.authentication import time_of
from cloud_assistant.producer.gateway.actions.action import ActionRegistry
from cloud_assistant.producer.gateway.app import Dependencies, GatewayApplication
from cloud_assistant.producer.gateway.routes import Route, RouteRequest
from cloud_assistant.producer.gateway.serving.http_messages import HttpReply


def echo(asked: RouteRequest) -> HttpReply:
    return HttpReply(200, "text/plain", asked.request.body or asked.request.path.encode(), {"x-from": "echo"})


def failing(_asked: RouteRequest) -> HttpReply:
    raise RuntimeError("the password is hunter2")


ROUTES = {
    "/echo": Route(("GET", "HEAD", "POST"), echo, body_bytes=10),
    "/fails": Route(("GET",), failing),
}


Result = TypeVar("Result")


def ask(method: str, path: str, content: bytes = b"") -> httpx.Response:
    return with_client(lambda client: client.request(method, path, content=content))


def with_client(use: Callable[[httpx.AsyncClient], Awaitable[Result]]) -> Result:
    app = GatewayApplication(
        Dependencies(
            actions=ActionRegistry({}),
            access_keys=KeysInMemory(),
            nonces=NoncesInMemory(),
            authorization=ReadersOnlyDescribe(),
            now_ms=lambda: time_of(now_text()),
            is_healthy=lambda: True,
            metrics=lambda: (b"", "text/plain"),
            routes=ROUTES,
        )
    )

    async def run() -> Result:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway:8177") as client:
            result = await use(client)
        app.close()
        return result

    return asyncio.run(run())


def test_a_route_answers_its_path_and_its_methods_only() -> None:
    assert ask("GET", "/echo").text == "/echo"
    assert ask("GET", "/echo").headers["x-from"] == "echo"
    assert ask("POST", "/echo", b"hello").text == "hello"
    assert ask("GET", "/echo/more").status_code == 404
    refused = ask("DELETE", "/echo")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, POST")


def test_a_head_gets_the_length_and_no_body() -> None:
    response = ask("HEAD", "/echo")
    assert (response.headers["content-length"], response.content) == ("5", b"")


def test_a_body_over_the_limit_of_its_route_is_refused() -> None:
    response = ask("POST", "/echo", b"x" * 11)
    assert (response.status_code, response.json()["Code"]) == (413, "RequestEntityTooLarge")


def test_a_mistake_of_ours_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    response = ask("GET", "/fails")
    assert (response.status_code, response.text) == (500, "internal error\n")
    assert "hunter2" in caplog.text
    assert "page answered method=GET path=/fails status=500" in caplog.text


def test_a_body_that_is_not_awaited_to_its_end_closes_the_connection() -> None:
    assert ask("POST", "/echo", b"x" * 50).headers.get("connection") is None
    refused = ask("POST", "/echo", b"x" * 1000)
    assert (refused.status_code, refused.headers["connection"]) == (413, "close")


def test_so_many_pages_are_made_at_once_and_more_are_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_paths, "PAGES_COUNT", 1)
    is_asked, may_answer = threading.Event(), threading.Event()

    def slow(_asked: RouteRequest) -> HttpReply:
        is_asked.set()
        may_answer.wait(10)
        return HttpReply(200, "text/plain", b"", {})

    monkeypatch.setitem(ROUTES, "/slow", Route(("GET",), slow))

    async def run(client: httpx.AsyncClient) -> list[int]:
        first = asyncio.ensure_future(client.get("/slow"))
        await asyncio.to_thread(is_asked.wait, 10)
        second = await client.get("/slow")
        assert second.headers["x-acs-retry-after"] == "5"
        may_answer.set()
        # One after the other they are as many as they like.
        return [second.status_code, (await first).status_code, *[(await client.get("/slow")).status_code for _ in "ab"]]

    assert with_client(run) == [503, 200, 200, 200]
