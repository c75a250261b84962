"""The ASGI application: routes, limits, waiting, and what happens when something unforeseen fails."""

import asyncio
import json
import logging
import re
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from unit.producer.gateway.doubles import KeysInMemory, NoncesInMemory, ReadersOnlyDescribe
from unit.producer.gateway.signing import now_text, v1_parameters, v1_query

from cloud_assistant.broker_config.settings_table import GatewaySettings
from cloud_assistant.producer.gateway.access.authentication import time_of
from cloud_assistant.producer.gateway.actions.action import Action, ActionRegistry, Call, Fields, NotYet
from cloud_assistant.producer.gateway.app import AppLimits, Dependencies, GatewayApplication


def same(_call: Call) -> Fields:
    return {"Answer": "same"}


def failing(_call: Call) -> Fields:
    raise RuntimeError("the password is hunter2")


def never_ready(_call: Call) -> Fields | NotYet:
    return NotYet({"Answer": "so far"}, lambda: never_ready(_call), pause_ms=60_000)


ACTIONS: dict[str, Action] = {"DescribeSame": same, "DescribeFailing": failing, "DescribeNever": never_ready}


def make(
    limits: AppLimits | None = None,
    *,
    actions: dict[str, Action] | None = None,
    is_healthy: Callable[[], bool] = lambda: True,
    metrics: Callable[[], tuple[bytes, str]] = lambda: (b"instances 3\n", "text/plain; version=0.0.4"),
) -> GatewayApplication:
    return GatewayApplication(
        Dependencies(
            actions=ActionRegistry({**ACTIONS, **(actions or {})}),
            access_keys=KeysInMemory(),
            nonces=NoncesInMemory(),
            authorization=ReadersOnlyDescribe(),
            now_ms=lambda: time_of(now_text()),
            is_healthy=is_healthy,
            metrics=metrics,
        ),
        limits,
    )


@asynccontextmanager
async def client_of(app: GatewayApplication) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway:8177") as client:
        yield client
    app.close()


def call(
    app: GatewayApplication, talk: Callable[[httpx.AsyncClient], Coroutine[Any, Any, httpx.Response]]
) -> httpx.Response:
    async def run() -> httpx.Response:
        async with client_of(app) as client:
            return await talk(client)

    return asyncio.run(run())


def test_limits_come_from_the_settings() -> None:
    limits = AppLimits.of(GatewaySettings(threads=3, request_bytes=77))
    assert (limits.threads_count, limits.body_bytes) == (3, 77)


def test_a_signed_request_is_answered() -> None:
    response = call(make(), lambda c: c.post("/?" + v1_query("DescribeSame")))
    assert response.status_code == 200
    assert response.json()["Answer"] == "same"
    assert response.headers["content-type"] == "application/json;charset=utf-8"
    assert response.headers["x-acs-request-id"] == response.json()["RequestId"]
    assert response.headers["content-length"] == str(len(response.content))


def test_a_form_is_read() -> None:
    response = call(make(), lambda c: c.post("/", data=v1_parameters("DescribeSame")))
    assert response.json()["Answer"] == "same"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "BREW"])
def test_another_method_is_refused_in_the_apis_shape(method: str) -> None:
    response = call(make(), lambda c: c.request(method, "/?Format=JSON&Signature=x"))
    assert (response.status_code, response.json()["Code"]) == (403, "UnsupportedHTTPMethod")


def test_a_refusal_before_reading_keeps_the_format_asked_for() -> None:
    response = call(make(), lambda c: c.put("/?Signature=x"))
    assert response.headers["content-type"] == "text/xml;charset=utf-8"


@pytest.mark.parametrize("path", ["/cli/descriptor", "/favicon.ico", "/healthz/", "/%2e"])
def test_any_other_path_is_a_plain_404(path: str) -> None:
    response = call(make(), lambda c: c.get(path))
    assert response.status_code == 404
    assert response.text == "not found\n"


def test_health_is_told_by_status() -> None:
    assert call(make(), lambda c: c.get("/healthz")).status_code == 200
    response = call(make(is_healthy=lambda: False), lambda c: c.get("/healthz"))
    assert (response.status_code, response.json()) == (503, {"healthy": False})


def test_health_that_cannot_be_told_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> bool:
        raise RuntimeError("detail")

    response = call(make(is_healthy=fail), lambda c: c.get("/healthz"))
    assert (response.status_code, response.text) == (500, "internal error\n")
    assert "RuntimeError: detail" in caplog.text


def test_metrics_are_passed_on_as_they_are() -> None:
    response = call(make(), lambda c: c.get("/metrics"))
    assert (response.text, response.headers["content-type"]) == ("instances 3\n", "text/plain; version=0.0.4")
    refused = call(make(), lambda c: c.post("/metrics"))
    assert (refused.status_code, refused.headers["allow"], refused.text) == (405, "GET, HEAD", "use GET, HEAD\n")


def test_many_who_ask_for_metrics_share_one_look_and_do_not_keep_health_from_being_told() -> None:
    may_end = threading.Event()
    looks: list[int] = []

    def look() -> tuple[bytes, str]:
        looks.append(len(looks))
        assert may_end.wait(30)
        return f"look {looks[-1]}\n".encode(), "text/plain"

    async def run() -> None:
        async with client_of(make(metrics=look)) as client:
            asked = [asyncio.ensure_future(client.get("/metrics")) for _ in range(20)]
            while not looks:
                await asyncio.sleep(0)
            # One who gives up takes nothing from the others.
            asked.pop(0).cancel()
            assert (await asyncio.wait_for(client.get("/healthz"), 10)).status_code == 200
            may_end.set()
            assert {(await one).text for one in asked} == {"look 0\n"}
            assert (await client.get("/metrics")).text == "look 1\n"

    asyncio.run(run())


def test_an_unforeseen_error_is_500_without_detail_and_logged_with_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    response = call(make(), lambda c: c.post("/?" + v1_query("DescribeFailing")))
    assert (response.status_code, response.json()["Code"]) == (500, "InternalError")
    assert "hunter2" not in response.text
    assert "Traceback" in caplog.text
    assert response.json()["RequestId"] in caplog.text


def test_the_access_line_tells_who_what_and_how_but_no_content(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    query = v1_query("DescribeSame", {"CommandContent": "echo geheim"})
    response = call(make(), lambda c: c.post("/?" + query))
    (line,) = [r.getMessage() for r in caplog.records if r.name.endswith("access_log")]
    assert "method=POST action=DescribeSame status=200 code=OK access_key_id=testid" in line
    assert f"request_id={response.json()['RequestId']}" in line
    assert re.search(r" client=(127\.0\.0\.1|-) ", line)
    assert f"received_bytes={len(query)} sent_bytes={len(response.content)}" in line
    assert "geheim" not in line
    assert "Signature" not in line


def test_a_clients_words_cannot_forge_log_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    call(make(), lambda c: c.post("/?" + v1_query("A\nlevel=ERROR forged", AccessKeyId="k\nforged")))
    (line,) = [r.getMessage() for r in caplog.records if r.name.endswith("access_log")]
    assert "forged" not in line
    assert "action=(unprintable)" in line


def test_a_body_over_the_limit_is_refused_and_one_at_the_limit_is_not() -> None:
    app = make(AppLimits(body_bytes=1000))
    response = call(app, lambda c: c.post("/?Signature=x&Format=JSON", content=b"x" * 1001))
    assert (response.status_code, response.json()["Code"]) == (413, "RequestEntityTooLarge")
    response = call(make(AppLimits(body_bytes=1000)), lambda c: c.post("/?Format=JSON", content=b"x" * 1000))
    assert response.status_code == 400


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def drip() -> AsyncIterator[bytes]:
        yield b"A=1"
        await asyncio.sleep(30)

    app = make(AppLimits(body_seconds=0.05))
    response = call(app, lambda c: c.post("/?Signature=x&Format=JSON", content=drip()))
    assert (response.status_code, response.json()["Code"]) == (408, "RequestTimeout")


def test_more_requests_than_the_limit_are_told_to_come_back() -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(_call: Call) -> Fields:
        entered.set()
        leave.wait(10)
        return {}

    async def run() -> tuple[httpx.Response, httpx.Response]:
        async with client_of(make(AppLimits(requests_count=1), actions={"DescribeSlow": slow})) as client:
            first = asyncio.ensure_future(client.post("/?" + v1_query("DescribeSlow")))
            await asyncio.to_thread(entered.wait, 10)
            second = await client.post("/?" + v1_query("DescribeSame"))
            leave.set()
            return await first, second

    first, second = asyncio.run(run())
    assert first.status_code == 200
    assert (second.status_code, second.json()["Code"]) == (503, "ServiceUnavailable")
    assert second.headers["x-acs-retry-after"] == "1"


def test_requests_that_ended_do_not_count() -> None:
    async def run() -> list[int]:
        async with client_of(make(AppLimits(requests_count=1))) as client:
            ended = [await client.post("/?" + v1_query(f"Describe{what}")) for what in ("Failing", "Same", "Same")]
        return [response.status_code for response in ended]

    assert asyncio.run(run()) == [500, 200, 200]


def test_health_is_told_while_every_thread_is_stuck() -> None:
    entered, leave = threading.Event(), threading.Event()

    def stuck(_call: Call) -> Fields:
        entered.set()
        leave.wait(10)
        return {}

    async def run() -> int:
        async with client_of(make(AppLimits(threads_count=1), actions={"DescribeStuck": stuck})) as client:
            first = asyncio.ensure_future(client.post("/?" + v1_query("DescribeStuck")))
            await asyncio.to_thread(entered.wait, 10)
            status = (await asyncio.wait_for(client.get("/healthz"), 5)).status_code
            leave.set()
            await first
            return status

    assert asyncio.run(run()) == 200


def test_a_waiting_request_holds_no_thread_and_is_answered_when_there_is_something() -> None:
    ready = threading.Event()

    def waiting(_call: Call) -> Fields | NotYet:
        if ready.is_set():
            return {"Answer": "changed"}
        return NotYet({"Answer": "so far"}, lambda: waiting(_call), pause_ms=5)

    async def run() -> tuple[httpx.Response, httpx.Response]:
        app = make(AppLimits(threads_count=1), actions={"DescribeWaiting": waiting})
        async with client_of(app) as client:
            first = asyncio.ensure_future(client.post("/?" + v1_query("DescribeWaiting")))
            second = await client.post("/?" + v1_query("DescribeSame"))
            assert not first.done()
            ready.set()
            return await first, second

    first, second = asyncio.run(run())
    assert first.json()["Answer"] == "changed"
    assert second.json()["Answer"] == "same"


def test_stopping_answers_waiting_requests_with_what_there_is() -> None:
    async def run() -> httpx.Response:
        app = make()
        async with client_of(app) as client:
            waiting = asyncio.ensure_future(client.post("/?" + v1_query("DescribeNever")))
            await asyncio.sleep(0)
            app.stop_waiting()
            return await waiting

    assert asyncio.run(run()).json()["Answer"] == "so far"


def test_a_client_that_left_while_waiting_is_noticed() -> None:
    async def run() -> list[dict[str, Any]]:
        app = make()
        sent: list[dict[str, Any]] = []
        messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": b"", "more_body": False},
            {"type": "http.disconnect"},
        ]

        async def receive() -> dict[str, Any]:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/",
            "query_string": v1_query("DescribeNever").encode(),
            "headers": [],
        }
        await app(scope, receive, send)
        app.close()
        return sent

    assert json.loads(asyncio.run(run())[1]["body"])["Answer"] == "so far"


def test_a_client_that_left_while_sending_gets_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def run() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        async def send(_message: Any) -> None:
            raise AssertionError("nobody is there to read it")

        app = make()
        await app({"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}, receive, send)
        app.close()

    asyncio.run(run())
    assert "code=ClientLeft" in caplog.text


def test_the_lifespan_protocol_closes_the_application() -> None:
    async def run() -> list[str]:
        app = make()
        messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        sent: list[str] = []

        async def receive() -> dict[str, Any]:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await app({"type": "lifespan"}, receive, send)
        return sent

    assert asyncio.run(run()) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
