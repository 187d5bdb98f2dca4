//! `kill -9` at random moments loses nothing and pays for nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::support::{
    Endpoint, Place, Running, Seen, asked_again_after_use, assert_nothing_left, assert_same_files,
    parquet_files, stored_replies,
};

/// Kills to deliver, unless `SYNTH_TEST_KILLS` says otherwise.
const KILLS: usize = 50;

#[test]
fn a_killed_run_ends_like_an_undisturbed_one() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let wanted = number("SYNTH_TEST_KILLS").map_or(KILLS, |kills| kills as usize);
    let seed = number("SYNTH_TEST_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("SYNTH_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);

    let endpoint = Endpoint::start();
    // The first run makes the Python environment where there is none; the second is the measure.
    Place::at(&endpoint).run().succeed();
    let calm = Place::at(&endpoint);
    let undisturbed = calm.run().succeed();
    let measure = Measure {
        seconds: undisturbed.seconds,
        lines: undisturbed.stdout.lines().count(),
    };

    let started = std::time::Instant::now();
    let (mut kills, mut experiments, mut places) = (0, 0, BTreeMap::<String, usize>::new());
    let (mut repeats, mut lost) = (0, 0);
    while kills < wanted {
        experiments += 1;
        let place = Place::at(&endpoint);
        let first = endpoint.requests();
        let mut acknowledged = BTreeSet::new();
        loop {
            let before = endpoint.requests();
            let mut run = place.run().start();
            let killed = kills < wanted && kill_somewhere(&mut run, &measure, &mut random);
            let told = last_stage(&run.stdout());
            if !killed {
                let ended = run.wait();
                assert_eq!(ended.code, 0, "{}", ended.stderr);
            }
            // What was stored before this run began, it may not ask for.
            repeats += repeated(&endpoint.log()[before..], &acknowledged);
            let stored = stored_replies(&place.output());
            lost += acknowledged.difference(&stored).count();
            acknowledged = stored;
            assert_nothing_left(&place.folder());
            if !killed {
                break;
            }
            kills += 1;
            *places.entry(told).or_default() += 1;
        }
        repeats += asked_again_after_use(&endpoint.log()[first..]);
        assert_same_files(&parquet_files(&place), &parquet_files(&calm));
    }
    println!(
        "{kills} kills in {experiments} experiments and {:.0} s, by stage {places:?}: {lost} replies lost, {repeats} requests repeated",
        started.elapsed().as_secs_f64()
    );
    assert_eq!((lost, repeats), (0, 0));
}

/// What an undisturbed run takes and says.
struct Measure {
    seconds: f64,
    lines: usize,
}

/// Kills at a random moment: half the time on the clock, half the time by what was said, since the last stages are quick.
/// False when the run was over before.
fn kill_somewhere(run: &mut Running, measure: &Measure, random: &mut fastrand::Rng) -> bool {
    let by_clock = random.bool();
    let deadline = Duration::from_secs_f64(measure.seconds * random.f64());
    let line = random.usize(0..measure.lines);
    let pause = Duration::from_millis(random.u64(0..10));
    loop {
        if run.is_over() {
            return false;
        }
        if by_clock && run.started.elapsed() >= deadline {
            return run.kill();
        }
        if !by_clock && run.stdout().lines().count() > line {
            std::thread::sleep(pause);
            return run.kill();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The stage that was under way, by the events so far.
fn last_stage(events: &str) -> String {
    events
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|event| event["event"] == "stage_started")
        .filter_map(|event| Some(event["stage"].as_str()?.to_owned()))
        .next_back()
        .unwrap_or_else(|| "before the first".to_owned())
}

/// Requests whose replies were stored before.
fn repeated(log: &[Seen], acknowledged: &BTreeSet<u64>) -> usize {
    log.iter()
        .filter(|seen| acknowledged.contains(&seen.mark))
        .count()
}
