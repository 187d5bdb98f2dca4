__IMPORTS__
from sklearn.model_selection import train_test_split

forward, backward = __TRANSFORM__
loss = __LOSS__
predicted = {}
for target in targets:
    goal = forward(pd.to_numeric(known[target], errors="coerce").astype(float))
    rows = goal[np.isfinite(goal)].index
    # As many rows as can be fitted within the time of a cell.
    most = int(min(8_000, 800_000 / X.shape[1], 16_000 / len(targets)))
    rows = rows if len(rows) <= most else pd.Index(np.random.default_rng(0).choice(rows, most, replace=False))
    learn, check = train_test_split(rows, test_size=0.2, random_state=0)
    low, high = goal[rows].min(), goal[rows].max()
    models = __MODELS__
    guesses = {name: model.fit(X.loc[learn], goal[learn]).predict(X.loc[check]).clip(low, high) for name, model in models.items()}
    guesses["both"] = sum(guesses.values()) / len(models)
    losses = {name: loss(goal[check] - guess) for name, guess in guesses.items()}
    best = min(losses, key=losses.get)
    plain = loss(goal[check] - goal[learn].mean())
    print(target, "held-out error:", {name: round(float(value), 5) for name, value in losses.items()}, "of a constant:", round(float(plain), 5))
    chosen = [model.fit(X.loc[rows], goal[rows]) for name, model in models.items() if best in (name, "both")]
    predicted[target] = backward(np.mean([model.predict(X_new) for model in chosen], axis=0).clip(low, high))
