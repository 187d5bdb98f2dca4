known = train[train[__TARGET__].notna()].reset_index(drop=True)
shared = [name for name in test.columns if name in known.columns and name not in (__TARGET__, __ID__)]
both = pd.concat([known[shared], test[shared]], ignore_index=True)
columns = {}
for place, name in enumerate(shared):
    column = both[name]
    label = "f%d" % place
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        values = column.astype(float).replace([np.inf, -np.inf], np.nan)
        columns[label] = values.fillna(values.iloc[: len(known)].median()).fillna(0)
        if column.isna().any():
            columns[label + "_gap"] = column.isna().astype(float)
        continue
    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.notna().mean() > 0.8 * column.notna().mean() and numbers.notna().any():
        columns[label] = numbers.fillna(numbers.median())
        continue
    text = column.astype(str)
    if text.str.contains(r"\d[-/:]\d").mean() > 0.9:
        stamp = pd.to_datetime(column, errors="coerce")
        if stamp.notna().mean() > 0.8:
            for part in ["year", "month", "day", "day_of_week", "hour"]:
                columns[label + part] = getattr(stamp.dt, part).astype(float).fillna(-1)
            columns[label + "t"] = (stamp - stamp.min()).dt.total_seconds().fillna(0) / 86400
            continue
    frequent = text.iloc[: len(known)].value_counts().head(20)
    for number, value in enumerate(frequent.index):
        columns["%s_%d" % (label, number)] = (text == value).astype(float)
    if text.nunique() > 20:
        columns[label + "_freq"] = text.map(text.value_counts()).astype(float)
        columns[label + "_length"] = text.str.len().astype(float)
features = pd.DataFrame(columns)
if features.empty:
    features["constant"] = np.zeros(len(both))
X, X_new = features.iloc[: len(known)], features.iloc[len(known):]
y = known[__TARGET__]
print("features:", X.shape, "to predict:", X_new.shape)
