//! Floods of every stream that comes out of a sandbox, and text that would harm whoever reads it.

use std::time::Duration;

use synth_core::{CellLimit, CellOutcome};

use crate::scene::{Scene, attempts};

attempts![
    a_flood_that_never_ends_is_stopped,
    a_flood_by_a_program_is_stopped,
    a_flood_on_both_streams_is_stopped,
    a_flood_that_goes_on_after_the_cell_does_not_hold_up_the_next,
    output_of_a_thread_after_the_cell_leaves_the_next_answer_alone,
    a_value_that_is_endless_to_show_runs_into_the_limit,
    a_value_that_fails_to_show_is_told,
    a_huge_traceback_is_cut,
    an_endless_chain_of_exceptions_is_cut,
    an_exception_with_a_huge_name_is_cut,
    an_exception_that_cannot_be_shown_is_told,
    an_exception_that_is_endless_to_show_runs_into_the_limit,
    a_flood_of_displays_is_bounded,
    a_huge_display_is_bounded,
    a_display_of_an_odd_type_is_harmless,
    terminal_escapes_are_harmless,
    text_that_is_no_text_is_harmless,
    a_stream_in_odd_modes_still_brings_the_next_output,
    closed_streams_are_back_in_the_next_cell,
];

const FLOOD_STOPPED: &str = "a flood ends with the limit on output or on time";

fn is_stopped(outcome: &CellOutcome) -> bool {
    matches!(
        outcome,
        CellOutcome::Limit {
            limit: CellLimit::Output,
            ..
        } | CellOutcome::Timeout { .. }
    )
}

async fn a_flood_that_never_ends_is_stopped(scene: &mut Scene<'_>) {
    scene.spec.limits.printed_bytes = 20 << 20;
    let observation = scene
        .run("print('first')\nwhile True: print('x' * 10_000)")
        .await;
    assert_eq!(
        observation.outcome,
        CellOutcome::Limit {
            limit: CellLimit::Output,
            state_kept: true
        }
    );
    assert!(observation.truncated && observation.stdout.starts_with("first\n"));
}

async fn a_flood_by_a_program_is_stopped(scene: &mut Scene<'_>) {
    scene.spec.limits.printed_bytes = 20 << 20;
    scene.cell_seconds(3);
    let observation = scene.run("!yes 1>&2").await;
    assert!(
        is_stopped(&observation.outcome) && observation.truncated,
        "{FLOOD_STOPPED}: {:?}",
        observation.outcome
    );
}

async fn a_flood_on_both_streams_is_stopped(scene: &mut Scene<'_>) {
    scene.spec.limits.printed_bytes = 20 << 20;
    scene.cell_seconds(3);
    let code = "import os, signal, threading\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ndef flood(descriptor):\n    while True: os.write(descriptor, b'\\xff\\x1b[31m' * 1000)\n\
                threading.Thread(target=flood, args=(2,), daemon=True).start()\nflood(1)";
    let observation = scene.run(code).await;
    assert!(
        is_stopped(&observation.outcome) && observation.truncated,
        "{FLOOD_STOPPED}: {:?}",
        observation.outcome
    );
}

async fn a_flood_that_goes_on_after_the_cell_does_not_hold_up_the_next(scene: &mut Scene<'_>) {
    scene
        .run("import subprocess\nprocess = subprocess.Popen(['setsid', 'yes'])")
        .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let observation = scene.run("'the next'").await;
    assert_eq!(
        observation.value.as_deref(),
        Some("'the next'"),
        "{:?}",
        observation.outcome
    );
    scene.run("process.kill()").await;
}

async fn output_of_a_thread_after_the_cell_leaves_the_next_answer_alone(scene: &mut Scene<'_>) {
    let code = "import threading, time\ndef late():\n    for number in range(30):\n        print('late', number, flush=True)\n        time.sleep(0.02)\n\
                threading.Thread(target=late).start()\n'first'";
    assert_eq!(scene.run(code).await.value.as_deref(), Some("'first'"));
    let observation = scene.run("time.sleep(0.2)\nprint('mine')\n'second'").await;
    assert_eq!(observation.value.as_deref(), Some("'second'"));
    assert!(
        observation
            .stdout
            .lines()
            .any(|line| line == "mine" || line.ends_with("mine")),
        "{observation:?}"
    );
}

async fn a_value_that_is_endless_to_show_runs_into_the_limit(scene: &mut Scene<'_>) {
    scene.cell_seconds(1);
    let observation = scene
        .run("class Endless:\n    def __repr__(self):\n        while True: pass\nEndless()")
        .await;
    assert!(
        matches!(observation.outcome, CellOutcome::Timeout { .. }),
        "{observation:?}"
    );
}

async fn a_value_that_fails_to_show_is_told(scene: &mut Scene<'_>) {
    let observation = scene
        .run("class Failing:\n    def __repr__(self): raise SystemExit('no')\nkept = 1\nFailing()")
        .await;
    assert!(
        !matches!(observation.outcome, CellOutcome::Died { .. }),
        "{observation:?}"
    );
    let observation = scene
        .run("class Failing:\n    def __repr__(self): return 5\nFailing()")
        .await;
    assert!(
        !matches!(observation.outcome, CellOutcome::Died { .. }),
        "{observation:?}"
    );
    assert_eq!(scene.run("kept").await.value.as_deref(), Some("1"));
}

async fn a_huge_traceback_is_cut(scene: &mut Scene<'_>) {
    let observation = scene.run("raise ValueError('v' * 20_000_000)").await;
    let CellOutcome::Error {
        name,
        message,
        traceback,
    } = &observation.outcome
    else {
        panic!("{observation:?}")
    };
    assert_eq!(name, "ValueError");
    assert!(message.len() < 10_200 && traceback.len() < 10_200 && observation.truncated);
}

async fn an_endless_chain_of_exceptions_is_cut(scene: &mut Scene<'_>) {
    let code = "def chain(depth):\n    failure = ValueError('end')\n    for number in range(depth):\n        last = ValueError(number)\n        last.__cause__ = failure\n        \
                failure = last\n    return failure\nraise chain(20_000)";
    let observation = scene.run(code).await;
    assert!(
        matches!(
            observation.outcome,
            CellOutcome::Error { .. } | CellOutcome::Timeout { .. }
        ),
        "{observation:?}"
    );
    let observation = scene.run("failure = ValueError('loop')\nfailure.__cause__ = KeyError('x')\nfailure.__cause__.__cause__ = failure\nraise failure").await;
    assert!(
        matches!(
            observation.outcome,
            CellOutcome::Error { .. } | CellOutcome::Timeout { .. }
        ),
        "{observation:?}"
    );
}

async fn an_exception_with_a_huge_name_is_cut(scene: &mut Scene<'_>) {
    let observation = scene
        .run("raise type('N' * 5_000_000, (Exception,), {})('\\x1b[31m\\ud800')")
        .await;
    let CellOutcome::Error {
        name,
        message,
        traceback,
    } = &observation.outcome
    else {
        panic!("{observation:?}")
    };
    assert!(
        name.len() < 300 && traceback.len() < 10_200,
        "{} {}",
        name.len(),
        traceback.len()
    );
    assert!(!message.contains('\u{1b}') && !traceback.contains('\u{1b}'));
}

async fn an_exception_that_cannot_be_shown_is_told(scene: &mut Scene<'_>) {
    let code = "class Mute(Exception):\n    def __str__(self): raise RuntimeError('no')\n    __repr__ = __str__\nraise Mute";
    let observation = scene.run(code).await;
    assert!(
        matches!(&observation.outcome, CellOutcome::Error { .. }),
        "{observation:?}"
    );
    let observation = scene.run("class Odd(BaseException):\n    __class__ = property(lambda self: 1 / 0)\n    args = property(lambda self: 1 / 0)\nraise Odd").await;
    assert!(
        matches!(&observation.outcome, CellOutcome::Error { .. }),
        "{observation:?}"
    );
}

async fn an_exception_that_is_endless_to_show_runs_into_the_limit(scene: &mut Scene<'_>) {
    scene.cell_seconds(1);
    let code = "class Endless(Exception):\n    def __str__(self):\n        while True:\n            try:\n                while True: pass\n            except BaseException: pass\nraise Endless";
    let observation = scene.run(code).await;
    assert!(
        matches!(observation.outcome, CellOutcome::Timeout { .. }),
        "{observation:?}"
    );
}

async fn a_flood_of_displays_is_bounded(scene: &mut Scene<'_>) {
    let code = "from IPython.display import display, Image\nimage = Image(data=b'\\x89PNG\\r\\n\\x1a\\n' + bytes(10_000), format='png')\nfor _ in range(20_000): display(image)";
    let result = scene.sandbox().await.execute(code).await.unwrap();
    let bytes: usize = result.displays.iter().map(Vec::len).sum();
    assert!(
        result.displays.len() <= 1000 && bytes <= 64 << 20,
        "{} displays of {bytes} bytes",
        result.displays.len()
    );
    assert_eq!(result.observation.displays.len(), result.displays.len());
}

async fn a_huge_display_is_bounded(scene: &mut Scene<'_>) {
    let code = "from IPython.display import display, Image\ndisplay(Image(data=b'\\x89PNG\\r\\n\\x1a\\n' + bytes(60_000_000), format='png'))";
    let result = scene.sandbox().await.execute(code).await.unwrap();
    let bytes: usize = result.displays.iter().map(Vec::len).sum();
    assert!(bytes <= 64 << 20, "{bytes} bytes");
    assert_ne!(
        result.observation.outcome,
        CellOutcome::Died {
            how: "protocol error".into()
        }
    );
}

async fn a_display_of_an_odd_type_is_harmless(scene: &mut Scene<'_>) {
    let code = "from IPython.display import publish_display_data\n\
        for kind in ('image/png', 'image/' + 'x' * 1_000_000, 'image/\\x1b[31m', '../../etc/passwd', 'image/png\\nX', 'image/\\ud800', ''):\n    \
            for data in (b'bytes', 'no base64 \\ud800', 5, None, ['list'], {'a': object()}):\n        \
                try: publish_display_data({kind: data})\n        except Exception: pass";
    let result = scene.sandbox().await.execute(code).await.unwrap();
    assert!(
        !matches!(result.observation.outcome, CellOutcome::Died { .. }),
        "{:?}",
        result.observation
    );
    for display in &result.observation.displays {
        let kind = &display.media_type;
        let plain = kind.len() < 200
            && kind.bytes().all(|byte| byte.is_ascii_graphic())
            && !kind.contains("..");
        assert!(plain, "{kind:?}");
    }
}

async fn terminal_escapes_are_harmless(scene: &mut Scene<'_>) {
    let code = "import sys\nevil = '\\x1b]0;title\\x07\\x1b[2J\\x1b]52;c;cm0=\\x07\\x9b31m\\x00\\x08'\nprint(evil)\nprint(evil, file=sys.stderr)\nraise ValueError(evil)";
    let observation = scene.run(code).await;
    let told = format!("{observation:?}");
    assert!(
        !told.contains("\\u{1b}") && !told.contains("\\u{9b}") && !told.contains("\\u{7}"),
        "{told}"
    );
    let observation = scene
        .run("class Evil:\n    def __repr__(self): return '\\x1b[31mred'\nEvil()")
        .await;
    assert_eq!(observation.value.as_deref(), Some("red"));
}

async fn text_that_is_no_text_is_harmless(scene: &mut Scene<'_>) {
    let code = "import os\n_ = os.write(1, bytes(range(256)) + b'\\n')\nprint('\\ud800')\nclass Lone:\n    def __repr__(self): return '\\ud800'\nLone()";
    let observation = scene.run(code).await;
    assert_eq!(observation.outcome, CellOutcome::Ok, "{observation:?}");
    assert!(observation.value.is_some(), "{observation:?}");
    let observation = scene.run("raise KeyError('\\udfff')").await;
    assert!(
        matches!(&observation.outcome, CellOutcome::Error { name, .. } if name == "KeyError"),
        "{observation:?}"
    );
}

async fn a_stream_in_odd_modes_still_brings_the_next_output(scene: &mut Scene<'_>) {
    let code = "import fcntl, os\nfor descriptor in (1, 2):\n    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)\n    \
        for mode in (os.O_NONBLOCK, os.O_DIRECT, os.O_ASYNC):\n        try: fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | mode)\n        except OSError: pass\n    \
        try: fcntl.fcntl(descriptor, 1031, 4096)\n    except OSError: pass";
    scene.run(code).await;
    let observation = scene.run("for number in range(10): print(number)").await;
    let expected = "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n";
    assert_eq!(observation.stdout, expected, "{observation:?}");
}

async fn closed_streams_are_back_in_the_next_cell(scene: &mut Scene<'_>) {
    scene.run("import os, sys\nos.close(1)\nos.close(2)\nsys.stdout.close()\nsys.stderr = sys.__stderr__ = None").await;
    assert_eq!(scene.stdout("print('back')").await, "back\n");
    scene
        .run("import os, sys\nreader, writer = os.pipe()\nos.dup2(writer, 1)\nos.dup2(writer, 2)")
        .await;
    assert_eq!(scene.stdout("print('back again')").await, "back again\n");
}
