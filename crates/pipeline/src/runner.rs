//! Stages in a row: which of them, in which mode, until one stops.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::Value as Json;
use synth_core::{Config, Fingerprint};

use crate::ledger::Listing;
use crate::stage::{Mode, Services, Stage, StageCx, StageError, Summary};
use crate::{Blobs, Cancel, Event, Ledger, Observer, Run};

/// What was asked for.
pub struct Invocation<'a, S> {
    /// The run.
    pub run: &'a Run,
    /// The configuration.
    pub config: &'a Config,
    /// What the stages bring along.
    pub services: &'a S,
    /// The memory across runs.
    pub ledger: &'a Ledger,
    /// The store of large values.
    pub blobs: &'a Blobs,
    /// Whether to stop.
    pub cancel: &'a Cancel,
    /// Whoever watches.
    pub observer: &'a dyn Observer,
    /// What to do with items.
    pub mode: Mode,
    /// Items of each stage at most.
    pub limit: Option<usize>,
    /// Whether to say why an item is worked on.
    pub explain: bool,
}

/// What came of it.
pub struct Outcomes {
    /// The accounts of the stages that ended, in order.
    pub summaries: Vec<Summary>,
    /// The stage that stopped, and why.
    pub stopped: Option<(&'static str, StageError)>,
}

/// Runs stages in order; the first that stops ends the row.
pub async fn run_stages<S: Services>(
    stages: &[&dyn Stage<S>],
    invocation: &Invocation<'_, S>,
) -> Outcomes {
    invocation.observer.on(&Event::RunStarted {
        run: invocation.run.name.clone(),
    });
    let planned = Mutex::new(BTreeMap::<&'static str, Listing>::new());
    let config =
        serde_json::to_value(invocation.config).expect("the configuration serialises to JSON");
    let mut outcomes = Outcomes {
        summaries: Vec::new(),
        stopped: None,
    };
    for stage in stages {
        if invocation.cancel.is_soft() {
            outcomes.stopped = Some((stage.name(), StageError::Interrupted));
            break;
        }
        let cx = StageCx {
            run: invocation.run,
            config: invocation.config,
            services: invocation.services,
            ledger: invocation.ledger,
            blobs: invocation.blobs,
            cancel: invocation.cancel,
            observer: invocation.observer,
            stage: stage.name(),
            version: stage.version(),
            config_fingerprint: config_fingerprint(
                &config,
                stage.config_keys(),
                stage.depends_on(invocation.config),
            ),
            prompts_fingerprint: Fingerprint::of(&stage.prompts()),
            mode: invocation.mode,
            limit: invocation.limit,
            explain: invocation.explain,
            planned: &planned,
            inputs: Mutex::default(),
        };
        match stage.run(&cx).await {
            Ok(summary) => outcomes.summaries.push(summary),
            Err(error) => {
                outcomes.stopped = Some((stage.name(), error));
                break;
            }
        }
    }
    outcomes
}

fn config_fingerprint(config: &Json, keys: &[&str], further: Fingerprint) -> Fingerprint {
    let values: Vec<(&str, &Json)> = keys
        .iter()
        .map(|key| {
            let value = key
                .split('.')
                .try_fold(config, |value, part| value.get(part));
            (
                *key,
                value.unwrap_or_else(|| {
                    panic!("a stage names the configuration key `{key}`, which does not exist")
                }),
            )
        })
        .collect();
    Fingerprint::of(&(values, further))
}
