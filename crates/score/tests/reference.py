"""Random cases of every metric with the values that scikit-learn, SciPy or a few lines of NumPy give them, as JSON lines.

    python reference.py SEED COUNT

Each line: {metric, targets, truth, prediction, value}; the tables are CSV texts with the key column `id`. The arithmetic here shares nothing
with the crate's: it is what the crate is compared with.
"""

import csv
import io
import json
import math
import sys
import warnings

import numpy as np
from scipy import stats
from sklearn import metrics as sk

warnings.filterwarnings("ignore")
SEED, COUNT = int(sys.argv[1]), int(sys.argv[2])
rng = np.random.default_rng(SEED)

ALPHABETS = [
    ["a", "b", "c"],
    ["no", "yes"],
    ["é", "ü", "日本", "🙂", "e\u0301"],
    ["a b", "a  b", "a,b", 'say "x"', "line\nbreak"],
    [0, 1],
    [1, 2, 3, 4, 5],
    [-3, 0, 7, 1_000_000],
]


def rows():
    return int(rng.choice([1, 2, 3, 5, 10, 30, 100]))


def labels(n, alphabet, wrong=0.5):
    truth = rng.choice(len(alphabet), n)
    if rng.random() < 0.1:
        truth[:] = truth[0]
    guess = np.where(rng.random(n) < wrong, rng.choice(len(alphabet), n), truth)
    if rng.random() < 0.1:
        guess[:] = guess[0]
    return [alphabet[i] for i in truth], [alphabet[i] for i in guess]


def numbers(n, positive=False):
    """Two columns of numbers: of any magnitude, with ties, constant, or all but equal."""
    scale = 10.0 ** rng.integers(-9, 10)
    truth = rng.normal(0, 1, n) * scale
    guess = truth + rng.normal(0, 1, n) * scale * rng.choice([0, 1e-6, 0.3, 5])
    kind = rng.integers(6)
    if kind == 0:
        truth, guess = np.round(truth / scale * 2), np.round(guess / scale * 2)
    if kind == 1:
        guess[:] = float(rng.integers(-3, 4))
    if kind == 2:
        truth[:] = float(rng.integers(-3, 4))
    if positive:
        truth, guess = np.abs(truth), np.abs(guess)
    return truth.tolist(), guess.tolist()


def probabilities(n):
    p = rng.random(n)
    if rng.random() < 0.5:
        p = np.round(p * 4) / 4
    return p.tolist()


def both_classes(n):
    truth = rng.integers(0, 2, n)
    truth[0], truth[-1] = 0, 1
    return truth.tolist()


def columns(make, least=1):
    return [make() for _ in range(int(rng.choice([1, 1, 2, 3])))]


def mean_of(value, pairs):
    return float(np.mean([value(truth, guess) for truth, guess in pairs]))


def on_labels(name, value, alphabets=ALPHABETS):
    def make():
        n = rows()
        alphabet = alphabets[rng.integers(len(alphabets))]
        pairs = columns(lambda: labels(n, alphabet))
        return name, pairs, mean_of(value, pairs)
    return make


def on_numbers(name, value, least=1, positive=False):
    def make():
        n = max(least, rows())
        pairs = columns(lambda: numbers(n, positive))
        return name, pairs, mean_of(value, pairs)
    return make


def on_probabilities(name, value):
    def make():
        n = max(2, rows())
        pairs = columns(lambda: (both_classes(n), probabilities(n)))
        return name, pairs, mean_of(value, pairs)
    return make


def f1():
    n = max(2, rows())
    alphabet = [["no", "yes"], [0, 1], [3, 7], ["Ä", "ä"], [False, True]][rng.integers(5)]
    truth, guess = labels(n, alphabet)
    truth[0], truth[-1] = alphabet
    return "f1", [(truth, guess)], sk.f1_score(truth, guess, pos_label=alphabet[1], zero_division=0)


def kappa(truth, guess):
    ratings = range(min(truth + guess), max(truth + guess) + 1)
    if len(ratings) == 1:
        return 1.0
    value = sk.cohen_kappa_score(truth, guess, labels=list(ratings), weights="quadratic")
    return 1.0 if math.isnan(value) else value


def multiclass_log_loss():
    n, k = rows(), int(rng.integers(2, 6))
    truth = rng.integers(0, k, n)
    guess = rng.random((n, k)) ** 3
    guess[rng.random((n, k)) < 0.1] = 0
    guess[guess.sum(axis=1) == 0] = 1
    shares = guess / guess.sum(axis=1, keepdims=True)
    value = -np.log(np.clip(shares[np.arange(n), truth], 2.0**-52, 1 - 2.0**-52)).mean()
    if (guess > 0).all():
        assert abs(value - sk.log_loss(truth, shares, labels=list(range(k)))) < 1e-9
    hot = np.eye(k)[truth]
    return "multiclass_log_loss", [(hot[:, i].tolist(), guess[:, i].tolist()) for i in range(k)], value


def correlation(kind):
    def value(truth, guess):
        if len(set(truth)) == 1 or len(set(guess)) == 1:
            return 0.0
        return float(kind(truth, guess)[0])
    return value


def gini(truth, guess):
    def area(by):
        order = sorted(range(len(truth)), key=lambda i: (-by[i], i))
        share = np.cumsum([truth[i] for i in order]) / sum(truth)
        return float(np.sum(share - np.arange(1, len(truth) + 1) / len(truth)))
    if len(set(truth)) == 1 or sum(truth) == 0:
        return 0.0
    return area(guess) / area(truth)


def smape(truth, guess):
    parts = [0 if t == g == 0 else 2 * abs(t - g) / (abs(t) + abs(g)) for t, g in zip(truth, guess)]
    return 100 * sum(parts) / len(parts)


def r2(truth, guess):
    if len(set(truth)) == 1:
        return float(truth == guess)
    return sk.r2_score(truth, guess)


def lists(n, unique):
    items = [f"i{j}" for j in range(8)]
    truth = [list(rng.choice(items, rng.integers(1, 4), replace=False)) for _ in range(n)]
    guess = [list(rng.choice(items, rng.integers(0, 8), replace=not unique)) for _ in range(n)]
    return truth, guess


def texts(table):
    return [" ".join(words) for words in table]


def average_precision(truth, guess, k):
    total, hits = 0.0, 0
    for place, item in enumerate(guess[:k]):
        if item in truth and item not in guess[:place]:
            hits += 1
            total += hits / (place + 1)
    return total / min(len(truth), k)


def map_at_k():
    k, (truth, guess) = int(rng.integers(1, 8)), lists(rows(), False)
    value = np.mean([average_precision(t, g, k) for t, g in zip(truth, guess)])
    return f"map@{k}", [(texts(truth), texts(guess))], value


def ndcg_of_items():
    k, (truth, guess) = int(rng.integers(1, 8)), lists(rows(), True)
    def one(t, g):
        got = sum(1 / math.log2(i + 2) for i, item in enumerate(g[:k]) if item in t)
        return got / sum(1 / math.log2(i + 2) for i in range(min(k, len(t))))
    return f"ndcg@{k}", [(texts(truth), texts(guess))], np.mean([one(t, g) for t, g in zip(truth, guess)])


def ndcg_of_scores():
    n, m, k = rows(), int(rng.integers(2, 8)), int(rng.integers(1, 8))
    gain, score = rng.integers(0, 4, (n, m)).astype(float), np.round(rng.random((n, m)) * 4) / 4
    value = sk.ndcg_score(gain, score, k=k)
    return f"ndcg@{k}", [(gain[:, i].tolist(), score[:, i].tolist()) for i in range(m)], value


def jaccard():
    words = ["so", "So", "very", "sad", "ÉTÉ", "été", "!"]
    def text():
        return " ".join(rng.choice(words, rng.integers(1, 6)))
    pairs = [(text(), text()) for _ in range(rows())]
    def one(t, g):
        t, g = set(t.lower().split()), set(g.lower().split())
        return len(t & g) / len(t | g)
    return "jaccard", [([p[0] for p in pairs], [p[1] for p in pairs])], np.mean([one(*p) for p in pairs])


def close(truth, guess):
    return float(np.allclose(np.array(truth), np.array(guess)))


def f1_of(average):
    return lambda truth, guess: sk.f1_score(truth, guess, average=average, zero_division=0)


RATINGS = [[1, 2, 3, 4, 5], [0, 1], [-2, 0, 9], [10, 11, 14]]
MAKERS = [
    on_labels("accuracy", sk.accuracy_score),
    on_labels("macro_f1", f1_of("macro")),
    on_labels("micro_f1", f1_of("micro")),
    on_labels("weighted_f1", f1_of("weighted")),
    on_labels("mcc", sk.matthews_corrcoef),
    on_labels("equal_labels", lambda truth, guess: float(truth == guess)),
    on_labels("quadratic_weighted_kappa", kappa, RATINGS),
    on_probabilities("auc", sk.roc_auc_score),
    on_probabilities("log_loss", lambda truth, guess: sk.log_loss(truth, guess, labels=[0, 1])),
    on_probabilities("brier", sk.brier_score_loss),
    on_numbers("rmse", lambda truth, guess: math.sqrt(sk.mean_squared_error(truth, guess))),
    on_numbers("mse", sk.mean_squared_error),
    on_numbers("mae", sk.mean_absolute_error),
    on_numbers("median_ae", sk.median_absolute_error),
    on_numbers("mape", sk.mean_absolute_percentage_error),
    on_numbers("smape", smape),
    on_numbers("rmsle", lambda truth, guess: math.sqrt(sk.mean_squared_log_error(truth, guess)), positive=True),
    on_numbers("r2", r2, least=2),
    on_numbers("clipped_r2", lambda truth, guess: min(1.0, max(0.0, r2(truth, guess))), least=2),
    on_numbers("equal_numbers", close),
    on_numbers("pearson", correlation(stats.pearsonr), least=2),
    on_numbers("spearman", correlation(stats.spearmanr), least=2),
    on_numbers("gini", gini, positive=True),
    f1, multiclass_log_loss, map_at_k, ndcg_of_items, ndcg_of_scores, jaccard,
]


def table(ids, names, cells):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["id", *names])
    writer.writerows(zip(ids, *cells))
    return text.getvalue()


for index in range(COUNT):
    metric, pairs, value = MAKERS[index % len(MAKERS)]()
    names = [f"t{i}" for i in range(len(pairs))]
    ids = list(range(len(pairs[0][0])))
    order = rng.permutation(len(ids)) if len(ids) > 0 else ids
    shuffled = [[guess[i] for i in order] for _, guess in pairs]
    print(json.dumps({
        "metric": metric,
        "targets": names,
        "truth": table(ids, names, [truth for truth, _ in pairs]),
        "prediction": table([ids[i] for i in order], names, shuffled),
        "value": float(value),
    }))
