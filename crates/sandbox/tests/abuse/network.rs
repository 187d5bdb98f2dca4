//! Anybody outside: the host's own listeners, the metadata service of a cloud, names, other sandboxes.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use synth_core::CellOutcome;

use crate::scene::{Scene, attempts};

attempts![
    listeners_on_the_hosts_loopback_are_out_of_reach,
    metadata_and_outside_addresses_are_out_of_reach,
    no_name_is_resolved,
    datagrams_reach_nobody,
    abstract_sockets_of_the_host_are_out_of_reach,
    named_sockets_of_the_host_are_out_of_reach,
    raw_and_rare_sockets_are_refused,
    interfaces_and_routes_cannot_be_made,
    a_listener_inside_is_not_seen_from_the_host,
];

/// What a network that is not there says.
const AWAY: &str = "errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.ENETDOWN, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT";

async fn listeners_on_the_hosts_loopback_are_out_of_reach(scene: &mut Scene<'_>) {
    let [version_4, version_6, _] = scene.arena.ports;
    let code = format!(
        "for host, port in (('127.0.0.1', {version_4}), ('::1', {version_6}), ('::ffff:127.0.0.1', {version_4}), ('0.0.0.0', {version_4}), ('127.1.2.3', {version_4}),\n        \
         ('172.17.0.1', {version_4}), ('10.0.2.2', {version_4})):\n    attempt(host, lambda: socket.create_connection((host, port), timeout=1), {AWAY})"
    );
    scene.refused(&code).await;
}

async fn metadata_and_outside_addresses_are_out_of_reach(scene: &mut Scene<'_>) {
    let code = format!(
        "for host in ('169.254.169.254', 'fd00:ec2::254', '100.100.100.200', '192.0.2.1', '1.1.1.1', '10.0.0.1', '192.168.0.1'):\n    \
         for port in (80, 53, 443): attempt(f'{{host}} {{port}}', lambda: socket.create_connection((host, port), timeout=1), {AWAY})"
    );
    scene.refused(&code).await;
}

async fn no_name_is_resolved(scene: &mut Scene<'_>) {
    let code = "import socket\nfor name in ('example.com', 'metadata.google.internal', 'host.docker.internal', 'gateway.docker.internal'):\n    \
        try: print(name, socket.getaddrinfo(name, 80))\n    except socket.gaierror: pass";
    assert_eq!(scene.stdout(code).await, "");
    let observation = scene
        .run("import urllib.request\nurllib.request.urlopen('http://example.com', timeout=2)")
        .await;
    assert!(
        matches!(&observation.outcome, CellOutcome::Error { name, .. } if name == "URLError"),
        "{observation:?}"
    );
}

async fn datagrams_reach_nobody(scene: &mut Scene<'_>) {
    let port = scene.arena.ports[2];
    // What was sent to a loopback of its own arrives nowhere: the host's socket is asked afterwards.
    let code = format!(
        "import socket\nfor host in ('127.0.0.1', '255.255.255.255', '172.17.0.1', '224.0.0.1'):\n    \
         try:\n        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as it:\n            it.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)\n            \
         it.sendto(b'hello', (host, {port}))\n    except OSError: pass\nprint('tried')"
    );
    assert_eq!(scene.stdout(&code).await, "tried\n");
}

async fn abstract_sockets_of_the_host_are_out_of_reach(scene: &mut Scene<'_>) {
    let name = scene.arena.abstract_name.clone();
    let code = format!(
        "def connect():\n    with socket.socket(socket.AF_UNIX) as it: it.connect('\\0{name}')\nattempt('abstract', connect, errno.ECONNREFUSED)"
    );
    scene.refused(&code).await;
    assert_eq!(
        scene
            .stdout(&format!("print('{name}' in open('/proc/net/unix').read())"))
            .await,
        "False\n"
    );
}

async fn named_sockets_of_the_host_are_out_of_reach(scene: &mut Scene<'_>) {
    let folder = scene.arena.folder.display();
    let code = format!(
        "def connect(path):\n    with socket.socket(socket.AF_UNIX) as it: it.connect(path)\n\
         for path in ('{folder}/orchestrator.sock', '/run/docker.sock', '/var/run/docker.sock', '/run/containerd/containerd.sock', '/run/dbus/system_bus_socket',\n        \
         '/run/systemd/private', '/tmp/.X11-unix/X0', '/run/nscd/socket', '/dev/log'):\n    attempt(path, lambda: connect(path), errno.ENOTDIR)"
    );
    scene.refused(&code).await;
}

async fn raw_and_rare_sockets_are_refused(scene: &mut Scene<'_>) {
    let code = format!(
        "for name, family, kind, protocol in (('raw', 2, 3, 1), ('raw 6', 10, 3, 58), ('ping packet', 17, 3, 0x0300), ('packet', 17, 2, 0x0300), ('vsock', 40, 1, 0), ('algorithm', 38, 5, 0),\n        \
         ('bluetooth', 31, 3, 1), ('can', 29, 3, 1), ('key', 15, 3, 2), ('rds', 21, 5, 0), ('tipc', 30, 5, 0), ('xdp', 44, 3, 0), ('ax25', 3, 5, 0), ('x25', 9, 5, 0), ('ppp', 24, 1, 0), ('smc', 43, 1, 0),\n        \
         ('qualcomm', 42, 2, 0), ('rxrpc', 33, 2, 2), ('kcm', 41, 5, 0)):\n    attempt(name, lambda: socket.socket(family, kind, protocol), errno.ESOCKTNOSUPPORT, errno.EINVAL, {AWAY})"
    );
    scene.refused(&code).await;
}

async fn interfaces_and_routes_cannot_be_made(scene: &mut Scene<'_>) {
    let code = "import fcntl, struct\ncontrol = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
        attempt('up', lambda: fcntl.ioctl(control, 0x8914, struct.pack('16sH14x', b'lo', 1)))\n\
        attempt('address', lambda: fcntl.ioctl(control, 0x8916, struct.pack('16sH2s4s8x', b'lo', 2, b'', bytes([10, 0, 0, 1]))))\n\
        attempt('route', lambda: fcntl.ioctl(control, 0x890B, bytes(120)))\n\
        attempt('bridge', lambda: fcntl.ioctl(control, 0x89A0, b'bridge0' + bytes(9)))\n\
        attempt('firewall', lambda: control.setsockopt(0, 64, bytes(84)), errno.ENOPROTOOPT)\n\
        def ask(kind, body, protocol=0):\n    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as link:\n        link.bind((0, 0))\n        \
            link.send(struct.pack('IHHII', 16 + len(body), kind, 5, 1, 0) + body)\n        answer = link.recv(4096)\n        code = struct.unpack_from('i', answer, 16)[0]\n        \
            if code < 0: raise OSError(-code, os.strerror(-code))\n        return answer\n\
        attempt('new link', lambda: ask(16, struct.pack('BxHiII', 0, 0, 0, 0, 0) + struct.pack('HH8s', 12, 3, b'dummy0') ), errno.EOPNOTSUPP, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT)\n\
        attempt('new route', lambda: ask(24, bytes(12)), errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT)";
    scene.refused(code).await;
}

async fn a_listener_inside_is_not_seen_from_the_host(scene: &mut Scene<'_>) {
    // Where the sandbox may not even listen, there is nothing to be seen.
    let code = "import socket\nlistener = socket.socket()\ntry:\n    listener.bind(('0.0.0.0', 0))\n    listener.listen()\n    print(listener.getsockname()[1])\nexcept PermissionError: print(0)";
    let port: u16 = scene.stdout(code).await.trim().parse().unwrap();
    if port == 0 {
        return;
    }
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let reach = move || TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok();
    // A program of the host may happen to listen there: who was visited is asked inside.
    drop(tokio::task::spawn_blocking(reach).await);
    let inside = "listener.settimeout(1)\ntry: print('visited', listener.accept())\nexcept OSError: print('nobody')";
    assert_eq!(scene.stdout(inside).await, "nobody\n");
}
