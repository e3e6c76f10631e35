# The operator's image: the binary and its reconcilers, these also as machine code, on a base without a shell.
#
#   docker build -t doltdb-operator .
#
# Where both have been built already, a folder that holds out/ stands in for the first stage:
#
#   buildah bud --build-context build=FOLDER -t doltdb-operator .

FROM rust:1.95-bookworm AS build
WORKDIR /src
# The toolchain that the file names, with its targets: sources change more often.
COPY rust-toolchain.toml ./
RUN rustup toolchain install
COPY . .
ENV CARGO_TARGET_DIR=/target
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/target \
    mkdir -p /out/modules \
 && cargo build --release --locked --package doltdb-operator \
 && cargo xtask guests \
 && cp /target/release/doltdb-operator /out/ \
 && cp /target/modules/*.wasm /out/modules/ \
 && /out/doltdb-operator compile-modules /out/modules

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/doltdb-operator /usr/local/bin/doltdb-operator
COPY --from=build /out/modules/ /modules/
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/doltdb-operator"]
