//! Container images without a registry: built from a Dockerfile and a context into an archive, kept under a digest of both.
//! Knows nothing about the cluster that they are loaded into.

pub(crate) mod base;
pub(crate) mod operator;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cache::Cache;
use crate::run::{logged, say};

/// An image in an archive that containerd and kind can load.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    /// What it is called in the archive, then further names for it.
    pub(crate) names: Vec<String>,
    /// A docker archive.
    pub(crate) archive: PathBuf,
    /// Twelve hexadecimal digits over what it was built from.
    pub(crate) digest: String,
}

impl Image {
    /// What it is called in the archive.
    pub(crate) fn name(&self) -> &str {
        &self.names[0]
    }
}

/// One run of buildah. Its storage is made for the run and removed with it, so ending it at any point leaves nothing broken.
pub(crate) struct Build<'a> {
    /// Part of the archive's name.
    pub(crate) title: &'a str,
    pub(crate) digest: String,
    pub(crate) dockerfile: &'a Path,
    /// What the image is called, then further names for it.
    pub(crate) names: Vec<String>,
    /// The folder that COPY sees, or names in it and what they stand for.
    pub(crate) context: Files<'a>,
    /// Images that FROM lines name.
    pub(crate) bases: &'a [&'a Image],
    /// A stage to be replaced by a folder, and what fills the folder.
    pub(crate) stage: Option<(&'a str, &'a Fill<'a>)>,
}

/// Fills a folder.
pub(crate) type Fill<'a> = dyn Fn(&Path) -> Result<()> + 'a;

/// The folder that COPY sees.
pub(crate) enum Files<'a> {
    /// A folder as it is.
    Folder(&'a Path),
    /// Names and the files or folders that they stand for.
    Entries(&'a [(&'a str, PathBuf)]),
}

impl Build<'_> {
    /// Builds the image unless the cache has it.
    ///
    /// # Errors
    /// When buildah fails.
    pub(crate) fn image(self, cache: &Cache) -> Result<Image> {
        let file = format!("{}.tar", self.title);
        let entry = cache.entry("images", self.title, &self.digest, |partial| {
            say(format_args!("building the image {}", self.names[0]));
            let work = partial.join("work");
            fs::create_dir(&work)?;
            self.build(&work, &partial.join(&file), &cache.path("logs"))?;
            remove(&work)
        })?;
        Ok(Image { names: self.names, archive: entry.join(file), digest: self.digest })
    }

    fn build(&self, work: &Path, archive: &Path, logs: &Path) -> Result<()> {
        fs::create_dir_all(logs)?;
        let log = logs.join(format!("image-{}.log", self.title));
        let buildah = || {
            let mut buildah = Command::new("buildah");
            buildah.args(["--storage-driver", "vfs", "--root"]).arg(work.join("storage")).arg("--runroot").arg(work.join("run"));
            buildah
        };
        for base in self.bases {
            logged(buildah().arg("pull").arg(format!("docker-archive:{}", base.archive.display())), &log)?;
        }
        let context = match &self.context {
            Files::Folder(folder) => folder.to_path_buf(),
            Files::Entries(entries) => {
                let context = work.join("context");
                fs::create_dir(&context)?;
                for (name, source) in *entries {
                    copy(source, &context.join(name))?;
                }
                context
            }
        };
        let mut bud = buildah();
        bud.args(["bud", "--isolation", "chroot", "--pull-never", "--timestamp", "0", "--tag", &self.names[0], "--file"])
            .arg(self.dockerfile);
        if let Some((stage, fill)) = self.stage {
            let folder = work.join("stage");
            fs::create_dir(&folder)?;
            fill(&folder)?;
            bud.arg("--build-context").arg(format!("{stage}={}", folder.display()));
        }
        logged(bud.arg(context), &log)?;
        let name = &self.names[0];
        logged(buildah().arg("push").arg(name).arg(format!("docker-archive:{}:{name}", archive.display())), &log)
    }
}

/// A hard link where that is possible, else a copy; folders with all their attributes.
fn copy(source: &Path, target: &Path) -> Result<()> {
    if fs::symlink_metadata(source)?.is_symlink() {
        return Ok(symlink(fs::read_link(source)?, target)?);
    }
    let run = |option: &str| crate::run::output(Command::new("cp").args(["-a", option]).arg(source).arg(target));
    run("--link").or_else(|_| run("--reflink=auto")).map(drop).with_context(|| format!("copy {}", source.display()))
}

fn remove(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))
}
