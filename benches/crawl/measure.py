"""Measures crawls of many competitions: memory, pace, and how near to its rate limit a crawl stays. See run.sh."""

import argparse
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

arguments = argparse.ArgumentParser()
arguments.add_argument("--synth", required=True)
arguments.add_argument("--fixture", required=True)
arguments.add_argument("--output", type=Path, required=True)
arguments.add_argument("--competitions", type=int, default=10_000)
arguments = arguments.parse_args()
config = Path(__file__).parent.parent.parent / "configs/kaggle.toml"


def crawl(competitions, per_minute):
    """Crawls a world of so many; gives seconds, calls of the API, and the most memory in bytes."""
    folder = arguments.output / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    fixture = subprocess.Popen([arguments.fixture, "--world", f"many:{competitions}"], stdout=subprocess.PIPE, text=True)
    host = re.search(r"API at (\S+),", fixture.stdout.readline()).group(1)
    token = re.search(r"KAGGLE_API_TOKEN=(\S+)", fixture.stdout.readline()).group(1)
    settings = {
        "kaggle.host": host, "kaggle.requests_per_minute": per_minute, "kaggle.min_free_bytes": 0, "filter.competitions.judge": "false",
        "sources.competitions.category": '""', "sources.competitions.max": 0, "run.output": folder / "output",
    }
    words = [arguments.synth, "run", "--config", config, "--until", "crawl", "--json"]
    words += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    begun = time.perf_counter()
    try:
        with open(folder / "events.jsonl", "w") as events:
            process = subprocess.Popen(words, stdout=events, env={**os.environ, "KAGGLE_API_TOKEN": token})
            _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        # It says its counts at its end, and does not stay behind whatever became of the crawl.
        fixture.send_signal(signal.SIGINT)
        said = fixture.communicate()[0]
    assert process.returncode == 0, f"the crawl failed: see {folder}"
    counts = dict(reversed(line.split()) for line in said.splitlines() if re.fullmatch(r" *\d+  \w+", line))
    calls = sum(int(count) for route, count in counts.items() if route != "Storage")
    return seconds, calls, usage.ru_maxrss * 1024


count = arguments.competitions
seconds, calls, memory = crawl(count, 0)
pace = calls / seconds
print(f"{count:,} competitions without a limit: {seconds:.0f} s, {calls:,} calls of the API ({pace:.0f} a second), {memory / 1e6:.0f} MB at most")

few = max(count // 10, 1)
limit = int(pace * 60 / 2)
seconds, calls, _ = crawl(few, limit)
least = calls / limit * 60
print(
    f"{few:,} competitions at {limit:,} calls a minute: {seconds:.1f} s, where the limit alone takes {least:.1f} s "
    f"({seconds / least:.2f} times); the limit that is set for Kaggle, 120 a minute, is {pace * 60 / 120:.0f} times lower than our pace"
)
