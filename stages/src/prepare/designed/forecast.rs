//! From checked series to two tasks over one moment: a forecast with the features of the future known, and one from the past alone.

use serde_json::json;
use synth_core::{Metric, Predictions, Rewarding, Source, Task, TaskId, TaskKind, Verifier};
use synth_pipeline::WorkError;

use super::baselines::{self, Time};
use super::check::refuse;
use super::dice::Dice;
use super::frame::Frame;
use super::package;
use super::recipe::Format;
use super::series::Series;
use super::split::Sides;
use super::{Refusal, design_seed, metadata, split, store, test_share};
use crate::Cx;
use crate::prepare::predict::Predict;
use crate::prepare::{Made, SUBMISSION, seed, success};

/// The two sides of the moment.
struct Cut {
    sides: Sides,
    share: f64,
    train: Frame,
    test: Frame,
}

/// The tasks that the configuration asks for.
pub(super) async fn tasks(
    cx: &Cx<'_>,
    source: &Source,
    open: &Task,
    path: &str,
    series: &Series,
) -> Result<Made, WorkError> {
    let mut made = Made::default();
    let cut = match cut(cx, source, path, series) {
        Ok(cut) => cut,
        Err(refusal) => {
            made.rejected.push(refusal.of(source, "series design"));
            return Ok(made);
        }
    };
    for kind in [TaskKind::TsXf, TaskKind::TsCf] {
        if !cx.config.prepare.designed.kinds.contains(&kind) {
            continue;
        }
        if kind == TaskKind::TsXf && series.features.is_empty() {
            let refusal = Refusal::new(
                "no_exogenous_features",
                "there is no column besides time, entity and target",
            );
            made.rejected.push(refusal.of(source, kind.as_str()));
            continue;
        }
        match task(cx, source, open, path, series, &cut, kind).await? {
            Ok(task) => made.records.push(task),
            Err(refusal) => made.rejected.push(refusal.of(source, kind.as_str())),
        }
    }
    Ok(made)
}

fn cut(cx: &Cx<'_>, source: &Source, path: &str, series: &Series) -> Result<Cut, Refusal> {
    let mut dice = Dice::new(design_seed(cx, source, path, "series"), "split");
    let share = test_share(cx, series.frame.rows(), &mut dice);
    let sides = split::by_time(&series.frame, &series.entities, &series.times, share);
    let fewest = cx.config.prepare.designed.min_test_rows as usize;
    if sides.test.len() < fewest {
        return refuse(
            "too_few_test_rows",
            format!("{} rows lie ahead; needs {fewest}", sides.test.len()),
        );
    }
    if sides.train.len() < 2 * fewest.max(5) {
        return refuse(
            "too_few_rows",
            format!("{} rows lie behind", sides.train.len()),
        );
    }
    let (train, test) = (
        series.frame.take(&sides.train),
        series.frame.take(&sides.test),
    );
    for target in &series.targets {
        for (side, name) in [(&train, "behind"), (&test, "ahead")] {
            if side
                .column(target)
                .is_some_and(|column| column.counts().len() < 2)
            {
                return refuse(
                    "constant_series",
                    format!("`{target}` never changes in the rows that lie {name}"),
                );
            }
        }
    }
    Ok(Cut {
        sides,
        share,
        train,
        test,
    })
}

async fn task(
    cx: &Cx<'_>,
    source: &Source,
    open: &Task,
    path: &str,
    series: &Series,
    cut: &Cut,
    kind: TaskKind,
) -> Result<Result<Task, Refusal>, WorkError> {
    let knows_features = kind == TaskKind::TsXf;
    let id_column = series.frame.id_column();
    let keys: Vec<String> = if knows_features {
        vec![id_column.clone()]
    } else {
        std::iter::once(&series.time_column)
            .chain(&series.entities)
            .cloned()
            .collect()
    };
    let numbered = if knows_features {
        cut.test.clone().numbered(&id_column, cut.train.rows())
    } else {
        cut.test.clone()
    };
    let asked = if knows_features {
        numbered.without(&series.targets)
    } else {
        numbered.select(keys.iter().map(String::as_str))
    };
    let truth =
        package::csv(&numbered.select(keys.iter().chain(&series.targets).map(String::as_str)));

    let id = TaskId::of(&(
        &source.id,
        "designed",
        kind,
        path,
        &series.targets,
        &series.time_column,
        &series.entities,
        &series.features,
    ));
    let task_seed = seed(cx, &id);
    let mut files = Vec::new();
    let mut tables = Vec::new();
    for (stem, frame) in [("train", &cut.train), ("test", &asked)] {
        let packed = match package::pack(stem, frame, &[], Format::Csv) {
            Ok(packed) => packed,
            Err(problem) => return Ok(Err(Refusal::new("unwritable", problem))),
        };
        files.push(store(cx, &packed.path, &packed.bytes)?);
        tables.extend(packed.summaries);
    }
    let mut descriptions = series.descriptions.clone();
    descriptions.insert(id_column, "the number of the row".to_owned());
    let described = if knows_features {
        &numbered
    } else {
        &series.frame
    };
    files.push(store(
        cx,
        metadata::FILE,
        metadata::text(source, described, &descriptions).as_bytes(),
    )?);

    let naive_error = match series.targets.as_slice() {
        [target] => baselines::naive_error(&cut.train, target, &series.entities, &series.frequency),
        _ => None,
    };
    let rule = Predictions {
        file: SUBMISSION.to_owned(),
        truth: store(cx, "truth.csv", &truth)?,
        keys: keys.clone(),
        targets: series.targets.clone(),
        metric: Metric::ClippedR2,
        reward: Rewarding::Value,
        success: success(kind),
        naive_error,
        exact_shape: false,
    };
    let times =
        |rows: &[usize]| -> Vec<i64> { rows.iter().map(|row| series.times[*row]).collect() };
    let (train_times, test_times) = (times(&cut.sides.train), times(&cut.sides.test));
    let sides = baselines::Sides {
        train: &cut.train,
        // A forest that knows no features may still know which series a row belongs to.
        test: if knows_features { &asked } else { &numbered },
        features: if knows_features {
            series.features.clone()
        } else {
            Vec::new()
        },
        labels: false,
        time: Some(Time {
            entities: &series.entities,
            train: &train_times,
            test: &test_times,
            frequency: &series.frequency,
        }),
    };
    let measured = baselines::measure(
        cx,
        &rule,
        &truth,
        &sides,
        id.as_ref(),
        task_seed,
        &open.limits,
    )
    .await?;
    let mut checks = match measured {
        Ok(checks) => checks,
        Err(refusal) => return Ok(Err(refusal)),
    };
    checks.grading = Some(cut.sides.grading.to_owned());
    checks.remarks.splice(0..0, series.remarks.iter().cloned());

    let step = (series.frequency != "irregular").then_some(series.frequency.as_str());
    let prompt = Predict {
        train_file: "train.csv",
        test_file: "test.csv",
        targets: &series.targets,
        keys: &keys,
        metric: &rule.metric.to_string(),
        metadata_file: Some(metadata::FILE),
        time_column: Some(&series.time_column),
        time_format: Some(&series.time_format),
        entities: &series.entities,
        step,
        only_keys: !knows_features,
        ..Predict::default()
    }
    .render();
    let design = json!({
        "problem": "time_series",
        "targets": series.targets,
        "features": series.features,
        "time_column": series.time_column,
        "time_format": series.time_format,
        "entity_columns": series.entities,
        "frequency": series.frequency,
        "resampled": series.resampled,
        "descriptions": series.descriptions,
        "table": path,
        "test_share": cut.share,
        "prediction_starts": cut.test.column(&series.time_column).and_then(|column| column.cells.first()),
        "format": Format::Csv,
    });
    Ok(Ok(Task {
        seed: task_seed,
        id,
        kind,
        files,
        tables,
        prompt,
        answer_format: format!("the name of the file that you wrote: {SUBMISSION}"),
        verifier: Some(Verifier::Predictions(rule)),
        checks,
        design: Some(design),
        ..open.clone()
    }))
}
