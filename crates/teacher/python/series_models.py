__IMPORTS__
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def linear():
    return make_pipeline(StandardScaler(), RidgeCV(alphas=[0.01, 1.0, 100.0]))


def fitted(make, columns, share=1.0):
    """Learns from the latest share of the rows, over these columns."""
    def forecast(past, y, future):
        rows = max(5, int(len(past["X"]) * share))
        model = make().fit(past["X"][columns].tail(rows), y[-rows:])
        return model.predict(future["X"][columns])
    return forecast


def by_group(key, latest):
    """The mean of the latest values of the same group, of the same entity where the group is new, of all where both are."""
    def forecast(past, y, future):
        table = pd.DataFrame({"who": past["who"], "group": past[key], "y": y})
        level = table["y"].tail(latest).mean()
        entity = table.groupby("who")["y"].apply(lambda values: values.tail(latest).mean())
        group = table.groupby(["who", "group"])["y"].apply(lambda values: values.tail(latest).mean())
        pairs = pd.MultiIndex.from_arrays([future["who"], future[key]])
        found = pd.Series(group.reindex(pairs).to_numpy())
        return found.fillna(pd.Series(future["who"]).map(entity)).fillna(level).to_numpy()
    return forecast


def leveled(make, columns):
    """A model of what differs from each entity's own level and spread."""
    def forecast(past, y, future):
        table = pd.Series(y).groupby(past["who"])
        level, spread = table.mean(), table.std().replace(0, np.nan)
        shift = pd.Series(past["who"]).map(level).to_numpy()
        scale = pd.Series(past["who"]).map(spread).fillna(y.std() or 1).to_numpy()
        model = make().fit(past["X"][columns], (y - shift) / scale)
        shift = pd.Series(future["who"]).map(level).fillna(y.mean()).to_numpy()
        scale = pd.Series(future["who"]).map(spread).fillna(y.std() or 1).to_numpy()
        return model.predict(future["X"][columns]) * scale + shift
    return forecast


def cut(data, rows):
    return {name: values.iloc[rows].reset_index(drop=True) if name == "X" else values[rows] for name, values in data.items()}


everything = list(X.columns)
candidates = {
    "chosen": fitted(lambda: __MODEL__, everything),
    "trend and seasons": fitted(linear, seasons + owners),
    "latest trend": fitted(linear, seasons[:1] + owners, 0.3),
    "level": by_group("who", len(X)),
    "latest level": by_group("who", 5),
    "same season": by_group("cycle", len(X)),
}
if len(np.unique(past["week"])) > 1:
    candidates["same time of the week"] = by_group("week", 8)
if outside:
    candidates["linear"] = fitted(linear, everything)
    candidates["linear in the features"] = fitted(linear, outside + owners)
    candidates["linear, latest rows"] = fitted(linear, outside + owners, 0.3)
if entities:
    candidates["chosen, by entity"] = leveled(lambda: __MODEL__, seasons + outside)
    candidates["linear, by entity"] = leveled(linear, seasons + outside)
predicted = {}
# The latest rows stand in for the future, in two windows: each candidate forecasts them from what came before.
windows = [(int(len(X) * 0.6), int(len(X) * 0.8)), (int(len(X) * 0.8), len(X))]
for target in targets:
    y = pd.to_numeric(known[target], errors="coerce").to_numpy(dtype=float)[order]
    y = np.nan_to_num(y, nan=float(np.nanmedian(y)))
    scores, guesses = {}, {}
    for name, forecast in candidates.items():
        parts = []
        for start, end in windows:
            guess = forecast(cut(past, np.arange(start)), y[:start], cut(past, np.arange(start, end)))
            parts.append(max(-1.0, r2_score(y[start:end], guess)) if end - start > 1 else 0.0)
        scores[name] = 0.4 * parts[0] + 0.6 * parts[1]
    first, second = sorted(scores, key=scores.get, reverse=True)[:2]
    print(target, "held-out scores:", {name: round(float(score), 3) for name, score in scores.items()})
    predicted[target] = candidates[first](past, y, future)
    if scores[second] > 0.8 * scores[first] > 0:
        predicted[target] = (predicted[target] + candidates[second](past, y, future)) / 2
    print(target, "forecast by:", first)
