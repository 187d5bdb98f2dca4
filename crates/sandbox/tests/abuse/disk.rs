//! Bytes, files and folders beyond what a workspace may hold.

use synth_core::{CellLimit, CellOutcome, Observation};

use crate::scene::{Scene, attempts};

attempts![
    a_full_workspace_is_told_and_bounded,
    a_workspace_full_of_files_is_told_and_bounded,
    files_that_are_deleted_but_open_count,
    a_sparse_file_takes_nothing_and_is_not_collected,
    space_cannot_be_reserved_beyond_the_limit,
    folders_of_great_depth_are_removed_with_the_sandbox,
    scratch_folders_are_bounded_too,
    nothing_else_can_be_written,
    a_full_workspace_takes_no_file_from_outside,
];

fn is_full(observation: &Observation) -> bool {
    matches!(
        &observation.outcome,
        CellOutcome::Limit {
            limit: CellLimit::Disk,
            state_kept: true
        }
    )
}

async fn a_full_workspace_is_told_and_bounded(scene: &mut Scene<'_>) {
    let code = "written = 0\nwith open('big', 'wb', buffering=0) as file:\n    while written < 1 << 30: written += file.write(bytes(1 << 16))";
    let observation = scene.run(code).await;
    assert!(is_full(&observation), "{observation:?}");
    let most = scene.spec.limits.workspace_bytes;
    let observation = scene.run(&format!("{most} // 2 < written <= {most}")).await;
    assert_eq!(
        observation.value.as_deref(),
        Some("True"),
        "{observation:?}"
    );
    assert_eq!(
        scene
            .stdout("import os\nos.remove('big')\nopen('small', 'w').write('x');print('room')")
            .await,
        "room\n"
    );
}

async fn a_workspace_full_of_files_is_told_and_bounded(scene: &mut Scene<'_>) {
    let observation = scene
        .run(
            "made = 0\nwhile made < 200_000:\n    open(f'file-{made}', 'w').close()\n    made += 1",
        )
        .await;
    assert!(is_full(&observation), "{observation:?}");
    let most = scene.spec.limits.workspace_files;
    let observation = scene.run(&format!("made <= {most}")).await;
    assert_eq!(
        observation.value.as_deref(),
        Some("True"),
        "{observation:?}"
    );
    scene
        .run("import glob, os\nfor name in glob.glob('file-*'): os.remove(name)")
        .await;
}

async fn files_that_are_deleted_but_open_count(scene: &mut Scene<'_>) {
    let code = "import os\nwritten, open_files = 0, []\ntry:\n    for number in range(500):\n        file = open('hidden', 'wb', buffering=0)\n        \
                open_files.append(file)\n        os.remove('hidden')\n        written += file.write(bytes(1 << 20))\nexcept OSError: print('full')\n\
                for file in open_files: file.close()\nprint(written <= 8 << 20)";
    assert_eq!(scene.run(code).await.stdout, "full\nTrue\n");
}

async fn a_sparse_file_takes_nothing_and_is_not_collected(scene: &mut Scene<'_>) {
    let code = "for size in (1 << 62, 1 << 40, 6 << 20):\n    try:\n        with open('sparse', 'wb') as file: file.truncate(size)\n    except OSError: pass";
    scene.run(code).await;
    let paths = ["sparse".to_owned()];
    let sandbox = scene.sandbox().await;
    assert!(sandbox.read_file("sparse", 1 << 20).await.is_err());
    assert_eq!(sandbox.collect(&paths, 1 << 20).await.unwrap(), []);
}

async fn space_cannot_be_reserved_beyond_the_limit(scene: &mut Scene<'_>) {
    let code = "attempt('reserve', lambda: os.posix_fallocate(os.open('reserved', os.O_CREAT | os.O_WRONLY), 0, 1 << 30), errno.ENOSPC, errno.EFBIG)";
    scene.refused(code).await;
}

async fn folders_of_great_depth_are_removed_with_the_sandbox(scene: &mut Scene<'_>) {
    let code = "import os\ntop = os.getcwd()\ndepth = 0\ntry:\n    while depth < 5000:\n        os.mkdir('d' * 200)\n        os.chdir('d' * 200)\n        depth += 1\n\
                except OSError: pass\nos.chdir(top)\nprint(depth > 100)";
    assert_eq!(scene.run(code).await.stdout, "True\n");
    let listed = scene.sandbox().await.list_files(10_000).await;
    assert!(
        listed.is_ok_and(|files| files.is_empty()),
        "no file was made"
    );
}

async fn scratch_folders_are_bounded_too(scene: &mut Scene<'_>) {
    let code = "import os\nfor folder in ('/tmp', '/dev/shm'):\n    written = 0\n    try:\n        with open(f'{folder}/big', 'wb', buffering=0) as file:\n            \
                while written < 1 << 30: written += file.write(bytes(1 << 20))\n    except (OSError, MemoryError): pass\n    \
                if os.path.exists(f'{folder}/big'): os.remove(f'{folder}/big')\n    print(folder, written <= 256 << 20)";
    let observation = scene.run(code).await;
    let bounded = observation.stdout == "/tmp True\n/dev/shm True\n"
        || matches!(observation.outcome, CellOutcome::OutOfMemory { .. });
    assert!(bounded, "{observation:?}");
}

async fn nothing_else_can_be_written(scene: &mut Scene<'_>) {
    // On every mount and everywhere in the tree's upper part, apart from the processes of its own and devices that swallow what they
    // get. Deeper down lie tens of thousands of folders, which a cold disk takes a minute to look up.
    let code = "import os\nown = ('/proc/', '/workspace', '/tmp', '/dev/shm', '/dev/mqueue')\n\
                places = [line.split()[1] for line in open('/proc/self/mounts')]\n\
                for folder, folders, files in os.walk('/'):\n    \
                    if folder.count('/') > 4 or folder.startswith(own): folders.clear()\n    \
                    places.append(folder)\n\
                for folder in places:\n    \
                    if folder.startswith(own): continue\n    \
                    try:\n        name = os.path.join(folder, 'written-by-a-cell')\n        os.close(os.open(name, os.O_CREAT | os.O_WRONLY))\n        print(folder)\n    \
                    except OSError: pass\n\
                assert len(places) > 50";
    scene.cell_seconds(60);
    assert_eq!(scene.stdout(code).await, "");
    let code = "import os, stat\nfor folder in ('/etc', '/usr/bin', '/usr/lib', '/dev', os.path.dirname(os.__file__)):\n    for name in os.listdir(folder):\n        \
        path = os.path.join(folder, name)\n        \
        try:\n            if stat.S_ISREG(os.stat(path).st_mode): os.close(os.open(path, os.O_WRONLY)); print(path)\n        except OSError: pass";
    assert_eq!(scene.stdout(code).await, "");
}

async fn a_full_workspace_takes_no_file_from_outside(scene: &mut Scene<'_>) {
    scene.run("with open('big', 'wb', buffering=0) as file:\n    while True: file.write(bytes(1 << 12))").await;
    let sandbox = scene.sandbox().await;
    assert!(
        sandbox
            .write_file("given", &vec![7; 1 << 16])
            .await
            .is_err()
    );
    scene.run("import os\nos.remove('big')").await;
    scene
        .sandbox()
        .await
        .write_file("given", &vec![7; 1 << 16])
        .await
        .unwrap();
}
