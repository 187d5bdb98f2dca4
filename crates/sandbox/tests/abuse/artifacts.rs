//! Files that are fetched from a workspace, and what an agent may put in their place.

use std::time::{Duration, Instant};

use synth_sandbox::SandboxError;

use crate::scene::{PRELUDE, Scene, attempts};

attempts![
    links_out_of_the_workspace_are_not_collected,
    linked_folders_are_not_walked,
    paths_that_lead_up_are_refused,
    a_file_that_is_swapped_for_a_link_gives_no_secret,
    a_folder_that_is_swapped_for_a_link_gives_no_secret,
    what_is_no_regular_file_is_not_collected,
    a_pipe_does_not_hold_the_reader,
    a_leased_file_does_not_hold_the_reader,
    a_file_that_grows_while_it_is_read_is_bounded,
    a_locked_file_without_rights_does_not_hold_the_reader,
    a_bomb_is_collected_as_the_bytes_it_is,
    a_tar_file_with_evil_names_stays_a_file,
    more_than_may_be_collected_is_left_out,
    odd_names_are_harmless,
    a_listing_of_an_evil_tree_is_bounded,
    files_from_outside_are_not_written_through_links,
    files_from_outside_are_not_written_into_pipes,
    a_folder_without_rights_does_not_break_the_reader,
];

const MOST: u64 = 1 << 20;

async fn collected(scene: &mut Scene<'_>, paths: &[&str]) -> Vec<String> {
    let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    let artifacts = scene.sandbox().await.collect(&paths, MOST).await.unwrap();
    for artifact in &artifacts {
        scene
            .arena
            .assert_no_secret(&String::from_utf8_lossy(&artifact.bytes))
            .await;
    }
    artifacts
        .into_iter()
        .map(|artifact| artifact.path)
        .collect()
}

async fn links_out_of_the_workspace_are_not_collected(scene: &mut Scene<'_>) {
    let folder = scene.arena.folder.display();
    let code = format!(
        "import os\nopen('real', 'w').write('x')\nos.symlink('{folder}/canary.txt', 'absolute')\nos.symlink('../' * 20 + '{folder}/canary.txt'.lstrip('/'), 'upwards')\nos.symlink('/proc/self/root{folder}/canary.txt', 'magic')\n\
         os.symlink('real', 'inside')\nos.symlink('/etc/passwd', 'passwd')\nos.symlink('/proc/self/environ', 'environ')\nos.symlink('loop', 'loop')\nos.symlink('/dev/zero', 'zero')"
    );
    scene.run(&code).await;
    let names = [
        "absolute", "upwards", "magic", "inside", "passwd", "environ", "loop", "zero", "real",
    ];
    assert_eq!(collected(scene, &names).await, ["real"]);
    for name in &names[..8] {
        assert!(
            scene.sandbox().await.read_file(name, MOST).await.is_err(),
            "{name}"
        );
    }
}

async fn linked_folders_are_not_walked(scene: &mut Scene<'_>) {
    let folder = scene.arena.folder.display();
    let code = format!(
        "import os\nos.symlink('{folder}', 'out')\nos.symlink('/', 'top')\nos.mkdir('deep')\nos.symlink('../..', 'deep/up')\nos.symlink('/proc/1/root', 'root')\nos.symlink('/proc/self/cwd', 'here')\nopen('real', 'w').write('x')"
    );
    scene.run(&code).await;
    let below = format!("top{folder}/canary.txt");
    let under = format!("root{folder}/canary.txt");
    let names = [
        "out/canary.txt",
        "top/etc/passwd",
        &below,
        &under,
        "deep/up/etc/passwd",
        "here/real",
        "out/output/run/ledger.sqlite",
    ];
    assert_eq!(collected(scene, &names).await, [""; 0]);
}

async fn paths_that_lead_up_are_refused(scene: &mut Scene<'_>) {
    let sandbox = scene.sandbox().await;
    for path in [
        "../canary.txt",
        "/etc/passwd",
        "a/../../b",
        "..",
        ".",
        "",
        "/",
        "a\0b",
        "folder/",
        "/workspace/x",
        "./../x",
    ] {
        let refused = |error: SandboxError| {
            matches!(error, SandboxError::Path(_) | SandboxError::File { .. })
        };
        assert!(
            sandbox
                .read_file(path, MOST)
                .await
                .err()
                .is_some_and(refused),
            "{path:?}"
        );
        assert!(
            sandbox
                .write_file(path, b"x")
                .await
                .err()
                .is_some_and(refused),
            "{path:?}"
        );
        assert!(
            sandbox
                .collect(&[path.to_owned()], MOST)
                .await
                .map_or(true, |artifacts| artifacts.is_empty()),
            "{path:?}"
        );
    }
}

/// Reads and writes `path` for a while, whatever becomes of it: nothing secret comes out.
async fn raced(scene: &mut Scene<'_>, path: &str) {
    let started = Instant::now();
    let mut read = 0;
    while started.elapsed() < Duration::from_millis(1500) {
        let arena = scene.arena;
        let sandbox = scene.sandbox().await;
        if let Ok(bytes) = sandbox.read_file(path, MOST).await {
            arena
                .assert_no_secret(&String::from_utf8_lossy(&bytes))
                .await;
            read += 1;
        }
        let _ = sandbox.write_file(path, b"from outside").await;
        let artifacts = sandbox.collect(&[path.to_owned()], MOST).await.unwrap();
        for artifact in artifacts {
            arena
                .assert_no_secret(&String::from_utf8_lossy(&artifact.bytes))
                .await;
        }
    }
    assert!(read > 0, "the race was never won by the right file");
}

async fn a_file_that_is_swapped_for_a_link_gives_no_secret(scene: &mut Scene<'_>) {
    let folder = scene.arena.folder.display();
    let code = format!(
        "import os, threading, time\nend = time.time() + 4\ndef swap():\n    number = 0\n    while time.time() < end:\n        number += 1\n        \
         try:\n            open('fresh', 'w').write('harmless')\n            os.replace('fresh', 'target')\n            os.symlink('{folder}/canary.txt', 'link')\n            os.replace('link', 'target')\n        except OSError: pass\n\
         threading.Thread(target=swap, daemon=True).start()"
    );
    scene.run(&code).await;
    raced(scene, "target").await;
}

async fn a_folder_that_is_swapped_for_a_link_gives_no_secret(scene: &mut Scene<'_>) {
    let folder = scene.arena.folder.display();
    let code = format!(
        "import os, threading, time\nend = time.time() + 4\nos.mkdir('real')\nopen('real/canary.txt', 'w').write('harmless')\nos.symlink('{folder}', 'evil')\nos.rename('real', 'target')\n\
         def swap():\n    while time.time() < end:\n        try:\n            os.rename('target', 'real')\n            os.rename('evil', 'target')\n            os.rename('target', 'evil')\n            os.rename('real', 'target')\n        \
         except OSError: pass\nthreading.Thread(target=swap, daemon=True).start()"
    );
    scene.run(&code).await;
    raced(scene, "target/canary.txt").await;
}

async fn what_is_no_regular_file_is_not_collected(scene: &mut Scene<'_>) {
    let code = "import os, socket\nos.mkfifo('pipe')\nos.mkdir('folder')\nlistener = socket.socket(socket.AF_UNIX)\nlistener.bind('socket')\nopen('real', 'w').write('x')\n\
        for kind in (0o020000, 0o060000):\n    try: os.mknod(f'device-{kind}', kind | 0o666, os.makedev(1, 5))\n    except OSError: pass";
    scene.run(code).await;
    let names = [
        "pipe",
        "folder",
        "socket",
        "device-8192",
        "device-24576",
        "missing",
        "real",
    ];
    assert_eq!(collected(scene, &names).await, ["real"]);
}

async fn a_pipe_does_not_hold_the_reader(scene: &mut Scene<'_>) {
    // One with a writer that feeds it for ever, one with nobody.
    let code = "import os, threading\nos.mkfifo('fed')\nos.mkfifo('lonely')\ndescriptor = os.open('fed', os.O_RDWR)\ndef feed():\n    while True: os.write(descriptor, b'x' * 4096)\nthreading.Thread(target=feed, daemon=True).start()";
    scene.run(code).await;
    let started = Instant::now();
    assert_eq!(collected(scene, &["fed", "lonely"]).await, [""; 0]);
    assert!(started.elapsed() < Duration::from_secs(5));
}

async fn a_leased_file_does_not_hold_the_reader(scene: &mut Scene<'_>) {
    let code = "import fcntl, os, signal\nsignal.signal(signal.SIGIO, signal.SIG_IGN)\ndescriptor = os.open('leased', os.O_CREAT | os.O_RDWR)\nos.write(descriptor, b'x')\n\
        try: fcntl.fcntl(descriptor, 1024, fcntl.F_WRLCK)\nexcept OSError as error: print('no lease', error)";
    scene.run(code).await;
    let started = Instant::now();
    collected(scene, &["leased"]).await;
    let _ = scene.sandbox().await.write_file("leased", b"y").await;
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

async fn a_file_that_grows_while_it_is_read_is_bounded(scene: &mut Scene<'_>) {
    let code = "import os, threading, time\nend = time.time() + 3\nfile = open('growing', 'wb', buffering=0)\ndef grow():\n    while time.time() < end:\n        file.write(b'x' * 65536)\n        if file.tell() > 2 << 20:\n            file.seek(0)\n            file.truncate()\n\
                threading.Thread(target=grow, daemon=True).start()";
    scene.run(code).await;
    for _ in 0..200 {
        if let Ok(bytes) = scene.sandbox().await.read_file("growing", MOST).await {
            assert!(bytes.len() as u64 <= MOST);
        }
    }
}

async fn a_locked_file_without_rights_does_not_hold_the_reader(scene: &mut Scene<'_>) {
    let code = "import fcntl, os\nfile = open('locked', 'w+')\nfile.write('x')\nfile.flush()\nfcntl.flock(file, fcntl.LOCK_EX)\nfcntl.lockf(file, fcntl.LOCK_EX)\nos.chmod('locked', 0o000)";
    scene.run(code).await;
    let started = Instant::now();
    collected(scene, &["locked"]).await;
    assert!(started.elapsed() < Duration::from_secs(5));
}

async fn a_bomb_is_collected_as_the_bytes_it_is(scene: &mut Scene<'_>) {
    scene.cell_seconds(30);
    let code = "import gzip, io, zipfile\nwith zipfile.ZipFile('bomb.zip', 'w', zipfile.ZIP_DEFLATED) as archive:\n    with archive.open('zeros', 'w') as file:\n        for _ in range(100): file.write(bytes(1 << 20))\n\
        with gzip.open('bomb.csv.gz', 'wb') as file:\n    for _ in range(100): file.write(bytes(1 << 20))\nimport os\nprint(os.path.getsize('bomb.zip') < 1 << 20)";
    assert_eq!(scene.stdout(code).await, "True\n");
    let sandbox = scene.sandbox().await;
    let artifacts = sandbox
        .collect(&["bomb.zip".into(), "bomb.csv.gz".into()], MOST)
        .await
        .unwrap();
    assert_eq!(artifacts.len(), 2);
    assert!(
        artifacts
            .iter()
            .all(|artifact| artifact.bytes.len() < 1 << 20)
    );
    assert!(artifacts[0].bytes.starts_with(b"PK") && artifacts[1].bytes.starts_with(b"\x1f\x8b"));
}

async fn a_tar_file_with_evil_names_stays_a_file(scene: &mut Scene<'_>) {
    let folder = scene.arena.folder.display();
    let code = format!(
        "import io, tarfile\nwith tarfile.open('evil.tar', 'w') as archive:\n    for name in ('../../../../..{folder}/planted', '{folder}/planted', 'output/../../planted'):\n        \
         entry = tarfile.TarInfo(name)\n        entry.size = 1\n        archive.addfile(entry, io.BytesIO(b'x'))\n    link = tarfile.TarInfo('link')\n    link.type, link.linkname = tarfile.SYMTYPE, '{folder}'\n    archive.addfile(link)"
    );
    assert_eq!(scene.stdout(&code).await, "");
    assert_eq!(collected(scene, &["evil.tar"]).await, ["evil.tar"]);
    // That nothing was unpacked anywhere is seen in the host's folder, as after every attempt.
    scene
        .sandbox()
        .await
        .write_file("given.tar", b"\0not a tar file")
        .await
        .unwrap();
}

async fn more_than_may_be_collected_is_left_out(scene: &mut Scene<'_>) {
    scene
        .run("for number in range(300): open(f'file-{number}', 'wb').write(bytes(20_000))")
        .await;
    let paths: Vec<String> = (0..300)
        .chain(0..300)
        .map(|number| format!("file-{number}"))
        .collect();
    let artifacts = scene.sandbox().await.collect(&paths, MOST).await.unwrap();
    let bytes: usize = artifacts.iter().map(|artifact| artifact.bytes.len()).sum();
    assert!(bytes as u64 <= MOST && !artifacts.is_empty());
}

async fn odd_names_are_harmless(scene: &mut Scene<'_>) {
    let code = "import os\nfor name in (b'new\\nline', b'\\xff\\xfe', b'\\x1b[31m', b'-rf', b'a' * 255, b' ', b'*', b'$(reboot)', '\\u202e'.encode(), b'..\\\\..\\\\x', b'...'):\n    os.close(os.open(os.path.join(b'/workspace', name), os.O_CREAT | os.O_WRONLY))";
    scene.run(code).await;
    let longest = "a".repeat(255);
    let names = [
        "new\nline",
        "\u{1b}[31m",
        "-rf",
        " ",
        "*",
        "$(reboot)",
        "\u{202e}",
        "..\\..\\x",
        "...",
        &longest,
    ];
    assert_eq!(collected(scene, &names).await, names);
    let beyond = "a".repeat(5000);
    assert_eq!(collected(scene, &[&beyond]).await, [""; 0]);
    let _ = scene.sandbox().await.list_files(100).await;
}

async fn a_listing_of_an_evil_tree_is_bounded(scene: &mut Scene<'_>) {
    let code = "import os\nos.symlink('.', 'self')\nos.symlink('/', 'top')\nos.symlink('/proc', 'proc')\nfor number in range(200): open(f'file-{number}', 'w').close()\nos.mkdir('folder')\nos.symlink('..', 'folder/up')\nos.mkfifo('pipe')";
    scene.run(code).await;
    let started = Instant::now();
    if let Ok(files) = scene.sandbox().await.list_files(50).await {
        assert!(files.len() <= 50);
    }
    let files = scene.sandbox().await.list_files(10_000).await.unwrap();
    assert_eq!(
        files.len(),
        200,
        "links, pipes and the data are no files of the agent's"
    );
    assert!(started.elapsed() < Duration::from_secs(10));
}

async fn files_from_outside_are_not_written_through_links(scene: &mut Scene<'_>) {
    let folder = scene.arena.folder.display();
    let code = format!(
        "import os\nos.symlink('{folder}/canary.txt', 'file')\nos.symlink('{folder}', 'folder')\nos.symlink('/tmp/new', 'dangling')\nos.symlink('/', 'top')\nos.mkdir('real')\nos.symlink('../..', 'real/up')"
    );
    scene.run(&code).await;
    let sandbox = scene.sandbox().await;
    for path in [
        "file",
        "folder/canary.txt",
        "folder/new",
        "dangling",
        "top/tmp/x",
        "real/up/x",
        "data/shared.csv",
        "data/new",
    ] {
        assert!(
            sandbox.write_file(path, b"overwritten").await.is_err(),
            "{path}"
        );
    }
    sandbox.write_file("real/file", b"given").await.unwrap();
    assert_eq!(scene.stdout("print(os.path.exists('/tmp/new'), open('real/file').read(), open('data/shared.csv').read(1))").await, "False given a\n");
}

async fn files_from_outside_are_not_written_into_pipes(scene: &mut Scene<'_>) {
    scene.run("import os\nos.mkfifo('lonely')\nos.mkfifo('held')\ndescriptor = os.open('held', os.O_RDWR)\nos.mkdir('folder')").await;
    let started = Instant::now();
    for path in ["lonely", "held", "folder"] {
        assert!(
            scene
                .sandbox()
                .await
                .write_file(path, &vec![7; 1 << 20])
                .await
                .is_err(),
            "{path}"
        );
    }
    assert!(started.elapsed() < Duration::from_secs(5));
}

async fn a_folder_without_rights_does_not_break_the_reader(scene: &mut Scene<'_>) {
    let code = format!(
        "{PRELUDE}\nos.mkdir('closed')\nopen('closed/file', 'w').write('x')\nos.chmod('closed', 0)\nopen('plain', 'w').write('x')\nos.chmod('plain', 0)\nos.chmod('/workspace', 0)"
    );
    scene.run(&code).await;
    let started = Instant::now();
    let found = collected(scene, &["closed/file", "plain"]).await;
    assert!(found.len() <= 2 && started.elapsed() < Duration::from_secs(5));
    let _ = scene.sandbox().await.list_files(10).await;
    scene
        .run("os.chmod('/workspace', 0o700)\nos.chmod('closed', 0o700)")
        .await;
}
