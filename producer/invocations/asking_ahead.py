"""What the first request of a process has to know, asked in one round trip instead of one after the other."""

from collections.abc import Sequence

from ...broker_config.audit.chain import END, AuditChain
from ...broker_config.dispatch import CHUNK_COUNT
from ...broker_config.redis.client import Redis
from ...broker_config.security.envelope_signing import EnvelopeSigner, key_ids_command


def ask_ahead(redis: Redis, chain: AuditChain, signer: EnvelopeSigner, targets: Sequence[str]) -> None:
    """Learn the end of the audit and which keys a few targets hold; nothing is asked when something was entered before.

    Raises:
        RedisUnreachable, RedisRefused: as the request itself would.
    """
    if chain.knows_its_end or not 0 < len(targets) <= CHUNK_COUNT:
        return
    end, key_ids = redis.pipeline_or_raise([END, key_ids_command(targets)])
    chain.note_end(end)
    signer.note_key_ids(targets, key_ids)
