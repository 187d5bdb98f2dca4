//! How many there are at once, and the end of all of them.

use std::sync::atomic::{AtomicUsize, Ordering};

use synth_sandbox::SandboxError;

use super::*;

pub async fn a_slot_is_waited_for(sandboxes: &dyn Sandboxes) {
    let before = sandboxes.opened();
    let count = AtomicUsize::new(0);
    let work = (0..30).map(|number| {
        let count = &count;
        async move {
            let mut sandbox = open(sandboxes).await;
            assert!(count.fetch_add(1, Ordering::SeqCst) < 3);
            assert_eq!(
                value(&mut sandbox, &format!("{number} * 2")).await,
                Some((number * 2).to_string())
            );
            count.fetch_sub(1, Ordering::SeqCst);
            sandbox.close().await;
        }
    });
    futures::future::join_all(work).await;
    assert_eq!(sandboxes.opened() - before, 30);
}

pub async fn a_closed_backend_opens_nothing(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    run(&mut sandbox, "1").await;
    sandboxes.close().await;
    assert!(matches!(
        sandboxes.open(&spec()).await,
        Err(SandboxError::Closed)
    ));
}
