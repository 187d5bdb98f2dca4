__IMPORTS__
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

recent, values = X.tail(__ROWS__), y.tail(__ROWS__)
cut = int(len(recent) * 0.8)
# Each candidate with the share of the latest rows that it learns from.
candidates = {
    "chosen": (__MODEL__, 1.0),
    "trend and seasons": (Ridge(alpha=1.0), 1.0),
    "latest trend": (Ridge(alpha=1.0), 0.3),
    "latest level": (DummyRegressor(), 0.02),
}


def fit(name, features, known_values):
    candidate, share = candidates[name]
    rows = max(5, int(len(features) * share))
    return candidate.fit(features.tail(rows), known_values.tail(rows))


scores = {}
for name in candidates:
    fitted = fit(name, recent.iloc[:cut], values.iloc[:cut])
    scores[name] = r2_score(values.iloc[cut:], fitted.predict(recent.iloc[cut:]))
print("held-out score:", {name: round(score, 4) for name, score in scores.items()})
model = fit(max(scores, key=scores.get), recent, values)
