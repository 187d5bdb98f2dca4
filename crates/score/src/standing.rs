//! Where a score stands on a competition's leaderboard: its place, the share of teams that are not better, the medal.

use synth_core::{LeaderboardScores, Medal, Standing};

/// The standing of a score among the teams of the private board, or of the public one where the private is not known.
///
/// Teams of the same score share the better place, as `rank` counts those that are strictly better. `None` where the board has no scores, or the score
/// is none.
pub fn standing(value: f64, is_max: bool, board: &LeaderboardScores) -> Option<Standing> {
    let of = |scores: &[f64]| -> Vec<f64> {
        let scores = scores.iter().copied().filter(|score| !score.is_nan());
        // More is better from here on.
        scores
            .map(|score| if is_max { score } else { -score })
            .collect()
    };
    let private = of(&board.private_scores);
    let mut scores = if private.is_empty() {
        of(&board.public_scores)
    } else {
        private
    };
    if scores.is_empty() || value.is_nan() {
        return None;
    }
    let value = if is_max { value } else { -value };
    scores.sort_unstable_by(|a, b| b.total_cmp(a));
    let teams = scores.len();
    let better = scores.iter().filter(|score| **score > value).count();
    let middle = teams / 2;
    let median = match teams % 2 {
        0 => f64::midpoint(scores[middle - 1], scores[middle]),
        _ => scores[middle],
    };
    let rank = better as u64 + 1;
    Some(Standing {
        rank,
        teams: teams as u64,
        percentile: (teams - better) as f64 / teams as f64,
        above_median: value > median,
        medal: medal(rank, teams as u64),
    })
}

/// The medal of a place by Kaggle's table. Shares are rounded down, and the first place of a small board is gold.
fn medal(rank: u64, teams: u64) -> Option<Medal> {
    let (gold, silver, bronze) = match teams {
        0..100 => (teams / 10, teams / 5, teams * 2 / 5),
        100..250 => (10, teams / 5, teams * 2 / 5),
        250..1000 => (10 + teams / 500, 50, 100),
        _ => (10 + teams / 500, teams / 20, teams / 10),
    };
    [
        (Medal::Gold, gold),
        (Medal::Silver, silver),
        (Medal::Bronze, bronze),
    ]
    .into_iter()
    .find(|(_, last)| rank <= (*last).max(1))
    .map(|(medal, _)| medal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn private(scores: &[f64]) -> LeaderboardScores {
        LeaderboardScores {
            public_scores: vec![1e9],
            private_scores: scores.to_vec(),
        }
    }

    #[test]
    fn medals_follow_kaggles_table() {
        use Medal::{Bronze, Gold, Silver};
        for (teams, last_places) in [
            (1, [1, 1, 1]),
            (9, [1, 1, 3]),
            (10, [1, 2, 4]),
            (99, [9, 19, 39]),
            (100, [10, 20, 40]),
            (249, [10, 49, 99]),
            (250, [10, 50, 100]),
            (500, [11, 50, 100]),
            (999, [11, 50, 100]),
            (1000, [12, 50, 100]),
            (1999, [13, 99, 199]),
            (4321, [18, 216, 432]),
        ] {
            let [gold, silver, bronze] = last_places;
            assert_eq!(medal(gold, teams), Some(Gold), "{teams}");
            if silver > gold {
                assert_eq!(medal(gold + 1, teams), Some(Silver), "{teams}");
                assert_eq!(medal(silver, teams), Some(Silver), "{teams}");
            }
            if bronze > silver {
                assert_eq!(medal(silver + 1, teams), Some(Bronze), "{teams}");
                assert_eq!(medal(bronze, teams), Some(Bronze), "{teams}");
            }
            assert_eq!(medal(bronze + 1, teams), None, "{teams}");
        }
    }

    #[test]
    fn ties_share_the_better_place() {
        let board = private(&[0.9, 0.8, 0.8, 0.7]);
        let at = |value| standing(value, true, &board).unwrap();
        let ranks: Vec<u64> = [0.95, 0.9, 0.8, 0.7, 0.1]
            .map(|value| at(value).rank)
            .to_vec();
        assert_eq!(ranks, [1, 1, 2, 4, 5]);
        assert!((at(0.8).percentile - 0.75).abs() < 1e-12 && !at(0.8).above_median);
        assert!(at(0.81).above_median && at(0.1).percentile < 1e-12);
    }

    #[test]
    fn less_may_be_better_and_a_public_board_is_better_than_none() {
        let board = LeaderboardScores {
            public_scores: vec![0.1, 0.3, f64::NAN],
            private_scores: Vec::new(),
        };
        let place = standing(0.2, false, &board).unwrap();
        assert_eq!((place.rank, place.teams, place.above_median), (2, 2, false));
        assert!(standing(0.1999, false, &board).unwrap().above_median);
        assert_eq!(standing(f64::NAN, false, &board), None);
        assert_eq!(standing(0.5, true, &LeaderboardScores::default()), None);
    }

    proptest! {
        #[test]
        fn a_better_score_never_stands_lower(scores in prop::collection::vec(-10..10_i32, 1..60), a in -12..12_i32, b in -12..12_i32, is_max: bool) {
            let board = private(&scores.into_iter().map(f64::from).collect::<Vec<_>>());
            let at = |value: i32| standing(f64::from(value), is_max, &board).unwrap();
            let (better, worse) = if (a > b) == is_max { (at(a), at(b)) } else { (at(b), at(a)) };
            prop_assert!(better.rank <= worse.rank && better.percentile >= worse.percentile && better.medal >= worse.medal);
            prop_assert!((0.0..=1.0).contains(&better.percentile) && better.above_median >= worse.above_median);
        }
    }
}
