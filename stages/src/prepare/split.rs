//! Which side of the fence a source stands on: decided once, kept for ever.

use std::collections::BTreeMap;

use synth_core::{Fingerprint, Split};
use synth_pipeline::StageError;

use crate::Cx;
use crate::filter::FilteredSource;

/// The split of each source, by id. New sources are decided here and pinned in the ledger, all in one commit; what was
/// pinned by an earlier run, under whatever share, stays.
pub(super) async fn assign(
    cx: &Cx<'_>,
    sources: &[FilteredSource],
) -> Result<BTreeMap<String, Split>, StageError> {
    let mut known = BTreeMap::new();
    for source in sources {
        if let Some(split) = cx.ledger.pinned(&name(&source.id))? {
            known.insert(
                source.id.clone(),
                if split == Split::Eval.as_str() {
                    Split::Eval
                } else {
                    Split::Train
                },
            );
        }
    }
    let ids = sources.iter().map(|source| source.id.as_str());
    let splits = decide(
        ids,
        &known,
        cx.config.prepare.eval_share,
        cx.config.run.seed,
    );
    if !cx.is_planning() {
        let new = splits.iter().filter(|(id, _)| !known.contains_key(*id));
        let facts: Vec<_> = new
            .map(|(id, split)| (name(id), split.as_str().to_owned()))
            .collect();
        if !facts.is_empty() {
            cx.ledger.pin(facts).await?;
        }
    }
    Ok(splits)
}

fn name(id: &str) -> String {
    format!("split/{id}")
}

/// Gives new sources, in the order of a seeded hash, to `eval` until it has its share of all.
fn decide<'a>(
    ids: impl Iterator<Item = &'a str>,
    known: &BTreeMap<String, Split>,
    share: f64,
    seed: u64,
) -> BTreeMap<String, Split> {
    let mut splits = known.clone();
    let mut new: Vec<&str> = ids.filter(|id| !known.contains_key(*id)).collect();
    new.sort_by_key(|id| Fingerprint::of(&(seed, id)));
    let wanted = ((splits.len() + new.len()) as f64 * share).round() as usize;
    let mut held_out = splits
        .values()
        .filter(|split| **split == Split::Eval)
        .count();
    for id in new {
        let split = if held_out < wanted {
            Split::Eval
        } else {
            Split::Train
        };
        held_out += usize::from(split == Split::Eval);
        splits.insert(id.to_owned(), split);
    }
    splits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn held_out(splits: &BTreeMap<String, Split>) -> usize {
        splits
            .values()
            .filter(|split| **split == Split::Eval)
            .count()
    }

    #[test]
    fn the_share_is_kept() {
        let ids: Vec<String> = (0..10).map(|i| format!("src_{i}")).collect();
        let splits = decide(ids.iter().map(String::as_str), &BTreeMap::new(), 0.2, 17);
        assert_eq!(held_out(&splits), 2);
    }

    proptest! {
        #[test]
        fn a_source_keeps_its_side(first in 0..20_usize, more in 0..20_usize, a in 0.0..1.0, b in 0.0..1.0) {
            let ids: Vec<String> = (0..first + more).map(|i| format!("src_{i}")).collect();
            let before = decide(ids[..first].iter().map(String::as_str), &BTreeMap::new(), a, 17);
            let after = decide(ids.iter().map(String::as_str), &before, b, 17);
            prop_assert!(before.iter().all(|(id, split)| after[id] == *split));
            prop_assert_eq!(after.len(), ids.len());
        }

        #[test]
        fn the_order_of_sources_does_not_matter(mut ids in prop::collection::btree_set("[a-z]{4}", 0..12).prop_map(Vec::from_iter)) {
            let forward = decide(ids.iter().map(String::as_str), &BTreeMap::new(), 0.3, 17);
            ids.reverse();
            prop_assert_eq!(decide(ids.iter().map(String::as_str), &BTreeMap::new(), 0.3, 17), forward);
        }
    }
}
