//! Debian as a source: packages installed on this machine, and file trees of packages for images.
//! Knows nothing about what the packages are for, apart from the list of what the cluster needs.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::cache::{Cache, digest};
use crate::run::{logged, output, say};

/// What the cluster and the images need on the machine: a program or file, and the package that has it.
const NEEDED: &[(&str, &str)] = &[
    ("etcd", "etcd-server"),
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("/usr/lib/cni/ptp", "containernetworking-plugins"),
    ("iptables", "iptables"),
    ("conntrack", "conntrack"),
    ("buildah", "buildah"),
    ("/etc/containers/policy.json", "golang-github-containers-common"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("openssl", "openssl"),
    ("gcc", "gcc"),
    ("/usr/include/stdio.h", "libc6-dev"),
    ("zstd", "zstd"),
];

/// Packages whose service Debian starts on the machine although only the program is wanted.
const SERVICES: &[(&str, &str)] = &[("etcd-server", "etcd"), ("containerd", "containerd")];

/// The packages of [`NEEDED`] that this machine lacks.
pub(crate) fn missing() -> BTreeSet<&'static str> {
    NEEDED.iter().filter(|(what, _)| find(what).is_none()).map(|(_, package)| *package).collect()
}

/// Where a program is on PATH or in the system's folders; for an absolute path, whether it is there.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/local/bin", "/usr/local/go/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|folder| folder.join(program)).find(|file| file.exists())
}

/// Installs what is missing.
///
/// # Errors
/// When apt-get fails.
pub(crate) fn install(cache: &Cache) -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let _lock = cache.lock("apt")?;
    say(format_args!("installing Debian packages: {}", missing.iter().copied().collect::<Vec<_>>().join(" ")));
    let log = cache.path("apt.log");
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").args(["-y", "-o", "DPkg::Lock::Timeout=300"]);
        apt
    };
    logged(apt().arg("update"), &log)?;
    logged(apt().args(["install", "--no-install-recommends"]).args(&missing), &log)?;
    for (_, service) in SERVICES.iter().filter(|(package, _)| missing.contains(package)) {
        if Path::new("/run/systemd/system").is_dir() {
            say(format_args!("the machine's own service {service}, which came with the package, isn't needed: disabling it"));
            logged(Command::new("systemctl").args(["disable", "--now", service]), &log)?;
        }
    }
    Ok(())
}

/// A file tree of packages and all they depend on, without their install scripts: what an image starts from.
///
/// # Errors
/// When apt can't resolve or download them, or they can't be unpacked.
pub(crate) fn tree(cache: &Cache, name: &str, packages: &[&str]) -> Result<PathBuf> {
    let key = digest(&[], packages)?;
    cache
        .entry("trees", name, &key, |partial| {
            say(format_args!("unpacking Debian packages for images: {}", packages.join(" ")));
            let downloads = partial.join("downloads");
            fs::create_dir_all(downloads.join("partial"))?;
            let status = partial.join("status");
            fs::write(&status, "")?;
            let option = |name: &str, path: &Path| format!("{name}={}", path.display());
            // With an empty list of installed packages apt resolves, and downloads, all that a fresh system would need.
            let download = || {
                let mut apt = Command::new("apt-get");
                apt.args(["-y", "-q", "--no-install-recommends", "--download-only", "-o", "Debug::NoLocking=1"]);
                apt.args(["-o", &option("Dir::State::status", &status), "-o", &option("Dir::Cache::archives", &downloads)]);
                logged(apt.arg("install").args(packages), &cache.path("apt.log"))
            };
            // The lists of a new machine are missing, those of an old one name versions that are gone.
            if download().is_err() {
                logged(Command::new("apt-get").arg("update"), &cache.path("apt.log"))?;
                download()?;
            }
            let root = partial.join("root");
            unpack(&downloads, &root)?;
            fs::remove_dir_all(&downloads)?;
            Ok(fs::remove_file(&status)?)
        })
        .map(|entry| entry.join("root"))
}

/// Unpacks every package in a folder over one root with Debian's merged /usr.
fn unpack(downloads: &Path, root: &Path) -> Result<()> {
    for folder in ["bin", "sbin", "lib", "lib64"] {
        fs::create_dir_all(root.join("usr").join(folder))?;
        symlink(Path::new("usr").join(folder), root.join(folder))?;
    }
    let mut debs = fs::read_dir(downloads)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    debs.retain(|deb| deb.extension().is_some_and(|extension| extension == "deb"));
    debs.sort();
    for deb in debs {
        let script = r#"dpkg-deb --fsys-tarfile "$0" | tar --extract --keep-directory-symlink --directory "$1" \
            --exclude ./usr/share/doc --exclude ./usr/share/man --exclude ./usr/share/locale --exclude ./usr/share/info"#;
        output(Command::new("bash").args(["-o", "pipefail", "-c", script]).arg(&deb).arg(root))?;
    }
    // What install scripts would have made.
    for folder in ["tmp", "etc", "home/nonroot"] {
        fs::create_dir_all(root.join(folder))?;
    }
    output(Command::new("chmod").arg("1777").arg(root.join("tmp")))?;
    output(Command::new("chown").arg("65532:65532").arg(root.join("home/nonroot")))?;
    let users = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n\
                 nonroot:x:65532:65532:nonroot:/home/nonroot:/usr/sbin/nologin\n";
    fs::write(root.join("etc/passwd"), users)?;
    fs::write(root.join("etc/group"), "root:x:0:\nnogroup:x:65534:\nnonroot:x:65532:\n")?;
    Ok(())
}
