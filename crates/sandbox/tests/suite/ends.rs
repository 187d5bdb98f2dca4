//! How a cell or its interpreter comes to an unusual end.

use super::*;

pub async fn a_death_is_told_and_the_next_cell_starts_anew(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    for (code, expected) in [
        (
            "import os\nprint('bye', flush=True)\nos._exit(3)",
            "exit code 3",
        ),
        ("import os\nos.kill(os.getpid(), 11)", "signal 11"),
        ("import ctypes\nctypes.string_at(0)", "signal 11"),
    ] {
        let observation = run(&mut sandbox, code).await;
        assert_eq!(
            observation.outcome,
            CellOutcome::Died {
                how: expected.into()
            },
            "{observation:?}"
        );
        let observation = run(&mut sandbox, "1 + 1").await;
        assert_eq!(observation.value.as_deref(), Some("2"));
        let note = format!("[Python was started anew after {expected}: ");
        assert!(observation.stderr.starts_with(&note), "{observation:?}");
    }
    sandbox.close().await;
}

pub async fn closed_descriptors_come_back(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    run(&mut sandbox, "import os\nos.close(1)\nos.close(2)").await;
    assert_eq!(stdout(&mut sandbox, "print('back')").await, "back\n");
    run(
        &mut sandbox,
        "import sys\nsys.stdout.close()\nsys.stderr = None",
    )
    .await;
    assert_eq!(
        stdout(&mut sandbox, "print('back again')").await,
        "back again\n"
    );
    let observation = run(&mut sandbox, "os.closerange(0, 4096)").await;
    assert!(
        matches!(observation.outcome, CellOutcome::Died { .. }),
        "{observation:?}"
    );
    assert_eq!(value(&mut sandbox, "1").await.as_deref(), Some("1"));
    sandbox.close().await;
}

pub async fn an_interrupt_from_elsewhere_is_an_error(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    let interrupter = sandbox.interrupter();
    interrupter.interrupt(); // between cells: nothing
    assert_eq!(value(&mut sandbox, "x = 1\nx").await.as_deref(), Some("1"));
    let interrupt = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        interrupter.interrupt();
    };
    let (observation, ()) = tokio::join!(sandbox.execute("import time\ntime.sleep(20)"), interrupt);
    assert_eq!(
        error(&observation.unwrap().observation).0,
        "KeyboardInterrupt"
    );
    assert_eq!(value(&mut sandbox, "x").await.as_deref(), Some("1"));
    sandbox.close().await;
}

pub async fn a_cell_whose_caller_goes_away_leaves_nothing(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    let abandoned = tokio::time::timeout(
        Duration::from_millis(300),
        sandbox.execute("import time\nx = 1\ntime.sleep(20)"),
    )
    .await;
    assert!(abandoned.is_err());
    assert_eq!(
        value(&mut sandbox, "'x' in globals()").await.as_deref(),
        Some("False")
    );
    sandbox.close().await;
}
