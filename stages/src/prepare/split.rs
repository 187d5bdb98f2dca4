//! Which side of the fence a source stands on: decided once, kept for ever, whatever the source is called.

use std::collections::{BTreeMap, BTreeSet};

use synth_core::{Fingerprint, Split};
use synth_pipeline::StageError;

use crate::Cx;
use crate::filter::FilteredSource;

/// What the decision looks at: a source by its id, and its tables by what they say.
struct Known<'a> {
    id: &'a str,
    tables: BTreeSet<String>,
    pinned: Option<Split>,
}

/// The split of each source, by id. New sources are decided here and pinned in the ledger, all in one commit; what was
/// pinned by an earlier run, under whatever share, stays. A source that brings a table of a settled one follows it.
pub(super) async fn assign(
    cx: &Cx<'_>,
    sources: &[FilteredSource],
) -> Result<BTreeMap<String, Split>, StageError> {
    let mut known = Vec::new();
    let mut of_table = BTreeMap::new();
    for source in sources {
        let tables: BTreeSet<String> = source
            .signatures
            .iter()
            .map(Fingerprint::to_string)
            .collect();
        for table in &tables {
            if let Some(split) = pinned(cx, &table_name(table))? {
                of_table.insert(table.clone(), split);
            }
        }
        known.push(Known {
            id: &source.id,
            tables,
            pinned: if source.source.held_out {
                Some(Split::Eval)
            } else {
                pinned_split(cx, &source.id)?
            },
        });
    }
    let splits = decide(
        &known,
        of_table,
        cx.config.prepare.eval_share,
        cx.config.run.seed,
    );
    if !cx.is_planning() {
        let mut facts = Vec::new();
        for source in &known {
            let split = splits[source.id].as_str().to_owned();
            facts.push((source_name(source.id), split.clone()));
            facts.extend(
                source
                    .tables
                    .iter()
                    .map(|table| (table_name(table), split.clone())),
            );
        }
        // The first pin of a name stands, so that pinning what is pinned changes nothing.
        cx.ledger.pin(facts).await?;
    }
    Ok(splits)
}

/// The side that a source was given by this run or an earlier one.
pub(crate) fn pinned_split(cx: &Cx<'_>, id: &str) -> Result<Option<Split>, StageError> {
    pinned(cx, &source_name(id))
}

fn pinned(cx: &Cx<'_>, name: &str) -> Result<Option<Split>, StageError> {
    let side = |value: String| {
        if value == Split::Eval.as_str() {
            Split::Eval
        } else {
            Split::Train
        }
    };
    Ok(cx.ledger.pinned(name)?.map(side))
}

fn source_name(id: &str) -> String {
    format!("split/{id}")
}

fn table_name(signature: &str) -> String {
    format!("split/table/{signature}")
}

/// Gives new sources, in the order of a seeded hash, to `eval` until it has its share of all.
fn decide(
    sources: &[Known<'_>],
    mut of_table: BTreeMap<String, Split>,
    share: f64,
    seed: u64,
) -> BTreeMap<String, Split> {
    let mut splits = BTreeMap::new();
    for source in sources {
        if let Some(split) = source.pinned {
            settle(&mut splits, &mut of_table, source, split);
        }
    }
    let wanted = (sources.len() as f64 * share).round() as usize;
    let mut new: Vec<&Known<'_>> = sources
        .iter()
        .filter(|source| source.pinned.is_none())
        .collect();
    new.sort_by_key(|source| Fingerprint::of(&(seed, source.id)));
    for source in new {
        let held_out = splits
            .values()
            .filter(|split| **split == Split::Eval)
            .count();
        let followed: Vec<Split> = source
            .tables
            .iter()
            .filter_map(|table| of_table.get(table))
            .copied()
            .collect();
        let split = if followed.contains(&Split::Eval) || followed.is_empty() && held_out < wanted {
            Split::Eval
        } else {
            Split::Train
        };
        settle(&mut splits, &mut of_table, source, split);
    }
    splits
}

fn settle(
    splits: &mut BTreeMap<String, Split>,
    of_table: &mut BTreeMap<String, Split>,
    source: &Known<'_>,
    split: Split,
) {
    splits.insert(source.id.to_owned(), split);
    for table in &source.tables {
        of_table.entry(table.clone()).or_insert(split);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sources<'a>(ids: &'a [String], known: &BTreeMap<String, Split>) -> Vec<Known<'a>> {
        let source = |id: &'a String| Known {
            id,
            tables: BTreeSet::from([format!("table of {id}")]),
            pinned: known.get(id).copied(),
        };
        ids.iter().map(source).collect()
    }

    fn decided(
        ids: &[String],
        known: &BTreeMap<String, Split>,
        share: f64,
    ) -> BTreeMap<String, Split> {
        decide(&sources(ids, known), BTreeMap::new(), share, 17)
    }

    fn ids(count: usize) -> Vec<String> {
        (0..count).map(|i| format!("src_{i}")).collect()
    }

    #[test]
    fn the_share_is_kept() {
        let splits = decided(&ids(10), &BTreeMap::new(), 0.2);
        assert_eq!(
            splits
                .values()
                .filter(|split| **split == Split::Eval)
                .count(),
            2
        );
    }

    #[test]
    fn a_source_under_another_name_stays_held_out() {
        let ids = ["src_new".to_owned()];
        let of_table = BTreeMap::from([("table of src_new".to_owned(), Split::Eval)]);
        let splits = decide(&sources(&ids, &BTreeMap::new()), of_table, 0.0, 17);
        assert_eq!(splits["src_new"], Split::Eval);
    }

    #[test]
    fn sources_that_share_a_table_stand_on_one_side() {
        let ids = ids(6);
        let mut sources = sources(&ids, &BTreeMap::new());
        for source in &mut sources {
            source.tables.insert("shared".to_owned());
        }
        let splits: BTreeSet<Split> = decide(&sources, BTreeMap::new(), 0.5, 17)
            .into_values()
            .collect();
        assert_eq!(splits.len(), 1);
    }

    proptest! {
        #[test]
        fn a_source_keeps_its_side(first in 0..20_usize, more in 0..20_usize, a in 0.0..1.0, b in 0.0..1.0) {
            let ids = ids(first + more);
            let before = decided(&ids[..first], &BTreeMap::new(), a);
            let after = decided(&ids, &before, b);
            prop_assert!(before.iter().all(|(id, split)| after[id] == *split));
            prop_assert_eq!(after.len(), ids.len());
        }

        #[test]
        fn the_order_of_sources_does_not_matter(mut ids in prop::collection::btree_set("[a-z]{4}", 0..12).prop_map(Vec::from_iter)) {
            let forward = decided(&ids, &BTreeMap::new(), 0.3);
            ids.reverse();
            prop_assert_eq!(decided(&ids, &BTreeMap::new(), 0.3), forward);
        }
    }
}
