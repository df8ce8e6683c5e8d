"""Which engine comes first, and how often full ones are asked."""

import asyncio
from types import SimpleNamespace

from sparktts_ms.serving.distributed.router import AffinityRouter


def router(replicas):
    """A router with Serve's own loop, whose pauses are counted."""
    instance = object.__new__(AffinityRouter)
    instance._replicas = dict(enumerate(replicas))
    instance._replicas_list = replicas
    instance.num_routing_tasks_in_backoff = 0
    instance.num_routing_tasks_in_backoff_gauge = SimpleNamespace(set=lambda value: None)
    instance.pauses = 0

    async def pause(attempt):
        instance.pauses += 1

    instance._backoff = pause
    return instance


def pending(model_id):
    return SimpleNamespace(metadata=SimpleNamespace(multiplexed_model_id=model_id),
                           routing_context=SimpleNamespace(should_backoff=False))


def test_full_engines_are_asked_again_after_a_pause():
    replicas = [SimpleNamespace(replica_id=SimpleNamespace(unique_id=name)) for name in "abc"]

    async def ask(instance, request, count):
        async for _ in instance._choose_replicas_with_backoff(request):
            count -= 1
            if not count:
                return

    for model_id, lists in (("", 1), ("recording", 3)):
        instance = router(replicas)
        asyncio.run(ask(instance, pending(model_id), 12 * lists))
        assert instance.pauses == 10            # the first time there is none
