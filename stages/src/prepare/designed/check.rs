//! What a design for classification or regression claims, checked against the data: each claim that does not hold has a name.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use synth_core::config::DesignedConfig;

use super::Refusal;
use super::design::{ColumnDesign, ColumnKind, MAX_TARGETS, TableDesign};
use super::frame::{Column, Frame, Kind, number, plain};
use super::recipe::{Problem, Within};

/// Different numbers that a target needs to be continuous.
const MIN_NUMBERS: usize = 12;
/// A text column with more different values than this share of its rows tells rows apart, not kinds of rows.
const MAX_TEXTS: f64 = 0.5;
/// A correlation beyond this is a copy.
const COPY: f64 = 0.9999;
/// Rows of labels that are too rare to learn, as a share of all, that may be left out.
const MAX_RARE: f64 = 0.05;

/// A design that holds, over the rows that it holds for.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub problem: Problem,
    pub candidates: Vec<String>,
    pub targets: Vec<String>,
    pub features: Vec<String>,
    pub entities: Vec<String>,
    /// Every column of the frame, described; descriptions differ from each other.
    pub descriptions: BTreeMap<String, String>,
    /// The sound values of a feature, where they can be told.
    pub ranges: BTreeMap<String, Within>,
    /// Complete in the targets, no two rows the same, no label too rare.
    pub frame: Frame,
    /// What was odd.
    pub remarks: Vec<String>,
}

/// Checks a design. A strict check refuses every claim that does not hold; the other leaves out features that do not.
pub(super) fn check(
    frame: &Frame,
    design: &TableDesign,
    config: &DesignedConfig,
    strict: bool,
) -> Result<Checked, Refusal> {
    let problem = match design.task.as_str() {
        "classification" => Problem::Classification,
        "regression" => Problem::Regression,
        other => {
            return refuse(
                "unknown_task",
                format!(
                    "`task` is `{}`, which is neither `classification` nor `regression`",
                    plain(other)
                ),
            );
        }
    };
    let targets = targets(frame, &design.targets)?;
    let entities = existing(
        frame,
        &design.entity_columns,
        "unknown_entity",
        "entity_columns",
    )?;
    if let Some(name) = entities.iter().find(|name| targets.contains(name)) {
        return refuse(
            "entity_is_target",
            format!("`{name}` is both a target and an entity column"),
        );
    }
    let claims = claims(frame, &design.columns)?;
    let mut remarks = Vec::new();

    // Rows first: what is checked is what will be learnt from.
    let used = frame.take(&frame.complete_rows(&targets));
    let dropped = frame.rows() - used.rows();
    if dropped as f64 > config.max_missing * frame.rows() as f64 {
        return refuse(
            "target_missing",
            format!(
                "{dropped} of {} rows have no {}",
                frame.rows(),
                quoted(&targets)
            ),
        );
    }
    let mut used = used.take(&used.distinct_rows());
    let repeated = frame.rows() - dropped - used.rows();
    if repeated > 0 {
        remarks.push(format!("{repeated} repeated rows left out"));
    }
    for target in &targets {
        match problem {
            Problem::Classification => {
                used = labels(used, target, config, &mut remarks)?;
            }
            Problem::Regression => numbers(&used, target)?,
        }
    }
    enough_rows(used.rows(), config)?;
    for (name, claim) in &claims {
        let Some(column) = used.column(name) else {
            continue;
        };
        type_holds(
            column,
            claim.kind,
            targets.contains(name) && problem == Problem::Classification,
        )?;
    }

    let mut listed = Vec::new();
    for name in &design.features {
        match existing(
            frame,
            std::slice::from_ref(name),
            "unknown_feature",
            "features",
        ) {
            Ok(found) => listed.extend(
                found
                    .into_iter()
                    .filter(|name| !listed.contains(name))
                    .collect::<Vec<_>>(),
            ),
            Err(refusal) if strict => return Err(refusal),
            Err(refusal) => remarks.push(refusal.message),
        }
    }
    let mut features = Vec::new();
    for name in listed.into_iter().filter(|name| !entities.contains(name)) {
        match feature(&used, &name, &targets, problem, config) {
            Ok(()) => features.push(name),
            Err(refusal) if strict => return Err(refusal),
            Err(refusal) => remarks.push(refusal.message),
        }
    }
    features.truncate(config.max_features as usize);
    if features.is_empty() {
        return refuse("too_few_features", "none of the features holds");
    }
    let kept: Vec<&str> = used
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .filter(|name| {
            features
                .iter()
                .chain(&targets)
                .chain(&entities)
                .any(|kept| kept == name)
        })
        .collect();
    let frame = used.select(kept);
    let ranges = features
        .iter()
        .filter_map(|name| {
            Some((
                name.clone(),
                range(frame.column(name)?, claims.get(name).copied(), &mut remarks)?,
            ))
        })
        .collect();
    let mut candidates = existing(&frame, &design.target_candidates, "", "").unwrap_or_default();
    candidates.truncate(MAX_TARGETS);
    Ok(Checked {
        problem,
        candidates: if candidates.is_empty() {
            targets.clone()
        } else {
            candidates
        },
        descriptions: descriptions(&frame, &claims),
        targets,
        features,
        entities,
        ranges,
        frame,
        remarks,
    })
}

pub(super) fn refuse<T>(reason: &str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(reason, message))
}

/// The targets: one to three, each there once.
pub(super) fn targets(frame: &Frame, names: &[String]) -> Result<Vec<String>, Refusal> {
    let targets = existing(frame, names, "unknown_target", "targets")?;
    match targets.len() {
        0 => refuse("no_target", "`targets` is empty"),
        1..=MAX_TARGETS => Ok(targets),
        n => refuse(
            "too_many_targets",
            format!("there are {n} targets; at most {MAX_TARGETS} are predicted together"),
        ),
    }
}

/// Names that are columns, each once, written as the frame has them.
pub(super) fn existing(
    frame: &Frame,
    names: &[String],
    reason: &str,
    key: &str,
) -> Result<Vec<String>, Refusal> {
    let mut found: Vec<String> = Vec::new();
    for name in names {
        let Some(column) = frame.column(name).or_else(|| frame.column(&plain(name))) else {
            return refuse(
                reason,
                format!("there is no column `{}`; `{key}` names it", plain(name)),
            );
        };
        if !found.contains(&column.name) {
            found.push(column.name.clone());
        }
    }
    Ok(found)
}

/// What is said of columns, by name; of a column that is not there nothing may be said.
pub(super) fn claims<'a>(
    frame: &Frame,
    columns: &'a [ColumnDesign],
) -> Result<BTreeMap<String, &'a ColumnDesign>, Refusal> {
    let mut claims = BTreeMap::new();
    for claim in columns {
        let name = existing(
            frame,
            std::slice::from_ref(&claim.name),
            "unknown_column",
            "columns",
        )?;
        claims.insert(name[0].clone(), claim);
    }
    Ok(claims)
}

fn type_holds(column: &Column, kind: ColumnKind, is_label: bool) -> Result<(), Refusal> {
    if is_label && kind == ColumnKind::Numerical {
        return refuse(
            "label_not_categorical",
            format!(
                "`{}` is to be classified, but is called numerical",
                column.name
            ),
        );
    }
    if kind == ColumnKind::Numerical && column.kind == Kind::Text {
        let text = column
            .cells
            .iter()
            .find(|cell| !cell.is_empty() && number(cell).is_none());
        return refuse(
            "not_numerical",
            format!(
                "`{}` is called numerical and holds `{}`",
                column.name,
                plain(&text.cloned().unwrap_or_default())
            ),
        );
    }
    if kind == ColumnKind::Categorical && column.kind == Kind::Number {
        return refuse(
            "not_categorical",
            format!(
                "`{}` is called categorical and holds fractions",
                column.name
            ),
        );
    }
    Ok(())
}

/// Checks a target of labels, and leaves out the rows of labels too rare to learn.
fn labels(
    frame: Frame,
    target: &str,
    config: &DesignedConfig,
    remarks: &mut Vec<String>,
) -> Result<Frame, Refusal> {
    let Some(column) = frame.column(target) else {
        return Ok(frame);
    };
    let counts = column.counts();
    if counts.len() < 2 {
        return refuse(
            "one_class",
            format!(
                "`{target}` has {} different values; a label needs two",
                counts.len()
            ),
        );
    }
    if column.kind == Kind::Number {
        return refuse(
            "target_not_categorical",
            format!("`{target}` holds fractions, which are no labels"),
        );
    }
    let common: BTreeSet<&str> = counts
        .iter()
        .filter(|(_, count)| **count as u64 >= config.min_class_rows)
        .map(|(label, _)| *label)
        .collect();
    if counts.len() as u64 > config.max_classes {
        return refuse(
            "too_many_classes",
            format!(
                "`{target}` has {} different values; at most {} are labels",
                counts.len(),
                config.max_classes
            ),
        );
    }
    let rows: Vec<usize> = (0..frame.rows())
        .filter(|row| common.contains(column.cells[*row].as_str()))
        .collect();
    let rare = frame.rows() - rows.len();
    if common.len() < 2 || rare as f64 > MAX_RARE * frame.rows() as f64 {
        return refuse(
            "rare_classes",
            format!(
                "{} of the {} labels of `{target}` stand in fewer than {} rows",
                counts.len() - common.len(),
                counts.len(),
                config.min_class_rows
            ),
        );
    }
    if rare == 0 {
        return Ok(frame);
    }
    remarks.push(format!("{rare} rows with a rare `{target}` left out"));
    Ok(frame.take(&rows))
}

/// Checks a target of numbers.
pub(super) fn numbers(frame: &Frame, target: &str) -> Result<(), Refusal> {
    let Some(column) = frame.column(target) else {
        return Ok(());
    };
    if column.kind == Kind::Text {
        let text = column
            .cells
            .iter()
            .find(|cell| !cell.is_empty() && number(cell).is_none());
        return refuse(
            "target_not_numeric",
            format!(
                "`{target}` holds `{}`, which is no number",
                plain(&text.cloned().unwrap_or_default())
            ),
        );
    }
    let different = column.counts().len();
    if different < MIN_NUMBERS {
        return refuse(
            "target_not_continuous",
            format!("`{target}` has {different} different values; needs {MIN_NUMBERS}"),
        );
    }
    if column.kind == Kind::Integer && different == column.cells.len() && is_count(column) {
        return refuse("target_is_id", format!("`{target}` numbers the rows"));
    }
    Ok(())
}

/// Whether the values are as good as row numbers: whole, all different, without holes.
fn is_count(column: &Column) -> bool {
    column
        .bounds()
        .is_some_and(|(low, high)| (high - low + 1.0 - column.cells.len() as f64).abs() < 0.5)
}

pub(super) fn enough_rows(rows: usize, config: &DesignedConfig) -> Result<(), Refusal> {
    let largest = config.test_shares.iter().copied().fold(0.0, f64::max);
    if (rows as u64) < config.min_rows || ((rows as f64 * largest) as u64) < config.min_test_rows {
        return refuse(
            "too_few_rows",
            format!(
                "{rows} rows can be used; needs {} and {} of them to predict",
                config.min_rows, config.min_test_rows
            ),
        );
    }
    Ok(())
}

/// Checks a feature: it says something, has few gaps, and does not give the target away.
fn feature(
    frame: &Frame,
    name: &str,
    targets: &[String],
    problem: Problem,
    config: &DesignedConfig,
) -> Result<(), Refusal> {
    if targets.iter().any(|target| target == name) {
        return refuse(
            "target_among_features",
            format!("the target `{name}` is among the features"),
        );
    }
    let Some(column) = frame.column(name) else {
        return Ok(());
    };
    useful(column, config)?;
    for target in targets.iter().filter_map(|target| frame.column(target)) {
        if gives_away(column, target, problem) {
            return refuse(
                "feature_gives_target_away",
                format!("the feature `{name}` says what `{}` is", target.name),
            );
        }
    }
    Ok(())
}

/// Whether a column says something of its rows: it varies, has few gaps, is no id and no free text.
pub(super) fn useful(column: &Column, config: &DesignedConfig) -> Result<(), Refusal> {
    let name = &column.name;
    if column.missing_share() > config.max_missing {
        return refuse(
            "feature_mostly_missing",
            format!(
                "{:.0} % of the feature `{name}` are gaps",
                column.missing_share() * 100.0
            ),
        );
    }
    let (different, rows) = (column.counts().len(), column.cells.len());
    if different < 2 {
        return refuse(
            "constant_feature",
            format!("the feature `{name}` has one value"),
        );
    }
    if column.kind == Kind::Text && different as f64 > (MAX_TEXTS * rows as f64).max(20.0) {
        return refuse(
            "feature_is_free_text",
            format!("the feature `{name}` has {different} different texts in {rows} rows"),
        );
    }
    if column.kind == Kind::Integer && different == rows && is_count(column) {
        return refuse(
            "feature_is_id",
            format!("the feature `{name}` numbers the rows"),
        );
    }
    Ok(())
}

/// Whether one column alone says what the target is: a copy in other units, or in other words.
pub(super) fn gives_away(column: &Column, target: &Column, problem: Problem) -> bool {
    if let (Some(a), Some(b)) = (column.numbers(), target.numbers())
        && problem == Problem::Regression
    {
        return correlation(&a, &b).abs() > COPY;
    }
    // In other words: each of its few values goes with one label.
    let mut labels: BTreeMap<&str, &str> = BTreeMap::new();
    let mut rows = 0;
    for (value, label) in column.cells.iter().zip(&target.cells) {
        if value.is_empty() || label.is_empty() {
            continue;
        }
        rows += 1;
        if labels
            .insert(value, label)
            .is_some_and(|before| before != label)
        {
            return false;
        }
    }
    labels.len() > 1 && labels.len() * 4 <= rows
}

/// Pearson's correlation over the rows that have both; 0 where there is none.
pub(super) fn correlation(a: &[Option<f64>], b: &[Option<f64>]) -> f64 {
    let pairs: Vec<(f64, f64)> = a
        .iter()
        .zip(b)
        .filter_map(|(a, b)| Some(((*a)?, (*b)?)))
        .collect();
    let n = pairs.len() as f64;
    if pairs.len() < 3 {
        return 0.0;
    }
    let (mean_a, mean_b) = (
        pairs.iter().map(|pair| pair.0).sum::<f64>() / n,
        pairs.iter().map(|pair| pair.1).sum::<f64>() / n,
    );
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in pairs {
        ab += (a - mean_a) * (b - mean_b);
        aa += (a - mean_a).powi(2);
        bb += (b - mean_b).powi(2);
    }
    let correlation = ab / (aa * bb).sqrt();
    if correlation.is_finite() {
        correlation
    } else {
        0.0
    }
}

/// Sound values: as the designer says if all that is there keeps to it, else as they are.
fn range(
    column: &Column,
    claim: Option<&ColumnDesign>,
    remarks: &mut Vec<String>,
) -> Option<Within> {
    if column.kind == Kind::Text {
        let mut values: BTreeSet<String> = column.counts().into_keys().map(str::to_owned).collect();
        if let Some(claimed) = claim.and_then(|claim| claim.categories.as_ref()) {
            let claimed: BTreeSet<String> = claimed
                .iter()
                .filter_map(|value| value.as_str())
                .map(plain)
                .collect();
            if claimed.is_superset(&values) {
                values = claimed;
            } else {
                remarks.push(format!(
                    "the categories named for `{}` are not all",
                    column.name
                ));
            }
        }
        return Some(Within::OneOf(values.into_iter().collect()));
    }
    let (low, high) = column.bounds()?;
    if let Some(ColumnDesign {
        low: Some(from),
        high: Some(to),
        ..
    }) = claim
    {
        if from.is_finite() && to.is_finite() && *from <= low && *to >= high {
            return Some(Within::Between(*from, *to));
        }
        remarks.push(format!(
            "the range named for `{}` does not hold",
            column.name
        ));
    }
    Some(Within::Between(low, high))
}

/// A phrase for every column, none of them twice.
pub(super) fn descriptions(
    frame: &Frame,
    claims: &BTreeMap<String, &ColumnDesign>,
) -> BTreeMap<String, String> {
    let mut taken = HashSet::new();
    let describe = |column: &Column| {
        let claimed = claims
            .get(&column.name)
            .map(|claim| plain(&claim.description))
            .unwrap_or_default();
        let claimed = claimed.trim_end_matches('.').to_owned();
        let mut phrase = if claimed.is_empty() {
            column.name.replace('_', " ")
        } else {
            claimed
        };
        if !taken.insert(phrase.to_lowercase()) {
            phrase = format!("{phrase} (column {})", column.name);
            taken.insert(phrase.to_lowercase());
        }
        (column.name.clone(), phrase)
    };
    frame.columns.iter().map(describe).collect()
}

fn quoted(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(" or ")
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::frame;
    use super::*;

    fn config() -> DesignedConfig {
        synth_core::config::load(&[]).unwrap().prepare.designed
    }

    /// 200 rows: a number `x`, a text `kind`, a label that follows both, an amount, a copy of each, and columns of no use.
    fn table() -> Frame {
        let rows: Vec<String> = (0..200)
            .map(|i| {
                let x = (i * 37) % 101;
                let kind = ["red", "blue", "green"][i % 3];
                let label = if (x > 50) ^ (i % 9 == 0) { "yes" } else { "no" };
                let amount = x as f64 * 1.5 + (i % 7) as f64;
                let gap = if i % 2 == 0 { "" } else { "1" };
                format!(
                    "{i},{x},{kind},{label},{},{amount},{},{gap},same,note {i}",
                    u8::from(label == "yes"),
                    amount * 2.0 + 3.0
                )
            })
            .collect();
        frame(&format!(
            "id,x,kind,label,flag,amount,cents,gappy,constant,note\n{}\n",
            rows.join("\n")
        ))
    }

    fn design(task: &str, targets: &[&str], features: &[&str]) -> TableDesign {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        TableDesign {
            feasible: true,
            why: String::new(),
            task: task.to_owned(),
            target_candidates: names(targets),
            targets: names(targets),
            features: names(features),
            entity_columns: Vec::new(),
            columns: Vec::new(),
        }
    }

    fn reason(design: &TableDesign) -> String {
        check(&table(), design, &config(), true).unwrap_err().reason
    }

    #[test]
    fn a_design_that_holds_is_taken() {
        let checked = check(
            &table(),
            &design("classification", &["label"], &["x", "kind"]),
            &config(),
            true,
        )
        .unwrap();
        assert_eq!(checked.features, ["x", "kind"]);
        assert_eq!(checked.ranges["x"], Within::Between(0.0, 100.0));
        assert_eq!(
            checked.ranges["kind"],
            Within::OneOf(vec!["blue".into(), "green".into(), "red".into()])
        );
        assert!(
            check(
                &table(),
                &design("regression", &["amount"], &["x", "kind"]),
                &config(),
                true
            )
            .is_ok()
        );
    }

    #[test]
    fn each_claim_that_does_not_hold_has_a_name() {
        let class = |targets: &[&str], features: &[&str]| {
            reason(&design("classification", targets, features))
        };
        let number =
            |targets: &[&str], features: &[&str]| reason(&design("regression", targets, features));
        for (reason, expected) in [
            (
                reason(&design("clustering", &["label"], &["x"])),
                "unknown_task",
            ),
            (class(&["colour"], &["x"]), "unknown_target"),
            (class(&[], &["x"]), "no_target"),
            (
                class(&["id", "x", "kind", "label"], &["x"]),
                "too_many_targets",
            ),
            (class(&["label"], &["x", "shade"]), "unknown_feature"),
            (class(&["label"], &["x", "label"]), "target_among_features"),
            (class(&["constant"], &["x", "kind"]), "one_class"),
            (class(&["x"], &["kind", "label"]), "too_many_classes"),
            (class(&["amount"], &["x", "kind"]), "target_not_categorical"),
            (
                class(&["label"], &["x", "flag"]),
                "feature_gives_target_away",
            ),
            (
                number(&["amount"], &["x", "cents"]),
                "feature_gives_target_away",
            ),
            (number(&["kind"], &["x", "label"]), "target_not_numeric"),
            (number(&["flag"], &["x", "kind"]), "target_not_continuous"),
            (number(&["id"], &["x", "kind"]), "target_is_id"),
            (number(&["gappy"], &["x", "kind"]), "target_missing"),
            (class(&["label"], &["x", "gappy"]), "feature_mostly_missing"),
            (class(&["label"], &["x", "constant"]), "constant_feature"),
            (class(&["label"], &["x", "id"]), "feature_is_id"),
            (class(&["label"], &["x", "note"]), "feature_is_free_text"),
            (class(&["label"], &[]), "too_few_features"),
        ] {
            assert_eq!(reason, expected);
        }
    }

    #[test]
    fn types_are_checked() {
        let claim = |name: &str, kind| ColumnDesign {
            name: name.to_owned(),
            kind,
            description: String::new(),
            low: None,
            high: None,
            categories: None,
        };
        let with = |name: &str, kind| {
            let mut design = design("classification", &["label"], &["x", "kind"]);
            design.columns.push(claim(name, kind));
            reason(&design)
        };
        assert_eq!(with("kind", ColumnKind::Numerical), "not_numerical");
        assert_eq!(with("amount", ColumnKind::Categorical), "not_categorical");
        assert_eq!(
            with("label", ColumnKind::Numerical),
            "label_not_categorical"
        );
        assert_eq!(with("none", ColumnKind::Numerical), "unknown_column");
    }

    #[test]
    fn the_last_check_leaves_out_what_does_not_hold() {
        let design = design(
            "classification",
            &["label"],
            &["x", "note", "kind", "flag", "shade"],
        );
        let checked = check(&table(), &design, &config(), false).unwrap();
        assert_eq!(checked.features, ["x", "kind"]);
        assert_eq!(checked.remarks.len(), 3);
    }

    #[test]
    fn a_range_that_does_not_hold_is_the_data_s_own() {
        let mut design = design("classification", &["label"], &["x", "kind"]);
        let mut claim = |low, high| {
            design.columns = vec![ColumnDesign {
                name: "x".to_owned(),
                kind: ColumnKind::Numerical,
                description: "length in metres.".to_owned(),
                low: Some(low),
                high: Some(high),
                categories: None,
            }];
            check(&table(), &design, &config(), true).unwrap()
        };
        assert_eq!(claim(-5.0, 500.0).ranges["x"], Within::Between(-5.0, 500.0));
        let checked = claim(10.0, 50.0);
        assert_eq!(checked.ranges["x"], Within::Between(0.0, 100.0));
        assert_eq!(checked.descriptions["x"], "length in metres");
        assert_eq!(checked.remarks.len(), 1);
    }

    #[test]
    fn no_description_stands_twice() {
        let frame = frame("a_b,A b,c\n1,2,3\n");
        let phrases: HashSet<String> = descriptions(&frame, &BTreeMap::new())
            .into_values()
            .collect();
        assert_eq!(phrases.len(), 3);
    }
}
