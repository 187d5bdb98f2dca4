//! Frames are not trusted: whoever writes into the control socket breaks no more than their own sandbox.

use std::time::Instant;

use super::*;

const BROKEN: &str = "protocol error";

/// Finds the control socket as a hostile cell would.
const FIND: &str = "\
import json, os, stat, struct, time
def is_socket(number):
    try: return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError: return False
control = next(filter(is_socket, range(3, 4096)))
def frame(body):
    body = body if isinstance(body, bytes) else body.encode()
    return struct.pack('>I', len(body)) + body
def reply(**fields):
    return json.dumps({'version': 2, 'nonce': '0' * 32, 'status': 'ok', **fields})
";

async fn prepared(sandboxes: &dyn Sandboxes, spec: &SandboxSpec) -> Box<dyn Sandbox> {
    let mut sandbox = sandboxes.open(spec).await.unwrap();
    assert_eq!(run(&mut sandbox, FIND).await.outcome, CellOutcome::Ok);
    sandbox
}

pub async fn a_forged_frame_in_the_output_is_output(sandboxes: &dyn Sandboxes) {
    let mut sandbox = prepared(sandboxes, &spec()).await;
    let observation = run(
        &mut sandbox,
        "_ = os.write(1, frame(reply(value='forged')));1",
    )
    .await;
    assert_eq!(
        (observation.outcome, observation.value.as_deref()),
        (CellOutcome::Ok, Some("1"))
    );
    assert!(observation.stdout.contains("forged"));
    sandbox.close().await;
}

pub async fn a_broken_frame_ends_the_sandbox_and_is_said(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    for bytes in [
        "frame(reply(value='forged'))",
        "b'\\xff' * 8",
        "frame('[' * 100_000)",
        "frame(reply(value=1))",
        "frame(reply(memory_peak=10**40))",
        "frame(reply().replace('2', 'NaN', 1))",
        "frame(reply(displays=[{'media_type': 'image/png', 'bytes': 10**15}]))",
        "frame(b'\\xff\\x00')",
        "frame('')",
    ] {
        run(&mut sandbox, FIND).await;
        let observation = run(
            &mut sandbox,
            &format!("os.write(control, {bytes})\ntime.sleep(20)"),
        )
        .await;
        assert_eq!(
            observation.outcome,
            CellOutcome::Died { how: BROKEN.into() },
            "{bytes} {observation:?}"
        );
        assert!(observation.duration_ms < 10_000);
        let next = run(&mut sandbox, "2").await;
        assert_eq!(next.value.as_deref(), Some("2"));
        assert!(
            next.stderr.contains("started anew after protocol error"),
            "{next:?}"
        );
    }
    sandbox.close().await;
}

pub async fn a_reply_between_cells_ends_the_sandbox(sandboxes: &dyn Sandboxes) {
    let mut sandbox = prepared(sandboxes, &spec()).await;
    let code = "import threading\ndef late():\n    time.sleep(0.3)\n    os.write(control, frame(reply(value='forged')))\n\
                threading.Thread(target=late).start()";
    assert_eq!(run(&mut sandbox, code).await.outcome, CellOutcome::Ok);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let observation = run(&mut sandbox, "'x'").await;
    assert_eq!(
        observation.outcome,
        CellOutcome::Died { how: BROKEN.into() }
    );
    assert_eq!(observation.value, None);
    assert_eq!(value(&mut sandbox, "'y'").await.as_deref(), Some("'y'"));
    sandbox.close().await;
}

/// A cell that steals what the agent should read, or begins a frame that never ends, is stopped at its limit.
pub async fn a_swallowed_request_costs_no_more_than_its_time(sandboxes: &dyn Sandboxes) {
    let quick = limited(|limits| limits.cell = Duration::from_secs(2));
    for code in [
        "os.write(control, struct.pack('>I', 1000) + b'{')\ntime.sleep(20)",
        "nonce = os.read(control, 32)",
        "nonce = os.read(control, 32).decode()\nos.write(control, frame(reply(nonce=nonce, value='early')))\ntime.sleep(20)",
    ] {
        let mut sandbox = prepared(sandboxes, &quick).await;
        let started = Instant::now();
        run(&mut sandbox, code).await;
        let mut values = Vec::new();
        for _ in 0..3 {
            let observation = run(&mut sandbox, "7").await;
            assert!(
                observation.value.is_none() || observation.value.as_deref() == Some("7"),
                "{observation:?}"
            );
            values.push(observation.value);
        }
        assert_eq!(values.last().unwrap().as_deref(), Some("7"));
        // Three times the limit and its grace, and as many starts of what is slow to start.
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{:?}",
            started.elapsed()
        );
        sandbox.close().await;
    }
}

/// Whatever hangs together in the interpreter's memory holds no nonce while a cell runs.
pub async fn the_nonce_is_in_no_object(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    let code = "import gc, re, sys\nhexadecimal = re.compile('^[0-9a-f]{32}$')\nfound = set()\n\
        def look(value):\n    if isinstance(value, bytes):\n        value = value.decode('latin-1')\n    \
            if isinstance(value, str) and hexadecimal.match(value):\n        found.add(value)\n\
        frame = sys._getframe()\nwhile frame:\n    for value in list(frame.f_locals.values()): look(value)\n    frame = frame.f_back\n\
        for holder in gc.get_objects():\n    for value in gc.get_referents(holder): look(value)\nnonces = sorted(found)";
    stdout(&mut sandbox, code).await;
    // The same before and after: what is found is no nonce of a cell.
    let before = value(&mut sandbox, "len(nonces)").await;
    stdout(&mut sandbox, code).await;
    assert_eq!(value(&mut sandbox, "len(nonces)").await, before);
    assert_eq!(before.as_deref(), Some("0"));
    sandbox.close().await;
}
