#!/usr/bin/env bash
# Measures the scorer, and holds its scores against the published ones:
#   benches/score/run.sh [--tasks FOLDER] [--published EVALUATION.py] [--repeats N]
#
# FOLDER has DARE-bench tasks and their tasks.jsonl; without it only the large tables are scored. EVALUATION.py is the scorer
# that DARE-bench publishes; without it benches/score/published.py, which does the same calls, stands for it. Needs Rust, and Python with
# pandas and scikit-learn: the one that SYNTH_TEST_PYTHON names, else one that is made under target/bench.
set -euo pipefail
cd "$(dirname "$0")/../.."
work="$PWD/target/bench/score"
mkdir -p "$work"
python="${SYNTH_TEST_PYTHON:-$PWD/target/bench/python/bin/python}"
if [ ! -x "$python" ]; then
  python3 -m venv "$PWD/target/bench/python"
  "$python" -m pip install --quiet --disable-pip-version-check -r crates/sandbox/agent/requirements.lock
fi
driver=$(cargo build --release --locked -p synth-score --bench score --message-format json |
  sed -n 's/.*"name":"score".*"executable":"\([^"]*\)".*/\1/p')
exec "$python" -B benches/score/measure.py --driver "$driver" --output "$work" "$@"
