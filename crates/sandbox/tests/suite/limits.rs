//! Each limit has an outcome of its own.

use std::time::Instant;

use synth_core::CellLimit;

use super::*;

const fn limit(limit: CellLimit) -> CellOutcome {
    CellOutcome::Limit {
        limit,
        state_kept: true,
    }
}

pub async fn a_loop_is_interrupted_and_keeps_the_state(sandboxes: &dyn Sandboxes) {
    let quick = limited(|limits| limits.cell = Duration::from_secs(1));
    let mut sandbox = sandboxes.open(&quick).await.unwrap();
    let observation = run(&mut sandbox, "x = 5\nprint('looping')\nwhile True: pass").await;
    assert_eq!(
        observation.outcome,
        CellOutcome::Timeout { state_kept: true }
    );
    assert_eq!(observation.stdout, "looping\n");
    assert_eq!(value(&mut sandbox, "x").await.as_deref(), Some("5"));
    let observation = run(&mut sandbox, "!sleep 60").await;
    assert_eq!(
        observation.outcome,
        CellOutcome::Timeout { state_kept: true }
    );
    sandbox.close().await;
}

pub async fn a_deaf_loop_is_killed_and_the_loss_said(sandboxes: &dyn Sandboxes) {
    let quick = limited(|limits| limits.cell = Duration::from_secs(1));
    let mut sandbox = sandboxes.open(&quick).await.unwrap();
    run(&mut sandbox, "x = 5").await;
    let deaf = "import signal\nfor number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)\n\
                print('deaf')\nwhile True: pass";
    let started = Instant::now();
    let observation = run(&mut sandbox, deaf).await;
    assert_eq!(
        observation.outcome,
        CellOutcome::Timeout { state_kept: false }
    );
    assert_eq!(observation.stdout, "deaf\n");
    assert!(started.elapsed() < Duration::from_secs(8));
    let observation = run(&mut sandbox, "'x' in globals()").await;
    assert_eq!(observation.value.as_deref(), Some("False"));
    assert!(
        observation
            .stderr
            .contains("all variables and files made before are lost"),
        "{observation:?}"
    );
    assert_eq!(run(&mut sandbox, "1").await.stderr, "");
    sandbox.close().await;
}

pub async fn a_loop_that_catches_interrupts_is_terminated(sandboxes: &dyn Sandboxes) {
    let quick = limited(|limits| limits.cell = Duration::from_secs(1));
    let mut sandbox = sandboxes.open(&quick).await.unwrap();
    let code = "import time\nwhile True:\n    try:\n        while True: time.sleep(0.01)\n    except BaseException: print('caught', end='')";
    let observation = run(&mut sandbox, code).await;
    assert_eq!(
        observation.outcome,
        CellOutcome::Timeout { state_kept: false }
    );
    // What was still in Python's buffer is not lost: the agent had the time to write it.
    assert_eq!(observation.stdout, "caught");
    sandbox.close().await;
}

pub async fn a_flood_is_cut_in_its_middle(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    let observation = run(&mut sandbox, "for n in range(200_000): print('line', n)").await;
    assert_eq!(observation.outcome, CellOutcome::Ok);
    assert!(observation.truncated && observation.stdout.len() < 10_100);
    assert!(
        observation.stdout.starts_with("line 0\n") && observation.stdout.ends_with("line 199999\n")
    );
    assert!(
        observation.stdout.contains(" bytes cut …]\n"),
        "{}",
        observation.stdout
    );
    sandbox.close().await;
}

pub async fn an_endless_flood_is_stopped(sandboxes: &dyn Sandboxes) {
    let spec = limited(|limits| limits.printed_bytes = 4 << 20);
    let mut sandbox = sandboxes.open(&spec).await.unwrap();
    let started = Instant::now();
    let observation = run(&mut sandbox, "x = 1\nwhile True: print('flood' * 1000)").await;
    assert_eq!(observation.outcome, limit(CellLimit::Output));
    assert!(observation.truncated && observation.stdout.len() < 10_100);
    assert_eq!(value(&mut sandbox, "x").await.as_deref(), Some("1"));
    let observation = run(
        &mut sandbox,
        "import os, signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nos.system('yes >&2')",
    )
    .await;
    let CellOutcome::Limit {
        limit: CellLimit::Output,
        ..
    } = observation.outcome
    else {
        panic!("{observation:?}")
    };
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "{:?}",
        started.elapsed()
    );
    sandbox.close().await;
}

pub async fn long_values_and_messages_are_cut(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    let observation = run(&mut sandbox, "'v' * 1_000_000").await;
    assert!(observation.truncated && observation.value.is_some_and(|value| value.len() < 10_200));
    let observation = run(&mut sandbox, "raise ValueError('v' * 5_000_000)").await;
    let (_, message, traceback) = error(&observation);
    assert!(message.len() < 10_200 && traceback.len() < 10_200);
    let observation = run(
        &mut sandbox,
        "raise type('E' * 100_000, (Exception,), {})('\\x00' * 5_000_000)",
    )
    .await;
    assert!(error(&observation).0.len() < 300);
    sandbox.close().await;
}

pub async fn memory_that_is_refused_keeps_the_state(sandboxes: &dyn Sandboxes) {
    let small = limited(|limits| limits.memory_bytes = 300 << 20);
    let mut sandbox = sandboxes.open(&small).await.unwrap();
    for code in [
        "y = 1\nimport numpy as np\na = np.ones(10**9)",
        "data = []\nwhile True: data.append(bytearray(1 << 20))",
    ] {
        let observation = run(&mut sandbox, code).await;
        assert_eq!(
            observation.outcome,
            CellOutcome::OutOfMemory { state_kept: true },
            "{observation:?}"
        );
        assert!(
            observation.stderr.contains("MemoryError"),
            "{observation:?}"
        );
        assert_eq!(value(&mut sandbox, "y").await.as_deref(), Some("1"));
    }
    sandbox.close().await;
}

pub async fn memory_of_many_processes_counts_together(sandboxes: &dyn Sandboxes) {
    let small = limited(|limits| limits.memory_bytes = 300 << 20);
    let mut sandbox = sandboxes.open(&small).await.unwrap();
    let bomb = "import os, time\nfor _ in range(4):\n    if os.fork() == 0:\n        hoard = bytearray(os.urandom(1 << 20)) * 200\n        \
                time.sleep(60)\ntime.sleep(6)";
    let observation = run(&mut sandbox, bomb).await;
    assert!(
        matches!(observation.outcome, CellOutcome::OutOfMemory { .. }),
        "{observation:?}"
    );
    assert_eq!(value(&mut sandbox, "1").await.as_deref(), Some("1"));
    sandbox.close().await;
}

pub async fn a_full_workspace_is_a_limit_of_its_own(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    let observation = run(
        &mut sandbox,
        "x = 1\nopen('big', 'wb').write(bytes(64 << 20))",
    )
    .await;
    assert_eq!(
        observation.outcome,
        limit(CellLimit::Disk),
        "{observation:?}"
    );
    assert!(observation.stderr.contains("OSError"), "{observation:?}");
    // A cell that only says so did not fill anything; one that copes is none that failed.
    let observation = run(
        &mut sandbox,
        "import os\nos.remove('big')\nraise OSError(28, 'no space')",
    )
    .await;
    assert_eq!(error(&observation).0, "OSError");
    let code = "try: open('big', 'wb').write(bytes(64 << 20))\nexcept OSError: print('full')\nos.remove('big')\nx";
    let observation = run(&mut sandbox, code).await;
    assert_eq!(
        (observation.outcome, observation.value.as_deref()),
        (CellOutcome::Ok, Some("1"))
    );
    sandbox.close().await;
}

pub async fn a_full_scratch_folder_is_the_same_limit(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    for folder in ["/tmp", "/dev/shm"] {
        let fill = format!(
            "import os\nx = 1\nfor number in range(1000): open(f'{folder}/{{number}}', 'wb').write(bytes(16 << 20))"
        );
        let observation = run(&mut sandbox, &fill).await;
        assert_eq!(
            observation.outcome,
            limit(CellLimit::Disk),
            "{folder}: {observation:?}"
        );
        let free = format!(
            "for name in os.listdir('{folder}'):\n    if name.isdigit(): os.remove(f'{folder}/{{name}}')\nx"
        );
        assert_eq!(value(&mut sandbox, &free).await.as_deref(), Some("1"));
    }
    let said = run(&mut sandbox, "raise OSError(28, 'no space')").await;
    assert_eq!(error(&said).0, "OSError");
    sandbox.close().await;
}

pub async fn too_many_processes_are_a_limit_of_their_own(sandboxes: &dyn Sandboxes) {
    let few = limited(|limits| limits.processes = 32);
    let mut sandbox = sandboxes.open(&few).await.unwrap();
    let code = "import os, time\nx = 1\nwhile True:\n    if os.fork() == 0:\n        time.sleep(60); os._exit(0)";
    let observation = run(&mut sandbox, code).await;
    assert_eq!(
        observation.outcome,
        limit(CellLimit::Processes),
        "{observation:?}"
    );
    assert!(
        observation.stderr.contains("BlockingIOError"),
        "{observation:?}"
    );
    assert_eq!(value(&mut sandbox, "x").await.as_deref(), Some("1"));
    sandbox.close().await;
}

pub async fn too_many_threads_are_a_limit_of_their_own(sandboxes: &dyn Sandboxes) {
    let few = limited(|limits| limits.processes = 32);
    let mut sandbox = sandboxes.open(&few).await.unwrap();
    let code = "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(60,), daemon=True).start()";
    let observation = run(&mut sandbox, code).await;
    assert_eq!(
        observation.outcome,
        limit(CellLimit::Processes),
        "{observation:?}"
    );
    sandbox.close().await;
}
