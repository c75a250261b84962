"""Results to be shown, made with the few fields a test is about."""

from cloud_assistant.broker_config.results import ExecutionRow, KeptStreams, Outcome
from cloud_assistant.broker_config.states import ExecutionState


def row(
    instance_id: str = "i-one",
    state: ExecutionState = ExecutionState.SUCCESS,
    *,
    exit_code: int | None = 0,
    output: KeptStreams | bytes = b"",
    started_ms: int = 1_000,
    finished_ms: int = 1_400,
    error_code: str = "",
    error_info: str = "",
    signal: int | None = None,
    survivors: int | None = None,
    left_running: int = 0,
) -> ExecutionRow:
    """One target's result."""
    kept = output if isinstance(output, KeptStreams) else KeptStreams(data=output)
    outcome = Outcome(
        state=state,
        started_ms=started_ms,
        finished_ms=finished_ms,
        exit_code=exit_code,
        signal=signal,
        error_code=error_code,
        error_info=error_info,
        output=kept,
        survivors=survivors,
        left_running=left_running,
    )
    return ExecutionRow(
        execution_id=f"t-00000001.0@{instance_id}",
        invoke_id="t-00000001",
        instance_id=instance_id,
        firing_ms=0,
        state=state.value,
        outcome=outcome,
    )
