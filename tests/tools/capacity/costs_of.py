"""Costs that tests can calculate with."""

from pathlib import Path

from tools.capacity.costs import FORMAT, VERSION, Costs, parse_costs


def costs_json(**seconds) -> dict:
    """A file in which nothing takes any time but what `seconds` says."""
    return {
        "format": FORMAT, "version": VERSION, "name": "test", "origin": {"device": "none"},
        "engine": {"slots": 16, "prefill_chunk": 64, "packs_prefills": True,
                   "compiled_lengths": True, "receptive_field": 43, "context_frames": 10},
        "text": {"tokens_per_second": 0.0, "prompt_tokens": 1.0},
        "seconds": {
            "step": {"1": [[0, 0.0]], "16": [[0, 0.0]]}, "prefill": [[1, 0.0]],
            "front_end": [[1, 0.0]], "generator": [[1, 0.0]], "encode": 0.0, "encode_speaker": 0.0,
            "read_recording": 0.0, "prepare": [[1, 0.0]], "poll": 0.0, "request": 0.0, **seconds}}


def costs_of(slots: int = 16, **seconds) -> Costs:
    data = costs_json(**seconds)
    data["engine"]["slots"] = slots
    return parse_costs(data, Path("test.json"))
