def moment(column):
    """The column as moments in time, if it holds any."""
    form = __FORMAT__
    if form is not None:
        stamp = pd.to_datetime(column.astype(str), format=form, errors="coerce", utc=True).dt.tz_localize(None)
        if stamp.notna().mean() > 0.8:
            return stamp
    text = column.astype(str)
    if text.str.fullmatch(r"\d{4}(\.0)?").all():
        return pd.to_datetime(text.str[:4], format="%Y")
    ways = [pd.to_datetime(text, errors="coerce", dayfirst=first, utc=True).dt.tz_localize(None) for first in (False, True)]
    stamp = max(ways, key=lambda way: (way.notna().mean(), -way.diff().abs().mean().total_seconds()))
    return stamp if stamp.notna().mean() > 0.8 else None


time, entities = __TIME__, __ENTITIES__
__GATHER__
known = train[train[targets].notna().all(axis=1)].reset_index(drop=True)
names = [name for name in test.columns if name in known.columns and name not in targets + __SKIP__ + entities + [time]]
both = pd.concat([known[names + entities], test[names + entities]], ignore_index=True)
size = len(known)
times = [known[time].astype(str), test[time].astype(str)]
stamp = __STAMP__
if stamp is not None:
    clock = (stamp - stamp.min()).dt.total_seconds() / 86400
else:
    clock = pd.to_numeric(pd.concat(times, ignore_index=True), errors="coerce")
clock = clock.ffill().fillna(0).to_numpy(dtype=float)
clock = (clock - clock.min()) / max(clock.max() - clock.min(), 1e-9)
who = pd.factorize(both[entities].astype(str).agg("|".join, axis=1))[0] if entities else np.zeros(len(both), dtype=int)

features = {"t": clock}
cycle, week = np.zeros(len(both), dtype=int), np.zeros(len(both), dtype=int)
if stamp is not None:
    for part, period in [("month", 12), ("day_of_week", 7), ("hour", 24), ("day_of_year", 366)]:
        values = getattr(stamp.dt, part).ffill().fillna(0).to_numpy(dtype=float)
        if len(np.unique(values)) > 1:
            features[part] = values
            for k in (1, 2, 3):
                features["%s sin %d" % (part, k)] = np.sin(2 * np.pi * k * values / period)
                features["%s cos %d" % (part, k)] = np.cos(2 * np.pi * k * values / period)
            if part != "day_of_year":
                cycle = cycle * 32 + values.astype(int)
            if part in ("day_of_week", "hour"):
                week = week * 32 + values.astype(int)
seasons = list(features)
outside = []
for place, name in enumerate(names):
    column = both[name]
    numbers = pd.to_numeric(column, errors="coerce").astype(float).replace([np.inf, -np.inf], np.nan)
    if numbers.notna().sum() >= 0.8 * max(column.notna().sum(), 1):
        outside.append("%d" % place)
        features[outside[-1]] = numbers.fillna(numbers.iloc[:size].median()).fillna(0).to_numpy()
    else:
        text = column.astype(str)
        for k, value in enumerate(text.iloc[:size].value_counts().head(12).index):
            outside.append("%d is %d" % (place, k))
            features[outside[-1]] = (text == value).to_numpy(dtype=float)
owners = []
if entities:
    for k in range(min(who.max() + 1, 40)):
        owners.append("entity %d" % k)
        features[owners[-1]] = (who == k).astype(float)
features = pd.DataFrame(features)
order = np.argsort(clock[:size], kind="stable")[-__MOST__:]
X, X_new = features.iloc[order].reset_index(drop=True), features.iloc[size:].reset_index(drop=True)
past = {"X": X, "who": who[:size][order], "cycle": cycle[:size][order], "week": week[:size][order]}
future = {"X": X_new, "who": who[size:], "cycle": cycle[size:], "week": week[size:]}
print("features:", X.shape, "to predict:", X_new.shape, "series:", len(np.unique(who)), "from the test file:", len(outside))
