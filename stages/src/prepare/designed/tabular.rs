//! From a checked design for labels or numbers to two tasks over one split: a workflow to follow, and the best model one can make.

use serde_json::{Value, json};
use synth_core::{
    DataFile, Metric, Predictions, Rewarding, Source, Task, TaskId, TaskKind, Verifier,
};
use synth_pipeline::WorkError;

use super::baselines;
use super::check::Checked;
use super::dice::Dice;
use super::draw::{self, Files};
use super::follow::{Followed, follow};
use super::frame::{Frame, Kind};
use super::package::{self, Packed};
use super::recipe::{Format, Problem, Range, Recipe};
use super::{Refusal, design_seed, format, metadata, noise, split, store, test_share};
use crate::Cx;
use crate::prepare::predict::Predict;
use crate::prepare::{Made, SUBMISSION, seed, success};

/// What both tasks have in common.
struct Common<'a> {
    source: &'a Source,
    open: &'a Task,
    path: &'a str,
    checked: &'a Checked,
    seed: u64,
    share: f64,
    format: Format,
    id_column: String,
    grading: &'static str,
    /// Sound rows to learn from, not numbered.
    train: Frame,
    /// Rows to predict, with the targets, numbered after the training rows by each task.
    test: Frame,
}

/// The tasks that the configuration asks for.
pub(super) async fn tasks(
    cx: &Cx<'_>,
    source: &Source,
    open: &Task,
    path: &str,
    checked: &Checked,
) -> Result<Made, WorkError> {
    let common = common(cx, source, open, path, checked);
    let (workflow, model) = match checked.problem {
        Problem::Classification => (TaskKind::ClassIf, TaskKind::ClassMm),
        Problem::Regression => (TaskKind::RegIf, TaskKind::RegMm),
    };
    let mut made = Made::default();
    let wanted = |kind| cx.config.prepare.designed.kinds.contains(&kind);
    if !wanted(workflow) && !wanted(model) {
        let refusal = Refusal::new(
            "kind_not_asked_for",
            format!("the table suits `{}`", model.as_str()),
        );
        made.rejected.push(refusal.of(source, "table design"));
        return Ok(made);
    }
    for kind in [workflow, model].into_iter().filter(|kind| wanted(*kind)) {
        let task = if kind == workflow {
            prescribed(cx, &common, kind).await?
        } else {
            modelled(cx, &common, kind).await?
        };
        match task {
            Ok(task) => made.records.push(task),
            Err(refusal) => made.rejected.push(refusal.of(source, kind.as_str())),
        }
    }
    Ok(made)
}

fn common<'a>(
    cx: &Cx<'_>,
    source: &'a Source,
    open: &'a Task,
    path: &'a str,
    checked: &'a Checked,
) -> Common<'a> {
    let seed = design_seed(cx, source, path, "table");
    let mut dice = Dice::new(seed, "split");
    let share = test_share(cx, checked.frame.rows(), &mut dice);
    let labels = draw::is_labels(checked).then(|| checked.targets[0].as_str());
    let sides = split::random(&checked.frame, &checked.entities, labels, share, &mut dice);
    Common {
        source,
        open,
        path,
        checked,
        seed,
        share,
        format: format(cx, &mut Dice::new(seed, "format")),
        id_column: checked.frame.id_column(),
        grading: sides.grading,
        train: checked.frame.take(&sides.train),
        test: checked.frame.take(&sides.test),
    }
}

/// A task's files as they are written, and the rows behind them.
struct Written {
    train: Frame,
    test: Frame,
    train_tables: Vec<(String, Vec<String>)>,
    packed: [Packed; 2],
    metadata: String,
}

impl Common<'_> {
    fn id(&self, kind: TaskKind) -> TaskId {
        let checked = self.checked;
        TaskId::of(&(
            &self.source.id,
            "designed",
            kind,
            self.path,
            &checked.targets,
            &checked.features,
        ))
    }

    /// Writes these training rows and the rows to predict, whose numbers go on where those of the training rows end.
    fn write(&self, train: Frame) -> Result<Written, Refusal> {
        let rows = train.rows();
        let train = train.numbered(&self.id_column, 0);
        let test = self.test.clone().numbered(&self.id_column, rows);
        let train_tables = package::divide(
            &train,
            &self.id_column,
            self.format,
            &mut Dice::new(self.seed, "tables"),
        );
        let asked = test.without(&self.checked.targets);
        let names = asked
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect();
        let unwritable = |problem| Refusal::new("unwritable", problem);
        let packed = [
            package::pack("train", &train, &train_tables, self.format).map_err(unwritable)?,
            package::pack(
                "test",
                &asked,
                &[(package::WHOLE.to_owned(), names)],
                self.format,
            )
            .map_err(unwritable)?,
        ];
        let mut descriptions = self.checked.descriptions.clone();
        descriptions.insert(self.id_column.clone(), "the number of the row".to_owned());
        let metadata = metadata::text(self.source, &train, &descriptions);
        Ok(Written {
            train,
            test,
            train_tables,
            packed,
            metadata,
        })
    }

    /// The design as data, for whoever wants to know how the task was made.
    fn design(&self, format: Format) -> Value {
        let checked = self.checked;
        let types: serde_json::Map<String, Value> = checked
            .frame
            .columns
            .iter()
            .map(|column| {
                let is_label = checked.problem == Problem::Classification
                    && checked.targets.contains(&column.name);
                let kind = if column.kind == Kind::Text || is_label {
                    "categorical"
                } else {
                    "numerical"
                };
                (column.name.clone(), json!(kind))
            })
            .collect();
        json!({
            "problem": checked.problem,
            "targets": checked.targets,
            "target_candidates": checked.candidates,
            "features": checked.features,
            "entity_columns": checked.entities,
            "column_types": types,
            "descriptions": checked.descriptions,
            "table": self.path,
            "test_share": self.share,
            "format": format,
        })
    }

    /// The task without what is asked.
    fn task(&self, cx: &Cx<'_>, kind: TaskKind, written: &Written) -> Result<Task, WorkError> {
        let id = self.id(kind);
        let mut files = Vec::new();
        for packed in &written.packed {
            files.push(store(cx, &packed.path, &packed.bytes)?);
        }
        files.push(store(cx, metadata::FILE, written.metadata.as_bytes())?);
        Ok(Task {
            seed: seed(cx, &id),
            id,
            kind,
            files,
            tables: written
                .packed
                .iter()
                .flat_map(|packed| packed.summaries.clone())
                .collect(),
            answer_format: format!("the name of the file that you wrote: {SUBMISSION}"),
            design: Some(self.design(self.format)),
            ..self.open.clone()
        })
    }

    fn verifier(&self, kind: TaskKind, metric: Metric, truth: DataFile) -> Predictions {
        Predictions {
            file: SUBMISSION.to_owned(),
            truth,
            keys: vec![self.id_column.clone()],
            targets: self.checked.targets.clone(),
            metric,
            reward: Rewarding::Value,
            success: success(kind),
            naive_error: None,
            exact_shape: false,
        }
    }
}

/// The best model that one can make: the sound rows, the targets hidden.
async fn modelled(
    cx: &Cx<'_>,
    common: &Common<'_>,
    kind: TaskKind,
) -> Result<Result<Task, Refusal>, WorkError> {
    let checked = common.checked;
    let written = match common.write(common.train.clone()) {
        Ok(written) => written,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let keyed: Vec<&str> = std::iter::once(&common.id_column)
        .chain(&checked.targets)
        .map(String::as_str)
        .collect();
    let truth = package::csv(&written.test.select(keyed));
    let labels = draw::is_labels(checked);
    let metric = if labels {
        Metric::MacroF1
    } else {
        Metric::ClippedR2
    };
    let rule = common.verifier(kind, metric, store(cx, "truth.csv", &truth)?);
    let mut task = common.task(cx, kind, &written)?;
    let sides = baselines::Sides {
        train: &written.train,
        test: &written.test.without(&checked.targets),
        features: checked.features.clone(),
        labels,
        time: None,
    };
    let measured = baselines::measure(
        cx,
        &rule,
        &truth,
        &sides,
        task.id.as_ref(),
        task.seed,
        &task.limits,
    )
    .await?;
    let mut checks = match measured {
        Ok(checks) => checks,
        Err(refusal) => return Ok(Err(refusal)),
    };
    checks.grading = Some(common.grading.to_owned());
    checks.remarks.splice(0..0, checked.remarks.iter().cloned());
    task.checks = checks;
    let is_sqlite = common.format == Format::Sqlite;
    task.prompt = Predict {
        train_file: &written.packed[0].path,
        test_file: &written.packed[1].path,
        targets: &checked.targets,
        keys: &rule.keys,
        metric: &metric.to_string(),
        metadata_file: Some(metadata::FILE),
        train_tables: written
            .train_tables
            .iter()
            .map(|(name, _)| name.as_str())
            .collect(),
        test_table: is_sqlite.then_some(package::WHOLE),
        ..Predict::default()
    }
    .render();
    task.verifier = Some(Verifier::Predictions(rule));
    Ok(Ok(task))
}

/// A workflow to follow: noise among the rows, a reference that was run, disobedient solutions that it can be told from.
async fn prescribed(
    cx: &Cx<'_>,
    common: &Common<'_>,
    kind: TaskKind,
) -> Result<Result<Task, Refusal>, WorkError> {
    let checked = common.checked;
    let settings = &cx.config.prepare.designed;
    let prepared = draw::ranges(checked, &common.train, common.seed).and_then(|ranges| {
        let named: Vec<_> = ranges
            .iter()
            .map(|range| (range.column.as_str(), &range.within))
            .collect();
        let noisy = noise::add(
            &common.train,
            &named,
            settings.noise_share,
            &mut Dice::new(common.seed, "noise"),
        );
        Ok((common.write(noisy.frame)?, ranges))
    });
    let (written, ranges) = match prepared {
        Ok(prepared) => prepared,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut task = common.task(cx, kind, &written)?;
    let (recipe, followed) = match best_variant(cx, common, &written, &ranges, &task).await? {
        Ok(best) => best,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let metric = match checked.problem {
        Problem::Classification => Metric::EqualLabels,
        Problem::Regression => Metric::EqualNumbers,
    };
    let truth = store(cx, "truth.csv", &followed.truth)?;
    task.verifier = Some(Verifier::Predictions(common.verifier(kind, metric, truth)));
    let clean = package::csv(&common.train);
    task.hidden = vec![
        store(cx, "solution.py", followed.solution.as_bytes())?,
        store(cx, "train_sound.csv", &clean)?,
    ];
    task.prompt = followed.prompt;
    task.checks.mutants = followed.mutants;
    task.checks.separated = Some(followed.separated);
    task.checks.grading = Some(common.grading.to_owned());
    task.checks.remarks = checked
        .remarks
        .iter()
        .cloned()
        .chain(followed.remarks)
        .collect();
    if let Some(design) = task.design.as_mut() {
        design["recipe"] = serde_json::to_value(&recipe).unwrap_or(Value::Null);
    }
    Ok(Ok(task))
}

/// The first workflow that tells enough of the disobedient from its own, else why none does.
async fn best_variant(
    cx: &Cx<'_>,
    common: &Common<'_>,
    written: &Written,
    ranges: &[Range],
    task: &Task,
) -> Result<Result<(Recipe, Followed), Refusal>, WorkError> {
    let settings = &cx.config.prepare.designed;
    let files = Files {
        format: common.format,
        train_file: written.packed[0].path.clone(),
        train_tables: written
            .train_tables
            .iter()
            .map(|(name, _)| name.clone())
            .collect(),
        test_file: written.packed[1].path.clone(),
        id_column: common.id_column.clone(),
    };
    let mut last = Refusal::new("no_workflow", "no workflow was tried");
    for variant in 0..settings.variants.max(1) {
        let recipe = match draw::recipe(
            common.checked,
            &common.train,
            ranges,
            &files,
            common.seed,
            variant,
        ) {
            Ok(recipe) => recipe,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let seed = common.seed.wrapping_add(u64::from(variant));
        let followed = follow(
            cx.services,
            cx.blobs,
            &recipe,
            &task.files,
            seed,
            &task.limits,
            task.id.as_ref(),
        )
        .await?;
        match followed {
            Ok(followed) if followed.separated >= settings.min_separated => {
                return Ok(Ok((recipe, followed)));
            }
            Ok(followed) => {
                let unseen: Vec<&str> = followed
                    .mutants
                    .iter()
                    .filter(|mutant| !mutant.separated)
                    .map(|mutant| mutant.name.as_str())
                    .collect();
                let message = format!(
                    "{:.0} % of the disobedient solutions are told apart; not {}",
                    followed.separated * 100.0,
                    unseen.join(", ")
                );
                last = Refusal::new("not_separating", message);
            }
            Err(refusal) => last = Refusal::new(&refusal.reason, refusal.message),
        }
    }
    Ok(Err(last))
}
