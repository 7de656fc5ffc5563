# Redis from Debian, for places that reach no registry (docker/compose.build.yaml); elsewhere the official image is used.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
COPY docker/slim.dpkg /etc/dpkg/dpkg.cfg.d/slim
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server >/dev/null \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* \
    && install -d -o 999 -g 999 /data
USER 999:999
WORKDIR /data
EXPOSE 6379
ENTRYPOINT ["redis-server"]
