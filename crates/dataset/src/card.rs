//! The dataset card: a README with the YAML header that `datasets` and dataset hubs read, then plain Markdown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// A split of a config.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CardSplit {
    /// `sft`, `rl`, …
    pub config: String,
    /// `train`, `eval`.
    pub split: String,
    /// Its rows; a split without rows is left out of the card.
    pub rows: u64,
    /// Its files' size in bytes.
    pub bytes: u64,
}

/// A source that rows come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CardSource {
    /// Its name.
    pub name: String,
    /// Its title.
    pub title: String,
    /// What kind of origin it is.
    pub origin: String,
    /// Its licence: SPDX identifier or name.
    pub licence: String,
    /// Whom to name and where it was taken from; may be empty.
    pub attribution: String,
    /// Whether rows that quote the data may be passed on.
    pub redistributable: bool,
    /// The side of the split it is on.
    pub split: String,
    /// Rows that come from it, over all configs.
    pub rows: u64,
}

/// How often something was found: a small table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// What was measured, with its unit.
    pub title: String,
    /// Range or value, and how many rows.
    pub buckets: Vec<(String, u64)>,
}

/// A stage's account: read = kept + dropped + failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageCounts {
    /// The stage.
    pub stage: String,
    /// Items read.
    pub read: u64,
    /// Items kept.
    pub kept: u64,
    /// Items left out.
    pub dropped: u64,
    /// Items that failed.
    pub failed: u64,
}

/// What a card tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Card {
    /// The dataset's name.
    pub name: String,
    /// The version of `synth` that made it.
    pub version: String,
    /// Its configs and splits.
    pub splits: Vec<CardSplit>,
    /// Its sources.
    pub sources: Vec<CardSource>,
    /// Models and the rows that each wrote.
    pub models: Vec<(String, u64)>,
    /// Means worth a line: what, and its value.
    pub means: Vec<(String, f64)>,
    /// Distributions: turns, tokens, rewards, grades.
    pub histograms: Vec<Histogram>,
    /// The stages in order.
    pub stages: Vec<StageCounts>,
    /// Whether rows have a `wall_seconds` column.
    pub timings: bool,
}

/// Renders the card as the text of `README.md`. Equal cards give equal text.
pub fn render_card(card: &Card) -> String {
    let configs = configs(card);
    let mut text = String::new();
    header(&mut text, card, &configs).expect("a string takes all text");
    body(&mut text, card, &configs).expect("a string takes all text");
    text
}

/// The configs that have rows, `sft` first, with their splits, `train` first.
fn configs(card: &Card) -> Vec<(&str, Vec<&CardSplit>)> {
    let mut by_config: BTreeMap<(bool, &str), Vec<&CardSplit>> = BTreeMap::new();
    for split in card.splits.iter().filter(|split| split.rows > 0) {
        let key = (split.config != "sft", split.config.as_str());
        by_config.entry(key).or_default().push(split);
    }
    let mut configs: Vec<_> = by_config
        .into_iter()
        .map(|((_, config), splits)| (config, splits))
        .collect();
    for (_, splits) in &mut configs {
        splits.sort_by_key(|split| (split.split != "train", split.split.clone()));
    }
    configs
}

fn header(text: &mut String, card: &Card, configs: &[(&str, Vec<&CardSplit>)]) -> std::fmt::Result {
    let rows: u64 = card.splits.iter().map(|split| split.rows).sum();
    writeln!(text, "---")?;
    writeln!(text, "pretty_name: {}", yaml(&card.name))?;
    writeln!(text, "license: {}", hub_licence(card))?;
    writeln!(text, "language:\n- en")?;
    writeln!(text, "task_categories:\n- text-generation")?;
    writeln!(
        text,
        "tags:\n- data-science\n- agent\n- code\n- synthetic\n- trajectories"
    )?;
    writeln!(text, "size_categories:\n- {}", size_category(rows))?;
    writeln!(
        text,
        "configs:{}",
        if configs.is_empty() { " []" } else { "" }
    )?;
    for (index, (config, splits)) in configs.iter().enumerate() {
        writeln!(text, "- config_name: {config}")?;
        if index == 0 {
            writeln!(text, "  default: true")?;
        }
        writeln!(text, "  data_files:")?;
        for CardSplit { split, .. } in splits {
            writeln!(
                text,
                "  - split: {split}\n    path: data/{config}/{split}/*.parquet"
            )?;
        }
    }
    writeln!(text, "---\n")
}

fn body(text: &mut String, card: &Card, configs: &[(&str, Vec<&CardSplit>)]) -> std::fmt::Result {
    writeln!(text, "# {}\n", card.name)?;
    writeln!(
        text,
        "Training data for data-science agents. An agent is given data files and a question, writes Python, reads what the code \
         prints, and goes on until it answers. Every conversation was run in a sandbox, and its answer was checked by code. Made \
         with `synth` {}.\n",
        card.version
    )?;
    writeln!(
        text,
        "| config | split | rows | bytes |\n|---|---|---:|---:|"
    )?;
    for CardSplit {
        config,
        split,
        rows,
        bytes,
    } in configs.iter().flat_map(|(_, splits)| splits)
    {
        writeln!(text, "| {config} | {split} | {rows} | {bytes} |")?;
    }
    writeln!(
        text,
        "\nAll that comes from one source is on one side: no source of `train` is in `eval`.\n"
    )?;
    loading(text, configs)?;
    columns(text, card, configs)?;
    statistics(text, card)?;
    licences(text, card)?;
    if !card.stages.is_empty() {
        writeln!(
            text,
            "## Lineage\n\n| stage | read | kept | dropped | failed |\n|---|---:|---:|---:|---:|"
        )?;
        for StageCounts {
            stage,
            read,
            kept,
            dropped,
            failed,
        } in &card.stages
        {
            writeln!(text, "| {stage} | {read} | {kept} | {dropped} | {failed} |")?;
        }
        writeln!(
            text,
            "\nA row's `query_id` and `id` are derived from content: a rebuild from the same inputs finds the same ids."
        )?;
    }
    Ok(())
}

fn loading(text: &mut String, configs: &[(&str, Vec<&CardSplit>)]) -> std::fmt::Result {
    let Some((config, splits)) = configs.first() else {
        return Ok(());
    };
    let split = splits.first().map_or("train", |split| split.split.as_str());
    writeln!(
        text,
        "## Loading\n\n```python\nfrom datasets import load_dataset\n\nrows = load_dataset(\"path/to/this/folder\", \"{config}\", \
         split=\"{split}\")\n```\n\n```python\nimport pandas\n\nrows = pandas.read_parquet(\"data/{config}/{split}\")\n```\n"
    )?;
    writeln!(
        text,
        "`dataset_info.json` describes the `sft` config to LLaMA-Factory.\n"
    )
}

fn columns(
    text: &mut String,
    card: &Card,
    configs: &[(&str, Vec<&CardSplit>)],
) -> std::fmt::Result {
    const PROVENANCE: &str = "| query_id, source, dataset_id, competition_id | where the row comes from |\n\
        | license, created_at | the licence and the date of the data |\n";
    let has = |wanted: &[&str]| configs.iter().any(|(config, _)| wanted.contains(config));
    writeln!(text, "## Columns\n")?;
    if has(&["sft"]) {
        writeln!(
            text,
            "`sft`: one verified conversation a row.\n\n| column | meaning |\n|---|---|"
        )?;
        writeln!(
            text,
            "| id | the trajectory |\n\
             | messages | `role` and `content`: an optional system message, then user and assistant in turn; what code printed \
             stands in user messages between `<information>` and `</information>` |\n\
             {PROVENANCE}\
             | model, sampling_params | who wrote it, with which settings (JSON) |\n\
             | judge_scores | `judge`, `criterion`, `score` (1 to 5) |\n\
             | reward, metric, metric_value | what the verifier gave, 0 to 1, and what it measured |\n\
             | pass_rate, num_samples | the share of attempts at the query that succeeded, and how many there were |\n\
             | num_turns, tokenizer, num_tokens, num_trainable_tokens | size; trainable tokens are the assistant's |\n\
             | metadata | JSON |"
        )?;
        if card.timings {
            writeln!(text, "| wall_seconds | wall time of the trajectory |")?;
        }
        writeln!(text)?;
    }
    if has(&["rl", "eval"]) {
        writeln!(
            text,
            "`rl`, `eval`: one question with a checkable answer a row.\n\n| column | meaning |\n|---|---|"
        )?;
        writeln!(
            text,
            "| id, data_source, ability, env_class, reward_fn | names by which trainers pick environment and reward |\n\
             | prompt | messages up to the question |\n\
             | reward_model, reward_spec, answer | the truth, one value in the three places where trainers look |\n\
             | info, metadata | JSON |\n\
             | extra_info | split, index and the arguments of tools and interactions |\n\
             | metric, higher_is_better, max_turns | how it is scored, and how many turns it may take |\n\
             {PROVENANCE}\
             | pass_rate, num_samples, reference_model | how often a reference model succeeded |\n\
             | num_prompt_tokens | size of the prompt |\n"
        )?;
    }
    Ok(())
}

fn statistics(text: &mut String, card: &Card) -> std::fmt::Result {
    if card.models.is_empty() && card.means.is_empty() && card.histograms.is_empty() {
        return Ok(());
    }
    writeln!(text, "## Statistics\n")?;
    if !card.models.is_empty() {
        writeln!(text, "| model | rows |\n|---|---:|")?;
        for (model, rows) in &card.models {
            writeln!(text, "| {} | {rows} |", cell(model))?;
        }
        writeln!(text)?;
    }
    if !card.means.is_empty() {
        writeln!(text, "| mean | value |\n|---|---:|")?;
        for (name, value) in &card.means {
            writeln!(text, "| {} | {value:.3} |", cell(name))?;
        }
        writeln!(text)?;
    }
    for Histogram { title, buckets } in &card.histograms {
        writeln!(text, "| {} | rows |\n|---|---:|", cell(title))?;
        for (bucket, rows) in buckets {
            writeln!(text, "| {} | {rows} |", cell(bucket))?;
        }
        writeln!(text)?;
    }
    Ok(())
}

fn licences(text: &mut String, card: &Card) -> std::fmt::Result {
    if card.sources.is_empty() {
        return Ok(());
    }
    let mut sources: Vec<_> = card.sources.iter().collect();
    sources.sort_by_key(|source| (&source.licence, &source.name));
    writeln!(text, "## Sources and licences\n")?;
    writeln!(
        text,
        "Rows quote the data of their source; its licence holds for them, and each row names it in `license`.\n"
    )?;
    writeln!(
        text,
        "| licence | source | origin | may be passed on | split | rows |\n|---|---|---|---|---|---:|"
    )?;
    for source in &sources {
        let name = if source.title.is_empty() {
            source.name.clone()
        } else {
            format!("{} ({})", source.title, source.name)
        };
        let passed_on = if source.redistributable { "yes" } else { "no" };
        let (licence, name, origin) = (cell(&source.licence), cell(&name), cell(&source.origin));
        writeln!(
            text,
            "| {licence} | {name} | {origin} | {passed_on} | {} | {} |",
            source.split, source.rows
        )?;
    }
    for source in sources
        .iter()
        .filter(|source| !source.attribution.is_empty())
    {
        let attribution = source.attribution.replace('\n', " ");
        writeln!(text, "\n`{}`: {attribution}", source.name)?;
    }
    writeln!(text)
}

/// The licence as hubs name it; `other` where there are several or where they have no name for it.
fn hub_licence(card: &Card) -> String {
    const KNOWN: [&str; 13] = [
        "apache-2.0",
        "bsd-2-clause",
        "bsd-3-clause",
        "cc-by-3.0",
        "cc-by-4.0",
        "cc-by-nc-4.0",
        "cc-by-nc-sa-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "cc0-1.0",
        "mit",
        "odbl",
        "pddl",
    ];
    let licences: BTreeSet<_> = card
        .sources
        .iter()
        .map(|source| source.licence.to_lowercase())
        .collect();
    match licences.first() {
        Some(only) if licences.len() == 1 && KNOWN.contains(&only.as_str()) => only.clone(),
        _ => "other".to_owned(),
    }
}

fn size_category(rows: u64) -> &'static str {
    match rows {
        0..1_000 => "n<1K",
        1_000..10_000 => "1K<n<10K",
        10_000..100_000 => "10K<n<100K",
        100_000..1_000_000 => "100K<n<1M",
        1_000_000..10_000_000 => "1M<n<10M",
        _ => "10M<n<100M",
    }
}

/// A YAML string; JSON's quotes are among YAML's.
fn yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Text that cannot break out of its table cell.
fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(config: &str, split: &str, rows: u64) -> CardSplit {
        CardSplit {
            config: config.to_owned(),
            split: split.to_owned(),
            rows,
            bytes: rows * 1000,
        }
    }

    fn source(name: &str, licence: &str) -> CardSource {
        CardSource {
            name: name.to_owned(),
            title: "A | B".to_owned(),
            origin: "folder".to_owned(),
            licence: licence.to_owned(),
            attribution: format!("{name} by its makers,\n1999"),
            redistributable: true,
            split: "train".to_owned(),
            rows: 3,
        }
    }

    #[test]
    fn a_card_reads_like_this() {
        let card = Card {
            name: "demo \"one\"".to_owned(),
            version: "0.1.0".to_owned(),
            splits: vec![
                split("rl", "train", 3),
                split("sft", "eval", 0),
                split("sft", "train", 1200),
                split("rl", "eval", 2),
            ],
            sources: vec![source("iris", "CC-BY-4.0"), source("shop", "CC0-1.0")],
            models: vec![("builtin/teacher".to_owned(), 1200)],
            means: vec![("reward".to_owned(), 0.75)],
            histograms: vec![Histogram {
                title: "assistant turns".to_owned(),
                buckets: vec![("1-3".to_owned(), 1000), ("4-6".to_owned(), 200)],
            }],
            stages: vec![StageCounts {
                stage: "crawl".to_owned(),
                read: 11,
                kept: 10,
                dropped: 1,
                failed: 0,
            }],
            timings: false,
        };
        insta::assert_snapshot!(render_card(&card));
    }

    #[test]
    fn a_dataset_without_rows_still_has_a_card() {
        let text = render_card(&Card::default());
        assert!(text.contains("configs: []"), "{text}");
        assert!(text.contains("license: other"));
    }

    #[test]
    fn a_single_known_licence_is_named() {
        let card = Card {
            sources: vec![source("iris", "CC-BY-4.0"), source("wine", "CC-BY-4.0")],
            ..Card::default()
        };
        assert_eq!(hub_licence(&card), "cc-by-4.0");
    }
}
