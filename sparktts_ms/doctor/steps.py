"""What a worker does on a device: compare a network with the reference, or time it.

A step is a function of a `Session` that returns what the report needs as a dict for JSON. Times are
medians in milliseconds. `ids` counts the ids that equal the reference's and all; `error` is the
largest difference of a float, relative to the largest value of the reference.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, mint

from sparktts_ms.doctor import reference
from sparktts_ms.doctor.process import Context
from sparktts_ms.doctor.reference import Arrays
from sparktts_ms.generation.request import Chunks
from sparktts_ms.generation.vocabulary import TOKENS_PER_SECOND
from sparktts_ms.ops import ascend
from sparktts_ms.ops.padding import PROMPT_FRAME_BUCKETS, pad_rows, padding_mask
from sparktts_ms.pipeline import SparkTTS
from sparktts_ms.qwen2.sampling import Sampling, sample
from sparktts_ms.runtime import Runtime
from sparktts_ms.service import Job, Service
from sparktts_ms.voice import Voice

Row = dict[str, Any]

TOLERANCE = {"float32": 2e-4, "bfloat16": 5e-2}     # relative errors; HF32 makes about 1e-3
CODEC_REPEATS = 3
DECODE_REPEATS = 20
MATMUL_SIZE = 1024
COPY_BYTES = {"Ascend": 1 << 28, "CPU": 1 << 25}
SPEECH_TOKENS = 75                                  # 1.5 s
SPEECH_LIMIT = 60.0                                 # seconds of work that a step may be expected
SLOTS = (0, 5, 9, 15)                               # of the batch whose ids are compared


class Session:
    """What the steps of one worker share; the model is loaded when it is first needed.

    rtf: seconds of work for a second of speech, as far as it has been measured.
    """

    def __init__(self, context: Context):
        self.context = context
        self.rtf = 0.0

    @cached_property
    def runtime(self) -> Runtime:
        context = self.context
        return Runtime.start(context.device_target, context.device_id, "graph", context.dtype)

    @cached_property
    def tts(self) -> SparkTTS:
        context = self.context
        return SparkTTS.from_pretrained(context.model_dir, context.device_target,
                                        context.device_id, "graph", context.dtype)

    @cached_property
    def arrays(self) -> Arrays:
        return reference.load(Path(self.context.reference))

    @property
    def on_ascend(self) -> bool:
        return self.runtime.device_target == "Ascend"


# The machine

def device(session: Session) -> Row:
    """Which device is used, and what it has. Raises DeviceError for one that is not suitable."""
    runtime = session.runtime
    row: Row = {"device_target": runtime.device_target, "chip": "", "total_bytes": None,
                "free_bytes": None, "supported_cann": [], "machine": ascend.machine(""),
                "defaults": asdict(ascend.AscendSettings()), "choices": ascend.CHOICES}
    if not session.on_ascend:
        return row
    properties = ms.hal.get_device_properties(session.context.device_id, "Ascend")
    row["chip"] = properties.name
    row["machine"] = ascend.machine(properties.name)
    row["total_bytes"] = int(properties.total_memory)
    row["free_bytes"] = int(properties.free_memory)
    with suppress(ImportError, AttributeError, TypeError):      # MindSpore's own list; not public
        from mindspore.run_check._check_version import AscendEnvChecker

        row["supported_cann"] = list(AscendEnvChecker(None).version)
    return row


def matmul(session: Session) -> Row:
    """A product of two float32 matrices, with HF32 as the settings have it."""
    assert session.runtime
    random = np.random.default_rng(0)
    left, right = random.standard_normal((2, MATMUL_SIZE, MATMUL_SIZE), dtype=np.float32)
    expected = left.astype(np.float64) @ right.astype(np.float64)
    inputs = Tensor(left), Tensor(right)
    error = relative_error(mint.matmul(*inputs).asnumpy(), expected)
    return {"error": error, "ms": median_ms(lambda: mint.matmul(*inputs), CODEC_REPEATS)}


def bandwidth(session: Session) -> Row:
    """Gigabytes a second, read and written, of a large copy on the device; and to it."""
    size = COPY_BYTES[session.runtime.device_target]
    source = mint.ones((size // 4,))
    milliseconds = median_ms(lambda: mint.add(source, 1), CODEC_REPEATS)
    row: Row = {"bytes": size, "gb_per_s": 2 * size / milliseconds / 1e6}
    row["to_device_gb_per_s"] = None
    if session.on_ascend:
        host = np.ones(size // 16, np.float32)
        milliseconds = median_ms(lambda: Tensor(host).move_to("Ascend"), CODEC_REPEATS)
        row["to_device_gb_per_s"] = host.nbytes / milliseconds / 1e6
    return row


def memory(session: Session) -> Row:
    """Bytes of device memory that this process used at most, and that are free now."""
    if not session.on_ascend:
        return {}
    properties = ms.hal.get_device_properties(session.context.device_id, "Ascend")
    return {"used_bytes": int(ms.runtime.max_memory_allocated()),
            "reserved_bytes": int(ms.runtime.max_memory_reserved()),
            "free_bytes": int(properties.free_memory)}


# The networks: the output of each, from the reference's inputs

def speaker_encoder(session: Session, arrays: Arrays) -> Arrays:
    tts = session.tts
    samples = reference.recording(6.0)
    mel = tts.voice_encoder.mel(samples[:tts.config.audio.reference_samples])
    vectors = tts.codec.speaker_encoder(Tensor(mel)).asnumpy()
    return {"speaker_vectors": vectors,
            "global_ids": tts.codec.speaker_quantizer.quantize(vectors)}


def wav2vec2(session: Session, arrays: Arrays) -> Arrays:
    return {"features": session.tts.voice_encoder.features(reference.recording(1.0))}


def semantic_encoder(session: Session, arrays: Arrays) -> Arrays:
    codec = session.tts.codec
    features = arrays["features"]
    frames = len(features)
    length = codec.runtime.padded_length(frames, PROMPT_FRAME_BUCKETS)
    mask = None if codec.runtime.variable_length else Tensor(padding_mask(frames, length))
    vectors = codec.semantic_encoder(Tensor(pad_rows(features, length)), mask).asnumpy()[:frames]
    return {"semantic_vectors": vectors, "prompt_semantic_ids": codec.codebook.quantize(vectors)}


def prenet(session: Session, arrays: Arrays) -> Arrays:
    codec = session.tts.codec
    count = codec.config.quantizer.codebook_size
    semantic_ids = (np.arange(reference.FRAMES) * 7919 % count).astype(np.int32)
    return {"hidden": codec.condition_frames(arrays["global_ids"], semantic_ids)}


def wave_generator(session: Session, arrays: Arrays) -> Arrays:
    return {"samples": session.tts.codec.vocode(arrays["hidden"])}


def language_model(session: Session, arrays: Arrays) -> Arrays:
    """Greedy semantic ids after a prompt. With a reference its ids are fed, so that each of its
    tokens is compared; all are equal just if greedy decoding gives the same ids."""
    decoding = Decoding(session.tts, arrays["global_ids"])
    decoding.prefill(0)
    token = decoding.first_token
    semantic_ids = []
    top_ids = []
    top_logits = []
    for n in range(reference.TOKENS):
        logits = decoding.step(token, [0], n)[0]
        best = int(logits.argmax())
        kept = arrays["top_ids"][n] if "top_ids" in arrays else largest(logits)
        semantic_ids.append(best)
        top_ids.append(kept)
        top_logits.append(logits[kept])
        fed = int(arrays["generated_ids"][n]) if "generated_ids" in arrays else best
        token = int(decoding.tokens[fed])
    return {"prompt": decoding.prompt, "generated_ids": np.array(semantic_ids),
            "top_ids": np.array(top_ids), "top_logits": np.array(top_logits)}


NETWORKS = (speaker_encoder, wav2vec2, semantic_encoder, prenet, wave_generator, language_model)


def largest(logits: np.ndarray) -> np.ndarray:
    """Indices of the largest logits, the largest first."""
    return np.argsort(-logits, kind="stable")[:reference.TOP].astype(np.int32)


def make_reference(session: Session) -> Row:
    """Compute the reference with this session's model, and write it to the context's file."""
    arrays: Arrays = {}
    for network in NETWORKS:
        arrays.update(network(session, arrays))
    path = Path(session.context.reference)
    reference.save(path, arrays, Path(session.context.model_dir))
    return {"bytes": path.stat().st_size}


def compare_network(network: Callable[[Session, Arrays], Arrays]) -> Callable[[Session], Row]:
    def step(session: Session) -> Row:
        arrays = session.arrays
        outputs = network(session, arrays)
        row = compare(outputs, arrays, TOLERANCE["float32"])
        row["ms"] = median_ms(lambda: network(session, arrays), CODEC_REPEATS)
        return row

    return step


def compare_language_model(session: Session) -> Row:
    """Ids and logits of one sequence, and of four in one batch."""
    arrays = session.arrays
    tolerance = TOLERANCE[session.tts.runtime.llm_dtype]
    row = compare(language_model(session, arrays), arrays, tolerance)
    decoding = Decoding(session.tts, arrays["global_ids"])
    for slot in SLOTS:
        decoding.prefill(slot)
    batch = decoding.step(decoding.first_token, SLOTS, 0)
    expected = arrays["top_logits"][0]
    error = relative_error(batch[:, arrays["top_ids"][0]], np.tile(expected, (len(batch), 1)))
    row["error"] = max(row["error"], error)
    row["right"] = bool(row["right"] and error <= tolerance)
    return row


def compare(outputs: Arrays, expected: Arrays, tolerance: float) -> Row:
    """Ids and floats beside the reference's. A generated id may differ only where the reference's
    logit for it is as close to its best as `tolerance` allows."""
    equal = 0
    count = 0
    error = 0.0
    right = True
    for name, output in outputs.items():
        wanted = expected[name]
        if output.shape != wanted.shape:
            return {"ids": None, "error": None, "right": False,
                    "note": f"{name} has shape {output.shape}, not {wanted.shape}"}
        if np.issubdtype(wanted.dtype, np.floating):
            error = max(error, relative_error(output, wanted))
        elif name != "top_ids":
            differing = np.flatnonzero(output != wanted)
            count += wanted.size
            equal += wanted.size - len(differing)
            ties = name == "generated_ids" and all(
                is_near_tie(output[n], expected, n, tolerance) for n in differing)
            right = right and (ties or not len(differing))
    return {"ids": [equal, count] if count else None, "error": error,
            "right": bool(right and error <= tolerance)}


def is_near_tie(generated: int, expected: Arrays, n: int, tolerance: float) -> bool:
    """Whether the reference's n-th logits have an almost equal one for another id."""
    places = np.flatnonzero(expected["top_ids"][n] == generated)
    if not len(places):
        return False
    logits = expected["top_logits"][n]
    return bool(logits.max() - logits[places[0]] <= 2 * tolerance * np.abs(logits).max())


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference by the largest value; infinite for values that are not finite."""
    difference = np.abs(actual.astype(np.float64) - expected)
    if not np.isfinite(difference).all():
        return float("inf")
    return float(difference.max() / max(np.abs(expected).max(), 1e-30))


class Decoding:
    """A prompt, and decode steps after it, without the engine."""

    def __init__(self, tts: SparkTTS, global_ids: np.ndarray):
        self.model = tts.llm
        self.head = tts.generator.head(True)
        prompt, _ = tts.generator.prompt(reference.TEXT, Voice(np.array(global_ids)))
        self.prompt = prompt
        self.first_token = tts.vocabulary.start_semantic_token
        ids = np.array(tts.vocabulary.bicodec_semantic.ids())
        self.rows = np.sort(self.head.token_to_row[ids])
        self.tokens = self.head.ids[self.rows]                  # of the semantic ids

    def prefill(self, slot: int) -> None:
        size = self.model.prefill_chunk
        for start in range(0, len(self.prompt), size):
            self.model.prefill(slot, self.prompt[start:start + size], start)

    def start_step(self, token: int, slots, offset: int) -> Any:
        """Append `token` in each of the slots, `offset` positions behind the prompt."""
        count = len(slots)
        ranges = np.tile([self.rows[0], self.rows[-1] + 1], (count, 1))
        return self.head.decode_step(
            np.full(count, token), np.full(count, len(self.prompt) + offset), np.array(slots),
            ranges)

    def step(self, token: int, slots, offset: int) -> np.ndarray:
        """Like `start_step`; returns the logits [B, N] of all semantic ids."""
        logits = self.start_step(token, slots, offset)
        return np.stack([logits.candidates(index, self.rows, 0)[1]
                         for index in range(len(slots))]).astype(np.float32)


# Times

def decode(sequences: int) -> Callable[[Session], Row]:
    """Times of a decode step of so many sequences: of the whole step with its candidates on the
    host, of the host until the step is launched, and of the device by events; and of sampling an id
    of one sequence."""
    def step(session: Session) -> Row:
        decoding = Decoding(session.tts, session.arrays["global_ids"])
        slots = list(range(sequences))
        for slot in slots:
            decoding.prefill(slot)
        token = decoding.first_token
        whole = []
        host = []
        on_device = []
        for n in range(DECODE_REPEATS + 3):
            ms.runtime.synchronize()
            events = start_event(session)
            began = time.perf_counter()
            logits = decoding.start_step(token, slots, n)
            launched = time.perf_counter()
            end_event(events)
            for index in slots:
                logits.candidates(index, decoding.rows, 50)
            ended = time.perf_counter()
            if n >= 3:                                  # the first compile or allocate
                host.append(1e3 * (launched - began))
                whole.append(1e3 * (ended - began))
                on_device.append(elapsed_ms(events))
        times = [value for value in on_device if value]
        _, values = logits.candidates(0, decoding.rows, 50)
        random = np.random.default_rng(0)
        return {"ms": statistics.median(whole), "host_ms": statistics.median(host),
                "device_ms": statistics.median(times) if times else None,
                "sample_ms": median_ms(lambda: sample(values, Sampling(), random), DECODE_REPEATS),
                **memory(session)}

    return step


def prefill(session: Session) -> Row:
    """A whole prefill chunk."""
    model = session.tts.llm
    ids = np.full(model.prefill_chunk, session.tts.vocabulary.start_content)
    return {"positions": len(ids),
            "ms": median_ms(lambda: model.prefill(0, ids, 0).asnumpy(), CODEC_REPEATS)}


def speech(sequences: int) -> Callable[[Session], Row]:
    """Requests at the same time: seconds of work for a second of speech, and until the first
    samples, median and largest."""
    def step(session: Session) -> Row:
        seconds = 2 * sequences * session.rtf * SPEECH_TOKENS / TOKENS_PER_SECOND
        if seconds > SPEECH_LIMIT:
            return {"skipped": f"it would take {seconds:.0f} s"}
        voice = Voice(np.array(session.arrays["global_ids"]))
        length = SPEECH_TOKENS + 1
        sampling = Sampling(seed=1, min_new_tokens=length, max_new_tokens=length)
        with Service(session.tts) as service:
            speak(service, voice, sampling, sequences)          # compiles
            wall, firsts, seconds = speak(service, voice, sampling, sequences)
        session.rtf = wall / seconds
        return {"rtf": session.rtf, "first_audio_ms": 1e3 * statistics.median(firsts),
                "last_first_audio_ms": 1e3 * max(firsts), **memory(session)}

    return step


def speak(service: Service, voice: Voice, sampling: Sampling,
          sequences: int) -> tuple[float, list[float], float]:
    """Seconds of work, seconds until the first samples of each request, and of all speech."""
    began = time.perf_counter()
    jobs = []
    for _ in range(sequences):
        jobs.append(service.submit(reference.TEXT, voice, sampling=sampling, chunks=Chunks()))
    firsts: list[float] = []

    def read(job: Job) -> None:
        for number, _ in enumerate(job):
            if number == 0:
                firsts.append(time.perf_counter() - began)

    threads = [threading.Thread(target=read, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = sum(len(job.result().samples) for job in jobs) / service.sample_rate
    return time.perf_counter() - began, firsts, seconds


def start_event(session: Session) -> tuple | None:
    """A pair of events on the device's stream, the first recorded; None where there are none."""
    if not session.on_ascend:
        return None
    events = ms.runtime.Event(enable_timing=True), ms.runtime.Event(enable_timing=True)
    events[0].record()
    return events


def end_event(events: tuple | None) -> None:
    if events is not None:
        events[1].record()


def elapsed_ms(events: tuple | None) -> float | None:
    """Milliseconds between them; 0 where the device does not measure."""
    if events is None:
        return None
    events[1].synchronize()
    return float(events[0].elapsed_time(events[1]))


def median_ms(call: Callable[[], Any], repeats: int) -> float:
    """Of a call that has run before, until the device has finished."""
    call()
    times = []
    for _ in range(repeats):
        ms.runtime.synchronize()
        began = time.perf_counter()
        call()
        ms.runtime.synchronize()
        times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times)


STEPS: dict[str, Callable[[Session], Row]] = {
    "device": device,
    "reference": make_reference,
    "matmul": matmul,
    "bandwidth": bandwidth,
    **{network.__name__: compare_network(network) for network in NETWORKS[:-1]},
    "language_model": compare_language_model,
    **{f"decode_{sequences}": decode(sequences) for sequences in (1, 16)},
    "prefill": prefill,
    **{f"speech_{sequences}": speech(sequences) for sequences in (1, 4, 8, 16)},
}
