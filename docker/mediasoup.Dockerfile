# The room server of examples/mediasoup, from Debian and npm (docker/compose.build.yaml). Its worker is compiled here.
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS build
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm g++ pkg-config libssl-dev \
       libuv1-dev libsrtp2-dev libusrsctp-dev nlohmann-json3-dev libabsl-dev >/dev/null
WORKDIR /app
COPY examples/mediasoup/package.json examples/mediasoup/package-lock.json examples/mediasoup/.npmrc examples/mediasoup/build-worker ./
ARG npm_config_registry
RUN npm ci --ignore-scripts --silent \
    && ./build-worker node_modules/mediasoup/worker mediasoup-worker && rm -r node_modules/mediasoup/worker

FROM ${BASE}
COPY docker/slim.dpkg /etc/dpkg/dpkg.cfg.d/slim
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs tini libssl3 libuv1 libsrtp2-1 \
       libusrsctp2 libabsl20220623 >/dev/null \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/*
WORKDIR /app
COPY --from=build /app /app
COPY examples/mediasoup/server.js examples/mediasoup/room.js examples/mediasoup/egress.js ./
COPY examples/mediasoup/page page
ENV MEDIASOUP_WORKER_BIN=/app/mediasoup-worker HOST=0.0.0.0 LISTEN_IP=0.0.0.0
USER 1000:1000
EXPOSE 3000
ENTRYPOINT ["/usr/bin/tini", "--", "node", "server.js"]
