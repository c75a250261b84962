"""Pages beside the API: how they are found, limited, and what happens when one fails."""

import asyncio
import logging

import httpx
import pytest
from unit.producer.gateway.doubles import KeysInMemory, NoncesInMemory, ReadersOnlyDescribe
from unit.producer.gateway.signing import now_text

from cloud_assistant.producer.gateway.actions import ActionRegistry
from cloud_assistant.producer.gateway.app import Dependencies, create_app
from cloud_assistant.producer.gateway.authentication import time_of
from cloud_assistant.producer.gateway.http_messages import HttpReply
from cloud_assistant.producer.gateway.routes import Route, RouteRequest, Routes


def echo(asked: RouteRequest) -> HttpReply:
    return HttpReply(200, "text/plain", asked.request.body or asked.request.path.encode(), {"x-from": "echo"})


def failing(_asked: RouteRequest) -> HttpReply:
    raise RuntimeError("the password is hunter2")


def deep(_asked: RouteRequest) -> HttpReply:
    return HttpReply(200, "text/plain", b"deep", {})


ROUTES = Routes(
    {
        "/echo": Route(("GET", "HEAD", "POST"), echo, body_bytes=10),
        "/below/": Route(("GET",), echo),
        "/below/deep/": Route(("GET",), deep),
        "/fails": Route(("GET",), failing),
    }
)


def ask(method: str, path: str, content: bytes = b"") -> httpx.Response:
    app = create_app(
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

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway:8177") as client:
            response = await client.request(method, path, content=content)
        app.close()
        return response

    return asyncio.run(run())


def test_a_route_answers_its_path_and_its_methods_only() -> None:
    assert ask("GET", "/echo").text == "/echo"
    assert ask("GET", "/echo").headers["x-from"] == "echo"
    assert ask("POST", "/echo", b"hello").text == "hello"
    assert ask("GET", "/echo/more").status_code == 404
    refused = ask("DELETE", "/echo")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, POST")


def test_a_folder_answers_all_below_it_and_the_longest_one_counts() -> None:
    assert ask("GET", "/below/x/y").text == "/below/x/y"
    assert ask("GET", "/below/deep/x").text == "deep"
    assert ask("GET", "/below").status_code == 404


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


def test_a_path_is_served_once() -> None:
    with pytest.raises(ValueError, match="/echo"):
        ROUTES.add("/echo", Route(("GET",), echo))
