"""Which engine a request goes to."""

from __future__ import annotations

import hashlib
import random

from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica


class AffinityRouter(RequestRouter):
    """Requests of the same multiplexed model's id, which is a recording's, go to the same engine
    (rendezvous hashing: when engines come or go, only their own recordings move); if its queue is
    full, to the next in their order. Others go to the shorter queue of two engines.

    `serve.multiplexed` is not used: it exports a series of metrics for each id it has ever seen.
    """

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """Replicas in the order in which they are tried, those of an inner list by their queues."""
        model_id = ""
        if pending_request is not None:
            model_id = pending_request.metadata.multiplexed_model_id
            # Else Serve asks the same full engines again without a pause.
            pending_request.routing_context.should_backoff = True
        if not model_id:
            return [random.sample(candidate_replicas, min(2, len(candidate_replicas)))]
        ranked = sorted(candidate_replicas,
                        key=lambda replica: rank(model_id, replica.replica_id.unique_id))
        return [[replica] for replica in ranked]


def rank(model_id: str, replica_id: str) -> bytes:
    """Of a replica for a model's id; the lowest comes first."""
    return hashlib.sha256(f"{model_id} {replica_id}".encode()).digest()
