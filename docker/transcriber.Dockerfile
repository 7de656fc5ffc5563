# The transcriber, with the demo model in it. CPU by default; with CUDA (amd64, a host with NVIDIA's container toolkit):
#     docker build -f docker/transcriber.Dockerfile -t earshot/transcriber .
#     docker build -f docker/transcriber.Dockerfile --build-arg DEVICE=cuda -t earshot/transcriber:cuda .
# Plain Dockerfile syntax (no BuildKit needed); the CPU image has nothing of one architecture: amd64 and arm64.
ARG BASE=debian:bookworm-slim

# --- the same first layer in every image of ours: Python, tini, certificates, uid 1000
FROM ${BASE} AS python
COPY docker/slim.dpkg /etc/dpkg/dpkg.cfg.d/slim
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ca-certificates python3 tini >/dev/null \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* \
    && useradd --uid 1000 --create-home --shell /usr/sbin/nologin earshot
ENV PATH=/opt/earshot/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

# --- dependencies, by hash; rebuilt when a lock changes
FROM python AS dependencies
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null \
    && python3 -m venv /opt/earshot
COPY requirements/transcriber.lock requirements/cuda.lock /tmp/
RUN pip install --quiet --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r /tmp/transcriber.lock
ARG DEVICE=cpu
# cuBLAS and cuDNN as Python wheels: no CUDA base image; the driver comes from the host
RUN if [ "$DEVICE" = cuda ]; then \
        pip install --quiet --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r /tmp/cuda.lock \
        && for part in cublas cudnn cuda_nvrtc; do ln -s "$(ls -d /opt/earshot/lib/python3.*/site-packages/nvidia/$part/lib)" "/opt/earshot/$part"; done; \
    elif [ "$DEVICE" != cpu ]; then echo "DEVICE is $DEVICE; allowed: cpu or cuda" >&2; exit 1; fi

# --- our own code, as an overlay on /opt/earshot; rebuilt when it changes
FROM dependencies AS application
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY common common
COPY transcriber transcriber
RUN mkdir bot && touch bot/__init__.py \
    && pip install --quiet --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --prefix=/app . \
    && rm -r /app/bin/earshot /app/lib/python3.*/site-packages/bot

# the project's locks share the bot's base requirements: what only the bot imports goes
FROM dependencies AS pruned
COPY docker/prune /tmp/
RUN /tmp/prune /opt/earshot livekit redis hiredis pyjwt aiofiles

FROM python AS transcriber
COPY --from=pruned /opt/earshot /opt/earshot
RUN install -d -o 1000 -g 1000 /models
# /models keeps what is downloaded, and what `calibrate` measures: mount a volume there, or a folder with the model for a host without network
ENV HOME=/tmp HF_HOME=/models XDG_CACHE_HOME=/models \
    TRANSCRIBER_HOST=0.0.0.0 TRANSCRIBER_PORT=9090 TRANSCRIBER_HTTP_PORT=9091 TRANSCRIBER_MODEL=demo \
    LD_LIBRARY_PATH=/opt/earshot/cublas:/opt/earshot/cudnn:/opt/earshot/cuda_nvrtc \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
EXPOSE 9090 9091
# healthy: the model is warm, results come; a first download may take its time
HEALTHCHECK --interval=5s --timeout=3s --start-period=10m --retries=3 \
    CMD ["python", "-c", "import os, ssl, urllib.request as u; tls = os.environ.get('TRANSCRIBER_TLS_CERT'); u.urlopen(('https' if tls else 'http') + '://127.0.0.1:' + os.environ['TRANSCRIBER_HTTP_PORT'] + '/ready', timeout=2, context=ssl._create_unverified_context() if tls else None)"]
USER 1000:1000
WORKDIR /tmp
ENTRYPOINT ["/usr/bin/tini", "--", "earshot-transcriber"]
COPY --from=application /app /opt/earshot
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Earshot transcriber" \
      org.opencontainers.image.description="WhisperLive-compatible streaming transcriber on faster-whisper." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
