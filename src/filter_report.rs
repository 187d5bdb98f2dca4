//! `synth filter-report`: rule by rule, how many sources passed and which did not, by the evidence that the run recorded.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use synth_pipeline::Ledger;
use synth_pipeline::ledger::Status;
use synth_pipeline::run::raw_records;
use synth_stages::filter::Ruling;

use crate::cli::FilterReportArguments;
use crate::exit_code::{ExitCode, Failure};
use crate::{context, output, table};

/// Evidence in the table is cut here; `--json` has all of it.
const EVIDENCE_CHARACTERS: usize = 100;

/// What the run has of its sources.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Report {
    run: String,
    /// Sources that `filter` read.
    read: u64,
    kept: u64,
    dropped: u64,
    failed: u64,
    rules: Vec<Rule>,
    /// What came to no verdict: `crawl` left it out or failed, or `filter` failed.
    without_verdict: Vec<Left>,
}

/// What a rule said.
#[derive(Debug, Default, PartialEq, Serialize)]
#[expect(
    clippy::struct_field_names,
    reason = "`rule` is the key in the report, as in records"
)]
struct Rule {
    rule: String,
    passed: u64,
    broken: u64,
    /// Sources that it dropped: they broke none before it.
    dropped: u64,
    sources: Vec<Broken>,
}

/// A source that broke a rule.
#[derive(Debug, PartialEq, Serialize)]
struct Broken {
    source: String,
    evidence: String,
    /// Whether this is the rule that dropped it.
    dropped: bool,
}

/// A source that no rule judged.
#[derive(Debug, PartialEq, Serialize)]
struct Left {
    stage: String,
    source: String,
    status: String,
    reason: String,
    message: String,
}

/// As much of a filtered source as the report needs.
#[derive(Deserialize)]
struct Filtered {
    source: Named,
    rulings: Vec<Ruling>,
}

#[derive(Deserialize)]
struct Named {
    slug: String,
}

/// Reports what was asked for.
pub fn filter_report(arguments: &FilterReportArguments) -> Result<ExitCode, Failure> {
    let config = context::configuration(&arguments.config)?;
    let ledger = Ledger::open_read_only(context::ledger_folder(&config))?;
    let run = &config.run.name;
    let mut report = Report {
        run: run.clone(),
        ..Report::default()
    };
    if !add_stage(&ledger, &mut report, "filter")? {
        let typed = arguments.config.as_typed(run);
        return Err(Failure::new(
            ExitCode::Usage,
            format!(
                "run `{run}` has no verdicts yet; `synth run {typed} --until filter` makes them"
            ),
        ));
    }
    add_stage(&ledger, &mut report, "crawl")?;
    let text = if arguments.json {
        let json = serde_json::to_string(&report).map_err(|error| {
            Failure::new(
                ExitCode::Failure,
                format!("cannot write the report: {error}"),
            )
        })?;
        format!("{json}\n")
    } else {
        render(&report)?
    };
    output::data(&text)?;
    Ok(ExitCode::Success)
}

/// Adds what the run has of a stage; false if it has nothing.
fn add_stage(ledger: &Ledger, report: &mut Report, stage: &'static str) -> Result<bool, Failure> {
    let run = report.run.clone();
    let keys = match ledger.partial(&run, stage)? {
        Some(keys) => keys,
        None => match ledger.listing(&run, stage)? {
            Some(listing) => listing.keys,
            None => return Ok(false),
        },
    };
    for key in keys {
        let Some(outcome) = ledger.outcome(&key)? else {
            continue;
        };
        let records = raw_records(&outcome.value);
        let json = records.first().map_or("null", |(_, json)| json.as_str());
        let is_ruled = stage == "filter" && outcome.status != Status::Failed;
        if is_ruled && let Ok(filtered) = serde_json::from_str::<Filtered>(json) {
            report.add(filtered, outcome.status == Status::Kept);
            continue;
        }
        if stage == "filter" {
            report.read += 1;
            report.failed += u64::from(outcome.status == Status::Failed);
            report.dropped += u64::from(outcome.status == Status::Dropped);
        } else if outcome.status == Status::Kept {
            continue;
        }
        let slug = serde_json::from_str::<Named>(json).map(|named| named.slug);
        report.without_verdict.push(Left {
            stage: stage.to_owned(),
            source: slug.unwrap_or(outcome.item),
            status: outcome.status.as_str().to_owned(),
            reason: outcome.reason.unwrap_or_default(),
            message: outcome.message.unwrap_or_default(),
        });
    }
    Ok(true)
}

impl Report {
    /// Adds a source with what every rule said of it.
    fn add(&mut self, filtered: Filtered, kept: bool) {
        self.read += 1;
        self.kept += u64::from(kept);
        self.dropped += u64::from(!kept);
        let mut is_first = true;
        for ruling in filtered.rulings {
            let place = self
                .rules
                .iter()
                .position(|rule| rule.rule == ruling.rule)
                .unwrap_or_else(|| {
                    self.rules.push(Rule {
                        rule: ruling.rule.clone(),
                        ..Rule::default()
                    });
                    self.rules.len() - 1
                });
            let rule = &mut self.rules[place];
            if ruling.passed {
                rule.passed += 1;
                continue;
            }
            rule.broken += 1;
            rule.dropped += u64::from(is_first);
            rule.sources.push(Broken {
                source: filtered.source.slug.clone(),
                evidence: ruling.evidence,
                dropped: is_first,
            });
            is_first = false;
        }
    }
}

fn render(report: &Report) -> Result<String, Failure> {
    let mut text = String::new();
    let count = |number: u64| table::thousands(number);
    let rows: Vec<Vec<String>> = report
        .rules
        .iter()
        .map(|rule| {
            vec![
                rule.rule.clone(),
                count(rule.passed + rule.broken),
                count(rule.passed),
                count(rule.broken),
                count(rule.dropped),
            ]
        })
        .collect();
    text.push_str(&table::render(
        &["rule", "asked", "passed", "broken", "dropped"],
        &rows,
    ));
    writeln!(
        text,
        "\n{} sources: {} kept, {} dropped, {} failed",
        count(report.read),
        count(report.kept),
        count(report.dropped),
        count(report.failed)
    )?;
    let mut broken: Vec<Vec<String>> = Vec::new();
    for rule in &report.rules {
        for source in &rule.sources {
            let by = if source.dropped {
                "dropped"
            } else {
                "also broken"
            };
            broken.push(vec![
                rule.rule.clone(),
                source.source.clone(),
                by.to_owned(),
                short(&source.evidence),
            ]);
        }
    }
    if !broken.is_empty() {
        writeln!(
            text,
            "\n{}",
            table::render(&["rule", "source", "", "evidence"], &broken).trim_end()
        )?;
    }
    if !report.without_verdict.is_empty() {
        let rows: Vec<Vec<String>> = report
            .without_verdict
            .iter()
            .map(|left| {
                vec![
                    left.stage.clone(),
                    left.source.clone(),
                    left.status.clone(),
                    left.reason.clone(),
                    short(&left.message),
                ]
            })
            .collect();
        writeln!(
            text,
            "\nwithout a verdict\n{}",
            table::render(&["stage", "source", "", "reason", "message"], &rows).trim_end()
        )?;
    }
    Ok(text)
}

/// The beginning of a text on one line.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= EVIDENCE_CHARACTERS {
        return line;
    }
    let beginning: String = line.chars().take(EVIDENCE_CHARACTERS).collect();
    format!("{beginning}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(slug: &str, passed: [bool; 2]) -> Filtered {
        let rulings = ["too_large", "too_few_rows"]
            .into_iter()
            .zip(passed)
            .map(|(rule, passed)| Ruling {
                rule: rule.to_owned(),
                passed,
                evidence: format!("{slug} of {rule}"),
            })
            .collect();
        Filtered {
            source: Named {
                slug: slug.to_owned(),
            },
            rulings,
        }
    }

    #[test]
    fn the_first_rule_that_is_broken_is_the_one_that_drops() -> Result<(), Failure> {
        let mut report = Report::default();
        report.add(filtered("good", [true, true]), true);
        report.add(filtered("bad", [false, false]), false);
        report.add(filtered("small", [true, false]), false);
        assert_eq!((report.read, report.kept, report.dropped), (3, 1, 2));
        let counts: Vec<_> = report
            .rules
            .iter()
            .map(|rule| (rule.passed, rule.broken, rule.dropped))
            .collect();
        assert_eq!(counts, [(2, 1, 1), (1, 2, 1)]);
        let dropped: u64 = report.rules.iter().map(|rule| rule.dropped).sum();
        assert_eq!(dropped, report.dropped, "every drop has its rule");
        let text = render(&report)?;
        assert!(
            text.contains("3 sources: 1 kept, 2 dropped, 0 failed"),
            "{text}"
        );
        assert!(
            text.contains("bad of too_large") && text.contains("also broken"),
            "{text}"
        );
        Ok(())
    }
}
