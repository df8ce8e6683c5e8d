"""Service: jobs of many threads in one batch, errors and cancellation."""

import threading
import time
from concurrent.futures import CancelledError

import numpy as np
import pytest

from sparktts_ms import Chunks, Sampling, Service, SparkTTS, SpeechRequest, Voice, pipeline
from sparktts_ms.bicodec.codec import BiCodec
from sparktts_ms.errors import InputError, NoSpeech, ServiceClosed
from sparktts_ms.generation import segments, voice_encoder
from sparktts_ms.qwen2.engine import Engine
from sparktts_ms.service import Load
from tests.helpers import fixed_length, mixed_requests, wait_until


@pytest.fixture(scope="module")
def tts(shared_tts, form):
    return shared_tts()


@pytest.fixture
def service(tts):
    with Service(tts) as service:
        yield service
    assert not tts.engine.active and not tts.engine.waiting and not service.jobs


def test_concurrent_requests_equal_single_ones(service, tts, form):
    requests = mixed_requests()[:8]
    results = [None] * len(requests)

    def submit(n, request):
        if n % 2:
            job = service.submit(**request, chunks=Chunks(tts.codec.receptive_field))
            results[n] = job.result(timeout=100)
        else:
            results[n] = service.submit(**request).result()

    threads = [threading.Thread(target=submit, args=pair) for pair in enumerate(requests)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    service.close()
    for speech, request in zip(results, requests, strict=True):
        single = tts.synthesize(**request)
        if form == "native":
            np.testing.assert_array_equal(speech.generated_ids, single.generated_ids)
            error = np.abs(speech.samples - single.samples).max()
            assert error <= 5e-5 * np.abs(single.samples).max()


def test_job_exposes_its_chunks(service):
    request = SpeechRequest("Watched.", gender="female", sampling=fixed_length(1, 200))
    job = service.submit(request, chunks=Chunks())
    iterated = list(job)
    speech = job.result(timeout=10)
    assert job.done and len(iterated) == len(job.chunks) > 2
    np.testing.assert_array_equal(np.concatenate(job.chunks), speech.samples)
    assert job.seconds == pytest.approx(speech.seconds)


def test_result_without_iteration(service):
    job = service.submit("Waited for.", gender="female", sampling=fixed_length(1, 60))
    with pytest.raises(TimeoutError):
        job.result(timeout=0)
    speech = job.result(timeout=60)
    assert job.done and sum(map(len, job.chunks)) == len(speech.samples)


def test_slow_and_cancelled_readers_do_not_block_others(service):
    slow = service.submit("Slow.", gender="female", sampling=fixed_length(1, 300), chunks=Chunks())
    gone = service.submit("Gone.", gender="female", sampling=fixed_length(2, 3000), chunks=Chunks())
    next(iter(gone))
    gone.cancel()
    quick = service.submit("Quick.", gender="male", sampling=fixed_length(3, 50))
    assert quick.result().seconds > 0
    samples = 0
    for chunk in slow:
        samples += len(chunk)
        time.sleep(0.01)
    assert samples == len(slow.result().samples)
    with pytest.raises(CancelledError):
        gone.result(timeout=10)
    assert gone.done and list(gone) == []


def count_steps(monkeypatch):
    steps = []
    step = Engine.step
    monkeypatch.setattr(Engine, "step", lambda engine: steps.append(1) or step(engine))
    return steps


def test_a_job_waits_for_a_reader_who_is_behind(service, tts, monkeypatch):
    text = "A sentence of some words that goes on. " * 100
    request = SpeechRequest(text, gender="female", sampling=fixed_length(1, 100))
    limit = 3.0
    job = service.submit(request, chunks=Chunks(), keep=False, max_unread_seconds=limit)
    assert wait_until(lambda: job.is_unread and not tts.engine.active)
    steps = count_steps(monkeypatch)
    made = job.seconds
    assert limit < made < limit + 2.1               # a chunk has at most 2 s
    other = service.submit("Meanwhile.", gender="male", sampling=fixed_length(2, 60))
    assert other.result(timeout=60).seconds > 0
    taken = len(steps)
    time.sleep(0.2)
    assert len(steps) <= taken + 1 and job.seconds == made      # nothing to do, nothing is done
    read = 0.0
    for samples in job:
        read += len(samples) / service.sample_rate
        assert job.seconds - read < limit + 2.1
        if read > 20:
            break
    assert job.chunks == []
    with pytest.raises(CancelledError):
        job.result(timeout=10)


def test_a_waiting_job_can_be_cancelled(service):
    job = service.submit("A sentence of some words. " * 40, gender="female",
                         sampling=fixed_length(1, 100), chunks=Chunks(), max_unread_seconds=1.0)
    assert wait_until(lambda: job.is_unread)
    job.cancel()
    with pytest.raises(CancelledError):
        job.result(timeout=10)


@pytest.mark.parametrize("chunks", [None, Chunks()])
def test_chunks_that_are_not_kept_are_those_of_others(service, chunks):
    request = SpeechRequest("Kept or not. Twice.", gender="female", sampling=fixed_length(1, 90))
    kept = service.submit(request, chunks=chunks).result(timeout=60)
    job = service.submit(request, chunks=chunks, keep=False)
    samples = np.concatenate(list(job))
    speech = job.result(timeout=10)
    np.testing.assert_array_equal(samples, kept.samples)
    np.testing.assert_array_equal(speech.semantic_ids, kept.semantic_ids)
    assert job.chunks == [] and len(speech.samples) == 0
    assert job.seconds == pytest.approx(kept.seconds)


def test_cancelled_jobs_free_their_slots_within_a_step(service, tts, monkeypatch):
    jobs = []
    for seed in range(16):
        jobs.append(service.submit("Busy.", gender="female", sampling=fixed_length(seed, 2000),
                                   chunks=Chunks()))
    assert wait_until(lambda: len(tts.engine.active) == 16)
    active = []
    step = Engine.step

    def watched(engine):
        active.append(len(engine.active))
        return step(engine)

    monkeypatch.setattr(Engine, "step", watched)
    assert wait_until(lambda: len(active) > 2)
    for job in jobs[:15]:
        job.cancel()
    steps = len(active)
    assert wait_until(lambda: len(active) > steps + 3)
    assert set(active[steps + 2:]) == {1}           # one step ran, of another it was too late
    jobs[15].cancel()


def test_warm_service_computes_the_same(tiny_model, tts):
    warm = SparkTTS.from_pretrained(tiny_model, device_target="CPU")
    requests = mixed_requests()[:10]
    exact = Chunks(tts.codec.receptive_field)
    with Service(warm) as service:
        service.warm_up()
        graphs = list(warm.runtime.graphs)
        service.warm_up()                           # nothing is left to be compiled
        assert warm.runtime.graphs == graphs and len(graphs) == len(set(graphs))
        jobs = [service.submit(**request, chunks=exact) for request in requests]
        alone = service.submit(**requests[0]).result(timeout=100)
        speeches = [job.result(timeout=100) for job in jobs]
    assert len([name for name in warm.runtime.graphs if "decode step (8" in name]) <= 5
    for speech, request in zip([alone, *speeches], [requests[0], *requests], strict=True):
        single = tts.synthesize(**request)
        np.testing.assert_array_equal(speech.generated_ids, single.generated_ids)
        error = np.abs(speech.samples - single.samples).max()
        assert error <= 5e-5 * np.abs(single.samples).max()


def test_streams_are_what_the_decoder_makes_of_the_whole_after_the_first_chunk(service):
    request = SpeechRequest("Early.", gender="female", sampling=fixed_length(1, 300))
    whole = service.submit(request).result(timeout=60).samples
    first, *others = service.submit(request, chunks=Chunks())
    streamed = np.concatenate([first, *others])
    assert len(first) == 320 * Chunks().first and len(streamed) == len(whole)
    begin = len(first) + 320                        # after the cross-fade
    assert decibels(streamed[begin:] - whole[begin:], whole) < -50
    assert np.abs(streamed[:begin]).max() < 1.0


@pytest.mark.parametrize("jobs, step, frame, least, first", [
    (2, 0.003, 0.00025, 20, 8),             # each step leaves 17 ms for 2 x 80 x 0.25 ms: 3 frames
    (8, 0.006, 0.00025, 20, 32),            # 160 ms in 12 ms a frame: 14; 44 ids of 16 ms: 35
    (16, 0.0085, 0.00025, 64, 76),          # 320 ms in 7.5 ms a frame: 43; 88 ids of 17.5 ms: 77
    (2, 0.03, 0.004, 64, 32),               # slower than speech: what is there after 2 s
    (4, 0.05, 0.01, 64, 8)])
def test_chunks_are_as_large_as_the_load_demands(jobs, step, frame, least, first):
    load = Load(jobs, step, frame)
    assert (load.sustained_chunk, load.first_chunk(Chunks())) == (least, first)


def decibels(error, signal):
    return 10 * np.log10(np.mean(np.square(error)) / np.mean(np.square(signal)))


def test_leaving_the_iteration_cancels_the_job(service):
    job = service.submit("Left.", gender="female", sampling=fixed_length(1, 3000), chunks=Chunks())
    for _ in job:
        break
    with pytest.raises(CancelledError):
        job.result(timeout=10)


def test_errors_are_raised_by_their_job_only(service):
    good = service.submit("Good.", gender="female", sampling=fixed_length(1, 60))
    with pytest.raises(InputError):
        service.submit("", gender="female")
    with pytest.raises(InputError):
        service.submit("Who?")
    sampling = Sampling(seed=1, max_new_tokens=10)
    silent = service.submit("Silent.", gender="female", sampling=sampling)
    with pytest.raises(NoSpeech):
        silent.result(timeout=60)
    with pytest.raises(NoSpeech):
        list(silent)
    assert good.result(timeout=60).seconds > 0


def test_service_survives_an_engine_error(service, monkeypatch):
    def broken(self):
        raise RuntimeError("the device failed")

    job = service.submit("Lost.", gender="female", sampling=fixed_length(1, 2000))
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "step", broken)
        with pytest.raises(RuntimeError, match="device failed"):
            job.result(timeout=60)
    again = service.submit("Again.", gender="female", sampling=fixed_length(1, 50))
    assert again.result().seconds > 0


def test_a_job_that_cannot_be_decoded_fails_alone(service, tts, monkeypatch):
    broken, good = Voice(np.full(32, 7)), Voice(np.full(32, 8))
    decode_frames = BiCodec.decode_frames

    def decode(codec, global_ids, *arguments):
        if global_ids[0] == 7:
            raise RuntimeError("injected")
        return decode_frames(codec, global_ids, *arguments)

    monkeypatch.setattr(BiCodec, "decode_frames", decode)
    jobs = []
    for voice in (broken, good, broken, good):
        jobs.append(service.submit("Any.", voice, sampling=fixed_length(1, 90), chunks=Chunks()))
    for job in jobs[::2]:
        with pytest.raises(RuntimeError, match="injected"):
            job.result(timeout=60)
    assert [job.result(timeout=60).seconds for job in jobs[1::2]] == pytest.approx([89 / 50] * 2)


def test_close_cancels_running_jobs(tts):
    service = Service(tts)
    job = service.submit("Never done.", gender="female", sampling=fixed_length(1, 3000))
    service.close()
    service.close()
    with pytest.raises(CancelledError):
        job.result(timeout=10)
    with pytest.raises(ServiceClosed):
        service.submit("Late.", gender="female")


def test_texts_and_recordings_are_prepared_in_other_threads(service, tts, wavs, monkeypatch):
    threads = {}

    def record(owner, name):
        function = getattr(owner, name)

        def recorded(*arguments, **options):
            threads.setdefault(name, set()).add(threading.current_thread().name)
            return function(*arguments, **options)

        monkeypatch.setattr(owner, name, recorded)

    record(segments, "normalize")
    record(segments, "split_text")
    record(pipeline, "check_language")
    record(voice_encoder, "read_recording")
    record(type(tts.codec), "encode_speaker")
    # with a transcript that no other test gives: known recordings are not encoded again
    voice = service.encode_voice(wavs / "p16k_mono_3s.wav", "Prepared in another thread.")
    text = "A sentence with 12 words in it, all of which are said. " * 50
    job = service.submit(text, voice, sampling=fixed_length(1, 3))
    caller = {threading.current_thread().name}
    assert threads["normalize"] == threads["split_text"] == threads["check_language"] == caller
    assert threads["read_recording"] == caller
    assert threads["encode_speaker"] == {"spark-tts_0"}
    job.result(timeout=60)
    assert threads["normalize"] == caller | {"text_0"}      # the later parts


def test_long_texts_pause_until_a_short_one_has_its_first_sound(service, tts):
    long = []
    for seed in range(5):
        sampling = fixed_length(seed, 100)
        long.append(service.submit("A sentence of some words that goes on. " * 100, gender="female",
                                   sampling=sampling, chunks=Chunks()))
    while len(tts.engine.active) < 12:
        time.sleep(0.01)
    short = service.submit("Quick.", gender="male", sampling=fixed_length(3, 90), chunks=Chunks())
    before = sum(len(job.chunks) for job in long)
    chunks = iter(short)
    next(chunks)
    assert sum(len(job.chunks) for job in long) <= before + 2       # what was being decoded
    for job in [short, *long]:
        job.cancel()
