//! Ctrl-C, and the signal that service managers send, as steps of cancellation; heard whatever the stages are doing.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use synth_pipeline::{Cancel, Event, Observer};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

/// How long a stage may take to notice that it is to stop at once: one in the middle of a computation does not look up.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Listens from now on until the set is dropped. The task is one of its own, so that signals are counted while the one that
/// runs the stages computes. `end` is called when that does not end by itself after a second signal.
pub fn listen(
    cancel: Cancel,
    observer: Arc<dyn Observer>,
    end: impl FnOnce() + Send + 'static,
) -> io::Result<JoinSet<()>> {
    let signals = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let mut listener = JoinSet::new();
    listener.spawn(async move {
        count(signals, &cancel, &*observer).await;
        tokio::time::sleep(PATIENCE).await;
        end();
    });
    Ok(listener)
}

/// Returns after the signal that asks to stop at once.
async fn count(
    (mut interrupt, mut terminate): (Signal, Signal),
    cancel: &Cancel,
    observer: &dyn Observer,
) {
    while !cancel.is_hard() {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        let text = if cancel.is_soft() {
            "stopping at once"
        } else {
            "finishing what runs and taking nothing new; Ctrl-C again stops at once"
        };
        // First the step, then the word: whoever watches may be slow.
        cancel.escalate();
        observer.on(&Event::Note {
            text: text.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread::sleep;
    use std::time::Instant;

    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    fn wait_until(condition: impl Fn() -> bool) {
        let started = Instant::now();
        while !condition() {
            assert!(started.elapsed() < Duration::from_secs(10), "never heard");
            sleep(Duration::from_millis(5));
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn two_signals_are_counted_and_end_the_process_while_the_stages_block_their_thread() {
        let cancel = Cancel::default();
        let (ended, end) = mpsc::channel();
        let listener = listen(cancel.clone(), Arc::new(()), move || {
            ended.send(()).expect("the test waits");
        })
        .expect("signals can be listened to");
        // From here on nothing awaits, as in a stage that computes.
        kill_process(getpid(), Signal::INT).expect("one may signal oneself");
        wait_until(|| cancel.is_soft());
        assert!(!cancel.is_hard());
        kill_process(getpid(), Signal::INT).expect("one may signal oneself");
        wait_until(|| cancel.is_hard());
        let second = Instant::now();
        end.recv_timeout(Duration::from_secs(10))
            .expect("it is ended");
        assert!(second.elapsed() + Duration::from_millis(100) >= PATIENCE);
        drop(listener);
    }
}
