//! What every sandbox backend promises, each promise a test over `&dyn Sandboxes`.
//!
//! A backend's test file says `mod suite;` and `keeps_the_contract!(start)`, where `start(slots)` opens the backend, or nothing
//! where the machine lacks what it needs (and then says so). One backend serves all the tests of a binary.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use synth_core::{CellOutcome, Observation};
use synth_sandbox::{Sandbox, SandboxLimits, SandboxSpec, Sandboxes};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

mod cells;
mod displays;
mod ends;
mod errors;
mod files;
mod isolation;
mod limits;
mod protocol;
mod slots;

pub use cells::*;
pub use displays::*;
pub use ends::*;
pub use errors::*;
pub use files::*;
pub use isolation::*;
pub use limits::*;
pub use protocol::*;
pub use slots::*;

/// A backend that works, whichever.
pub type Backend = Arc<dyn Sandboxes>;

/// Makes a test of each promise. Those of the second list get a backend of their own with so many slots.
macro_rules! keeps_the_contract {
    ($start:path) => {
        keeps_the_contract! {
            $start;
            state_stays_from_cell_to_cell
            printing_keeps_its_order_whoever_prints
            standard_error_and_warnings_are_shown
            the_libraries_are_there
            escapes_and_bytes_that_are_no_text_do_no_harm
            processes_work_in_parallel
            a_fork_that_comes_back_does_not_answer
            what_a_cell_prints_is_its_own_on_a_busy_machine
            seeds_decide_what_is_random
            an_error_has_a_clean_traceback
            an_interrupted_cell_shows_no_frames_of_ours
            special_exits_are_errors
            code_that_is_too_long_is_refused
            an_image_is_kept_with_its_type
            displayed_text_is_printed_in_its_place
            too_many_displays_are_counted
            a_figure_is_shown
            a_loop_is_interrupted_and_keeps_the_state
            a_deaf_loop_is_killed_and_the_loss_said
            a_loop_that_catches_interrupts_is_terminated
            a_flood_is_cut_in_its_middle
            an_endless_flood_is_stopped
            long_values_and_messages_are_cut
            memory_that_is_refused_keeps_the_state
            memory_of_many_processes_counts_together
            a_full_workspace_is_a_limit_of_its_own
            a_full_scratch_folder_is_the_same_limit
            too_many_processes_are_a_limit_of_their_own
            too_many_threads_are_a_limit_of_their_own
            a_death_is_told_and_the_next_cell_starts_anew
            closed_descriptors_come_back
            an_interrupt_from_elsewhere_is_an_error
            a_cell_whose_caller_goes_away_leaves_nothing
            data_files_are_there_and_cannot_be_changed
            a_missing_data_file_is_an_error
            files_go_in_and_out
            only_plain_paths_are_taken
            only_regular_files_are_collected
            nothing_of_the_host_shows
            there_is_no_network
            there_are_no_privileges
            a_forged_frame_in_the_output_is_output
            a_broken_frame_ends_the_sandbox_and_is_said
            a_reply_between_cells_ends_the_sandbox
            a_swallowed_request_costs_no_more_than_its_time
            the_nonce_is_in_no_object
        }
        keeps_the_contract! {
            own $start;
            a_slot_is_waited_for 3
            a_closed_backend_opens_nothing 2
        }
    };
    ($start:path; $($fact:ident)*) => {$(
        #[test]
        fn $fact() {
            suite::shared(|slots| Box::pin($start(slots)), async |backend| suite::$fact(&*backend).await);
        }
    )*};
    (own $start:path; $($fact:ident $slots:literal)*) => {$(
        #[test]
        fn $fact() {
            suite::own(|slots| Box::pin($start(slots)), $slots, async |backend| suite::$fact(&*backend).await);
        }
    )*};
}

type Starting = std::pin::Pin<Box<dyn Future<Output = Option<Backend>>>>;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static BACKEND: OnceCell<Option<Backend>> = OnceCell::const_new();

/// Runs a test on the backend that all of them share.
pub fn shared(start: impl Fn(usize) -> Starting, test: impl AsyncFnOnce(Backend)) {
    RUNTIME.block_on(async {
        if let Some(backend) = BACKEND.get_or_init(|| start(4)).await {
            test(Arc::clone(backend)).await;
        }
    });
}

/// Runs a test on a backend of its own.
pub fn own(start: impl Fn(usize) -> Starting, slots: usize, test: impl AsyncFnOnce(Backend)) {
    RUNTIME.block_on(async {
        if let Some(backend) = start(slots).await {
            test(Arc::clone(&backend)).await;
            backend.close().await;
        }
    });
}

pub fn spec() -> SandboxSpec {
    SandboxSpec {
        label: "contract".into(),
        seed: 7,
        limits: SandboxLimits {
            cell: Duration::from_secs(30),
            memory_bytes: 1 << 30,
            output_bytes: 10_000,
            workspace_bytes: 16 << 20,
            ..SandboxLimits::default()
        },
        ..SandboxSpec::default()
    }
}

pub fn limited(change: impl FnOnce(&mut SandboxLimits)) -> SandboxSpec {
    let mut spec = spec();
    change(&mut spec.limits);
    spec
}

pub async fn open(sandboxes: &dyn Sandboxes) -> Box<dyn Sandbox> {
    sandboxes.open(&spec()).await.unwrap()
}

pub async fn run(sandbox: &mut Box<dyn Sandbox>, code: &str) -> Observation {
    sandbox.execute(code).await.unwrap().observation
}

pub async fn value(sandbox: &mut Box<dyn Sandbox>, code: &str) -> Option<String> {
    run(sandbox, code).await.value
}

pub async fn stdout(sandbox: &mut Box<dyn Sandbox>, code: &str) -> String {
    let observation = run(sandbox, code).await;
    assert_eq!(observation.outcome, CellOutcome::Ok, "{observation:?}");
    observation.stdout
}

/// The name, message and traceback of a cell that raised.
pub fn error(observation: &Observation) -> (&str, &str, &str) {
    match &observation.outcome {
        CellOutcome::Error {
            name,
            message,
            traceback,
        } => (name, message, traceback),
        _ => panic!("{observation:?}"),
    }
}
