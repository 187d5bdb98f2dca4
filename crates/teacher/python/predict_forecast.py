def moment(column):
    """The column as moments in time, if it holds any, and as plain numbers."""
    if pd.api.types.is_numeric_dtype(column):
        if not column.dropna().between(19000101, 21001231).all():
            return None, column
        return pd.to_datetime(column.astype("Int64").astype(str), format="%Y%m%d", errors="coerce"), column
    text = column.astype(str)
    ways = [pd.to_datetime(text, errors="coerce", dayfirst=first, utc=True).dt.tz_localize(None) for first in (False, True)]
    stamp = max(ways, key=lambda way: (way.notna().mean(), way.is_monotonic_increasing))
    return (stamp if stamp.notna().mean() > 0.8 else None), pd.to_numeric(column, errors="coerce")


known = train[train[__TARGET__].notna()].reset_index(drop=True)
stamp, number = moment(pd.concat([known[__TIME__], test[__TIME__]], ignore_index=True))
clock = (stamp - stamp.min()).dt.total_seconds() / 86400 if stamp is not None else number - number.min()
clock = clock.ffill().fillna(0).to_numpy(dtype=float)
order = np.argsort(clock[: len(known)], kind="stable")
columns = {"t": clock / max(clock.max(), 1e-9)}
if stamp is not None:
    for part, period in [("month", 12), ("day_of_week", 7), ("hour", 24), ("day_of_year", 366)]:
        values = getattr(stamp.dt, part).ffill().fillna(0).to_numpy(dtype=float)
        if len(np.unique(values)) > 1:
            columns[part] = values
            for k in (1, 2):
                columns["%s sin %d" % (part, k)] = np.sin(2 * np.pi * k * values / period)
                columns["%s cos %d" % (part, k)] = np.cos(2 * np.pi * k * values / period)
shared = [name for name in test.columns if name in known.columns and name not in (__TARGET__, __ID__, __TIME__)]
both = pd.concat([known[shared], test[shared]], ignore_index=True)
for place, name in enumerate(shared):
    column = both[name]
    if pd.api.types.is_numeric_dtype(column):
        values = column.astype(float).replace([np.inf, -np.inf], np.nan)
        columns["f%d" % place] = values.ffill().fillna(0).to_numpy()
    else:
        text = column.astype(str)
        for place_of_value, value in enumerate(text.iloc[: len(known)].value_counts().head(20).index):
            columns["f%d_%d" % (place, place_of_value)] = (text == value).to_numpy(dtype=float)
features = pd.DataFrame(columns)
X, X_new = features.iloc[: len(known)].iloc[order].reset_index(drop=True), features.iloc[len(known):]
y = known[__TARGET__].astype(float).iloc[order].reset_index(drop=True)
print("features:", X.shape, "to predict:", X_new.shape)
