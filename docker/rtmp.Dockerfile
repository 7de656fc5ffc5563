# The RTMP server of docs/rtmp.md: nginx with its RTMP module, from Debian (docker/compose.build.yaml).
ARG BASE=debian:bookworm-slim
FROM ${BASE}
COPY docker/slim.dpkg /etc/dpkg/dpkg.cfg.d/slim
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx libnginx-mod-rtmp tini >/dev/null \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/*
COPY docker/rtmp/nginx.conf /etc/nginx/rtmp.conf
COPY docker/rtmp/start /usr/local/bin/start-rtmp
USER www-data
EXPOSE 1935
ENTRYPOINT ["/usr/bin/tini", "--", "start-rtmp"]
