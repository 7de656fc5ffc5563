# The bot. Targets: `bot-sdk` (LiveKit, WebRTC; no browser) and `bot` (the same and Chromium; the last, so the default).
#     docker build -f docker/bot.Dockerfile --target bot-sdk -t earshot/bot-sdk .
# Plain Dockerfile syntax (no BuildKit needed) and nothing of one architecture: amd64 and arm64.
# To pin the base by digest: --build-arg BASE=debian:bookworm-slim@sha256:…
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
COPY requirements/webrtc.lock /tmp/
RUN pip install --quiet --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r /tmp/webrtc.lock

# --- our own code, as an overlay on /opt/earshot; rebuilt when it changes
FROM dependencies AS application
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY bot bot
COPY common common
COPY rehearsal rehearsal
RUN pip install --quiet --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --prefix=/app . \
    && rm /app/bin/earshot-transcriber

FROM dependencies AS pruned
COPY docker/prune /tmp/
RUN /tmp/prune /opt/earshot

FROM python AS sdk-base
COPY --from=pruned /opt/earshot /opt/earshot
COPY docker/entrypoint.sh /app/vexa-bot/entrypoint.sh
# `python -m bot.health_endpoint` asks the bot's own health endpoint; other commands of the image run with --no-healthcheck
ENV EARSHOT_HEALTH_PORT=8081 HOME=/tmp
HEALTHCHECK --interval=15s --timeout=3s --start-period=30s --retries=3 CMD ["python", "-m", "bot.health_endpoint"]
USER 1000:1000
WORKDIR /tmp
ENTRYPOINT ["/usr/bin/tini", "--", "earshot"]
CMD ["run"]

FROM sdk-base AS bot-sdk
COPY --from=application /app /opt/earshot
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Earshot bot (SDK platforms)" \
      org.opencontainers.image.description="A headless meeting participant: LiveKit, WebRTC. No browser." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# --- Chromium: what Playwright adds to the environment, and Debian's headless shell (half the memory of the full browser).
# Its package asks for an X11 tool that asks for Mesa and LLVM: 190 MB that a shell without screen and GPU never loads.
FROM dependencies AS browser-dependencies
COPY requirements/browser.lock docker/prune /tmp/
RUN touch /tmp/before \
    && pip install --quiet --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r /tmp/browser.lock \
    && /tmp/prune /opt/earshot \
    && mkdir /added && cd /opt/earshot \
    && find . -type f -cnewer /tmp/before -print0 | tar --null --no-recursion -T - -cf - | tar -C /added -xf -

FROM sdk-base AS browser-base
USER 0
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium-headless-shell fonts-liberation libatomic1 >/dev/null \
    && dpkg --purge --force-depends $(dpkg-query -W -f '${Package} ' 'libllvm*' 'libz3*' libgl1-mesa-dri x11-utils) >/dev/null 2>&1 \
    && rm -rf /usr/lib/chromium/libVkLayer* /var/lib/apt/lists/* /var/cache/* /var/log/*
COPY --from=browser-dependencies /added /opt/earshot
ENV EARSHOT_CHROMIUM=/usr/bin/chromium-headless-shell
USER 1000:1000

FROM browser-base AS bot
COPY --from=application /app /opt/earshot
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Earshot bot" \
      org.opencontainers.image.description="A headless meeting participant: LiveKit, WebRTC, and Chromium for browser platforms." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
