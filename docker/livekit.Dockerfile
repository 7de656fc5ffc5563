# livekit-server as `make build/bin/livekit-server` compiled it, for places that reach no registry (compose.build.yaml).
ARG BASE=debian:bookworm-slim
FROM ${BASE}
COPY build/bin/livekit-server /usr/local/bin/livekit-server
USER 1000:1000
EXPOSE 7880 7881 7882/udp
ENTRYPOINT ["livekit-server"]
