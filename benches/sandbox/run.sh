#!/usr/bin/env bash
# Measures sandboxes against their baselines in one run and prints a table: benches/sandbox/run.sh [--quick] [--write-docs]
#
# Needs Rust, a C compiler, Python 3.10+ (venv, pip) and the package registries; keeps what it makes under target/bench. Takes about
# ten minutes on a quiet machine, four with --quick. --write-docs puts the tables into docs/performance.md and README.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
work="$PWD/target/bench"
mkdir -p "$work"

lock=$(cat crates/sandbox/agent/requirements.lock benches/sandbox/requirements.txt | cksum)
if [ "$(cat "$work/python/lock" 2>/dev/null)" != "$lock" ]; then
  echo "making the baseline's Python environment in target/bench/python" >&2
  rm -rf "$work/python"
  python3 -m venv "$work/python"
  "$work/python/bin/pip" install --quiet --disable-pip-version-check -r crates/sandbox/agent/requirements.lock
  "$work/python/bin/pip" install --quiet --disable-pip-version-check -r benches/sandbox/requirements.txt
  echo "$lock" > "$work/python/lock"
fi

"${CC:-cc}" -O2 -o "$work/floor" benches/sandbox/floor.c

cargo build --release --locked >&2
cargo build --release --locked -p synth-sandbox --bench sandboxes >&2
driver=$(cargo build --release --locked --quiet -p synth-sandbox --bench sandboxes --message-format json |
  sed -n 's/.*"name":"sandboxes".*"executable":"\([^"]*\)".*/\1/p')

exec "$work/python/bin/python" -B benches/sandbox/measure.py \
  --driver "$driver" --synth "$PWD/target/release/synth" --floor "$work/floor" --output "$work" "$@"
