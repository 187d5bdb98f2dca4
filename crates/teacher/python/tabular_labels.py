__IMPORTS__
from sklearn.metrics import __METRIC__
from sklearn.model_selection import train_test_split


def columns_of(model, values, count):
    """A probability for each class, also for those that a model has not met."""
    found = np.zeros((len(values), count))
    found[:, model.classes_] = model.predict_proba(values)
    return found


probability, classes = {}, {}
for target in sources:
    frequent = known[target].value_counts().head(300).index
    codes, classes[target] = pd.factorize(known[target].where(known[target].isin(frequent)), sort=True)
    goal = pd.Series(codes)
    count = len(classes[target])
    rows = goal[goal >= 0].index
    # As many rows as can be fitted within the time of a cell.
    most = int(min(8_000, 800_000 / X.shape[1], 16_000 / len(targets), 80_000 / max(count, 2)))
    rows = rows if len(rows) <= most else pd.Index(np.random.default_rng(0).choice(rows, most, replace=False))
    even = goal[rows].value_counts().min() >= 5
    learn, check = train_test_split(rows, test_size=0.2, random_state=0, stratify=goal[rows] if even else None)
    models = __MODELS__
    if count > 12 and len(models) > 1:
        models.pop("boosting", None)
    if goal[learn].nunique() < 2:
        probability[target] = np.eye(count)[np.full(len(X_new), goal[learn].iloc[0])]
        continue
    guesses = {name: columns_of(model.fit(X.loc[learn], goal[learn]), X.loc[check], count) for name, model in models.items()}
    guesses["both"] = sum(guesses.values()) / len(models)
    scores = {name: __SCORE__ for name, guess in guesses.items()}
    best = max(scores, key=scores.get)
    print(target, "held-out score:", {name: round(float(value), 4) for name, value in scores.items()})
    chosen = [model.fit(X.loc[rows], goal[rows]) for name, model in models.items() if best in (name, "both")]
    probability[target] = np.mean([columns_of(model, X_new, count) for model in chosen], axis=0)
