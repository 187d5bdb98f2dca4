//! Init: process 1 of a sandbox. Builds its root, waits to be handed out, then interrupts on order, watches memory where no
//! control group does, and takes everything down when `synth` or the agent is gone.
//!
//! The agent is forked into this namespace by the zygote, which buries it and sends its wait status through a pipe.

use core::ffi::CStr;

use crate::steps;
use crate::sys::{self, Watched};
use crate::text::{Fields, Text, first_number};

/// Orders come in here, and news goes out.
const STATUS: i32 = 0;
/// The agent's wait status comes in here; its end means that the zygote is gone.
const BURIED: i32 = 1;
/// What user and group init is, where root makes it: not the agent's, whose limits and priorities it could otherwise set.
const OWN_ID: usize = 1;
const WATCH_MILLISECONDS: u64 = 100;
/// The agent is one of several thousand processes at most; its status is written the moment it is buried.
const BURIAL_MILLISECONDS: u64 = 1000;
const MOST: usize = 1 << 16;

/// The life of an init, from its birth in the new namespaces; `gate` opens when its user ids are there.
pub fn live(status: i32, buried: i32, gate: i32, list: &[u8]) -> ! {
    // Nothing of the jailer's is kept. The three are above 2: a process is born with 0, 1 and 2 open.
    let settled = sys::read_exactly(gate, &mut [0])
        && sys::dup_to(status, STATUS).is_ok()
        && sys::dup_to(buried, BURIED).is_ok()
        && sys::close_from(BURIED + 1).is_ok();
    if !settled {
        sys::exit(70);
    }
    sys::new_session();
    sys::set_name(c"init");
    let proc = match steps::take(list) {
        Ok(proc) => proc,
        Err(refusal) => {
            report(Err(&refusal), false, &[]);
            sys::exit(71);
        }
    };
    report(Ok(()), proc, &[]);
    match wait_for_hand_out() {
        Some(task) => serve(&task, proc),
        None => sys::exit(0),
    }
}

/// Ten bytes: whether it went well, whether there is a `/proc`, and the refused step.
fn report(outcome: Result<(), &steps::Refusal>, proc: bool, descriptors: &[i32]) {
    let mut record = [b'y', u8::from(proc), 0, 0, 0, 0, 0, 0, 0, 0];
    if let Err(refusal) = outcome {
        record[0] = b'n';
        record[2..6].copy_from_slice(&refusal.errno.to_le_bytes());
        record[6..10].copy_from_slice(&refusal.step.to_le_bytes());
    }
    let _ = sys::send(STATUS, &record, descriptors);
}

/// What is known once the sandbox is somebody's.
struct Task {
    agent: usize,
    /// Memory beyond what there is now; 0 where a control group watches.
    memory_bytes: u64,
}

/// Takes steps (`o`) until the word to go (`g`) comes, then gives up all privileges. Nothing at the end of the stream.
fn wait_for_hand_out() -> Option<Task> {
    let mut body = [0; MOST];
    loop {
        let mut head = [0; 5];
        if !sys::read_exactly(STATUS, &mut head) {
            return None;
        }
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let body = body.get_mut(..length)?;
        if !sys::read_exactly(STATUS, body) {
            return None;
        }
        match head[0] {
            b'o' => {
                if let Err(refusal) = steps::take(body) {
                    report(Err(&refusal), false, &[]);
                    return None;
                }
            }
            b'g' => return go(body),
            _ => return None,
        }
    }
}

fn go(body: &[u8]) -> Option<Task> {
    let mut fields = Fields::new(body);
    let agent = fields.number()? as usize;
    let memory_bytes = fields.number()?;
    let become_other = fields.number()? != 0;
    let workspace = fields.text()?;
    let flags = sys::O_PATH | sys::O_DIRECTORY | sys::O_CLOEXEC;
    let opened = sys::open(workspace, flags).and_then(|folder| {
        sys::drop_privileges(become_other.then_some(OWN_ID))?;
        Ok(folder)
    });
    match opened {
        Ok(folder) => {
            report(Ok(()), false, &[folder]);
            sys::close(folder);
            Some(Task {
                agent,
                memory_bytes,
            })
        }
        Err(errno) => {
            report(
                Err(&steps::Refusal {
                    step: u32::MAX,
                    errno,
                }),
                false,
                &[],
            );
            None
        }
    }
}

enum End {
    Ordered,
    Memory,
    /// The agent's wait status, if the zygote could still tell it.
    Died(Option<u32>),
}

fn serve(task: &Task, proc: bool) -> ! {
    let agent = sys::open_process(task.agent);
    let end = match agent {
        Ok(agent) => watch(task, agent, proc && task.memory_bytes > 0),
        Err(_) => End::Died(wait_status()),
    };
    // Everybody in this namespace but ourselves.
    let _ = sys::kill(-1, sys::SIGKILL);
    if let Ok(agent) = agent {
        sys::poll(&mut [Watched::new(agent)], Some(BURIAL_MILLISECONDS));
    }
    sys::wait_for_all();
    farewell(&end);
    sys::exit(0)
}

fn watch(task: &Task, agent: i32, memory: bool) -> End {
    let family = -(task.agent as isize);
    let anonymous = |exact| if memory { used_bytes(exact) } else { 0 };
    let most = anonymous(false) + task.memory_bytes;
    let pause = memory.then_some(WATCH_MILLISECONDS);
    let mut watched = [Watched::new(STATUS), Watched::new(agent)];
    loop {
        sys::poll(&mut watched, pause);
        if watched[1].happened() {
            return End::Died(wait_status());
        }
        if watched[0].happened() {
            let mut order = [0];
            let signal = match sys::read(STATUS, &mut order) {
                Ok(1) if order[0] == b'i' => sys::SIGINT,
                Ok(1) if order[0] == b't' => sys::SIGTERM,
                _ => return End::Ordered,
            };
            let _ = sys::kill(family, signal);
        } else if memory && anonymous(false) > most && anonymous(true) > most {
            return End::Memory;
        }
    }
}

fn wait_status() -> Option<u32> {
    let mut watched = [Watched::new(BURIED)];
    sys::poll(&mut watched, Some(BURIAL_MILLISECONDS));
    let mut status = [0; 4];
    (watched[0].happened() && sys::read_exactly(BURIED, &mut status))
        .then(|| u32::from_le_bytes(status))
}

fn farewell(end: &End) {
    let body = Text::<100>::new().add(br#"{"version":1,"end":{"#);
    let body = match end {
        End::Ordered | End::Died(None) => body,
        End::Memory => body.add(br#""memory":true"#),
        End::Died(Some(status)) if status & 0x7f == 0 => body
            .add(br#""exit":"#)
            .add_number(u64::from(status >> 8 & 0xff)),
        End::Died(Some(status)) => body
            .add(br#""signal":"#)
            .add_number(u64::from(status & 0x7f)),
    };
    let body = body.add(b"}}");
    let length = (body.bytes().len() as u32).to_be_bytes();
    let frame = Text::<120>::new().add(&length).add(body.bytes());
    let _ = sys::send(STATUS, frame.bytes(), &[]);
}

/// Memory of all processes but init that no file backs. Not `exact`, what is shared after a fork counts once for each; `exact`,
/// which is dear, it counts once.
fn used_bytes(exact: bool) -> u64 {
    let Ok(folder) = sys::open(c"/proc", sys::O_RDONLY | sys::O_DIRECTORY | sys::O_CLOEXEC) else {
        return 0;
    };
    let (mut total, mut entries) = (0, [0; 4096]);
    while let Ok(length) = sys::list(folder, &mut entries) {
        if length == 0 {
            break;
        }
        let mut rest = &entries[..length];
        // An entry: inode, offset (8 bytes each), length of the entry (2), kind (1), name.
        while rest.len() > 19 {
            let size = usize::from(u16::from_le_bytes([rest[16], rest[17]]));
            let name = CStr::from_bytes_until_nul(&rest[19..]).unwrap_or(c"");
            if name.to_bytes()[..1].iter().all(u8::is_ascii_digit) && name != c"1" && name != c"" {
                total += process_bytes(name, exact);
            }
            rest = rest.get(size.max(1)..).unwrap_or(&[]);
        }
    }
    sys::close(folder);
    total
}

fn process_bytes(name: &CStr, exact: bool) -> u64 {
    let file = |file: &[u8]| {
        Text::<64>::new()
            .add(b"/proc/")
            .add(name.to_bytes())
            .add(file)
    };
    // One that hides its details is counted in full.
    let hidden = || {
        sum_fields(
            file(b"/status").path(),
            &[b"RssAnon:".as_slice(), b"RssShmem:"],
        )
        .unwrap_or(0)
    };
    if exact {
        let exact = sum_fields(
            file(b"/smaps_rollup").path(),
            &[b"Pss_Anon:".as_slice(), b"Pss_Shmem:"],
        );
        exact.unwrap_or_else(hidden)
    } else {
        hidden()
    }
}

/// The sum of the lines of these names, given in kilobytes there.
fn sum_fields(path: &CStr, names: &[&[u8]]) -> Option<u64> {
    let fd = sys::open(path, sys::O_RDONLY | sys::O_CLOEXEC).ok()?;
    let mut text = [0; 4096];
    let mut length = 0;
    while let Ok(count) = sys::read(fd, &mut text[length..]) {
        if count == 0 {
            break;
        }
        length += count;
    }
    sys::close(fd);
    let lines = text[..length].split(|byte| *byte == b'\n');
    let wanted = lines.filter(|line| names.iter().any(|name| line.starts_with(name)));
    (length > 0).then(|| wanted.filter_map(first_number).sum::<u64>() << 10)
}
