//! Under which key an outcome is stored, and what it was based on.

use synth_core::Fingerprint;

/// What an outcome rests on besides the item's identity: when one of these changes, the item is worked on again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basis {
    /// The stage's version.
    pub version: u32,
    /// The configuration keys that the stage reads.
    pub config: Fingerprint,
    /// The prompts that it uses.
    pub prompts: Fingerprint,
    /// The item's content.
    pub content: Fingerprint,
}

impl Basis {
    /// What differs from an `earlier` basis, in words.
    pub fn changed_since(&self, earlier: &Self) -> String {
        let parts = [
            (self.content != earlier.content, "the item"),
            (self.config != earlier.config, "the configuration"),
            (self.prompts != earlier.prompts, "a prompt"),
            (self.version != earlier.version, "the stage's version"),
        ];
        let changed: Vec<&str> = parts
            .iter()
            .filter(|(changed, _)| *changed)
            .map(|(_, name)| *name)
            .collect();
        if changed.is_empty() {
            "nothing changed".to_owned()
        } else {
            format!("changed: {}", changed.join(", "))
        }
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.version.to_le_bytes().to_vec();
        for part in [self.config, self.prompts, self.content] {
            bytes.extend(part.as_bytes());
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first_chunk::<4>()?;
        let part = |i: usize| {
            Some(Fingerprint::from_bytes(
                rest.get(32 * i..32 * (i + 1))?.try_into().ok()?,
            ))
        };
        Some(Self {
            version: u32::from_le_bytes(*version),
            config: part(0)?,
            prompts: part(1)?,
            content: part(2)?,
        })
    }
}

const ITEM: usize = 12;
const LENGTH: usize = 24;

/// 24 bytes: 12 of the hash of stage and item, 12 of the hash of the basis. All outcomes of one item lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OutcomeKey([u8; LENGTH]);

impl OutcomeKey {
    /// The key of `item` in `stage` on this basis.
    pub fn new(stage: &str, item: &str, basis: &Basis) -> Self {
        let item = of_item(stage, item);
        let basis = Fingerprint::of_parts(&[("basis", &basis.to_bytes())]);
        let mut key = [0; LENGTH];
        key[..ITEM].copy_from_slice(&item.as_bytes()[..ITEM]);
        key[ITEM..].copy_from_slice(&basis.as_bytes()[..LENGTH - ITEM]);
        Self(key)
    }

    /// The key's bytes.
    pub const fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }

    /// Eight bytes of both halves: as good a hash as any.
    pub(crate) fn short(&self) -> u64 {
        let half = |from: usize| {
            u64::from_le_bytes(
                self.0[from..from + 8]
                    .try_into()
                    .expect("eight bytes are eight bytes"),
            )
        };
        half(0) ^ half(ITEM)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(super) fn many_from_bytes(bytes: &[u8]) -> Vec<Self> {
        bytes
            .chunks_exact(LENGTH)
            .filter_map(Self::from_bytes)
            .collect()
    }

    /// The range of keys that belong to the same item of the same stage.
    pub(super) fn same_item(&self) -> ([u8; LENGTH], [u8; LENGTH]) {
        let (mut low, mut high) = (self.0, self.0);
        low[ITEM..].fill(0);
        high[ITEM..].fill(0xff);
        (low, high)
    }

    /// The range of keys that belong to an item of a stage.
    pub(super) fn range_of(stage: &str, item: &str) -> ([u8; LENGTH], [u8; LENGTH]) {
        let mut key = [0; LENGTH];
        key[..ITEM].copy_from_slice(&of_item(stage, item).as_bytes()[..ITEM]);
        Self(key).same_item()
    }
}

fn of_item(stage: &str, item: &str) -> Fingerprint {
    Fingerprint::of_parts(&[("stage", stage.as_bytes()), ("item", item.as_bytes())])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fingerprint() -> impl Strategy<Value = Fingerprint> {
        any::<[u8; 32]>().prop_map(Fingerprint::from_bytes)
    }

    fn basis() -> impl Strategy<Value = Basis> {
        (any::<u32>(), fingerprint(), fingerprint(), fingerprint()).prop_map(
            |(version, config, prompts, content)| Basis {
                version,
                config,
                prompts,
                content,
            },
        )
    }

    proptest! {
        #[test]
        fn a_basis_comes_back_as_it_was(basis in basis()) {
            prop_assert_eq!(Basis::from_bytes(&basis.to_bytes()), Some(basis));
        }

        #[test]
        fn a_cut_basis_is_none(basis in basis(), length in 0..100usize) {
            prop_assert_eq!(Basis::from_bytes(&basis.to_bytes()[..length]), None);
        }

        #[test]
        fn a_key_comes_back_as_it_was(stage: String, item: String, basis in basis()) {
            let key = OutcomeKey::new(&stage, &item, &basis);
            prop_assert_eq!(OutcomeKey::from_bytes(key.as_bytes()), Some(key));
            prop_assert_eq!(OutcomeKey::many_from_bytes(&[*key.as_bytes(), *key.as_bytes()].concat()), vec![key, key]);
        }

        #[test]
        fn outcomes_of_one_item_lie_together_and_apart_from_others(item: String, other: String, a in basis(), b in basis()) {
            prop_assume!(item != other);
            prop_assert_eq!(OutcomeKey::new("queries", &item, &a).same_item(), OutcomeKey::range_of("queries", &item));
            let (low, high) = OutcomeKey::new("queries", &item, &a).same_item();
            let range = low..=high;
            prop_assert!(range.contains(OutcomeKey::new("queries", &item, &b).as_bytes()));
            prop_assert!(!range.contains(OutcomeKey::new("queries", &other, &a).as_bytes()));
            prop_assert!(!range.contains(OutcomeKey::new("judge", &item, &a).as_bytes()));
        }
    }

    #[test]
    fn what_changed_is_named() {
        let fingerprint = Fingerprint::of_bytes;
        let earlier = Basis {
            version: 1,
            config: fingerprint(b"c"),
            prompts: fingerprint(b"p"),
            content: fingerprint(b"i"),
        };
        assert_eq!(earlier.changed_since(&earlier), "nothing changed");
        assert_eq!(
            Basis {
                prompts: fingerprint(b"q"),
                ..earlier
            }
            .changed_since(&earlier),
            "changed: a prompt"
        );
        let later = Basis {
            version: 2,
            config: fingerprint(b"d"),
            content: fingerprint(b"j"),
            ..earlier
        };
        assert_eq!(
            later.changed_since(&earlier),
            "changed: the item, the configuration, the stage's version"
        );
    }
}
