//! What a design for a forecast claims, checked against the data, and the series that come of it: sorted, perhaps gathered into steps.

use std::collections::{BTreeMap, HashSet};

use synth_core::config::DesignedConfig;

use super::Refusal;
use super::check::{
    claims, correlation, descriptions, enough_rows, existing, numbers, refuse, targets, useful,
};
use super::design::{AGGREGATIONS, ColumnKind, FREQUENCIES, SeriesDesign};
use super::frame::{Frame, plain};
use super::resample::resample;
use super::split::keys;
use super::times::{self, Seconds};

/// Rows whose time is missing or does not read, as a share of all, that may be left out.
const MAX_UNREADABLE: f64 = 0.02;
/// A correlation beyond this is a copy.
const COPY: f64 = 0.9999;
/// Steps that series need, the longest of them.
const MIN_STEPS: usize = 30;

/// Series that a design holds for.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub targets: Vec<String>,
    pub time_column: String,
    pub time_format: String,
    pub entities: Vec<String>,
    pub frequency: String,
    /// The step and the aggregation that rows were gathered by.
    pub resampled: Option<(String, String)>,
    pub features: Vec<String>,
    pub descriptions: BTreeMap<String, String>,
    /// Time, entities, features and targets, sorted by time.
    pub frame: Frame,
    /// The rows' times.
    pub times: Vec<Seconds>,
    pub remarks: Vec<String>,
}

/// Checks a design. A strict check refuses every claim that does not hold; the other leaves out or corrects what it can.
pub(super) fn check(
    frame: &Frame,
    design: &SeriesDesign,
    config: &DesignedConfig,
    strict: bool,
) -> Result<Series, Refusal> {
    let targets = targets(frame, &design.targets)?;
    let time = existing(
        frame,
        std::slice::from_ref(&design.time_column),
        "no_time_column",
        "time_column",
    )?;
    let time_column = time[0].clone();
    let entities = existing(
        frame,
        &design.entity_columns,
        "unknown_entity",
        "entity_columns",
    )?;
    let mut roles = HashSet::new();
    for name in targets.iter().chain(&time).chain(&entities) {
        if !roles.insert(name.clone()) {
            return refuse(
                "column_twice",
                format!("`{name}` has two roles among target, time and entity"),
            );
        }
    }
    let claims = claims(frame, &design.columns)?;
    let mut remarks = Vec::new();

    let (used, times) = timed(frame, &time_column, &design.time_format)?;
    let complete: Vec<usize> = used.complete_rows(&[targets.clone(), entities.clone()].concat());
    if ((used.rows() - complete.len()) as f64) > config.max_missing * used.rows() as f64 {
        return refuse(
            "target_missing",
            format!(
                "{} of {} rows lack a target or an entity",
                used.rows() - complete.len(),
                used.rows()
            ),
        );
    }
    let mut order: Vec<usize> = complete;
    order.sort_by_key(|row| times[*row]);
    let (mut used, mut times) = (
        used.take(&order),
        order.iter().map(|row| times[*row]).collect::<Vec<_>>(),
    );
    for target in &targets {
        numbers(&used, target).map_err(|refusal| match refusal.reason.as_str() {
            "target_not_continuous"
                if used
                    .column(target)
                    .is_some_and(|column| column.counts().len() < 2) =>
            {
                Refusal::new("constant_series", format!("`{target}` never changes"))
            }
            _ => refusal,
        })?;
        if claims
            .get(target)
            .is_some_and(|claim| claim.kind == ColumnKind::Categorical)
        {
            return refuse(
                "target_not_numeric",
                format!("the target `{target}` is called categorical"),
            );
        }
    }

    let mut features = Vec::new();
    for name in existing(frame, &design.features, "unknown_feature", "features")? {
        if roles.contains(&name) {
            if strict {
                return refuse(
                    "column_twice",
                    format!("the feature `{name}` is the target, the time or an entity too"),
                );
            }
            continue;
        }
        match feature(&used, &name, &targets, config) {
            Ok(()) => features.push(name),
            Err(refusal) if strict => return Err(refusal),
            Err(refusal) => remarks.push(refusal.message),
        }
    }
    features.truncate(config.max_features as usize);
    let names: Vec<&str> = [&time, &entities, &features, &targets]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    used = used.select(names);

    let mut time_format = design.time_format.clone();
    let resampled = rule(design)?;
    if let Some((rule, aggregation)) = &resampled {
        let step = median_step(&used, &entities, &times);
        if !times::is_no_finer(rule, step) {
            return refuse(
                "resample_finer_than_data",
                format!("`resample_rule` is `{rule}`, but the rows are {step} seconds apart"),
            );
        }
        times::format_of(rule).clone_into(&mut time_format);
        (used, times) = resample(
            &used,
            &times,
            &time_column,
            &entities,
            &targets,
            rule,
            aggregation,
        );
    }
    let keys = keys(&used, &entities);
    unique(&keys, &times, &used, &time_column)?;
    let series: BTreeMap<&str, usize> = keys.iter().fold(BTreeMap::new(), |mut series, key| {
        *series.entry(key.as_str()).or_default() += 1;
        series
    });
    if series.len() as u64 > config.max_entities {
        return refuse(
            "too_many_entities",
            format!(
                "there are {} series; at most {}",
                series.len(),
                config.max_entities
            ),
        );
    }
    let longest = series.values().copied().max().unwrap_or(0);
    if longest < MIN_STEPS {
        return refuse(
            "series_too_short",
            format!("the longest series has {longest} steps; needs {MIN_STEPS}"),
        );
    }
    let moments: HashSet<Seconds> = times.iter().copied().collect();
    if moments.len() as u64 > config.max_rows {
        return refuse(
            "too_many_rows",
            format!(
                "there are {} times; at most {}",
                moments.len(),
                config.max_rows
            ),
        );
    }
    enough_rows(used.rows(), config)?;

    let found = match &resampled {
        Some((rule, _)) => rule.as_str(),
        None => frequency(&used, &entities, &times),
    };
    if found != design.frequency && resampled.is_none() {
        let message = format!(
            "`frequency` is `{}`, but the usual step is `{found}`",
            plain(&design.frequency)
        );
        if strict {
            return refuse("wrong_frequency", message);
        }
        remarks.push(message);
    }
    Ok(Series {
        frequency: found.to_owned(),
        descriptions: descriptions(&used, &claims),
        targets,
        time_column,
        time_format,
        entities,
        resampled,
        features,
        frame: used,
        times,
        remarks,
    })
}

/// The rows whose time reads, and their times.
fn timed(frame: &Frame, time_column: &str, format: &str) -> Result<(Frame, Vec<Seconds>), Refusal> {
    let Some(column) = frame.column(time_column) else {
        return refuse("no_time_column", "there is no time column");
    };
    let read: Vec<Option<Seconds>> = column
        .cells
        .iter()
        .map(|cell| times::parse(format, cell))
        .collect();
    let rows: Vec<usize> = (0..frame.rows())
        .filter(|row| read[*row].is_some())
        .collect();
    if rows.is_empty() || (frame.rows() - rows.len()) as f64 > MAX_UNREADABLE * frame.rows() as f64
    {
        let cell = (0..frame.rows())
            .find(|row| read[*row].is_none())
            .map_or("", |row| column.cells[row].as_str());
        return refuse(
            "unreadable_time",
            format!(
                "`{}` in column `{time_column}` is no time as `{}` writes it",
                plain(cell),
                plain(format)
            ),
        );
    }
    Ok((
        frame.take(&rows),
        rows.iter().filter_map(|row| read[*row]).collect(),
    ))
}

fn feature(
    frame: &Frame,
    name: &str,
    targets: &[String],
    config: &DesignedConfig,
) -> Result<(), Refusal> {
    let Some(column) = frame.column(name) else {
        return Ok(());
    };
    useful(column, config)?;
    for target in targets.iter().filter_map(|target| frame.column(target)) {
        if let (Some(a), Some(b)) = (column.numbers(), target.numbers())
            && correlation(&a, &b).abs() > COPY
        {
            return refuse(
                "feature_gives_target_away",
                format!("the feature `{name}` says what `{}` is", target.name),
            );
        }
    }
    Ok(())
}

/// The step and aggregation that rows are to be gathered by, if both are said and known.
fn rule(design: &SeriesDesign) -> Result<Option<(String, String)>, Refusal> {
    let known = |value: &Option<String>, of: &[&str], key: &str| match value.as_deref() {
        None | Some("" | "null" | "none") => Ok(None),
        Some(name) if of.contains(&name) => Ok(Some(name.to_owned())),
        Some(name) => refuse(
            "unknown_resampling",
            format!("`{key}` is `{}`; known are {}", plain(name), of.join(", ")),
        ),
    };
    let rule = known(&design.resample_rule, &FREQUENCIES, "resample_rule")?;
    let aggregation = known(&design.aggregation, &AGGREGATIONS, "aggregation")?;
    match (rule, aggregation) {
        (Some(rule), Some(aggregation)) => Ok(Some((rule, aggregation))),
        (Some(_), None) => refuse(
            "unknown_resampling",
            "there is a `resample_rule`, but no `aggregation`",
        ),
        (None, _) => Ok(None),
    }
}

/// One row for each time of each series.
fn unique(
    keys: &[String],
    times: &[Seconds],
    frame: &Frame,
    time_column: &str,
) -> Result<(), Refusal> {
    let mut seen = HashSet::new();
    let Some(row) = (0..times.len()).find(|row| !seen.insert((keys[*row].as_str(), times[*row])))
    else {
        return Ok(());
    };
    let cell = frame
        .column(time_column)
        .map_or("", |column| column.cells[row].as_str());
    refuse(
        "repeated_time",
        format!(
            "`{}` stands twice in one series; name the entity columns, or a `resample_rule` with its `aggregation`",
            plain(cell)
        ),
    )
}

/// Differences between neighbouring times of the same series.
fn steps(frame: &Frame, entities: &[String], times: &[Seconds]) -> Vec<Seconds> {
    let mut last: BTreeMap<String, Seconds> = BTreeMap::new();
    let mut steps = Vec::new();
    for (key, time) in keys(frame, entities).into_iter().zip(times) {
        if let Some(before) = last.insert(key, *time)
            && *time > before
        {
            steps.push(time - before);
        }
    }
    steps
}

fn median_step(frame: &Frame, entities: &[String], times: &[Seconds]) -> Seconds {
    let mut steps = steps(frame, entities, times);
    steps.sort_unstable();
    steps.get(steps.len() / 2).copied().unwrap_or(0)
}

fn frequency(frame: &Frame, entities: &[String], times: &[Seconds]) -> &'static str {
    times::frequency(&mut steps(frame, entities, times))
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::frame;
    use super::*;

    fn config() -> DesignedConfig {
        synth_core::config::load(&[]).unwrap().prepare.designed
    }

    /// Daily sales of two shops over 90 days, newest first.
    fn table() -> Frame {
        let mut rows = Vec::new();
        for day in (0..90).rev() {
            for shop in ["a", "b"] {
                let sales = 100 + (day % 7) * 10 + i32::from(shop == "b") * 40 + (day * 13) % 11;
                let date = times::write("%d/%m/%Y", 18_262 * 86_400 + i64::from(day) * 86_400);
                rows.push(format!(
                    "{date},{shop},{sales},{},{},{}",
                    sales * 3,
                    (day * 31) % 17,
                    ["mo", "di"][usize::try_from(day % 2).unwrap()]
                ));
            }
        }
        frame(&format!(
            "date,shop,sales,revenue,rain,kind\n{}\n",
            rows.join("\n")
        ))
    }

    fn design() -> SeriesDesign {
        SeriesDesign {
            feasible: true,
            why: String::new(),
            targets: vec!["sales".to_owned()],
            time_column: "date".to_owned(),
            time_format: "%d/%m/%Y".to_owned(),
            entity_columns: vec!["shop".to_owned()],
            frequency: "1D".to_owned(),
            resample_rule: None,
            aggregation: None,
            features: vec!["rain".to_owned(), "kind".to_owned()],
            columns: Vec::new(),
        }
    }

    #[test]
    fn a_design_that_holds_gives_sorted_series() {
        let series = check(&table(), &design(), &config(), true).unwrap();
        assert_eq!(series.frame.rows(), 180);
        assert!(series.times.is_sorted());
        assert_eq!(series.frame.column("date").unwrap().cells[0], "01/01/2020");
        let names: Vec<&str> = series
            .frame
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        assert_eq!(names, ["date", "shop", "rain", "kind", "sales"]);
    }

    #[test]
    fn each_claim_that_does_not_hold_has_a_name() {
        let reason = |change: &dyn Fn(&mut SeriesDesign)| {
            let mut design = design();
            change(&mut design);
            check(&table(), &design, &config(), true)
                .unwrap_err()
                .reason
        };
        let text = |value: &str| Some(value.to_owned());
        assert_eq!(
            reason(&|design| design.time_column = "day".to_owned()),
            "no_time_column"
        );
        assert_eq!(
            reason(&|design| design.time_format = "%Y-%m-%d".to_owned()),
            "unreadable_time"
        );
        assert_eq!(
            reason(&|design| design.time_column = "rain".to_owned()),
            "unreadable_time"
        );
        assert_eq!(
            reason(&|design| design.entity_columns.clear()),
            "repeated_time"
        );
        assert_eq!(
            reason(&|design| design.entity_columns = vec!["city".to_owned()]),
            "unknown_entity"
        );
        assert_eq!(
            reason(&|design| design.frequency = "1h".to_owned()),
            "wrong_frequency"
        );
        assert_eq!(
            reason(&|design| design.targets = vec!["kind".to_owned()]),
            "target_not_numeric"
        );
        assert_eq!(
            reason(&|design| design.targets = vec!["shop".to_owned()]),
            "column_twice"
        );
        assert_eq!(
            reason(&|design| design.features = vec!["revenue".to_owned()]),
            "feature_gives_target_away"
        );
        assert_eq!(
            reason(&|design| design.features = vec!["snow".to_owned()]),
            "unknown_feature"
        );
        assert_eq!(
            reason(&|design| design.features = vec!["sales".to_owned()]),
            "column_twice"
        );
        assert_eq!(
            reason(&|design| design.resample_rule = text("1D")),
            "unknown_resampling"
        );
        let resampled = |rule: &'static str| {
            reason(&move |design| {
                design.resample_rule = Some(rule.to_owned());
                design.aggregation = Some("sum".to_owned());
            })
        };
        assert_eq!(resampled("2 days"), "unknown_resampling");
        assert_eq!(resampled("1h"), "resample_finer_than_data");
        assert_eq!(resampled("1MS"), "series_too_short");
    }

    #[test]
    fn series_that_never_change_or_are_short_are_refused() {
        let rows = |value: &dyn Fn(i64) -> String, days: i64| {
            let rows: Vec<String> = (0..days)
                .map(|day| format!("{},{}", times::write("%Y-%m-%d", day * 86_400), value(day)))
                .collect();
            frame(&format!("date,sales\n{}\n", rows.join("\n")))
        };
        let design = SeriesDesign {
            time_format: "%Y-%m-%d".to_owned(),
            entity_columns: Vec::new(),
            features: Vec::new(),
            ..design()
        };
        let reason = |frame: &Frame| check(frame, &design, &config(), true).unwrap_err().reason;
        assert_eq!(reason(&rows(&|_| "5".to_owned(), 200)), "constant_series");
        assert_eq!(
            reason(&rows(&|day| format!("{day}.5"), 20)),
            "series_too_short"
        );
        assert_eq!(
            reason(&rows(&|day| ((day * 7) % 31).to_string(), 40)),
            "too_few_rows"
        );
    }

    #[test]
    fn rows_are_gathered_into_steps() {
        let mut design = design();
        design.entity_columns.clear();
        design.resample_rule = Some("1D".to_owned());
        design.aggregation = Some("sum".to_owned());
        let mut config = config();
        config.min_rows = 50;
        config.min_test_rows = 5;
        let series = check(&table(), &design, &config, true).unwrap();
        assert_eq!(
            (series.frame.rows(), series.time_format.as_str()),
            (90, "%Y-%m-%d")
        );
        assert_eq!(series.frame.column("date").unwrap().cells[0], "2020-01-01");
        assert_eq!(series.frame.column("sales").unwrap().cells[0], "240");
    }
}
