# Spark-TTS on Ascend: the speech server, or with arguments any other command.
#
#   docker build -f deploy/docker/ascend.Dockerfile -t spark-tts:ascend .
#   docker compose --profile ascend up
#
# CANN: an image with CANN and Python 3.10 to 3.12 whose tag names the chip (910b: Atlas A2, a3:
# Atlas A3). MindSpore 2.10.0 accepts CANN 8.2, 8.3, 8.5, 9.0 and 9.1; driver and firmware are the
# host's and are mounted. EXTRA and secrets: as in cpu.Dockerfile.
ARG CANN=quay.io/ascend/cann:9.1.0-910b-ubuntu22.04-py3.11

FROM ${CANN} AS base
ARG PACKAGES="libgomp1 tini"
# hadolint ignore=DL3002
USER 0
# The image of CANN fixes the distribution, which keeps only the newest version of a package.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ${PACKAGES} \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/debconf /var/cache/ldconfig \
    && groupadd --gid 10001 spark-tts \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin \
        spark-tts \
    && install --directory --owner 10001 --group 10001 /voices /cache \
    && install --directory /models /app \
    && ln --symbolic /models /app/pretrained_models \
    && ln --symbolic /voices /app/voices
# CANN finds its own modules by PYTHONPATH, and their requirements beside its Python.
ENV PATH=/opt/spark-tts/bin:$PATH \
    PYTHONPATH=/app:$PYTHONPATH \
    PYTHONUNBUFFERED=1


FROM base AS builder
RUN python3 -m venv --system-site-packages /opt/spark-tts
WORKDIR /build
COPY requirements.txt requirements-serve.txt requirements-web.txt requirements-ray.txt ./
ARG EXTRA=serve
# MindSpore's wheel brings its backend for CUDA, too, 1 GB.
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=secret,id=certificates,target=/run/secrets/certificates \
    python -m pip install --only-binary :all: --requirement "requirements-${EXTRA}.txt" \
    && mindspore="$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/mindspore" \
    && rm -rf "$mindspore"/include "$mindspore"/lib/plugin/gpu* \
        "$mindspore"/lib/plugin/libmindspore_gpu*
WORKDIR /build/app
COPY sparktts_ms sparktts_ms
COPY LICENSE convert.py deploy/docker/healthcheck.py ./
COPY --chmod=755 deploy/docker/ascend_entrypoint.sh ./
COPY examples/sparktts/prompt.wav examples/sparktts/
COPY cli cli
COPY webui webui
RUN python -m compileall -q .


FROM base
COPY --from=builder /opt/spark-tts /opt/spark-tts
COPY --from=builder /build/app /app
# Files are written to /tmp (a tmpfs), /voices and /cache only; CANN keeps kernels that it compiles,
# and its logs, in /cache. The kernels for CPUs are not used here.
ENV ASCEND_CACHE_PATH=/cache/cann \
    ASCEND_PROCESS_LOG_PATH=/cache/log \
    ASCEND_WORK_PATH=/cache/work \
    HOME=/tmp \
    HF_HOME=/tmp/.cache/huggingface \
    MPLCONFIGDIR=/tmp/.cache/matplotlib \
    PYTHONDONTWRITEBYTECODE=1 \
    SPARKTTS_ASCEND_SETTINGS=/cache/ascend.json \
    SPARKTTS_MODEL_DIR=/models/Spark-TTS-0.5B \
    SPARKTTS_NATIVE=0 \
    SPARKTTS_VOICES=/voices \
    XDG_CACHE_HOME=/tmp/.cache \
    XDG_CONFIG_HOME=/tmp/.config
WORKDIR /app
USER 10001:10001
EXPOSE 8000 8001
# Compiling the graphs takes minutes at the first start.
HEALTHCHECK --interval=30s --timeout=15s --start-period=15m --retries=3 \
    CMD ["python", "-I", "/app/healthcheck.py"]
# tini hands SIGTERM on to Python, which finishes the requests in progress.
ENTRYPOINT ["tini", "--", "/app/ascend_entrypoint.sh"]
CMD ["cli.serve", "--host", "0.0.0.0", "--device_target", "Ascend", \
    "--model_dir", "/models/Spark-TTS-0.5B", "--voices", "/voices"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Spark-TTS on MindSpore (Ascend)" \
    org.opencontainers.image.description="Text to speech: a server for clients of OpenAI, \
ElevenLabs and KServe V2" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
