# syntax=docker/dockerfile:1
# The three images, one target each:
#   docker build --target operator  --tag sms-operator:0.1.0  .
#   docker build --target sms-api   --tag sms-api:0.1.0       .
#   docker build --target processor --tag sms-processor:0.1.0 .
# Builder and runtime are the same Debian release: the binaries link its libc, OpenSSL and zlib.

FROM rust:1.95-trixie AS build
WORKDIR /src
COPY . .
ARG TARGETARCH
# Caches outlive the layer, so that a changed file compiles one crate and not three hundred. Sources are touched
# because cargo compares times, and those of another checkout may be older than what the cache was built from.
RUN --mount=type=cache,id=sms-cargo-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=sms-target-${TARGETARCH},target=/src/target,sharing=locked \
    find . -path ./target -prune -o -type f -exec touch {} + \
    && cargo build --release --locked --package sms-operator --package sms-api --package sms-processor \
    && install -D --target-directory=/out target/release/sms-operator target/release/sms-api target/release/sms-processor

# No shell and no package manager; docs/decisions/0005-runtime-image.md says why.
FROM gcr.io/distroless/cc-debian13:nonroot AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
# By number: Kubernetes cannot prove that a user known only by name is not root.
USER 65532:65532

FROM runtime AS operator
LABEL org.opencontainers.image.title="sms-operator" \
      org.opencontainers.image.description="Reconciles SmsPipeline resources into topics, an API and processors"
# glibc keeps memory in up to eight arenas for each core; docs/performance.md tells what that costs.
ENV MALLOC_ARENA_MAX=2
COPY --from=build /out/sms-operator /usr/local/bin/
EXPOSE 9090
ENTRYPOINT ["sms-operator"]
CMD ["run"]

FROM runtime AS sms-api
LABEL org.opencontainers.image.title="sms-api" \
      org.opencontainers.image.description="Accepts messages over HTTP and answers for their state"
COPY --from=build /out/sms-api /usr/local/bin/
EXPOSE 8080 8081 9090
ENTRYPOINT ["sms-api"]
CMD ["serve"]

FROM runtime AS processor
LABEL org.opencontainers.image.title="sms-processor" \
      org.opencontainers.image.description="Carries messages from Kafka to the provider and reports what became of them"
COPY --from=build /out/sms-processor /usr/local/bin/
EXPOSE 9090
ENTRYPOINT ["sms-processor"]
