from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

if len(train) > __MOST__:
    train = train.sample(__MOST__, random_state=0).sort_index()
known = train.reset_index(drop=True)
shared = [name for name in test.columns if name in known.columns and name not in targets + __SKIP__]
both = pd.concat([known[shared], test[shared]], ignore_index=True)
size = len(known)


def encode(column):
    """One column as numbers: gaps told apart, dates split, frequent values one by one, long text by its words."""
    present = column.notna()
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        numbers = column.astype(float).replace([np.inf, -np.inf], np.nan)
    else:
        numbers = pd.to_numeric(column, errors="coerce")
    if numbers.notna().sum() >= 0.8 * max(present.sum(), 1):
        filled = numbers.fillna(numbers.iloc[:size].median()).fillna(0)
        return {"": filled, " gap": numbers.isna().astype(float)} if numbers.isna().any() else {"": filled}
    text = column.astype(str).str.strip()
    if text.head(200).str.contains(r"\d[-/:.]\d").mean() > 0.9:
        stamp = pd.to_datetime(column, errors="coerce", utc=True)
        if stamp.notna().mean() > 0.8:
            parts = {" " + part: getattr(stamp.dt, part).astype(float).fillna(-1) for part in ["year", "month", "day", "day_of_week", "hour"]}
            return parts | {" days": ((stamp - stamp.min()).dt.total_seconds() / 86400).fillna(0)}
    seen = text.iloc[:size]
    if seen.str.len().mean() > 25 and seen.nunique() > 0.3 * size and size >= 50:
        words = TfidfVectorizer(max_features=2000, min_df=3, sublinear_tf=True).fit(seen)
        parts = min(24, len(words.vocabulary_) - 1)
        topics = TruncatedSVD(parts, random_state=0).fit(words.transform(seen)).transform(words.transform(text))
        return {" topic %d" % k: pd.Series(topics[:, k]) for k in range(parts)} | {" length": text.str.len().astype(float)}
    counts = seen.value_counts()
    frequent = counts[counts >= 2].head(15).index
    coded = {" is %d" % k: (text == value).astype(float) for k, value in enumerate(frequent)}
    if len(counts) > 15:
        coded |= {" count": text.map(counts).fillna(0).astype(float), " length": text.str.len().astype(float)}
    return coded


features = {}
for place, name in enumerate(shared):
    column = both[name]
    row_number = column.is_unique and pd.api.types.is_integer_dtype(column) and column.is_monotonic_increasing
    if not row_number and column.nunique() > 1 and len(features) < 400:
        features |= {"%d%s" % (place, part): values.to_numpy(dtype=float) for part, values in encode(column).items()}
features = pd.DataFrame(features) if features else pd.DataFrame({"constant": np.zeros(len(both))})
X, X_new = features.iloc[:size], features.iloc[size:].reset_index(drop=True)
print("features:", X.shape, "to predict:", X_new.shape)
