//! What a cell gives back.

use std::fmt::Write as _;

use super::*;

pub async fn state_stays_from_cell_to_cell(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    assert_eq!(value(&mut sandbox, "x = 20").await, None);
    let observation = run(&mut sandbox, "x += 1\nx * 2").await;
    assert_eq!(observation.value.as_deref(), Some("42"));
    assert_eq!(
        (
            observation.stdout.as_str(),
            observation.stderr.as_str(),
            observation.truncated
        ),
        ("", "", false)
    );
    assert_eq!(value(&mut sandbox, "x;").await, None);
    assert_eq!(
        value(&mut sandbox, "await __import__('asyncio').sleep(0, x)")
            .await
            .as_deref(),
        Some("21")
    );
    sandbox.close().await;
}

pub async fn printing_keeps_its_order_whoever_prints(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    let code = "import subprocess\nprint('one')\nsubprocess.run(['echo', 'two'])\n!echo three\nprint('four', end='')";
    assert_eq!(stdout(&mut sandbox, code).await, "one\ntwo\nthree\nfour");
    sandbox.close().await;
}

pub async fn standard_error_and_warnings_are_shown(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    let code = "import sys, warnings\nprint('oops', file=sys.stderr)\nwarnings.warn('careful')";
    let told = run(&mut sandbox, code).await;
    assert!(
        told.stderr.starts_with("oops\n") && told.stderr.contains("UserWarning: careful"),
        "{told:?}"
    );
    sandbox.close().await;
}

pub async fn the_libraries_are_there(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    let code = "import pandas as pd\nimport numpy as np\nfrom sklearn.linear_model import LinearRegression\n\
                model = LinearRegression().fit([[0], [1]], [1, 3])\npd.DataFrame({'a': [1, 2]}), round(float(model.coef_[0]), 3)";
    let shown = value(&mut sandbox, code).await.unwrap();
    assert!(
        shown.contains("   a\n 0  1") && shown.contains("2.0"),
        "{shown}"
    );
    sandbox.close().await;
}

pub async fn escapes_and_bytes_that_are_no_text_do_no_harm(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    let code = "import os, sys\nprint('\\x1b[31mred\\x1b[0m \\u202eback\\u200b')\nsys.stdout.flush()\n_ = os.write(1, b'\\xff\\n')";
    assert_eq!(stdout(&mut sandbox, code).await, "red back\n\u{fffd}\n");
    let lone = run(&mut sandbox, "raise ValueError('\\udfff\\x00')").await;
    assert_eq!(error(&lone).1, "?");
    let shown = value(
        &mut sandbox,
        "class Odd:\n    def __repr__(self): return '\\ud800'\nOdd()",
    )
    .await;
    assert_eq!(shown.as_deref(), Some("?"));
    sandbox.close().await;
}

pub async fn processes_work_in_parallel(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    let code = "from joblib import Parallel, delayed\nParallel(n_jobs=2)(delayed(abs)(-n) for n in range(4))";
    let observation = run(&mut sandbox, code).await;
    assert_eq!(
        observation.value.as_deref(),
        Some("[0, 1, 2, 3]"),
        "{observation:?}"
    );
    let code = "import multiprocessing, time\nprocess = multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,))\n\
                process.start(); process.terminate(); process.join()\nprocess.exitcode";
    let observation = run(&mut sandbox, code).await;
    assert_eq!(observation.value.as_deref(), Some("-15"), "{observation:?}");
    sandbox.close().await;
}

pub async fn a_fork_that_comes_back_does_not_answer(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    let code = "import os\npid = os.fork()\nif pid: os.waitpid(pid, 0); print('parent')";
    assert_eq!(stdout(&mut sandbox, code).await, "parent\n");
    assert_eq!(value(&mut sandbox, "1 + 1").await.as_deref(), Some("2"));
    sandbox.close().await;
}

pub async fn what_a_cell_prints_is_its_own_on_a_busy_machine(sandboxes: &dyn Sandboxes) {
    let print = async |which: usize| {
        let mut sandbox = open(sandboxes).await;
        for n in 0..300 {
            let told = run(&mut sandbox, &format!("print('{which} says {n}')")).await;
            assert_eq!(told.stdout, format!("{which} says {n}\n"));
        }
        sandbox.close().await;
    };
    let busy = async {
        let mut sandbox = open(sandboxes).await;
        run(
            &mut sandbox,
            "import time; end = time.time() + 3\nwhile time.time() < end: pass",
        )
        .await;
        sandbox.close().await;
    };
    tokio::join!(print(0), print(1), busy);
}

pub async fn seeds_decide_what_is_random(sandboxes: &dyn Sandboxes) {
    let mut drawn = Vec::new();
    for seed in [1, 1, 2, u64::MAX] {
        let mut sandbox = sandboxes
            .open(&SandboxSpec { seed, ..spec() })
            .await
            .unwrap();
        let code = "import random, numpy as np\nprint(random.random(), np.random.rand(), hash('text'))\nprint(object())\nimport os\nprint(os.getpid())";
        let mut seen = stdout(&mut sandbox, code).await;
        let error = run(&mut sandbox, "import pandas as pd\npd.DataFrame()['x']").await;
        write!(seen, "{:?}", error.outcome).unwrap();
        drawn.push(seen);
        sandbox.close().await;
    }
    assert_eq!(drawn[0], drawn[1]);
    assert_ne!(drawn[0], drawn[2]);
    assert_ne!(drawn[2], drawn[3]);
}
