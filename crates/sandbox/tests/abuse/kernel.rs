//! System calls that no data analysis makes: each one a door that has to be shut.

use synth_core::CellOutcome;

use crate::scene::{PRELUDE, Scene, attempts};

attempts![
    mounts_are_refused,
    new_mount_calls_are_refused,
    namespaces_are_refused,
    clones_into_namespaces_are_refused,
    entering_a_namespace_is_refused,
    tracing_is_refused,
    memory_and_descriptors_of_others_are_refused,
    io_uring_is_refused,
    keyrings_are_refused,
    programs_for_the_kernel_are_refused,
    performance_events_are_refused,
    user_fault_handling_is_refused,
    modules_and_kernels_are_refused,
    clocks_cannot_be_set,
    the_host_cannot_be_named_swapped_or_rebooted,
    handles_that_bypass_folders_are_refused,
    ports_of_the_machine_are_refused,
    control_groups_cannot_be_left_or_loosened,
    calls_of_another_architecture_are_refused,
    a_filter_of_its_own_harms_nobody_else,
    dumps_go_nowhere,
];

/// The numbers of calls by name, as `N['mount']`, for the architectures whose filter is written.
const NUMBERS: &str = "N = {'x86_64': dict(mount=165, umount2=166, pivot_root=155, chroot=161, unshare=272, setns=308, clone=56, ptrace=101, readv=310, writev=311, add_key=248, \
    request_key=249, keyctl=250, bpf=321, perf=298, userfault=323, init_module=175, finit=313, delete=176, kexec=246, kexec_file=320, clock_settime=227, settimeofday=164, adjtimex=159, \
    clock_adjtime=305, sethostname=170, setdomainname=171, swapon=167, swapoff=168, reboot=169, acct=163, quotactl=179, syslog=103, personality=135, by_handle=304, name_handle=303, \
    fanotify=300, kcmp=312, vhangup=153, migrate=256, move_pages=279, memfd=319),\n\
    'aarch64': dict(mount=40, umount2=39, pivot_root=41, chroot=51, unshare=97, setns=268, clone=220, ptrace=117, readv=270, writev=271, add_key=217, request_key=218, keyctl=219, bpf=280, \
    perf=241, userfault=282, init_module=105, finit=273, delete=106, kexec=104, kexec_file=294, clock_settime=112, settimeofday=170, adjtimex=171, clock_adjtime=266, sethostname=161, \
    setdomainname=162, swapon=224, swapoff=225, reboot=142, acct=89, quotactl=60, syslog=116, personality=92, by_handle=265, name_handle=264, fanotify=262, kcmp=272, vhangup=58, \
    migrate=238, move_pages=239, memfd=279)}[platform.machine()]\n";

async fn refused(scene: &mut Scene<'_>, code: &str) {
    scene.refused(&format!("{NUMBERS}{code}")).await;
}

async fn mounts_are_refused(scene: &mut Scene<'_>) {
    let code = "os.makedirs('m', exist_ok=True)\n\
        for kind in (b'tmpfs', b'proc', b'sysfs', b'cgroup2', b'cgroup', b'overlay', b'devpts', b'fuse', b'ext4', b'bpf', b'debugfs', b'mqueue'):\n    \
            attempt(kind, lambda: call(N['mount'], kind, b'm', kind, 0, None))\n\
        attempt('bind', lambda: call(N['mount'], b'/', b'm', None, 4096 | 16384, None))\n\
        attempt('remount', lambda: call(N['mount'], None, b'/', None, 32 | 4096, None))\n\
        attempt('writable', lambda: call(N['mount'], None, b'/usr', None, 32 | 4096, None))\n\
        attempt('shared', lambda: call(N['mount'], None, b'/', None, 1 << 20, None))\n\
        attempt('move', lambda: call(N['mount'], b'/proc', b'm', None, 8192, None))\n\
        for path in (b'/proc', b'/workspace/data', b'/', b'/tmp'): attempt(path, lambda: call(N['umount2'], path, 2))\n\
        attempt('pivot', lambda: call(N['pivot_root'], b'.', b'.'))\nattempt('root', lambda: call(N['chroot'], b'.'))";
    refused(scene, code).await;
}

async fn new_mount_calls_are_refused(scene: &mut Scene<'_>) {
    let code = "attempt('open_tree', lambda: call(428, -100, b'/', 1))\nattempt('move_mount', lambda: call(429, -100, b'/tmp', -100, b'/workspace', 0))\n\
        attempt('fsopen', lambda: call(430, b'tmpfs', 0))\nattempt('fsconfig', lambda: call(431, 0, 6, None, None, 0))\nattempt('fsmount', lambda: call(432, 0, 0, 0))\n\
        attempt('fspick', lambda: call(433, -100, b'/', 0))\n\
        import ctypes\nattempt('mount_setattr', lambda: call(442, -100, b'/usr', 0x8000, (ctypes.c_uint64 * 4)(0, 1, 0, 0), 32))";
    refused(scene, code).await;
}

async fn namespaces_are_refused(scene: &mut Scene<'_>) {
    let code = "for name, flag in dict(user=0x10000000, mount=0x20000, pid=0x20000000, net=0x40000000, ipc=0x8000000, uts=0x4000000, cgroup=0x2000000, time=0x80).items():\n    \
            attempt(name, lambda: call(N['unshare'], flag), errno.ENOSPC)\n    attempt(name + ' of a user', lambda: call(N['unshare'], flag | 0x10000000), errno.ENOSPC)";
    refused(scene, code).await;
}

async fn clones_into_namespaces_are_refused(scene: &mut Scene<'_>) {
    let code = "import struct\ndef born(number, *arguments):\n    pid = call(number, *arguments)\n    if pid == 0:\n        os._exit(0)\n    os.waitpid(pid, 0)\n    return pid\n\
        for name, flag in dict(user=0x10000000, mount=0x20000, pid=0x20000000, net=0x40000000, both=0x50020000).items():\n    \
            attempt(name, lambda: born(N['clone'], flag | 17, 0, 0, 0, 0), errno.ENOSPC)\n    \
            record = struct.pack('11Q', flag, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0)\n    attempt(name + ' by clone3', lambda: born(435, record, 88), errno.ENOSPC)";
    refused(scene, code).await;
}

async fn entering_a_namespace_is_refused(scene: &mut Scene<'_>) {
    let code = "for name in ('user', 'mnt', 'net', 'pid', 'ipc', 'uts'):\n    attempt(name, lambda: call(N['setns'], os.open(f'/proc/self/ns/{name}', os.O_RDONLY), 0), errno.EINVAL)\n    \
            attempt(name + ' of init', lambda: os.open(f'/proc/1/ns/{name}', os.O_RDONLY))\n\
        attempt('by pidfd', lambda: call(N['setns'], os.pidfd_open(1), 0x20000 | 0x40000000))";
    refused(scene, code).await;
}

async fn tracing_is_refused(scene: &mut Scene<'_>) {
    let code = "import time\nchild = os.fork()\nif child == 0:\n    time.sleep(20)\n    os._exit(0)\n\
        for name, pid in (('init', 1), ('parent', os.getppid()), ('child', child)):\n    attempt(name, lambda: call(N['ptrace'], 16, pid, 0, 0))\n    \
            attempt(name + ' seized', lambda: call(N['ptrace'], 0x4206, pid, 0, 0))\nattempt('me', lambda: call(N['ptrace'], 0, 0, 0, 0))\nos.kill(child, 9)\n_ = os.waitpid(child, 0)";
    refused(scene, code).await;
}

async fn memory_and_descriptors_of_others_are_refused(scene: &mut Scene<'_>) {
    let code = "import ctypes, struct\nbuffer = ctypes.create_string_buffer(64)\nlocal = struct.pack('QQ', ctypes.addressof(buffer), 64)\nremote = struct.pack('QQ', 0x400000, 64)\n\
        attempt('read', lambda: call(N['readv'], 1, local, 1, remote, 1, 0))\nattempt('write', lambda: call(N['writev'], 1, local, 1, remote, 1, 0))\n\
        attempt('descriptor', lambda: call(438, os.pidfd_open(1), 3, 0))\nattempt('compare', lambda: call(N['kcmp'], os.getpid(), 1, 0, 0, 0))\n\
        attempt('advise', lambda: call(440, os.pidfd_open(1), remote, 1, 4, 0))\nattempt('pages', lambda: call(N['move_pages'], 1, 0, 0, 0, 0, 0))\n\
        attempt('migrate', lambda: call(N['migrate'], 1, 0, 0, 0))";
    refused(scene, code).await;
}

async fn io_uring_is_refused(scene: &mut Scene<'_>) {
    let code = "import ctypes\nattempt('setup', lambda: call(425, 8, ctypes.create_string_buffer(120)))\nattempt('enter', lambda: call(426, 0, 0, 0, 0, 0, 0))\n\
        attempt('register', lambda: call(427, 0, 0, 0, 0))\nattempt('aio', lambda: open('/proc/sys/fs/aio-max-nr', 'w'))";
    refused(scene, code).await;
}

async fn keyrings_are_refused(scene: &mut Scene<'_>) {
    let code = "attempt('add', lambda: call(N['add_key'], b'user', b'name', b'secret', 6, -3))\nattempt('add for the user', lambda: call(N['add_key'], b'user', b'name', b'secret', 6, -4))\n\
        attempt('request', lambda: call(N['request_key'], b'user', b'name', None, -3))\nattempt('session', lambda: call(N['keyctl'], 0, -3, 1))\n\
        attempt('join', lambda: call(N['keyctl'], 1, b'session'))\nattempt('describe', lambda: call(N['keyctl'], 6, -4, 0, 0))";
    refused(scene, code).await;
}

async fn programs_for_the_kernel_are_refused(scene: &mut Scene<'_>) {
    let code = "import ctypes\nfor command in (0, 5, 18): attempt(command, lambda: call(N['bpf'], command, ctypes.create_string_buffer(128), 128))";
    refused(scene, code).await;
}

async fn performance_events_are_refused(scene: &mut Scene<'_>) {
    let code = "import struct\nattempt('mine', lambda: call(N['perf'], struct.pack('IIQ', 1, 112, 0) + bytes(96), 0, -1, -1, 0))\n\
        attempt('all', lambda: call(N['perf'], struct.pack('IIQ', 1, 112, 0) + bytes(96), -1, 0, -1, 0))";
    refused(scene, code).await;
}

async fn user_fault_handling_is_refused(scene: &mut Scene<'_>) {
    let code = "attempt('all', lambda: call(N['userfault'], 0))\nattempt('user mode only', lambda: call(N['userfault'], 1))\nattempt('device', lambda: os.open('/dev/userfaultfd', os.O_RDWR))";
    refused(scene, code).await;
}

async fn modules_and_kernels_are_refused(scene: &mut Scene<'_>) {
    let code = "attempt('module', lambda: call(N['init_module'], b'', 0, b''))\nattempt('module file', lambda: call(N['finit'], 0, b'', 0))\nattempt('removal', lambda: call(N['delete'], b'no-such-module', 0))\n\
        attempt('kernel', lambda: call(N['kexec'], 0, 0, 0, 0))\nattempt('kernel file', lambda: call(N['kexec_file'], -1, -1, 0, b'', 0))";
    refused(scene, code).await;
}

async fn clocks_cannot_be_set(scene: &mut Scene<'_>) {
    let code = "import time, ctypes\nattempt('clock', lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()))\nattempt('day', lambda: call(N['settimeofday'], bytes(16), 0), errno.EINVAL)\n\
        modes = ctypes.create_string_buffer(b'\\x01', 208)\nattempt('adjust', lambda: call(N['adjtimex'], modes))\nattempt('adjust one', lambda: call(N['clock_adjtime'], 0, modes))";
    refused(scene, code).await;
}

async fn the_host_cannot_be_named_swapped_or_rebooted(scene: &mut Scene<'_>) {
    // The order to the machine is the harmless one: whether three keys restart it at once.
    let code = "attempt('name', lambda: socket.sethostname('evil'))\nattempt('domain', lambda: call(N['setdomainname'], b'evil', 4))\nattempt('swap', lambda: call(N['swapon'], b'/workspace/x', 0))\n\
        attempt('no swap', lambda: call(N['swapoff'], b'/workspace/x'))\nattempt('reboot', lambda: call(N['reboot'], 0xfee1dead - (1 << 32), 672274793, 0, 0))\nattempt('accounts', lambda: call(N['acct'], None))\n\
        attempt('quota', lambda: call(N['quotactl'], 0x80000100, None, 0, 0))\nattempt('log', lambda: call(N['syslog'], 3, bytes(64), 64))\nattempt('hang up', lambda: call(N['vhangup']))\n\
        attempt('personality', lambda: call(N['personality'], 0x0800000))";
    refused(scene, code).await;
}

async fn handles_that_bypass_folders_are_refused(scene: &mut Scene<'_>) {
    let code = "import struct\nattempt('open', lambda: call(N['by_handle'], os.open('/', os.O_RDONLY), struct.pack('IiQ', 8, 1, 2), 0))\n\
        attempt('notify', lambda: call(N['fanotify'], 0, 0))\nattempt('notify, unprivileged', lambda: call(N['fanotify'], 0x200, 0), errno.EINVAL)";
    refused(scene, code).await;
}

async fn ports_of_the_machine_are_refused(scene: &mut Scene<'_>) {
    let code = "if platform.machine() == 'x86_64':\n    attempt('level', lambda: call(172, 3))\n    attempt('ports', lambda: call(173, 0, 8, 1))\nattempt('device', lambda: os.open('/dev/port', os.O_RDWR))";
    refused(scene, code).await;
}

async fn control_groups_cannot_be_left_or_loosened(scene: &mut Scene<'_>) {
    let code = "attempt('none', lambda: os.stat('/sys/fs/cgroup/nothing-of-that-name'))\nnames = {'cgroup.procs', 'tasks', 'release_agent', 'notify_on_release', 'cgroup.kill', 'memory.max', 'memory.limit_in_bytes', 'pids.max', \
        'cpu.max', 'devices.allow', 'cgroup.subtree_control'}\n\
        for folder, folders, files in os.walk('/sys/fs/cgroup'):\n    if folder.count('/') > 6: folders.clear()\n    \
            for name in names & set(files):\n        attempt(os.path.join(folder, name), lambda: os.open(os.path.join(folder, name), os.O_WRONLY))\n    \
            attempt(folder, lambda: os.mkdir(os.path.join(folder, 'escape')))\n\
        for line in open('/proc/self/cgroup'):\n    path = line.strip().split(':')[2]\n    attempt('mine', lambda: open('/sys/fs/cgroup' + path + '/cgroup.procs', 'w'))";
    refused(scene, code).await;
}

async fn calls_of_another_architecture_are_refused(scene: &mut Scene<'_>) {
    let code = "import ctypes, mmap\nif platform.machine() == 'x86_64':\n    attempt('x32', lambda: call(0x40000000 + 39))\n    \
        # mov eax, 21 (mount); xor ebx.. ; int 0x80; ret\n    area = mmap.mmap(-1, 4096, prot=7)\n    area.write(bytes.fromhex('53b81500000031db31c931d231f631ffcd805bc3'))\n    \
        enter = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(area)))\n    result = enter()\n    print('mount of 32 bits', 'refused' if result in (-1, -38, -13) else result)\nelse: print('none refused')";
    // A container's own filter ends who makes one.
    let observation = scene.run(&format!("{PRELUDE}\n{NUMBERS}{code}")).await;
    let killed = matches!(&observation.outcome, CellOutcome::Died { how } if how == "signal 31");
    let refused = observation.outcome == CellOutcome::Ok
        && observation
            .stdout
            .lines()
            .all(|line| line.ends_with("refused"));
    assert!(killed || refused, "{observation:?}");
}

async fn a_filter_of_its_own_harms_nobody_else(scene: &mut Scene<'_>) {
    // The strict mode kills the interpreter at its next call.
    let observation = scene
        .run("import ctypes\nctypes.CDLL(None).prctl(22, 1, 0, 0, 0)\nopen('/dev/null')")
        .await;
    let ended = matches!(&observation.outcome, CellOutcome::Died { how } if how == "signal 9" || how == "signal 31")
        || matches!(
            observation.outcome,
            CellOutcome::Ok | CellOutcome::Error { .. }
        );
    assert!(ended, "{observation:?}");
    // A filter that refuses every further write: the reply cannot be sent.
    scene.cell_seconds(2);
    let code = "import ctypes, struct\nlibc = ctypes.CDLL(None)\nlines = [(0x20, 0, 0, 0), (0x15, 0, 1, 1), (6, 0, 0, 0x00050001), (0x15, 0, 1, 44), (6, 0, 0, 0x00050001), (6, 0, 0, 0x7fff0000)]\n\
        program = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *line) for line in lines))\nrecord = struct.pack('HxxxxxxQ', len(lines), ctypes.addressof(program))\nlibc.prctl(22, 2, record, 0, 0)";
    let observation = scene.run(code).await;
    let told = matches!(
        observation.outcome,
        CellOutcome::Died { .. }
            | CellOutcome::Timeout { .. }
            | CellOutcome::Ok
            | CellOutcome::Error { .. }
    );
    assert!(told, "{observation:?}");
    scene.may_lose_the_next_cell();
}

async fn dumps_go_nowhere(scene: &mut Scene<'_>) {
    let observation = scene.run("import os, resource\nprint(resource.getrlimit(resource.RLIMIT_CORE)[1] <= 1, flush=True)\nos.kill(os.getpid(), 11)").await;
    assert_eq!(
        (observation.stdout.as_str(), &observation.outcome),
        (
            "True\n",
            &CellOutcome::Died {
                how: "signal 11".into()
            }
        )
    );
    assert_eq!(
        scene
            .stdout(
                "import os\nprint([name for name in os.listdir('.') if name.startswith('core')])"
            )
            .await,
        "[]\n"
    );
}
