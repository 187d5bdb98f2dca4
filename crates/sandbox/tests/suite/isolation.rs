//! What a cell cannot reach.

use super::*;

pub async fn nothing_of_the_host_shows(sandboxes: &dyn Sandboxes) {
    let host = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(host.path(), "host secret").unwrap();
    // This process's environment holds variables that cargo set; none of ours may show inside.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let mut sandbox = open(sandboxes).await;
    let code = "import os\ntext = open('/proc/self/environ').read() + repr(dict(os.environ))\nprint('CARGO' in text, 'SYNTH' in text)";
    assert_eq!(stdout(&mut sandbox, code).await, "False False\n");
    let code = format!(
        "print(os.path.exists('{}'), os.path.exists('/root/.bashrc'))",
        host.path().display()
    );
    assert_eq!(stdout(&mut sandbox, &code).await, "False False\n");
    let code = "for path in ['/x', '/usr/x', '/etc/x', '/proc/sys/kernel/core_pattern', '/dev/x']:\n    \
                try: open(path, 'w'); print('written', path)\n    except OSError: pass";
    assert_eq!(stdout(&mut sandbox, code).await, "");
    // Descriptors: the streams, the control socket and the two spares.
    let descriptors = stdout(
        &mut sandbox,
        "print(sorted(os.listdir('/proc/self/fd'), key=int)[:-1])",
    )
    .await;
    assert!(!descriptors.contains("'5'"), "{descriptors}");
    sandbox.close().await;
}

pub async fn there_is_no_network(sandboxes: &dyn Sandboxes) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut sandbox = open(sandboxes).await;
    let code = format!(
        "import socket\nfor address in [('127.0.0.1', {port}), ('192.0.2.1', 80), ('169.254.169.254', 80)]:\n    \
         try:\n        socket.create_connection(address, timeout=3); print('connected')\n    except OSError: print('no')\n\
         try: socket.socket(40, socket.SOCK_STREAM); print('vsock')\nexcept OSError: print('no')"
    );
    assert_eq!(stdout(&mut sandbox, &code).await, "no\nno\nno\nno\n");
    sandbox.close().await;
}

pub async fn there_are_no_privileges(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    let code = "import os\nstatus = dict(line.split(':', 1) for line in open('/proc/self/status'))\n\
        print(int(status['CapEff'], 16), int(status['CapPrm'], 16), status['NoNewPrivs'].strip(), status['Seccomp'].strip())\n\
        import ctypes\nprint(os.getuid() != 0, ctypes.CDLL(None).unshare(0x10000000))\n\
        for name in ('environ', 'mem', 'maps'):\n    try: open(f'/proc/1/{name}').read(); print('read', name)\n    except OSError: pass\n\
        try: os.kill(1, 9)\nexcept OSError: pass\nprint('alive')";
    assert_eq!(
        stdout(&mut sandbox, code).await,
        "0 0 1 2\nTrue -1\nalive\n"
    );
    sandbox.close().await;
}
