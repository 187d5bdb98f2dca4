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
        let changed: Vec<&str> = parts.iter().filter(|(changed, _)| *changed).map(|(_, name)| *name).collect();
        if changed.is_empty() { "nothing changed".to_owned() } else { format!("changed: {}", changed.join(", ")) }
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
        let part = |i: usize| Some(Fingerprint::from_bytes(rest.get(32 * i..32 * (i + 1))?.try_into().ok()?));
        Some(Self { version: u32::from_le_bytes(*version), config: part(0)?, prompts: part(1)?, content: part(2)? })
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
        let item = Fingerprint::of_parts(&[("stage", stage.as_bytes()), ("item", item.as_bytes())]);
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

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(super) fn many_from_bytes(bytes: &[u8]) -> Vec<Self> {
        bytes.chunks_exact(LENGTH).filter_map(Self::from_bytes).collect()
    }

    /// The range of keys that belong to the same item of the same stage.
    pub(super) fn same_item(&self) -> ([u8; LENGTH], [u8; LENGTH]) {
        let (mut low, mut high) = (self.0, self.0);
        low[ITEM..].fill(0);
        high[ITEM..].fill(0xff);
        (low, high)
    }
}
