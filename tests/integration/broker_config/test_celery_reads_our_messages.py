"""Our hand-made messages are ordinary Celery messages: a stock worker runs them."""

from pathlib import Path

from cloud_assistant.broker_config import keys
from harness.eventually import eventually
from harness.processes import Program, clean_environment, installed_program
from harness.redis_server import RedisServer

from .conftest import Ledger

STOCK_WORKER = """
from celery import Celery
app = Celery("stock", broker={url!r})
app.conf.task_ignore_result = True

@app.task(name="cloud_assistant.run_command")
def run_command(execution_id, payload_token):
    with open({log!r}, "a") as log:
        log.write(execution_id + "\\n")
"""


def test_an_ordinary_worker_consumes_a_dispatched_message(
    ledger: Ledger, redis_server: RedisServer, tmp_path: Path
) -> None:
    log = tmp_path / "seen"
    (tmp_path / "stock_worker.py").write_text(STOCK_WORKER.format(url=redis_server.url(), log=str(log)))
    wanted = [ledger.execution(ledger.dispatch("i-1"), "i-1") for _ in range(3)]
    worker = Program(
        [str(installed_program("celery")), "-A", "stock_worker", "worker", "-P", "solo", "-Q", keys.queue("i-1")],
        env=clean_environment(tmp_path),
        cwd=tmp_path,
        log_path=tmp_path / "worker.log",
    )
    worker.start()
    try:
        eventually(lambda: log.exists() and log.read_text().split() == wanted, 20, "the stock worker ran all three")
    finally:
        worker.stop()
