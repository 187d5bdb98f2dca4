//! Tables made up from a seed: features with a signal, a target that follows from it, and the files of a competition.

use fastrand::Rng;

/// A table of text.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        Self {
            header: header.iter().map(|name| (*name).to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Without these columns.
    pub(crate) fn without(&self, names: &[&str]) -> Self {
        let kept: Vec<usize> = (0..self.header.len())
            .filter(|place| !names.contains(&self.header[*place].as_str()))
            .collect();
        let pick = |row: &Vec<String>| kept.iter().map(|place| row[*place].clone()).collect();
        Self {
            header: pick(&self.header),
            rows: self.rows.iter().map(pick).collect(),
        }
    }

    /// The first rows and the others.
    pub(crate) fn split(&self, first: usize) -> (Self, Self) {
        let (left, right) = self.rows.split_at(first.min(self.rows.len()));
        let part = |rows: &[Vec<String>]| Self {
            header: self.header.clone(),
            rows: rows.to_vec(),
        };
        (part(left), part(right))
    }

    pub(crate) fn csv(&self) -> Vec<u8> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in std::iter::once(&self.header).chain(&self.rows) {
            writer
                .write_record(row)
                .expect("a table in memory, with rows of one length");
        }
        writer.into_inner().expect("a table in memory")
    }
}

/// A random generator for a name: another name, other numbers; the same name, the same.
pub(crate) fn dice(name: &str) -> Rng {
    let hash = blake3::hash(name.as_bytes());
    let mut seed = [0; 8];
    seed.copy_from_slice(&hash.as_bytes()[..8]);
    Rng::with_seed(u64::from_le_bytes(seed))
}

/// A draw from about a normal distribution: the sum of twelve even draws.
pub(crate) fn normal(dice: &mut Rng) -> f64 {
    (0..12).map(|_| dice.f64()).sum::<f64>() - 6.0
}

/// The features of one row, with the signal that its target follows.
pub(crate) struct Features {
    pub values: Vec<String>,
    /// About standard normal.
    pub signal: f64,
}

/// What every made-up table has for features: numbers, a category, a count, some of it missing.
pub(crate) const FEATURES: [&str; 6] = ["width", "height", "weight", "kind", "visits", "shade"];

/// One row of [`FEATURES`].
pub(crate) fn features(dice: &mut Rng) -> Features {
    let (width, height, weight) = (normal(dice), normal(dice), normal(dice));
    let kind = dice.usize(..4);
    let visits = dice.u32(..12);
    let shade = dice.usize(..3);
    let kinds = [-0.8, -0.2, 0.3, 0.9];
    let raw = 0.9 * width - 0.6 * height
        + 0.25 * weight
        + kinds[kind]
        + 0.05 * (f64::from(visits) - 5.5)
        + 0.25 * normal(dice);
    let number = |value: f64, scale: f64, middle: f64| format!("{:.3}", middle + scale * value);
    // Some weights are missing, as in life.
    let weight = if dice.u32(..20) == 0 {
        String::new()
    } else {
        number(weight, 3.0, 40.0)
    };
    Features {
        values: vec![
            number(width, 2.0, 10.0),
            number(height, 1.5, 7.0),
            weight,
            ["oak", "elm", "ash", "yew"][kind].to_owned(),
            visits.to_string(),
            ["light", "half", "dark"][shade].to_owned(),
        ],
        signal: raw / 1.4,
    }
}

/// The place of a signal among so many classes, from low to high, about evenly filled.
pub(crate) fn class_of(signal: f64, classes: usize) -> usize {
    let share = 1.0 / (1.0 + (-1.7 * signal).exp());
    ((share * classes as f64) as usize).min(classes - 1)
}

/// Scores of a board: so many, best first, between the best and the worst, with ties.
pub(crate) fn board(name: &str, teams: usize, best: f64, worst: f64) -> Vec<f64> {
    let mut dice = dice(name);
    let mut scores: Vec<f64> = (0..teams)
        .map(|_| {
            let draw = dice.f64();
            let score = best + (worst - best) * draw * draw;
            (score * 100_000.0).round() / 100_000.0
        })
        .collect();
    scores.sort_by(|left, right| {
        if best > worst {
            right.total_cmp(left)
        } else {
            left.total_cmp(right)
        }
    });
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_gives_the_same_rows() {
        let rows = |name: &str| -> Vec<Vec<String>> {
            let mut dice = dice(name);
            (0..5).map(|_| features(&mut dice).values).collect()
        };
        assert_eq!(rows("a"), rows("a"));
        assert_ne!(rows("a"), rows("b"));
    }

    #[test]
    fn classes_are_filled_about_evenly() {
        let mut dice = dice("classes");
        let mut counts = [0; 3];
        for _ in 0..3000 {
            counts[class_of(features(&mut dice).signal, 3)] += 1;
        }
        assert!(counts.iter().all(|count| *count > 500), "{counts:?}");
    }

    #[test]
    fn a_board_stands_best_first() {
        let falling = board("b", 50, 0.9, 0.5);
        assert!(falling.windows(2).all(|pair| pair[0] >= pair[1]));
        let rising = board("b", 50, 0.1, 0.5);
        assert!(rising.windows(2).all(|pair| pair[0] <= pair[1]));
    }
}
