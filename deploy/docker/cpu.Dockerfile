# Spark-TTS on CPUs: the speech server, or with arguments any other command.
#
#   docker build -f deploy/docker/cpu.Dockerfile -t spark-tts:cpu .
#   docker run --read-only --tmpfs /tmp -v "$PWD/pretrained_models:/models:ro" -p 8000:8000 \
#       spark-tts:cpu
#   docker run --rm spark-tts:cpu cli.serve --help
#
# BASE and PYTHON: Debian or Ubuntu with Python 3.10 to 3.12, and the package that brings it; for an
# image that has one, such as python:3.12-slim-bookworm, PYTHON is empty.
# EXTRA: serve; web for the page, too; ray for many devices. An index or a proxy's certificates for
# pip: --secret id=pip,src=pip.conf --secret id=certificates,src=ca.pem; they enter no layer.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS base
ARG PYTHON=python3
# MindSpore's wheel takes libgomp from the system.
# Debian keeps only the newest version of a package, so a version here would soon not be found.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ${PYTHON} libgomp1 tini \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/debconf /var/cache/ldconfig \
    && groupadd --gid 10001 spark-tts \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin \
        spark-tts \
    && install --directory --owner 10001 --group 10001 /voices /cache \
    && install --directory /models /app \
    && ln --symbolic /models /app/pretrained_models \
    && ln --symbolic /voices /app/voices
ENV PATH=/opt/spark-tts/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1


FROM base AS builder
ARG PYTHON=python3
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ ${PYTHON:+${PYTHON}-venv} \
    && python3 -m venv /opt/spark-tts
WORKDIR /build
COPY requirements.txt requirements-serve.txt requirements-web.txt requirements-ray.txt ./
ARG EXTRA=serve
# MindSpore's wheel brings its backends for Ascend and for CUDA, 2 GB, and headers.
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=secret,id=certificates,target=/run/secrets/certificates \
    pip install --only-binary :all: --requirement "requirements-${EXTRA}.txt" \
    && pip uninstall --yes setuptools pip \
    && mindspore="$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/mindspore" \
    && rm -rf "$mindspore"/include "$mindspore"/lib/plugin/ascend "$mindspore"/lib/plugin/gpu* \
        "$mindspore"/lib/plugin/libmindspore_*ascend* "$mindspore"/lib/plugin/libmindspore_gpu*
WORKDIR /build/app
# The kernels for each instruction set; the best that a processor has is chosen at the start. Only
# what they are made of is copied first, so that other changes do not compile them again.
COPY sparktts_ms/__init__.py sparktts_ms/errors.py sparktts_ms/
COPY sparktts_ms/ops/__init__.py sparktts_ms/ops/
COPY sparktts_ms/ops/native sparktts_ms/ops/native
RUN python -c "from sparktts_ms.ops.native import library; library.build_portable('kernels')"
COPY sparktts_ms sparktts_ms
COPY LICENSE convert.py deploy/docker/healthcheck.py ./
COPY examples/sparktts/prompt.wav examples/sparktts/
COPY cli cli
COPY webui webui
RUN python -m compileall -q .


FROM base
COPY --from=builder /opt/spark-tts /opt/spark-tts
COPY --from=builder /build/app /app
# Files are written to /tmp (a tmpfs), /voices and /cache only.
ENV HOME=/tmp \
    HF_HOME=/tmp/.cache/huggingface \
    MPLCONFIGDIR=/tmp/.cache/matplotlib \
    PYTHONDONTWRITEBYTECODE=1 \
    SPARKTTS_KERNELS=/app/kernels \
    SPARKTTS_MODEL_DIR=/models/Spark-TTS-0.5B \
    SPARKTTS_VOICES=/voices \
    SPARKTTS_WEIGHT_CACHE=0 \
    XDG_CACHE_HOME=/tmp/.cache \
    XDG_CONFIG_HOME=/tmp/.config
WORKDIR /app
USER 10001:10001
EXPOSE 8000 8001
HEALTHCHECK --interval=30s --timeout=15s --start-period=5m --retries=3 \
    CMD ["python", "-I", "/app/healthcheck.py"]
# tini hands SIGTERM on to Python, which finishes the requests in progress.
ENTRYPOINT ["tini", "--", "python", "-m"]
CMD ["cli.serve", "--host", "0.0.0.0", "--model_dir", "/models/Spark-TTS-0.5B", \
    "--voices", "/voices"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Spark-TTS on MindSpore (CPU)" \
    org.opencontainers.image.description="Text to speech: a server for clients of OpenAI, \
ElevenLabs and KServe V2" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
