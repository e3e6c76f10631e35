//! The operator's image, from the Dockerfile at the root: its stage `build` is replaced by what cargo has built here.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Build, Files, Image, base};
use crate::cache::{Cache, digest};
use crate::run::{output, say};
use crate::{cargo, guests, repo};

/// Where the image is called in development; the tag changes with what is in it.
pub(crate) const REPOSITORY: &str = "localhost/doltdb-operator";

/// Builds the operator in release mode, and the guests, then the image of both.
///
/// # Errors
/// When one of them doesn't build.
pub(crate) fn build(cache: &Cache) -> Result<Image> {
    let modules = guests::build(cache)?;
    say("building the operator");
    let binary = cargo::program(cache, "doltdb-operator")?;
    image(cache, &binary, &modules)
}

fn image(cache: &Cache, binary: &Path, modules: &Path) -> Result<Image> {
    let base = base::cc(cache)?;
    let dockerfile = repo::path("Dockerfile");
    let contents = guests::components(modules)?;
    let names = contents.iter().map(|file| file.file_name().unwrap_or_default().to_string_lossy().into_owned()).collect::<Vec<_>>();
    let mut words = names.iter().map(String::as_str).collect::<Vec<_>>();
    words.push(&base.digest);
    let sources = [vec![dockerfile.clone(), binary.to_owned()], contents.clone()].concat();
    let digest = digest(&sources, &words)?;
    // What the Dockerfile's own stage would have made.
    let stage = |folder: &Path| {
        fs::create_dir_all(folder.join("out/modules"))?;
        fs::copy(binary, folder.join("out/doltdb-operator"))?;
        for (file, name) in contents.iter().zip(&names) {
            fs::copy(file, folder.join("out/modules").join(name))?;
        }
        output(Command::new(folder.join("out/doltdb-operator")).arg("compile-modules").arg(folder.join("out/modules"))).map(drop)
    };
    let tag = format!("{REPOSITORY}:dev-{digest}");
    let build = Build {
        title: "operator",
        digest,
        dockerfile: &dockerfile,
        names: vec![tag],
        context: Files::Folder(&repo::root()),
        bases: &[&base],
        stage: Some(("build", &stage)),
    };
    let image = build.image(cache)?;
    cache.keep_newest("images", "operator", 10);
    Ok(image)
}
