//! Data files, and files that go in and out.

use synth_sandbox::{Artifact, MountedFile, SandboxError};

use super::*;

pub async fn data_files_are_there_and_cannot_be_changed(sandboxes: &dyn Sandboxes) {
    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("train.csv"), "a,b\n1,2\n3,4\n").unwrap();
    let private = tempfile::NamedTempFile::new_in(host.path()).unwrap(); // readable for its owner only
    std::fs::write(private.path(), "private").unwrap();
    let files = vec![
        MountedFile {
            path: "train.csv".into(),
            host_path: host.path().join("train.csv"),
        },
        MountedFile {
            path: "deep/er/file.txt".into(),
            host_path: private.path().into(),
        },
    ];
    let mut sandbox = sandboxes
        .open(&SandboxSpec { files, ..spec() })
        .await
        .unwrap();
    let code = "import pandas as pd\nprint(pd.read_csv('data/train.csv')['b'].sum())";
    assert_eq!(stdout(&mut sandbox, code).await, "6\n");
    // Tables also come as Parquet and SQLite.
    let code = "pd.read_csv('data/train.csv').to_parquet('train.parquet')\nprint(pd.read_parquet('train.parquet')['b'].sum())\n\
                import sqlite3\nprint(pd.read_sql_query('SELECT 7 AS a', sqlite3.connect('train.sqlite'))['a'].sum())";
    assert_eq!(stdout(&mut sandbox, code).await, "6\n7\n");
    assert_eq!(
        stdout(&mut sandbox, "print(open('data/deep/er/file.txt').read())").await,
        "private\n"
    );
    for code in [
        "open('data/train.csv', 'a')",
        "open('data/new', 'w')",
        "import os; os.remove('data/train.csv')",
        "os.rename('data', 'x')",
        "os.link('data/train.csv', 'link')",
    ] {
        let observation = run(&mut sandbox, code).await;
        assert!(error(&observation).0.ends_with("Error"), "{observation:?}");
    }
    assert_eq!(
        std::fs::read_to_string(host.path().join("train.csv")).unwrap(),
        "a,b\n1,2\n3,4\n"
    );
    sandbox.close().await;
}

pub async fn a_missing_data_file_is_an_error(sandboxes: &dyn Sandboxes) {
    let folder = tempfile::tempdir().unwrap();
    let files = vec![MountedFile {
        path: "x".into(),
        host_path: folder.path().join("missing"),
    }];
    let outcome = sandboxes.open(&SandboxSpec { files, ..spec() }).await;
    assert!(matches!(outcome, Err(SandboxError::Data { .. })));
}

pub async fn files_go_in_and_out(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    sandbox.write_file("in/put.txt", b"given").await.unwrap();
    let code = "print(open('in/put.txt').read()); open('in/put.txt', 'a').write('!');";
    assert_eq!(stdout(&mut sandbox, code).await, "given\n");
    assert_eq!(
        sandbox.read_file("in/put.txt", 100).await.unwrap(),
        b"given!"
    );
    assert!(matches!(
        sandbox.read_file("in/put.txt", 5).await,
        Err(SandboxError::File { .. })
    ));
    let listed = sandbox.list_files(10).await.unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|file| (file.path.as_str(), file.bytes))
        .collect();
    assert_eq!(listed, [("in/put.txt", 6)]);
    // Workspaces are private.
    let mut other = open(sandboxes).await;
    assert_eq!(
        stdout(
            &mut other,
            "import os\nprint(sorted(os.listdir('.')), os.listdir('data'))"
        )
        .await,
        "['data'] []\n"
    );
    other.close().await;
    sandbox.close().await;
}

pub async fn only_plain_paths_are_taken(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    for path in ["../x", "/etc/passwd", "in/../../x", "", "a\0b"] {
        assert!(
            matches!(
                sandbox.read_file(path, 100).await,
                Err(SandboxError::Path(_))
            ),
            "{path}"
        );
        assert!(
            matches!(
                sandbox.write_file(path, b"x").await,
                Err(SandboxError::Path(_))
            ),
            "{path}"
        );
        assert!(
            matches!(
                sandbox.collect(&[path.into()], 100).await,
                Err(SandboxError::Path(_))
            ),
            "{path}"
        );
    }
    sandbox.close().await;
}

pub async fn only_regular_files_are_collected(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    let code = "import os\nopen('a', 'w').write('aaaa')\nopen('b', 'w').write('bbbb')\nos.symlink('/etc/hosts', 'link')\n\
                os.symlink('a', 'link2')\nos.mkfifo('pipe')\nos.mkdir('folder')\nos.symlink('/etc', 'etc')\n\
                open('sparse', 'w').truncate(1 << 20)\nopen('c', 'w').write('c')\nos.link('c', 'hard');";
    stdout(&mut sandbox, code).await;
    let paths = [
        "link",
        "link2",
        "pipe",
        "folder",
        "etc/hosts",
        "sparse",
        "missing",
        "c",
        "hard",
        "a",
        "b",
    ]
    .map(String::from);
    let names = |artifacts: Vec<Artifact>| {
        artifacts
            .into_iter()
            .map(|artifact| artifact.path)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(sandbox.collect(&paths, 100).await.unwrap()),
        ["a", "b"]
    );
    assert_eq!(names(sandbox.collect(&paths, 7).await.unwrap()), ["a"]);
    assert!(sandbox.read_file("pipe", 100).await.is_err());
    assert!(sandbox.read_file("link", 100).await.is_err());
    assert!(sandbox.read_file("a", 3).await.is_err());
    assert!(sandbox.write_file("pipe", b"x").await.is_err());
    assert!(sandbox.write_file("etc/x", b"x").await.is_err());
    // No more than so many.
    run(
        &mut sandbox,
        "for n in range(70): open(f'f{n}', 'w').write('x')",
    )
    .await;
    let paths: Vec<String> = (0..70).map(|n| format!("f{n}")).collect();
    assert_eq!(sandbox.collect(&paths, 1000).await.unwrap().len(), 64);
    sandbox.close().await;
}
