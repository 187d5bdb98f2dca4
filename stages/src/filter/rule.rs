//! Rules that need no data: each judges a source by what Kaggle says of it.

use synth_core::{KaggleFacts, Source};

use super::Ruling;

/// A rule: its name, whether it is switched on, and how it judges.
pub(super) type Rule<R> = (
    &'static str,
    fn(&R) -> bool,
    fn(&R, &Source, &KaggleFacts) -> (bool, String),
);

/// What those that are switched on say.
pub(super) fn rulings<R>(all: &[Rule<R>], rules: &R, source: &Source) -> Vec<Ruling> {
    let nothing = KaggleFacts::default();
    let facts = source.kaggle.as_ref().unwrap_or(&nothing);
    all.iter()
        .filter(|(_, is_on, _)| is_on(rules))
        .map(|(rule, _, judge)| Ruling::of(rule, judge(rules, source, facts)))
        .collect()
}
