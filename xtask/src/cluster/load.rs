//! Loads images into a cluster's containerd.

use std::fs;
use std::time::Duration;

use anyhow::Result;

use super::Cluster;
use crate::images::Image;
use crate::run::{output, say, until};

impl Cluster {
    /// Loads images unless they are there already.
    ///
    /// # Errors
    /// When containerd doesn't answer or refuses one.
    pub(crate) fn load(&self, images: &[&Image]) -> Result<()> {
        let loaded = self.folder.join("images");
        fs::create_dir_all(&loaded)?;
        for image in images {
            let mark = loaded.join(format!("{}-{}", image.digest, image.name().replace('/', "_")));
            if mark.exists() {
                continue;
            }
            let ctr = || -> Result<_> {
                let mut ctr = self.command("ctr")?;
                ctr.args(["--namespace", "k8s.io"]);
                Ok(ctr)
            };
            until("containerd", Duration::from_secs(30), Duration::from_millis(100), || output(ctr()?.args(["images", "ls", "-q"])))?;
            output(ctr()?.args(["images", "import"]).arg(&image.archive))?;
            for name in &image.names[1..] {
                output(ctr()?.args(["images", "tag", "--force", image.name(), name]))?;
            }
            fs::write(&mark, "")?;
            say(format_args!("loaded {}", image.names.join(", ")));
        }
        Ok(())
    }
}
