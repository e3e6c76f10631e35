//! Writes the generated CustomResourceDefinitions into the checkout, or (`--check`) says which of them are out of date.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use crds::generate::{GeneratedFile, files};

fn main() -> ExitCode {
    let check = match env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => {
            eprintln!("usage: generate-crds [--check]");
            return ExitCode::from(2);
        }
    };
    match run(check) {
        Ok(stale) if check && !stale.is_empty() => {
            eprintln!("out of date, run `cargo xtask crds`: {}", stale.join(", "));
            ExitCode::FAILURE
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("generate-crds: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Names the files that differ; writes them unless only a check was asked for.
fn run(check: bool) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut stale = Vec::new();
    let files = files()?;
    for file in &files {
        let path = root.join(&file.path);
        if read(&path)?.as_deref() != Some(&file.content) {
            stale.push(file.path.clone());
            if !check {
                write(&path, file)?;
            }
        }
    }
    for path in leftovers(&root, &files)? {
        stale.push(path.display().to_string());
        if !check {
            fs::remove_file(root.join(&path))?;
        }
    }
    Ok(stale)
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(path: &Path, file: &GeneratedFile) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, &file.content)?;
    println!("{}", file.path);
    Ok(())
}

/// Files in the generated folders that nothing generates any more.
fn leftovers(root: &Path, files: &[GeneratedFile]) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in ["crds/generated", "charts/doltdb-operator-crds/files"] {
        let Ok(entries) = fs::read_dir(root.join(folder)) else { continue };
        for entry in entries {
            let path = Path::new(folder).join(entry?.file_name());
            if !files.iter().any(|file| Path::new(&file.path) == path) {
                found.push(path);
            }
        }
    }
    Ok(found)
}
