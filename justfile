# What a contributor runs; `just` alone lists it.
default:
    @just --list

# Everything that has to pass, as the gate runs it.
check:
    bash .ci/run

# The whole road on this machine, with a tour.
up *ARGS:
    cargo run --release -- up {{ARGS}}

test:
    cargo test --workspace

lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# Licences, advisories and sources of dependencies; wants cargo-deny.
deny:
    cargo deny check

# So many worlds in which everything goes wrong, each made of a number.
sim SEEDS="1000":
    cargo test -p causeway-sim -- --seeds {{SEEDS}}

# Rewrites the Rust that is generated from the .proto files.
proto:
    CAUSEWAY_REGENERATE=1 cargo test -p causeway-proto

# This engine beside llama.cpp on one .gguf file, then with AVX2 only, then the device's own model.
bench MODEL LLAMA_BENCH:
    cargo run --release -- bench inference --model {{MODEL}} --against {{LLAMA_BENCH}}
    cargo run --release -- bench inference --model {{MODEL}} --quick --form avx2
    cargo run --release -- bench inference --model deploy/models/device/causeway-device-q4_0.gguf --quick
    cargo run --release -- bench inference --model deploy/models/device/causeway-device-q4_0.gguf --quick --form avx2
