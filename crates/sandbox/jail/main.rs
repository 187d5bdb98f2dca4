//! The jail: a program without a standard library that gives each sandbox its namespaces and its process 1.
//!
//! The jailer (`main`) is one process, told over a socket what to make; each `init` it makes is process 1 of a sandbox. A fork of
//! the Python interpreter costs milliseconds, one of this program a fraction of one: so all that needs processes of its own is
//! here, and the interpreter is forked once a sandbox. It is run from memory and holds nothing of `synth`'s.
//!
//! This is the one place with `unsafe`: every system call is in `sys.rs`, behind a signature that cannot be misused.

#![no_std]
#![no_main]

mod init;
mod steps;
mod sys;
mod text;

use core::arch::naked_asm;

use sys::{EINVAL, Errno, Forked};
use text::{Fields, Text};

/// Requests come in here.
const LINK: i32 = 0;
const MOST: usize = 1 << 16;

/// The kernel starts a program here, with its arguments on the stack and no return address.
///
/// # Safety
/// Called by the kernel only.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn _start() -> ! {
    naked_asm!("xor ebp, ebp", "and rsp, -16", "call {main}", main = sym main)
}

/// The kernel starts a program here, with its arguments on the stack and no return address.
///
/// # Safety
/// Called by the kernel only.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn _start() -> ! {
    naked_asm!("mov x29, xzr", "mov x30, xzr", "bl {main}", main = sym main)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    sys::exit(72)
}

extern "C" fn main() -> ! {
    sys::set_name(c"synth-jailer");
    sys::new_session(); // a Ctrl-C at the terminal is for `synth`
    sys::ignore(sys::SIGCHLD);
    sys::ignore(sys::SIGPIPE);
    sys::set_umask(0o022);
    let mut request = [0; MOST];
    loop {
        let Ok((length, descriptors)) = sys::receive(LINK, &mut request) else {
            sys::exit(1)
        };
        let mut fields = Fields::new(&request[..length]);
        match fields.byte() {
            Some(b's') => set_up(fields),
            Some(b'l') => lay_out(fields),
            Some(b'n') => make(fields, descriptors[0]),
            _ => sys::exit(0), // `synth` is gone
        }
        descriptors
            .into_iter()
            .filter(|fd| *fd >= 0)
            .for_each(sys::close);
    }
}

/// `y`, or `n` with the error's number and the step that was refused.
fn answer(socket: i32, outcome: Result<(), (Errno, u32)>, descriptors: &[i32]) {
    let (letter, errno, step) = match outcome {
        Ok(()) => (b'y', 0, 0),
        Err((errno, step)) => (b'n', errno as u32, step),
    };
    let mut record = [letter, 0, 0, 0, 0, 0, 0, 0, 0];
    record[1..5].copy_from_slice(&errno.to_le_bytes());
    record[5..9].copy_from_slice(&step.to_le_bytes());
    let _ = sys::send(socket, &record, descriptors);
}

/// Where a refusal is not of one of the steps.
const USER_NAMESPACE: u32 = 1000;
const MAPS: u32 = 1001;
const MOUNT_NAMESPACE: u32 = 1002;
const NAMESPACES: u32 = 1003;
const RESOURCES: u32 = 1004;

/// Enters a user namespace, unless root needs none, and a mount namespace. Gives the user namespace back, for the zygote to join.
fn set_up(mut fields: Fields) {
    let own_user = fields.byte() == Some(b'u');
    let prepare = || -> Result<i32, (Errno, u32)> {
        let at = |place: u32| move |errno: Errno| (errno, place);
        if own_user {
            let (user, group) = (sys::user() as u64, sys::group() as u64);
            sys::unshare(sys::CLONE_NEWUSER).map_err(at(USER_NAMESPACE))?;
            let own = |id| Text::<64>::new().add(b"0 ").add_number(id).add(b" 1");
            steps::write(c"/proc/self/setgroups", b"deny").map_err(at(MAPS))?;
            steps::write(c"/proc/self/uid_map", own(user).bytes()).map_err(at(MAPS))?;
            steps::write(c"/proc/self/gid_map", own(group).bytes()).map_err(at(MAPS))?;
        }
        sys::unshare(sys::CLONE_NEWNS).map_err(at(MOUNT_NAMESPACE))?;
        sys::mount(None, c"/", None, sys::MS_REC | sys::MS_SLAVE, None)
            .map_err(at(MOUNT_NAMESPACE))?;
        sys::open(c"/proc/self/ns/user", sys::O_RDONLY | sys::O_CLOEXEC).map_err(at(RESOURCES))
    };
    match prepare() {
        Ok(namespace) => {
            answer(LINK, Ok(()), &[namespace]);
            sys::close(namespace);
        }
        Err(refused) => answer(LINK, Err(refused), &[]),
    }
}

/// Lays out the skeleton of all roots: each sandbox's mount namespace is a copy of the one that it is made in.
fn lay_out(fields: Fields) {
    let outcome = steps::take(fields.rest()).map_err(|refusal| (refusal.errno, refusal.step));
    answer(LINK, outcome.map(drop), &[]);
}

/// Makes an init in namespaces of its own, which speaks on `status`. There too goes the answer, before init's first word: a
/// descriptor of init, and the end of a pipe into which the agent's wait status is to be written.
fn make(mut fields: Fields, status: i32) {
    let made = fields
        .number()
        .ok_or((EINVAL, RESOURCES))
        .and_then(|outside| make_init(status, outside, fields.rest()));
    match made {
        Ok((init, burials, opener)) => {
            answer(status, Ok(()), &[init, burials]);
            let _ = sys::write(opener, b"y");
            [init, burials, opener].into_iter().for_each(sys::close);
        }
        Err(refused) => answer(status, Err(refused), &[]),
    }
}

fn make_init(status: i32, outside: u64, list: &[u8]) -> Result<(i32, i32, i32), (Errno, u32)> {
    const ALL: usize = sys::CLONE_NEWUSER
        | sys::CLONE_NEWNS
        | sys::CLONE_NEWPID
        | sys::CLONE_NEWNET
        | sys::CLONE_NEWIPC
        | sys::CLONE_NEWUTS;
    let at = |place: u32| move |errno: Errno| (errno, place);
    let [buried, burials] = sys::pipe().map_err(at(RESOURCES))?;
    let [gate, opener] = sys::pipe().map_err(at(RESOURCES)).inspect_err(|_| {
        [buried, burials].into_iter().for_each(sys::close);
    })?;
    let forked = sys::fork_into(ALL).map_err(at(NAMESPACES));
    if let Ok(Forked::Child) = forked {
        sys::close(opener);
        init::live(status, buried, gate, list)
    }
    sys::close(buried);
    sys::close(gate);
    let outcome = match forked {
        Ok(Forked::Parent { pid, pidfd }) => match write_maps(pid, outside) {
            Ok(()) => return Ok((pidfd, burials, opener)),
            Err(errno) => {
                sys::close(pidfd);
                Err((errno, MAPS))
            }
        },
        Ok(Forked::Child) => sys::exit(70),
        Err(refused) => Err(refused),
    };
    // The gate that never opens ends the init.
    [opener, burials].into_iter().for_each(sys::close);
    outcome
}

/// With an `outside` id, 0 stays 0 while the root is built, and init and the agent are somebody whom nobody else is; without, both
/// are whoever runs `synth`.
fn write_maps(pid: u32, outside: u64) -> Result<(), Errno> {
    let map = if outside == 0 {
        Text::<64>::new().add(b"1000 0 1")
    } else {
        Text::<64>::new()
            .add(b"0 0 1\n1 ")
            .add_number(outside + 1)
            .add(b" 1\n1000 ")
            .add_number(outside)
            .add(b" 1")
    };
    let file = |name: &[u8]| {
        Text::<64>::new()
            .add(b"/proc/")
            .add_number(u64::from(pid))
            .add(name)
    };
    steps::write(file(b"/uid_map").path(), map.bytes())?;
    steps::write(file(b"/gid_map").path(), map.bytes())
}

// --- what the compiler expects to find ----------------------------------------------------------------------------

/// # Safety
/// As C's `memcpy`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    for index in 0..count {
        // SAFETY: the caller's promise. Volatile, lest the compiler make this loop a call of itself.
        unsafe {
            to.add(index)
                .write_volatile(from.add(index).read_volatile())
        };
    }
    to
}

/// # Safety
/// As C's `memmove`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if (to as usize) <= from as usize {
        // SAFETY: the caller's promise; forwards, an overlap is read before it is written.
        return unsafe { memcpy(to, from, count) };
    }
    for index in (0..count).rev() {
        // SAFETY: the caller's promise; backwards, an overlap is read before it is written.
        unsafe {
            to.add(index)
                .write_volatile(from.add(index).read_volatile())
        };
    }
    to
}

/// # Safety
/// As C's `memset`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, value: i32, count: usize) -> *mut u8 {
    for index in 0..count {
        // SAFETY: the caller's promise.
        unsafe { to.add(index).write_volatile(value as u8) };
    }
    to
}

/// # Safety
/// As C's `memcmp`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, count: usize) -> i32 {
    for index in 0..count {
        // SAFETY: the caller's promise.
        let (one, other) = unsafe {
            (
                one.add(index).read_volatile(),
                other.add(index).read_volatile(),
            )
        };
        if one != other {
            return i32::from(one) - i32::from(other);
        }
    }
    0
}

/// # Safety
/// As C's `bcmp`.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, count: usize) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { memcmp(one, other, count) }
}

/// # Safety
/// As C's `strlen`.
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut length = 0;
    // SAFETY: the caller's promise: there is a NUL.
    while unsafe { text.add(length).read_volatile() } != 0 {
        length += 1;
    }
    length
}

/// Named by the library's code for unwinding, of which there is none here.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
