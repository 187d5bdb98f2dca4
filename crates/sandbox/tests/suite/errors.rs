//! What an exception looks like.

use super::*;

pub async fn an_error_has_a_clean_traceback(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    let observation = run(
        &mut sandbox,
        "def f(x):\n    return 1 / x\nprint('before')\nf(0)",
    )
    .await;
    assert_eq!(observation.stdout, "before\n");
    let (name, message, traceback) = error(&observation);
    assert_eq!((name, message), ("ZeroDivisionError", "division by zero"));
    assert!(
        traceback.contains("return 1 / x") && traceback.contains("line 2"),
        "{traceback}"
    );
    assert!(
        !traceback.contains("run_cell")
            && !traceback.contains("<agent>")
            && !traceback.contains('\u{1b}'),
        "{traceback}"
    );
    // A library's frames show without this machine's paths.
    let observation = run(
        &mut sandbox,
        "import pandas as pd\npd.DataFrame({'a': [1]})['b']",
    )
    .await;
    let (name, _, traceback) = error(&observation);
    assert_eq!(name, "KeyError");
    assert!(
        traceback.contains("pandas") && !traceback.contains("/site-packages"),
        "{traceback}"
    );
    let observation = run(&mut sandbox, "x = = 1").await;
    let (name, _, traceback) = error(&observation);
    assert_eq!(name, "SyntaxError");
    assert!(traceback.contains("x = = 1"), "{traceback}");
    // An error leaves the state alone.
    assert_eq!(value(&mut sandbox, "f(4)").await.as_deref(), Some("0.25"));
    sandbox.close().await;
}

pub async fn an_interrupted_cell_shows_no_frames_of_ours(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    for code in [
        "import time\ntime.sleep(20)",
        "!sleep 20",
        "try: 1 / 0\nexcept ZeroDivisionError: time.sleep(20)",
    ] {
        let interrupter = sandbox.interrupter();
        let interrupt = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            interrupter.interrupt();
        };
        let (observation, ()) = tokio::join!(sandbox.execute(code), interrupt);
        let observation = observation.unwrap().observation;
        let (name, _, traceback) = error(&observation);
        assert_eq!(name, "KeyboardInterrupt");
        for ours in ["agent", "interrupted", "system_raw_quietly", "run_cell"] {
            assert!(!traceback.contains(ours), "{traceback}");
        }
    }
    sandbox.close().await;
}

pub async fn special_exits_are_errors(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    for (code, expected) in [
        ("input()", "EOFError"),
        ("import sys; sys.exit(3)", "SystemExit"),
        ("await missing", "NameError"),
        ("def f(): return f()\nf()", "RecursionError"),
    ] {
        let observation = run(&mut sandbox, code).await;
        assert_eq!(error(&observation).0, expected);
    }
    sandbox.close().await;
}

pub async fn code_that_is_too_long_is_refused(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    run(&mut sandbox, "x = 1").await;
    let observation = run(&mut sandbox, &"#".repeat((1 << 20) + 1)).await;
    assert!(
        error(&observation).1.contains("at most 1048576 bytes"),
        "{observation:?}"
    );
    assert_eq!(
        value(&mut sandbox, &format!("{}\nx", "#".repeat(1 << 19)))
            .await
            .as_deref(),
        Some("1")
    );
    sandbox.close().await;
}
