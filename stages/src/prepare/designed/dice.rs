//! All randomness of a designed task: draws that follow from its seed and the draw's own name, the same on every machine.

use synth_core::Fingerprint;

/// A source of draws.
pub(crate) struct Dice {
    state: [u8; 32],
    counter: u64,
}

impl Dice {
    /// Draws that depend on the seed and on what they are for.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        Self {
            state: *Fingerprint::of(&(seed, purpose)).as_bytes(),
            counter: 0,
        }
    }

    fn next(&mut self) -> u64 {
        // A hash of a counter: no generator whose stream a newer version of a crate could change.
        self.counter += 1;
        let mut hasher = blake3::Hasher::new_keyed(&self.state);
        hasher.update(&self.counter.to_le_bytes());
        let hash = hasher.finalize();
        u64::from_le_bytes(
            hash.as_bytes()[..8]
                .try_into()
                .expect("eight bytes are eight bytes"),
        )
    }

    /// A whole number below `n`; 0 when `n` is 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        // The high bits times n: its bias is far below what a table of rows could show.
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// A number from 0 to below 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of several. Panics when there are none.
    pub(crate) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// Puts them into another order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_purpose_draw_the_same() {
        let draws = |seed, purpose| {
            let mut dice = Dice::new(seed, purpose);
            (0..20).map(|_| dice.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draws(1, "noise"), draws(1, "noise"));
        assert_ne!(draws(1, "noise"), draws(2, "noise"));
        assert_ne!(draws(1, "noise"), draws(1, "split"));
    }

    #[test]
    fn draws_stay_below_their_bound_and_reach_all_of_it() {
        let mut dice = Dice::new(3, "x");
        let mut seen = [0_usize; 6];
        for _ in 0..6000 {
            seen[dice.below(6)] += 1;
            assert!((0.0..1.0).contains(&dice.unit()));
        }
        assert!(
            seen.iter().all(|count| (800..1200).contains(count)),
            "{seen:?}"
        );
        assert_eq!(dice.below(0), 0);
    }

    #[test]
    fn a_shuffle_keeps_all_and_moves_some() {
        let mut items: Vec<usize> = (0..50).collect();
        Dice::new(4, "x").shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}
