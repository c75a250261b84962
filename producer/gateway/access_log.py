"""One line per request: who asked for what and how it ended. Never content, query, body or secrets."""

import logging
from time import perf_counter

from .exchange import Exchange, safe_in_log, safe_path_in_log
from .serving.http_messages import HttpRequest

logger = logging.getLogger(__name__)


def log_exchange(exchange: Exchange, http_status: int, began_seconds: float, sent_bytes: int) -> None:
    """Write the line of one request to the API; ``began_seconds`` is ``perf_counter`` when it arrived."""
    logger.info(
        "request answered method=%s action=%s status=%d code=%s access_key_id=%s client=%s request_id=%s "
        "duration_ms=%.1f received_bytes=%d sent_bytes=%d",
        safe_in_log(exchange.request.method),
        safe_in_log(exchange.action),
        http_status,
        exchange.code or "-",
        safe_in_log(exchange.access_key_id),
        exchange.source or "-",
        exchange.request_id,
        _ms_since(began_seconds),
        len(exchange.request.query) + len(exchange.request.body),
        sent_bytes,
    )


def log_page(request: HttpRequest, http_status: int, began_seconds: float, client_address: str) -> None:
    """Write the line of one request for a page beside the API, as ``log_exchange`` does."""
    logger.info(
        "page answered method=%s path=%s status=%d client=%s duration_ms=%.1f received_bytes=%d",
        safe_in_log(request.method),
        safe_path_in_log(request.path),
        http_status,
        client_address or "-",
        _ms_since(began_seconds),
        len(request.body),
    )


def _ms_since(began_seconds: float) -> float:
    return (perf_counter() - began_seconds) * 1000
