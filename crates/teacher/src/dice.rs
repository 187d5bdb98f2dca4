//! Seeded choices: the same parts give the same dice, on every machine.

/// A small deterministic generator (`SplitMix64`), seeded by text.
#[derive(Clone, Debug)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// Dice that depend on every part and on their order.
    pub fn new(parts: &[&str]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let hash = hasher.finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&hash.as_bytes()[..8]);
        Self {
            state: u64::from_le_bytes(first),
        }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `count`; 0 when `count` is 0.
    pub fn below(&mut self, count: usize) -> usize {
        let value = self.next();
        if count == 0 {
            0
        } else {
            (value % count as u64) as usize
        }
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        ((self.next() >> 11) as f64 / (1u64 << 53) as f64) < probability
    }

    /// One of the items; `None` when there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let index = self.below(items.len());
        items.get(index)
    }

    /// One of the phrases; the empty text when there are none.
    pub fn phrase(&mut self, phrases: &[&'static str]) -> &'static str {
        self.pick(phrases).copied().unwrap_or("")
    }

    /// The items in a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last + 1);
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_parts_give_the_same_dice_and_other_parts_give_others() {
        let roll = |parts: &[&str]| Dice::new(parts).below(1_000_000);
        assert_eq!(roll(&["a", "b"]), roll(&["a", "b"]));
        assert_ne!(roll(&["a", "b"]), roll(&["ab", ""]));
    }

    #[test]
    fn chances_come_out_as_asked() {
        let mut dice = Dice::new(&["chance"]);
        let hits = (0..20_000).filter(|_| dice.chance(0.25)).count();
        assert!((4_700..5_300).contains(&hits), "{hits}");
    }
}
