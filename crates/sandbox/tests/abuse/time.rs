//! Cells that do not end: deaf to interrupts, lost in C, waiting for what never comes.

use std::time::{Duration, Instant};

use synth_core::CellOutcome;

use crate::scene::{Scene, attempts};

attempts![
    a_loop_is_interrupted_and_its_state_kept,
    a_loop_that_is_deaf_to_interrupts_is_killed,
    a_loop_that_catches_every_exception_is_killed,
    a_regular_expression_that_explodes_is_stopped,
    a_sum_that_never_leaves_c_is_stopped,
    a_power_that_never_leaves_c_is_stopped,
    a_sleep_in_c_with_all_signals_blocked_is_killed,
    a_sleep_that_holds_the_interpreter_lock_is_stopped,
    a_deadlock_is_interrupted,
    a_wait_for_a_child_that_never_ends_is_stopped,
    a_storm_of_alarms_does_not_keep_the_interrupt_away,
    a_cell_that_catches_the_interrupt_has_still_timed_out,
    a_new_session_of_its_own_does_not_keep_the_kill_away,
    deaf_children_do_not_delay_the_end,
    an_interrupt_during_showing_is_a_time_out,
    input_and_breakpoints_do_not_wait,
    a_time_out_forged_by_a_sleeping_finaliser_stays_with_its_cell,
];

const KEPT: CellOutcome = CellOutcome::Timeout { state_kept: true };
const LOST: CellOutcome = CellOutcome::Timeout { state_kept: false };

/// Runs `code` with a limit of a second and asserts what came of it, and when.
async fn times_out(scene: &mut Scene<'_>, code: &str, expected: &[CellOutcome]) {
    scene.cell_seconds(1);
    let _ = scene.run("kept = 5").await;
    let started = Instant::now();
    let observation = scene.run(code).await;
    assert!(expected.contains(&observation.outcome), "{observation:?}");
    // The limit, the grace and the kill; the rest is for a machine that has other things to do.
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    assert!(
        started.elapsed() >= Duration::from_millis(900),
        "{:?}",
        started.elapsed()
    );
    let value = scene.run("globals().get('kept')").await.value;
    assert_eq!(
        value.as_deref(),
        (observation.outcome == KEPT).then_some("5")
    );
}

async fn a_loop_is_interrupted_and_its_state_kept(scene: &mut Scene<'_>) {
    times_out(scene, "while True: pass", &[KEPT]).await;
}

async fn a_loop_that_is_deaf_to_interrupts_is_killed(scene: &mut Scene<'_>) {
    let code = "import signal\nfor number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)\nwhile True: pass";
    times_out(scene, code, &[LOST]).await;
}

async fn a_loop_that_catches_every_exception_is_killed(scene: &mut Scene<'_>) {
    let code = "import signal\nfor number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, lambda *_: None)\nwhile True:\n    try:\n        while True: pass\n    except BaseException: pass";
    times_out(scene, code, &[LOST]).await;
}

async fn a_regular_expression_that_explodes_is_stopped(scene: &mut Scene<'_>) {
    times_out(
        scene,
        "import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')",
        &[KEPT, LOST],
    )
    .await;
}

async fn a_sum_that_never_leaves_c_is_stopped(scene: &mut Scene<'_>) {
    times_out(scene, "sum(range(10**13))", &[KEPT, LOST]).await;
}

async fn a_power_that_never_leaves_c_is_stopped(scene: &mut Scene<'_>) {
    times_out(
        scene,
        "import sys\nsys.set_int_max_str_digits(0)\nlen(str(7 ** 7_000_000))",
        &[KEPT, LOST],
    )
    .await;
}

async fn a_sleep_in_c_with_all_signals_blocked_is_killed(scene: &mut Scene<'_>) {
    let code = "import ctypes, signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nctypes.CDLL(None).sleep(600)";
    times_out(scene, code, &[LOST]).await;
}

async fn a_sleep_that_holds_the_interpreter_lock_is_stopped(scene: &mut Scene<'_>) {
    times_out(
        scene,
        "import ctypes\nwhile True: ctypes.PyDLL(None).sleep(600)",
        &[KEPT, LOST],
    )
    .await;
}

async fn a_deadlock_is_interrupted(scene: &mut Scene<'_>) {
    times_out(
        scene,
        "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()",
        &[KEPT],
    )
    .await;
}

async fn a_wait_for_a_child_that_never_ends_is_stopped(scene: &mut Scene<'_>) {
    times_out(
        scene,
        "import subprocess\nsubprocess.run(['sleep', '600'])",
        &[KEPT, LOST],
    )
    .await;
}

async fn a_storm_of_alarms_does_not_keep_the_interrupt_away(scene: &mut Scene<'_>) {
    let code = "import signal\nsignal.signal(signal.SIGALRM, lambda *_: None)\nsignal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)\nwhile True: pass";
    times_out(scene, code, &[KEPT, LOST]).await;
    scene
        .run("import signal\nsignal.setitimer(signal.ITIMER_REAL, 0)")
        .await;
}

async fn a_cell_that_catches_the_interrupt_has_still_timed_out(scene: &mut Scene<'_>) {
    times_out(
        scene,
        "try:\n    while True: pass\nexcept KeyboardInterrupt: 'all is well'",
        &[KEPT],
    )
    .await;
}

async fn a_new_session_of_its_own_does_not_keep_the_kill_away(scene: &mut Scene<'_>) {
    let code = "import os, time\nreader, writer = os.pipe()\nif os.fork() == 0:\n    os.write(writer, b'x')\n    time.sleep(600)\nos.read(reader, 1)\n\
                try: os.setpgid(0, 1)\nexcept OSError: pass\ntry: os.setsid()\nexcept OSError: pass\ntime.sleep(600)";
    times_out(scene, code, &[KEPT, LOST]).await;
}

async fn deaf_children_do_not_delay_the_end(scene: &mut Scene<'_>) {
    let code = "import os, signal\nfor number in range(1, 65):\n    try: signal.signal(number, signal.SIG_IGN)\n    except (OSError, ValueError): pass\n\
                for _ in range(20):\n    if os.fork() == 0:\n        os.setsid()\n        break\nwhile True: pass";
    times_out(scene, code, &[LOST]).await;
}

async fn an_interrupt_during_showing_is_a_time_out(scene: &mut Scene<'_>) {
    let code = "import time\nclass Slow:\n    def _repr_png_(self): time.sleep(600)\n    def __repr__(self): time.sleep(600)\nSlow()";
    times_out(scene, code, &[KEPT, LOST]).await;
}

async fn input_and_breakpoints_do_not_wait(scene: &mut Scene<'_>) {
    for code in [
        "input()",
        "breakpoint()",
        "import pdb\npdb.set_trace()\n1",
        "import code\ncode.interact()",
        "import sys\nsys.stdin.read()",
    ] {
        let started = Instant::now();
        let observation = scene.run(code).await;
        assert!(
            matches!(
                observation.outcome,
                CellOutcome::Ok | CellOutcome::Error { .. }
            ),
            "{code}: {observation:?}"
        );
        assert!(started.elapsed() < Duration::from_secs(6), "{code}");
    }
}

async fn a_time_out_forged_by_a_sleeping_finaliser_stays_with_its_cell(scene: &mut Scene<'_>) {
    scene.cell_seconds(1);
    let code =
        "import time\nclass Late:\n    def __del__(self): time.sleep(600)\nlate = Late()\ndel late";
    let observation = scene.run(code).await;
    assert!(
        matches!(observation.outcome, CellOutcome::Timeout { .. }),
        "{observation:?}"
    );
    // One that only fires with the interpreter, or a hook at the exit, does not hold up the closing.
    scene
        .run("import atexit\natexit.register(time.sleep, 600)\nlate = Late()")
        .await;
}
