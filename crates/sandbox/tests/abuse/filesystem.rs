//! Files of the host and of the orchestrator, the system's own files, and ways to more rights over them.

use crate::arena::{DATA, FILES};
use crate::scene::{PRELUDE, Scene, attempts};

attempts![
    files_of_the_orchestrator_cannot_be_opened,
    files_of_the_host_cannot_be_opened,
    no_path_in_the_whole_tree_leads_to_a_canary,
    another_process_cannot_be_read_through_proc,
    no_process_of_the_host_is_listed,
    the_environment_holds_nothing_of_the_orchestrator,
    the_memory_inherited_from_the_zygote_holds_no_secret,
    the_mount_table_names_no_file_of_the_orchestrator,
    kernel_settings_cannot_be_written,
    the_kernels_own_memory_cannot_be_read,
    data_files_cannot_be_changed,
    links_lead_no_further_than_the_root,
    device_files_cannot_be_made,
    block_devices_cannot_be_opened,
    set_user_id_gives_nothing,
    capabilities_are_none,
];

async fn files_of_the_orchestrator_cannot_be_opened(scene: &mut Scene<'_>) {
    let folder = scene.arena.folder.display().to_string();
    let shared_memory = scene.arena.shared_memory.display();
    let code = format!(
        "for name in {FILES:?}:\n    \
         for way in ('', '/proc/1/root', '/proc/self/root', '/proc/self/cwd/../../../../..'):\n        \
         attempt(f'{{way}} {{name}}', lambda: open(f'{{way}}{folder}/{{name}}').read(), errno.ENOTDIR)\n    \
         attempt(f'write {{name}}', lambda: open(f'{folder}/{{name}}', 'a'), errno.ENOTDIR)\n\
         attempt('list', lambda: os.listdir('{folder}'), errno.ENOTDIR)\n\
         attempt('shared memory', lambda: open('{shared_memory}').read())"
    );
    scene.refused(&code).await;
}

async fn files_of_the_host_cannot_be_opened(scene: &mut Scene<'_>) {
    let repository = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let home = std::env::var("HOME").unwrap_or_else(|_| "/root".into());
    let code = format!(
        "for path in ('/etc/shadow', '/etc/machine-id', '/root/.bashrc', '/root/.ssh', '{home}/.bashrc', '{home}/.cargo', '/var/log', '/var/lib/docker', \
         '/run/docker.sock', '/var/run/docker.sock', '/boot', '/mnt', '/srv', '{repository}', '/sys/kernel', '/sys/fs/cgroup/cgroup.procs', '/sys/class', \
         '/host', '/.dockerenv.secret'):\n    \
         attempt(path, lambda: os.listdir(path) if os.path.isdir(path) and len(os.listdir(path)) else open(path).read(), errno.EISDIR, errno.ENXIO)"
    );
    let stdout = scene.stdout(&format!("{PRELUDE}\n{code}")).await;
    // A container shows a part of /sys, read-only; folders that stand empty hold nothing.
    let got: Vec<&str> = stdout
        .lines()
        .filter(|line| !line.ends_with(" refused") && !line.starts_with("/sys/"))
        .collect();
    assert!(got.is_empty(), "{got:#?}");
}

async fn no_path_in_the_whole_tree_leads_to_a_canary(scene: &mut Scene<'_>) {
    scene.cell_seconds(60);
    let code = "import os\nfound, seen = [], 0\nfor folder, folders, files in os.walk('/'):\n    if folder == '/proc': folders[:] = [name for name in folders if name == 'self']\n    \
        if folder.count('/') > 12: folders.clear()\n    seen += len(files)\n    found += [os.path.join(folder, name) for name in files + folders if \
        name in ('canary.txt', 'ledger.sqlite', 'truth.csv', 'cdef', 'id_ed25519', 'orchestrator.sock', 'docker.sock') or name.startswith('synth-abuse')]\n\
        print(found, seen > 1000)";
    assert_eq!(scene.stdout(code).await, "[] True\n");
}

async fn another_process_cannot_be_read_through_proc(scene: &mut Scene<'_>) {
    let code = "for name in ('root', 'cwd', 'exe'):\n    attempt(name, lambda: os.readlink(f'/proc/1/{name}'))\n\
        for name in ('environ', 'mem', 'maps', 'auxv', 'stack', 'syscall', 'io'):\n    attempt(name, lambda: open(f'/proc/1/{name}', 'rb').read(1 << 10), errno.EIO)\n\
        attempt('descriptors', lambda: os.listdir('/proc/1/fd'))\n\
        attempt('root folder', lambda: os.listdir('/proc/1/root/'))\n\
        attempt('write', lambda: open('/proc/1/mem', 'r+b'))\n\
        attempt('parent', lambda: open(f'/proc/{os.getppid()}/environ').read())";
    scene.refused(code).await;
}

async fn no_process_of_the_host_is_listed(scene: &mut Scene<'_>) {
    let code = "import os\npids = [name for name in os.listdir('/proc') if name.isdigit()]\ncommands = [open(f'/proc/{pid}/cmdline').read() for pid in pids]\n\
        print(len(pids) < 8, any('86400' in command or 'abuse' in command for command in commands))";
    assert_eq!(scene.stdout(code).await, "True False\n");
    let [orchestrator, sleeper] = scene.arena.pids;
    // Their numbers are those of others in here, if of anybody.
    let code = format!(
        "for pid in ({orchestrator}, {sleeper}):\n    attempt(pid, lambda: open(f'/proc/{{pid}}/environ').read())\n    attempt(pid, lambda: os.kill(pid, 0), errno.ESRCH)"
    );
    scene.refused(&code).await;
}

async fn the_environment_holds_nothing_of_the_orchestrator(scene: &mut Scene<'_>) {
    let code = "import glob, os\ntext = repr(dict(os.environ))\nfor path in glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/self/task/*/environ'):\n    \
        try: text += open(path).read()\n    except OSError: pass\nprint(text.replace('\\0', ' '))\nprint('ABUSE' in text, 'CARGO' in text, 'SYNTH_' in text)";
    let stdout = scene.stdout(code).await;
    assert!(stdout.ends_with("False False False\n"), "{stdout}");
}

async fn the_memory_inherited_from_the_zygote_holds_no_secret(scene: &mut Scene<'_>) {
    scene.cell_seconds(60);
    scene.spec.limits.memory_bytes = 1 << 30;
    // Patterns that do not match themselves, so that the cell does not find its own code.
    let folder = scene.arena.folder.display().to_string();
    let (last, rest) = (&folder[folder.len() - 1..], &folder[..folder.len() - 1]);
    let patterns = [
        "SYNTH_ABUSE_SECRE[T]=".into(),
        "SLEEPERS_SECRE[T]=".into(),
        format!("{rest}[{last}]"),
    ];
    let code = format!(
        "import re\npatterns = [re.compile(text.encode()) for text in {patterns:?}]\nhits, scanned = set(), 0\n\
         with open('/proc/self/maps') as maps, open('/proc/self/mem', 'rb', buffering=0) as memory:\n    \
         for line in maps.read().splitlines():\n        fields = line.split()\n        start, end = (int(part, 16) for part in fields[0].split('-'))\n        \
         if 'w' not in fields[1] or end - start > 512 << 20: continue\n        \
         try:\n            memory.seek(start)\n            block = memory.read(end - start)\n        except (OSError, ValueError): continue\n        scanned += len(block)\n        \
         hits |= {{index for index, pattern in enumerate(patterns) if pattern.search(block)}}\nprint(sorted(hits), scanned > 1 << 20)"
    );
    // The third is where the data files lie on the host: no secret of an environment, but nobody's business.
    assert_eq!(scene.stdout(&code).await, "[] True\n");
}

async fn the_mount_table_names_no_file_of_the_orchestrator(scene: &mut Scene<'_>) {
    let stdout = scene.stdout("for name in ('mountinfo', 'mounts', 'mountstats'):\n    print(open(f'/proc/self/{name}').read())").await;
    for name in FILES {
        assert!(!stdout.contains(name), "{stdout}");
    }
    assert!(
        !stdout.contains("ledger") && !stdout.contains(env!("CARGO_MANIFEST_DIR")),
        "{stdout}"
    );
}

async fn kernel_settings_cannot_be_written(scene: &mut Scene<'_>) {
    let code = "for path in ('/proc/sysrq-trigger', '/proc/sys/kernel/core_pattern', '/proc/sys/kernel/modprobe', '/proc/sys/vm/drop_caches', '/proc/sys/kernel/hostname',\n    \
        '/proc/sys/user/max_user_namespaces', '/proc/sys/net/ipv4/ip_forward', '/sys/kernel/uevent_helper', '/sys/kernel/mm/transparent_hugepage/enabled',\n    \
        '/sys/power/state', '/proc/self/uid_map', '/proc/self/setgroups', '/proc/irq/default_smp_affinity', '/proc/sys/fs/binfmt_misc/register', '/sys/kernel/debug/x',\n    \
        '/sys/kernel/security/x', '/proc/self/loginuid', '/proc/acpi'):\n    attempt(path, lambda: os.write(os.open(path, os.O_WRONLY), b'x'), errno.EISDIR, errno.EINVAL)";
    scene.refused(code).await;
    let code = "import os\nwritable = []\nfor top in ('/proc/sys', '/sys'):\n    for folder, _, files in os.walk(top):\n        for name in files:\n            \
        try: os.close(os.open(os.path.join(folder, name), os.O_WRONLY)); writable.append(os.path.join(folder, name))\n            except OSError: pass\nprint(writable)";
    scene.cell_seconds(30);
    assert_eq!(scene.stdout(code).await, "[]\n");
}

async fn the_kernels_own_memory_cannot_be_read(scene: &mut Scene<'_>) {
    let code = "for path in ('/proc/kcore', '/proc/kmsg', '/dev/mem', '/dev/kmem', '/dev/kmsg', '/dev/port', '/proc/vmallocinfo', '/proc/kpagecount', '/proc/kpageflags', '/proc/slabinfo'):\n    \
        attempt(path, lambda: open(path, 'rb').read(16) or os.stat('/nothing/there'))";
    scene.refused(code).await;
    let code = "try: print(any(int(line.split()[0], 16) for line in open('/proc/kallsyms').readlines()[:50]))\nexcept OSError: print(False)";
    assert_eq!(scene.stdout(code).await, "False\n");
}

async fn data_files_cannot_be_changed(scene: &mut Scene<'_>) {
    let (name, content) = DATA;
    let code = format!(
        "path = 'data/{name}'\nreal = os.path.realpath(path)\n\
         for target in (path, real):\n    attempt('append', lambda: open(target, 'a'))\n    attempt('truncate', lambda: os.truncate(target, 0))\n    \
         attempt('remove', lambda: os.remove(target), errno.EBUSY)\n    attempt('rename', lambda: os.rename(target, 'moved'), errno.EBUSY, errno.EXDEV)\n    \
         attempt('over', lambda: os.replace(PRELUDE_FILE, target), errno.EBUSY, errno.EXDEV)\n    attempt('mode', lambda: os.chmod(target, 0o666))\n    \
         attempt('owner', lambda: os.chown(target, os.getuid(), os.getgid()))\n    attempt('times', lambda: os.utime(target))\n    \
         attempt('link', lambda: os.link(target, 'linked'), errno.EXDEV)\n    attempt('attribute', lambda: os.setxattr(target, 'user.x', b'x'), errno.EOPNOTSUPP)\n    \
         attempt('reopen', lambda: os.open(f'/proc/self/fd/{{os.open(target, os.O_RDONLY)}}', os.O_RDWR))\n    \
         attempt('new', lambda: open(os.path.join(os.path.dirname(target), 'new'), 'w'))\nattempt('folder', lambda: os.rename('data', 'moved'), errno.EBUSY, errno.EXDEV)"
    );
    let code = code.replace("PRELUDE_FILE", "'mine'");
    scene.run("open('mine', 'w').write('forged')").await;
    scene.refused(&code).await;
    assert_eq!(
        scene
            .stdout(&format!("print(open('data/{name}').read(), end='')"))
            .await,
        content
    );
}

async fn links_lead_no_further_than_the_root(scene: &mut Scene<'_>) {
    let folder = scene.arena.folder.display();
    let code = format!(
        "os.symlink('{folder}/canary.txt', 'direct')\nos.symlink('../' * 40 + '{folder}/canary.txt'.lstrip('/'), 'upwards')\nos.symlink('/proc/1/root', 'root')\nos.symlink('/proc/self/root/..', 'above')\n\
         for name in ('direct', 'upwards', 'root{folder}/canary.txt', 'above{folder}/canary.txt'):\n    attempt(name, lambda: open(name).read(), errno.ENOTDIR)\n\
         folder = os.open('/', os.O_RDONLY)\nos.fchdir(folder)\nattempt('above the root', lambda: open('../../..{folder}/canary.txt').read(), errno.ENOTDIR)\n\
         attempt('change the root', lambda: os.chroot('/workspace'))\nos.chdir('/workspace')"
    );
    scene.refused(&code).await;
}

async fn device_files_cannot_be_made(scene: &mut Scene<'_>) {
    let code = "import stat\nfor folder in ('/workspace', '/tmp', '/dev/shm', '/dev'):\n    \
        for kind, device in ((stat.S_IFBLK, os.makedev(8, 0)), (stat.S_IFCHR, os.makedev(1, 1)), (stat.S_IFCHR, os.makedev(10, 229))):\n        \
        attempt(f'{folder} {device}', lambda: os.mknod(f'{folder}/device-{device}', kind | 0o666, device))";
    scene.refused(code).await;
}

async fn block_devices_cannot_be_opened(scene: &mut Scene<'_>) {
    let code = "import stat\nharmless = {'null', 'zero', 'full', 'random', 'urandom', 'tty', 'ptmx', 'console'}\n\
        devices = [os.path.join(folder, name) for folder, _, names in os.walk('/dev') for name in names]\n\
        devices = [path for path in devices if not os.path.islink(path) and (stat.S_ISBLK(os.stat(path).st_mode) or stat.S_ISCHR(os.stat(path).st_mode))]\n\
        print('seen', len(devices) > 3, 'refused')\n\
        for path in devices:\n    if path.removeprefix('/dev/') not in harmless and not path.startswith('/dev/pts/'): attempt(path, lambda: os.open(path, os.O_RDONLY))\n\
        for name in ('kvm', 'fuse', 'net/tun', 'loop-control', 'sda', 'vda', 'mem', 'uinput', 'vhost-net'):\n    attempt(name, lambda: os.open(f'/dev/{name}', os.O_RDONLY))";
    scene.refused(code).await;
}

async fn set_user_id_gives_nothing(scene: &mut Scene<'_>) {
    let code = "import shutil, subprocess\nshutil.copy('/bin/sh', 'shell')\nos.chmod('shell', 0o6755)\n\
        user, group = subprocess.run(['./shell', '-c', 'id -u; id -g'], capture_output=True, text=True).stdout.split()\n\
        print('same', int(user) == os.getuid() != 0 and int(group) == os.getgid() != 0, 'refused')\n\
        attempt('user', lambda: os.setuid(0))\nattempt('group', lambda: os.setgid(0))\nattempt('all', lambda: os.setresuid(0, 0, 0))\nattempt('groups', lambda: os.setgroups([0]))\n\
        attempt('owner', lambda: os.chown('shell', 0, 0), errno.EINVAL)\n\
        for program in ('su', 'mount', 'newgrp', 'passwd', 'chsh', 'sudo', 'pkexec'):\n    path = shutil.which(program, path='/usr/bin:/bin:/usr/sbin')\n    \
        if path: print(program, 'gave root' if '0\\n' == subprocess.run([path, '-c', 'id -u'], capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout else 'refused')";
    let stdout = scene.stdout(&format!("{PRELUDE}\n{code}")).await;
    assert!(stdout.starts_with("same True refused\n"), "{stdout}");
    assert!(
        stdout.lines().all(|line| line.ends_with("refused")),
        "{stdout}"
    );
}

async fn capabilities_are_none(scene: &mut Scene<'_>) {
    let code = "import ctypes\nstatus = dict(line.split(':', 1) for line in open('/proc/self/status'))\n\
        print([int(status[name], 16) for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb')], status['NoNewPrivs'].strip(), status['Seccomp'].strip())\n\
        libc = ctypes.CDLL(None)\nheader = (ctypes.c_uint32 * 2)(0x20080522, 0)\nprint(libc.capset(header, (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)))\n\
        print(libc.prctl(38, 0, 0, 0, 0), libc.prctl(47, 2, 21, 0, 0))";
    assert_eq!(scene.stdout(code).await, "[0, 0, 0, 0, 0] 1 2\n-1\n-1 -1\n");
}
