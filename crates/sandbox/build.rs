//! Builds the jail, a program without a standard library, which the crate carries inside itself and runs from memory.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=jail");
    let variable = |name: &str| env::var_os(name).expect("cargo sets it for build scripts");
    let program = PathBuf::from(variable("OUT_DIR")).join("jail");
    let mut command = Command::new(variable("RUSTC"));
    command
        .args(["--edition", "2024", "--crate-type", "bin"])
        .args(["--crate-name", "jail"])
        .args(["-C", "panic=abort", "-C", "opt-level=s"])
        .args(["-C", "strip=symbols", "-C", "relocation-model=static"])
        .args([
            "-C",
            "link-args=-nostdlib -nostartfiles -static -Wl,--build-id=none",
        ])
        .arg("--target")
        .arg(variable("TARGET"))
        .arg("-o")
        .arg(&program)
        .arg("jail/main.rs");
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = std::ffi::OsString::from("linker=");
        option.push(linker);
        command.arg("-C").arg(option);
    }
    let status = command.status().expect("cargo has just run this compiler");
    assert!(
        status.success(),
        "the jail does not compile; its errors are above"
    );
}
