#!/usr/bin/env bash
# Measures a crawl of many competitions against the fixture server: benches/crawl/run.sh [--competitions N]
#
# Once as fast as it goes, for its memory and its own pace; once at half that pace by `kaggle.requests_per_minute`, for how near to the limit
# it stays. Needs Rust and Python 3.10+. Ten thousand competitions, as by default, take about ten minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
work="$PWD/target/bench/crawl"
mkdir -p "$work"
cargo build --release --locked >&2
cargo build --release --locked -p synth-fixtures --bin kaggle-fixture >&2
exec python3 -B benches/crawl/measure.py \
  --synth "$PWD/target/release/synth" --fixture "$PWD/target/release/kaggle-fixture" --output "$work" "$@"
