//! `synth serve` as a process: who may reach it, how it stops, and that nothing outlives it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Place, Running, assert_nothing_left};

/// Starts a server on a free port and waits until it says where.
fn start(place: &Place, arguments: &[&str]) -> (Running, String) {
    let all = [&["serve", "--listen", "127.0.0.1:0"], arguments].concat();
    let mut server = place.synth(&all).start();
    server.wait_until("it serves", |server| {
        server.stderr().contains("Ctrl-C stops")
    });
    let said = server.stderr();
    let (_, rest) = said.split_once("http://").unwrap();
    let (address, _) = rest.split_once(';').unwrap();
    (server, address.to_owned())
}

/// Sends a request; the answer is read later.
fn send(address: &str, method: &str, path: &str, body: &Value) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let body = body.to_string();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// Status and body of an answer.
fn read(mut stream: TcpStream) -> (u16, Value) {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text[9..12].parse().unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

fn post(address: &str, path: &str, body: &Value) -> (u16, Value) {
    read(send(address, "POST", path, body))
}

/// Opens a sandbox and gives the path of its cells.
fn open(address: &str) -> String {
    let (status, sandbox) = post(address, "/v1/sandboxes", &json!({}));
    assert_eq!(status, 201, "{sandbox}");
    format!("/v1/sandboxes/{}/execute", sandbox["id"].as_str().unwrap())
}

#[test]
fn strangers_are_let_in_by_token_alone_and_the_token_shows_nowhere() {
    let place = Place::empty();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let refused = place.synth(&["serve", "--listen", address]).run();
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        for said in [
            "without a token only loopback",
            "SYNTH_SERVE_TOKEN",
            "--token-file",
        ] {
            assert!(refused.stderr.contains(said), "{}", refused.stderr);
        }
    }
    let short = place
        .synth(&["serve"])
        .env("SYNTH_SERVE_TOKEN", "hunter2")
        .run();
    assert_eq!(short.code, 3);
    assert!(short.stderr.contains("fewer than 16") && !short.stderr.contains("hunter2"));
    let missing = place.synth(&["serve", "--token-file", "nowhere"]).run();
    assert_eq!(missing.code, 3, "{}", missing.stderr);
    let elsewhere = place.synth(&["serve", "--submissions", "shown"]).run();
    assert_eq!(elsewhere.code, 2, "{}", elsewhere.stderr);

    place.write("work/tokens", "# one\nthe-token-of-this-test\n");
    let all = [
        "serve",
        "--listen",
        "0.0.0.0:0",
        "--token-file",
        "tokens",
        "--slots",
        "1",
    ];
    let mut server = place.synth(&all).start();
    server.wait_until("it serves", |server| {
        server.stderr().contains("Ctrl-C stops")
    });
    let said = server.stderr();
    let port = said
        .split("0.0.0.0:")
        .nth(1)
        .unwrap()
        .split(';')
        .next()
        .unwrap();
    let address = format!("127.0.0.1:{port}");
    assert_eq!(post(&address, "/v1/sandboxes", &json!({})).0, 401);
    server.signal(Signal::TERM);
    let ended = server.wait();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        !ended.stderr.contains("the-token-of-this-test"),
        "{}",
        ended.stderr
    );
}

#[test]
fn ctrl_c_lets_a_cell_end_and_twice_stops_at_once() {
    let place = Place::empty();
    let (server, address) = start(&place, &["--slots", "2"]);
    let cells = open(&address);
    let cell = send(
        &address,
        "POST",
        &cells,
        &json!({"code": "import time; time.sleep(2); 'ended'"}),
    );
    std::thread::sleep(Duration::from_millis(700));
    server.signal(Signal::INT);
    let (status, answer) = read(cell);
    assert_eq!((status, &answer["value"]), (200, &json!("'ended'")));
    let ended = server.wait();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_nothing_left(&place.folder());

    let (mut server2, address) = start(&place, &[]);
    let cells = open(&address);
    let cell = send(
        &address,
        "POST",
        &cells,
        &json!({"code": "import time; time.sleep(60)"}),
    );
    std::thread::sleep(Duration::from_millis(700));
    server2.signal(Signal::INT);
    server2.wait_until("the first step", |server| {
        server.stderr().contains("Ctrl-C again")
    });
    assert!(!server2.is_over());
    let second = Instant::now();
    server2.signal(Signal::INT);
    let ended = server2.wait();
    assert!(second.elapsed() < Duration::from_secs(3));
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    drop(cell);
    assert_nothing_left(&place.folder());
}

#[test]
fn nothing_outlives_a_server_that_is_killed() {
    let place = Place::empty();
    let (mut server, address) = start(&place, &["--slots", "2"]);
    let cells = open(&address);
    let upload = send(&address, "POST", "/v1/files", &json!("content"));
    assert_eq!(read(upload).0, 201);
    let _cell = send(
        &address,
        "POST",
        &cells,
        &json!({"code": "import time; time.sleep(60)"}),
    );
    std::thread::sleep(Duration::from_millis(500));
    assert!(server.kill());
    assert_nothing_left(&place.folder());
    // The next start sweeps its files.
    let (server, _) = start(&place, &["--slots", "1"]);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code, 0);
    let left: Vec<_> = std::fs::read_dir(place.output().join("tmp"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
