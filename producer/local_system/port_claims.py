"""The ports that the local system is about to take: all checked before anything is started."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from ...broker_config.errors import Refused
from .ports import is_free, next_free_port, owner_of, why_not_reachable


@dataclass(frozen=True)
class PortClaim:
    """One program's wish for a port, and the option of `assist up` that changes it."""

    program: str
    address: str
    port: int
    option: str


def check_loopback(address: str) -> None:
    """Check that programs of this machine can talk to one another there.

    Raises:
        Refused: they cannot; the text says why, and the way out.
    """
    reason = why_not_reachable(address)
    if reason:
        mend = "ifconfig lo0 up" if sys.platform == "darwin" else "ip link set lo up"
        raise Refused(
            f"the programs of the local system cannot reach one another at {address} ({reason}); bring this machine's "
            f"loopback interface up, as root: {mend}",
            code="LoopbackDown",
        )


def check_claims(claims: Sequence[PortClaim]) -> None:
    """Check that every port can be had.

    Raises:
        Refused: one cannot; for each the text says who has it, where that can be known, and the way out.
    """
    wanted: dict[int, str] = {}
    problems = []
    for claim in claims:
        if claim.port in wanted:
            problems.append(f"port {claim.port} is asked for by {wanted[claim.port]} and {claim.program}")
        else:
            wanted[claim.port] = claim.program
            problems += _problem_with(claim)
    if problems:
        raise Refused("; ".join(problems), code="PortTaken")


def _problem_with(claim: PortClaim) -> list[str]:
    try:
        if is_free(claim.address, claim.port):
            return []
    except OSError as exc:
        return [f"{claim.program} cannot listen on {claim.address} port {claim.port}: {exc.strerror}"]
    owner = owner_of(claim.port)
    taken = f"is taken by {owner}" if owner else "is taken by another program"
    other = next_free_port(claim.address, claim.port) or "PORT"
    return [
        f"port {claim.port} for {claim.program} {taken}; "
        f"end that, or choose another port: assist up {claim.option} {other}"
    ]
