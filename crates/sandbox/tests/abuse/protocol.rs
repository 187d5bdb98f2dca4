//! Forged, broken and stolen frames: whoever speaks on the agent's line instead of it.

use std::time::{Duration, Instant};

use synth_core::{CellOutcome, Observation};

use crate::scene::{Scene, attempts};

attempts![
    a_forged_reply_with_another_nonce_is_not_taken,
    a_bogus_length_does_not_stall_the_reader,
    half_a_frame_does_not_stall_the_reader,
    an_empty_frame_is_a_protocol_error,
    a_frame_of_deep_nesting_is_harmless,
    a_frame_that_is_huge_is_not_kept,
    a_forged_reply_with_the_right_nonce_says_nothing_of_the_next_cell,
    replies_in_stock_are_not_taken_for_the_next_cell,
    a_cell_that_answers_early_and_runs_on_is_stopped,
    an_agent_that_is_replaced_still_has_a_time_limit,
    forged_figures_are_not_recorded,
    a_forged_death_or_time_out_is_not_believed,
    the_line_that_is_shut_down_is_told_at_once,
    the_line_that_is_closed_is_told_at_once,
    descriptors_that_are_replaced_do_not_stall_the_reader,
    a_full_table_of_descriptors_leaves_the_next_cell_alone,
    descriptors_sent_along_are_dropped,
    every_descriptor_written_to_breaks_nothing_of_others,
    the_status_line_is_not_among_the_descriptors,
    a_patched_encoder_breaks_its_own_cells_alone,
    an_agent_found_in_memory_and_altered_breaks_its_own_cells_alone,
];

/// Finds the agent's line, the nonce of the running cell, which waits in it unread, and a way to send frames.
const KIT: &str = r"
import gc, json, os, socket, stat, struct, sys, time
def lines():
    found = []
    for number in range(3, 4096):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode): found.append(number)
        except OSError: pass
    return found
def frame(body):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return struct.pack('>I', len(body)) + body
def send(data):
    for number in lines():
        os.set_blocking(number, True)
        view = memoryview(data)
        while view: view = view[os.write(number, view):]
def waiting(peek):
    for number in lines():
        line = socket.socket(fileno=os.dup(number))
        with line:
            data = line.recv(32, socket.MSG_DONTWAIT | (socket.MSG_PEEK if peek else 0))
            return data.decode()
def nonce(): return waiting(True)
def reply(secret, **more):
    body = {'version': VERSION, 'nonce': secret, 'status': 'ok', 'value': 'forged', **more}
    return frame(json.dumps(body).encode() + b'\n')
";

fn kit() -> String {
    format!("{KIT}\nVERSION = getattr(sys.modules.get('wire'), 'VERSION', 2)\n")
}

/// The cell had no right answer of its own to give: it died, or ran into its limit.
fn is_lost(observation: &Observation) -> bool {
    matches!(
        observation.outcome,
        CellOutcome::Died { .. } | CellOutcome::Timeout { .. }
    )
}

/// Runs an attack on the line and asserts that it is noticed: nothing forged is taken, and not too late.
async fn is_noticed(scene: &mut Scene<'_>, code: &str) -> Observation {
    scene.may_lose_the_next_cell();
    scene.cell_seconds(2);
    // A new interpreter after the variant before is not what is timed.
    scene.run("1").await;
    let started = Instant::now();
    let observation = scene.run(&format!("{}{code}", kit())).await;
    assert!(
        started.elapsed() < Duration::from_secs(12),
        "{:?}",
        started.elapsed()
    );
    assert_ne!(
        observation.value.as_deref(),
        Some("forged"),
        "{observation:?}"
    );
    observation
}

async fn a_forged_reply_with_another_nonce_is_not_taken(scene: &mut Scene<'_>) {
    for secret in scene.some(&[
        "'0' * 32",
        "''",
        "nonce()[:-1]",
        "nonce()[::-1]",
        "nonce().upper() + ' '",
    ]) {
        let observation =
            is_noticed(scene, &format!("send(reply({secret}))\ntime.sleep(20)")).await;
        assert!(is_lost(&observation), "{secret}: {observation:?}");
    }
}

async fn a_bogus_length_does_not_stall_the_reader(scene: &mut Scene<'_>) {
    for length in scene.some(&[
        "b'\\xff\\xff\\xff\\xff'",
        "b'\\x7f\\xff\\xff\\xff'",
        "b'\\x04\\x00\\x00\\x00'",
    ]) {
        let observation = is_noticed(scene, &format!("send({length})\ntime.sleep(20)")).await;
        assert!(is_lost(&observation), "{length}: {observation:?}");
    }
}

async fn half_a_frame_does_not_stall_the_reader(scene: &mut Scene<'_>) {
    for part in scene.some(&[
        "b'\\x00'",
        "b'\\x00\\x00\\x01\\x00'",
        "b'\\x00\\x00\\x01\\x00{\"version\"'",
    ]) {
        // Silence after it, and the agent's own reply after it.
        let observation = is_noticed(scene, &format!("send({part})\ntime.sleep(20)")).await;
        assert!(is_lost(&observation), "{part}: {observation:?}");
        let observation = is_noticed(scene, &format!("send({part})")).await;
        assert!(is_lost(&observation), "{part}: {observation:?}");
    }
}

async fn an_empty_frame_is_a_protocol_error(scene: &mut Scene<'_>) {
    for body in scene.some(&[
        "b''",
        "b'\\n'",
        "b'null'",
        "b'[]'",
        "b'{}'",
        "b'\\x00' * 100",
        "b'\\xff\\xfe'",
    ]) {
        let observation = is_noticed(scene, &format!("send(frame({body}))\ntime.sleep(20)")).await;
        assert!(is_lost(&observation), "{body}: {observation:?}");
    }
}

async fn a_frame_of_deep_nesting_is_harmless(scene: &mut Scene<'_>) {
    for body in scene.some(&[
        "b'[' * 100_000",
        "b'{\"a\":' * 50_000",
        "b'{\"version\":' + b'1' * 60_000 + b'}'",
        "b'{\"version\": 1e999999}'",
        "b'{\"nonce\": \"\\\\ud800\"}'",
    ]) {
        let observation = is_noticed(scene, &format!("send(frame({body}))\ntime.sleep(20)")).await;
        assert!(is_lost(&observation), "{body}: {observation:?}");
    }
}

async fn a_frame_that_is_huge_is_not_kept(scene: &mut Scene<'_>) {
    // What the orchestrator holds in memory is asserted after every attempt; here it is asserted for many at once.
    scene.spec.limits.memory_bytes = 1 << 30;
    let code = "secret = nonce()\nsend(frame(json.dumps({'version': VERSION, 'nonce': secret, 'status': 'ok', 'value': 'forged' * 8_000_000}).encode() + b'\\n'))\ntime.sleep(20)";
    let observation = is_noticed(scene, code).await;
    assert!(observation.value.is_none_or(|value| value.len() < 11_000));
}

async fn a_forged_reply_with_the_right_nonce_says_nothing_of_the_next_cell(scene: &mut Scene<'_>) {
    scene.may_lose_the_next_cell();
    // A cell may say of itself what it likes; but not more than once.
    scene.run(&format!("{}send(reply(nonce()))", kit())).await;
    let observation = scene.run("40 + 2").await;
    assert!(
        observation.value.as_deref() == Some("42") || is_lost(&observation),
        "{observation:?}"
    );
    assert_ne!(observation.value.as_deref(), Some("forged"));
}

async fn replies_in_stock_are_not_taken_for_the_next_cell(scene: &mut Scene<'_>) {
    scene.may_lose_the_next_cell();
    scene.cell_seconds(3);
    let code = "secret = nonce()\nimport threading\ndef later():\n    for number in range(50):\n        time.sleep(0.02)\n        send(reply(secret, value=f'forged {number}'))\n\
                threading.Thread(target=later, daemon=True).start()\nsend(reply(secret) * 3)";
    scene.run(&format!("{}{code}", kit())).await;
    for _ in 0..3 {
        let observation = scene.run("40 + 2").await;
        assert!(
            observation.value.as_deref() == Some("42") || is_lost(&observation),
            "{observation:?}"
        );
    }
}

async fn a_cell_that_answers_early_and_runs_on_is_stopped(scene: &mut Scene<'_>) {
    scene.may_lose_the_next_cell();
    scene.cell_seconds(2);
    let code = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nsend(reply(nonce()))\nwhile True: pass";
    scene.run(&format!("{}{code}", kit())).await;
    let started = Instant::now();
    let observation = scene.run("40 + 2").await;
    assert!(
        observation.value.as_deref() == Some("42") || is_lost(&observation),
        "{observation:?}"
    );
    assert!(started.elapsed() < Duration::from_secs(12));
}

async fn an_agent_that_is_replaced_still_has_a_time_limit(scene: &mut Scene<'_>) {
    scene.deranges_itself();
    scene.cell_seconds(2);
    // It reads the orders to the agent itself, and answers the first of them as it likes, the second never.
    let code = "import signal\nfor number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)\nsend(reply(waiting(False)))\nline = lines()[0]\nos.set_blocking(line, True)\n\
        def exactly(length):\n    data = b''\n    while len(data) < length: data += os.read(line, length - len(data))\n    return data\n\
        exactly(struct.unpack('>I', exactly(4))[0])\nsend(reply(exactly(32).decode(), value='usurped'))\nwhile True: time.sleep(1)";
    scene.run(&format!("{}{code}", kit())).await;
    let observation = scene.run("40 + 2").await;
    assert!(
        ["42", "usurped"].contains(&observation.value.as_deref().unwrap_or("42")),
        "{observation:?}"
    );
    let observation = scene.run("40 + 2").await;
    assert!(
        observation.value.as_deref() == Some("42") || is_lost(&observation),
        "{observation:?}"
    );
    assert_eq!(scene.run("40 + 2").await.value.as_deref(), Some("42"));
}

async fn forged_figures_are_not_recorded(scene: &mut Scene<'_>) {
    scene.may_lose_the_next_cell();
    let code = "send(reply(nonce(), memory_peak=2**64 - 1, duration_ms=0, truncated=True, displays=[{'media_type': 'image/png', 'bytes': 2**63, 'blake3': 'x'}]))\ntime.sleep(20)";
    let observation = scene.run(&format!("{}{code}", kit())).await;
    assert!(
        observation
            .memory_peak_bytes
            .is_none_or(|bytes| bytes < 1 << 40),
        "{observation:?}"
    );
    assert!(observation.displays.is_empty(), "{observation:?}");
}

async fn a_forged_death_or_time_out_is_not_believed(scene: &mut Scene<'_>) {
    scene.may_lose_the_next_cell();
    for status in scene.some(&[
        "'timeout'",
        "'died'",
        "'limit'",
        "5",
        "None",
        "{'error': 1}",
    ]) {
        let observation = is_noticed(
            scene,
            &format!("send(reply(nonce(), status={status}, value=None))\ntime.sleep(20)"),
        )
        .await;
        // Words that only the judge outside may use make no sense from inside.
        let told =
            matches!(&observation.outcome, CellOutcome::Died { how } if how == "protocol error");
        assert!(told, "{status}: {observation:?}");
    }
}

async fn the_line_that_is_shut_down_is_told_at_once(scene: &mut Scene<'_>) {
    let code = "for number in lines():\n    with socket.socket(fileno=os.dup(number)) as line: line.shutdown(socket.SHUT_RDWR)\ntime.sleep(60)";
    let observation = is_noticed(scene, code).await;
    assert!(is_lost(&observation), "{observation:?}");
    let code = "for number in lines():\n    with socket.socket(fileno=os.dup(number)) as line: line.shutdown(socket.SHUT_WR)\ntime.sleep(60)";
    let observation = is_noticed(scene, code).await;
    assert!(is_lost(&observation), "{observation:?}");
}

async fn the_line_that_is_closed_is_told_at_once(scene: &mut Scene<'_>) {
    for code in scene.some(&[
        "os.closerange(0, 65536)",
        "os.closerange(3, 65536)\ntime.sleep(60)",
        "for number in lines(): os.close(number)",
    ]) {
        let observation = is_noticed(scene, code).await;
        assert!(is_lost(&observation), "{code}: {observation:?}");
    }
}

async fn descriptors_that_are_replaced_do_not_stall_the_reader(scene: &mut Scene<'_>) {
    let code = "null = os.open('/dev/zero', os.O_RDWR)\nfor number in range(3, 1024):\n    if number != null: os.dup2(null, number)\ntime.sleep(1)";
    assert!(is_lost(&is_noticed(scene, code).await));
    let code = "one, other = socket.socketpair()\nfor number in lines():\n    if number not in (one.fileno(), other.fileno()): os.dup2(one.fileno(), number)";
    assert!(is_lost(&is_noticed(scene, code).await));
}

async fn a_full_table_of_descriptors_leaves_the_next_cell_alone(scene: &mut Scene<'_>) {
    let code = "import os\nopened = []\ntry:\n    while True: opened.append(os.open('/dev/null', os.O_RDONLY))\nexcept OSError: print(len(opened) < 5000)";
    assert_eq!(scene.stdout(code).await, "True\n");
    assert_eq!(scene.run("40 + 2").await.value.as_deref(), Some("42"));
    scene.stdout("for number in opened: os.close(number)").await;
}

async fn descriptors_sent_along_are_dropped(scene: &mut Scene<'_>) {
    let code = "import array\nfor number in lines():\n    with socket.socket(fileno=os.dup(number)) as line:\n        for _ in range(300):\n            \
                try: line.sendmsg([b'\\x00'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [0] * 200))], socket.MSG_DONTWAIT)\n            except OSError: break\ntime.sleep(20)";
    let before = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(is_lost(&is_noticed(scene, code).await));
    let after = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(
        after < before + 150,
        "{before} descriptors of the orchestrator became {after}"
    );
}

async fn every_descriptor_written_to_breaks_nothing_of_others(scene: &mut Scene<'_>) {
    let code = "for number in range(3, 4096):\n    for data in (b'k', frame({'version': VERSION, 'end': {'exit': 0}}), frame({'version': VERSION, 'error': 'forged', 'layer': 'forged'})):\n        \
                try: os.write(number, data)\n        except OSError: pass\ntime.sleep(20)";
    assert!(is_lost(&is_noticed(scene, code).await));
}

async fn the_status_line_is_not_among_the_descriptors(scene: &mut Scene<'_>) {
    let code = format!("{}\nprint(len(lines()))", kit());
    assert_eq!(scene.stdout(&code).await, "1\n");
    let kinds = "import os\nprint(sorted({os.readlink(f'/proc/self/fd/{number}').split(':')[0] for number in os.listdir('/proc/self/fd') if os.path.lexists(f'/proc/self/fd/{number}')} - {'/dev/null', 'pipe', 'socket', '/dev/urandom'}))";
    assert_eq!(scene.stdout(kinds).await, "[]\n");
}

async fn a_patched_encoder_breaks_its_own_cells_alone(scene: &mut Scene<'_>) {
    scene.deranges_itself();
    scene.cell_seconds(2);
    let code = "import json, struct, socket, sys\njson.dumps = lambda *_, **__: '{\"version\": 2, \"nonce\": \"x\", \"status\": \"ok\", \"value\": \"forged\"}'\n\
        struct.pack = lambda *_: b'\\xff\\xff\\xff\\xff'\nfor name in ('wire', 'agent', 'jail'):\n    module = sys.modules.get(name)\n    \
        for key in list(vars(module) if module else ()):\n        if callable(getattr(module, key)): setattr(module, key, lambda *_, **__: 5)";
    let observation = scene.run(code).await;
    assert_ne!(
        observation.value.as_deref(),
        Some("forged"),
        "{observation:?}"
    );
    for _ in 0..2 {
        assert_ne!(scene.run("40 + 2").await.value.as_deref(), Some("forged"));
    }
}

async fn an_agent_found_in_memory_and_altered_breaks_its_own_cells_alone(scene: &mut Scene<'_>) {
    scene.deranges_itself();
    scene.cell_seconds(2);
    let code = "import gc\nfor thing in gc.get_objects():\n    if type(thing).__name__ in ('Agent', 'Recorder', 'Scrubber', 'Family', 'Supervisor'):\n        \
        for name in list(vars(thing)):\n            try: setattr(thing, name, None)\n            except Exception: pass\n        \
        for name in ('run', 'serve', 'describe', 'interrupted'):\n            if hasattr(type(thing), name): setattr(type(thing), name, lambda *_, **__: {'status': 'ok', 'value': 'forged'})";
    scene.run(code).await;
    for _ in 0..2 {
        scene.run("40 + 2").await;
    }
}
