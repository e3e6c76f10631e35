//! Compiles a component to machine code, as the host's own program does for its modules.

use std::{path::Path, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, wasm, code] = arguments.as_slice() else {
        eprintln!("usage: compile-module COMPONENT CODE");
        return ExitCode::from(2);
    };
    match host::module::compile_in_this_process(Path::new(wasm), Path::new(code)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
