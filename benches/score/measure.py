"""Measures the scorer: the development tasks against the published Python's way, and tables of a million rows. See run.sh."""

import argparse
import csv
import json
import os
import random
import statistics
import subprocess
import sys
from pathlib import Path

arguments = argparse.ArgumentParser()
arguments.add_argument("--driver", required=True, help="the release build of crates/score/benches/score.rs")
arguments.add_argument("--tasks", type=Path, help="a folder of development tasks with tasks.jsonl")
arguments.add_argument("--published", help="DARE-bench's own evaluation.py, which is no part of this repository")
arguments.add_argument("--output", type=Path, required=True)
arguments.add_argument("--repeats", type=int, default=5)
arguments = arguments.parse_args()
here = Path(__file__).parent


def cases(folder):
    """Per task the right file, the right file in another order, and one in which a target of every fifth row is that of the row before."""
    made = arguments.output / "predictions"
    made.mkdir(parents=True, exist_ok=True)
    lines = []
    for line in (folder / "tasks.jsonl").read_text().splitlines():
        task = json.loads(line)
        root = folder / "databases" / task["file_path"]
        truth, metadata = root / task["ground_truth"], root / "verify/all_metadata.json"
        with open(truth, newline="", encoding="utf-8-sig") as file:
            table = list(csv.DictReader(file))
        for above, row in list(zip(table, table[1:]))[::5]:
            row[task["target"][0]] = above[task["target"][0]]
        worn = made / f"{len(lines)}.worn.csv"
        with open(worn, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, table[0])
            writer.writeheader()
            writer.writerows(table)
        head, *rows = truth.read_text(encoding="utf-8-sig").splitlines()
        random.Random(1).shuffle(rows)
        shuffled = made / f"{len(lines)}.csv"
        shuffled.write_text("\n".join([head, *rows]) + "\n")
        for prediction in (truth, shuffled, worn):
            lines.append({
                "case_id": f"{task['task_id']}#{prediction.name}", "version": task["version"], "metadata": str(metadata.resolve()),
                "gt": str(truth.resolve()), "prediction": str(prediction.resolve()),
            })
    path = arguments.output / "cases.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path, [line["case_id"] for line in lines]


def seconds(command):
    """The median of the seconds, and the scores."""
    outputs = [subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() for _ in range(arguments.repeats)]
    return statistics.median(float(output[0]) for output in outputs), [float(score) for score in outputs[0][1:]]


if arguments.tasks:
    path, names = cases(arguments.tasks)
    ours, our_scores = seconds([arguments.driver, "dare", str(path)])
    published = [arguments.published] if arguments.published else []
    theirs, their_scores = seconds([sys.executable, str(here / "published.py"), str(path), *published])
    name = "the published scorer" if published else "the published scorer as read by us"
    print(f"{len(names)} predictions for development tasks, median of {arguments.repeats} runs, one process, without start and imports:")
    print(f"  ours {ours * 1e3:.1f} ms, {name} {theirs * 1e3:.1f} ms: {theirs / ours:.0f} times")
    scores = list(zip(names, our_scores, their_scores, strict=True))
    apart = [(name, our, their) for name, our, their in scores if not abs(our - their) <= 1e-9]
    between = sum(0 < our < 1 for our in our_scores)
    print(f"  {len(scores) - len(apart)} of {len(scores)} scores agree to 1e-9; {between} are neither 0 nor 1")
    for name, our, their in apart:
        print(f"  {name}: ours {our}, theirs {their}")
    if apart:
        sys.exit(1)

ROWS = 1_000_000
rng = random.Random(2)
ids = list(range(ROWS))
for metric, truth, guess in [
    ("rmse", lambda: f"{rng.random() * 100:.6f}", lambda: f"{rng.random() * 100:.6f}"),
    ("macro_f1", lambda: rng.choice("abcde"), lambda: rng.choice("abcde")),
    ("auc", lambda: rng.choice("01"), lambda: f"{rng.random():.6f}"),
]:
    paths = []
    for name, value in [("truth", truth), ("prediction", guess)]:
        path = arguments.output / f"{name}.csv"
        path.write_text("id,y\n" + "".join(f"{i},{value()}\n" for i in ids))
        rng.shuffle(ids)
        paths.append(str(path))
    ids.sort()
    used = []
    for _ in range(arguments.repeats):
        process = subprocess.Popen([arguments.driver, "tables", *paths, metric], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        used.append((usage.ru_utime + usage.ru_stime, usage.ru_maxrss >> 10))
    cpu = statistics.median(use[0] for use in used)
    print(f"{ROWS:,} rows, {metric}: {cpu:.2f} s of CPU, {max(use[1] for use in used)} MiB at most, reading both files included")
