"""Predicts the test rows of a task with forests and with straight lines, to see whether there is anything to learn."""

import json

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

task = json.loads(__PARAMETERS__)
text = {name: str for name in task["text"]}
train = pd.read_csv("data/train.csv", dtype=text, na_values=[""], keep_default_na=False)
test = pd.read_csv("data/test.csv", dtype=text, na_values=[""], keep_default_na=False)
if len(train) > task["most_rows"]:
    keep = np.random.RandomState(0).choice(len(train), task["most_rows"], replace=False)
    train = train.iloc[np.sort(keep)].reset_index(drop=True)


def features(rows):
    columns = {}
    for name in task["features"]:
        if name in text:
            codes = {value: code for code, value in enumerate(train[name].value_counts().index)}
            columns[name] = rows[name].map(codes).fillna(-1)
        else:
            columns[name] = rows[name].fillna(train[name].median())
    if task["time"]:
        seconds = rows[task["time"]]
        at = pd.to_datetime(seconds, unit="s")
        columns["@elapsed"] = seconds - train[task["time"]].min()
        for part in ("year", "month", "day", "day_of_week", "day_of_year", "hour", "minute"):
            columns["@" + part] = getattr(at.dt, part)
    return pd.DataFrame(columns, index=rows.index).fillna(0).astype(float)


def forest(known, values, asked):
    kind = RandomForestClassifier if task["labels"] else RandomForestRegressor
    model = kind(n_estimators=100, min_samples_leaf=2, random_state=0, n_jobs=1)
    return model.fit(known, values).predict(asked)


def trend(rows, values, asked):
    """A straight line through the later half of each series, drawn on."""
    line = np.zeros(len(asked))
    fitted = np.zeros(len(rows))
    series = rows[task["entities"]].astype(str).agg("|".join, axis=1) if task["entities"] else pd.Series("", index=rows.index)
    later = asked[task["entities"]].astype(str).agg("|".join, axis=1) if task["entities"] else pd.Series("", index=asked.index)
    for key in series.unique():
        mine, theirs = (series == key).to_numpy(), (later == key).to_numpy()
        at = rows.loc[mine, task["time"]].to_numpy(float)
        known = values[mine]
        half = len(at) // 2
        if len(at) - half < 3 or at[half:].min() == at[half:].max():
            fitted[mine], line[theirs] = known.mean(), known.mean()
            continue
        zero, unit = at[half], max(at[-1] - at[half], 1.0)
        slope = np.polyfit((at[half:] - zero) / unit, known[half:], 1)
        fitted[mine] = np.polyval(slope, (at - zero) / unit)
        line[theirs] = np.polyval(slope, (asked.loc[theirs, task["time"]].to_numpy(float) - zero) / unit)
    return fitted, line


def predict(known, values, asked):
    known_features, asked_features = features(known), features(asked)
    if not task["time"]:
        return forest(known_features, values, asked_features), None
    straight = forest(known_features, values, asked_features)
    fitted, line = trend(known, values, asked)
    return straight, line + forest(known_features, values - fitted, asked_features)


def linear(known, values, asked):
    """A line through all features, a level for each month, weekday, hour and category of few."""
    both = features(pd.concat([known, asked], ignore_index=True))
    levels = [name for name in both if name in ("@month", "@day_of_week", "@hour") or name in text]
    levels = [name for name in levels if both[name].nunique() <= 50]
    both = pd.get_dummies(both, columns=levels, dtype=float)
    model = LogisticRegression(max_iter=300) if task["labels"] else Ridge(alpha=1.0)
    pipeline = make_pipeline(StandardScaler(), model).fit(both.iloc[: len(known)], values)
    return pipeline.predict(both.iloc[len(known) :])


predictions = test[task["keys"]].copy()
lines = predictions.copy()
for target in task["targets"]:
    values = train[target].to_numpy()
    choice = 0
    if task["time"]:
        # Whichever does better on the end of what is known.
        cut = train[task["time"]].quantile(0.8)
        early, late = train[train[task["time"]] <= cut], train[train[task["time"]] > cut]
        if len(early) >= 10 and len(late) >= 3:
            tried = predict(early, early[target].to_numpy(float), late)
            errors = [np.mean((late[target].to_numpy(float) - one) ** 2) for one in tried]
            choice = int(np.argmin(errors))
    predictions[target] = predict(train, values, test)[choice]
    lines[target] = linear(train, values, test)
predictions.to_csv("forest.csv", index=False)
lines.to_csv("linear.csv", index=False)
