"""Scores DARE-bench cases in one process with pandas and scikit-learn: published.py CASES.jsonl [EVALUATION.py]

With EVALUATION.py, the scorer that DARE-bench publishes, that is what is timed. Without it, a reading of our own of what it does: the same
calls of pandas and scikit-learn. Prints the seconds after the imports, then the scores; what raises counts 0.
"""

import importlib.util
import json
import os
import sys
import time
import warnings

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score, r2_score

warnings.filterwarnings("ignore")


def metric(kind, version, truth, guess):
    if kind == "classification" and version == "v1":
        return float(truth == guess)
    if kind == "regression" and version == "v1":
        return float(np.allclose(np.array(truth), np.array(guess)))
    try:
        if kind == "classification":
            return float(f1_score(truth, guess, average="macro"))
        return float(np.clip(r2_score(truth, guess), 0, 1))
    except Exception:
        return 0.0


def ours(prediction, truth, metadata, version):
    if not os.path.exists(prediction):
        return 0.0
    with open(metadata, encoding="utf-8") as file:
        question = json.load(file)["question"]
    targets, kind = question["target"], question["problem_type"]
    targets = [targets] if isinstance(targets, str) else targets
    truth, guess = pd.read_csv(truth), pd.read_csv(prediction)
    keys = [name for name in truth.columns if name not in targets]
    if "row_id" in truth.columns and not (kind == "time_series_analysis" and version == "v2"):
        keys = ["row_id"]
    if not keys or any(key not in guess.columns for key in keys):
        return 0.0
    present = [name for name in targets if name in guess.columns]
    both = truth.merge(guess[keys + present], on=keys, suffixes=("_truth", "_guess"))
    if len(both) != len(truth):
        return 0.0
    scores = [
        metric(kind, version, both[f"{name}_truth"].tolist(), both[f"{name}_guess"].tolist()) if name in present else 0.0
        for name in targets
    ]
    return float(np.mean(scores))


def theirs(path):
    spec = importlib.util.spec_from_file_location("evaluation", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda *case: module.evaluate_prediction(*case)["final_score"]


score = theirs(sys.argv[2]) if len(sys.argv) > 2 else ours
folder = os.path.dirname(os.path.abspath(sys.argv[1]))
started, scores = time.perf_counter(), []
with open(sys.argv[1], encoding="utf-8") as lines:
    for line in lines:
        case = json.loads(line)
        paths = [os.path.join(folder, case[name]) for name in ("prediction", "gt", "metadata")]
        try:
            scores.append(float(np.nan_to_num(score(*paths, case["version"]))))
        except Exception:
            scores.append(0.0)
print(time.perf_counter() - started, *scores)
