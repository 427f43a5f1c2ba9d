# One target per habit. Each calls the real tool; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help run test check fmt openapi bench upgrade-test fuzz deny
CARGO_RUN = cargo run --locked --quiet
TARGET = $(or $(CARGO_TARGET_DIR),target)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## install what is missing, build, and run everything on this machine (ARGS=--fresh starts anew)
	@scripts/install-deps.sh
	@cargo build --locked -p hookgate && exec $(CARGO_RUN) -p hookgate -- dev $(ARGS)

test: ## all tests, against private servers (ARGS=-p hookgate-ingress for one crate's)
	@scripts/install-deps.sh test
	@cargo build --locked --workspace --bins
	@$(TARGET)/debug/with-servers cargo test --locked --no-fail-fast $(or $(ARGS),--workspace)

check: ## formatting, lints, that the fuzz targets compile, the layers of the crates, and that openapi/*.json are current
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo check --locked --quiet --manifest-path fuzz/Cargo.toml --target-dir $(TARGET)/fuzz-check
	cargo test --locked --quiet --workspace --test layers
	$(CARGO_RUN) -p hookgate -- openapi | diff -u openapi/openapi.json - || { echo "run make openapi" >&2; exit 1; }
	$(CARGO_RUN) -p hookgate -- openapi --admin | diff -u openapi/admin.json - || { echo "run make openapi" >&2; exit 1; }

fmt: ## format the code
	cargo fmt --all

openapi: ## write openapi/openapi.json and openapi/admin.json from the code
	@cargo build --locked -p hookgate
	$(TARGET)/debug/hookgate openapi > openapi/openapi.json
	$(TARGET)/debug/hookgate openapi --admin > openapi/admin.json

bench: ## measure the durable ingest against a bare handler and a naive one; the figures go to bench/
	@scripts/install-deps.sh test
	@test -d crates/hookgate/tests/node/node_modules || npm ci --silent --prefix crates/hookgate/tests/node
	cargo run --locked --release -p hookgate-bench -- $(ARGS)

upgrade-test: ## upgrade a running installation from an older version to this one, and back, under load (ARGS=commit)
	@scripts/install-deps.sh test
	@scripts/upgrade-test.sh $(ARGS)

fuzz: ## let libFuzzer try what reads hostile bytes (ARGS="120 body suffix": seconds for each, targets)
	@scripts/fuzz.sh $(ARGS)

deny: ## licences, bans, advisories and sources of the dependencies (needs cargo-deny)
	cargo deny --all-features check
