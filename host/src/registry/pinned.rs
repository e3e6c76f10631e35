//! Names of artifacts. With a digest one means the same for good; a tag may come to mean something else tomorrow.

use std::{fmt, str::FromStr};

/// A repository of a registry: `registry/repository`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Host, and port where it has one.
    pub(super) registry: String,
    /// Its name at the registry.
    pub(super) repository: String,
}

/// `registry/repository@sha256:<64 digits>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pinned {
    pub(super) place: Place,
    /// In hex, without its algorithm.
    digest: String,
}

/// `registry/repository:tag`, to push to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub(super) place: Place,
    pub(super) tag: String,
}

/// A name that names no artifact, or none for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// It is no name of an artifact.
    #[error("names the artifact {name:?}, which is not of the form registry/repository@sha256:<digest>: {message}")]
    Malformed {
        /// As written.
        name: String,
        /// What is wrong.
        message: &'static str,
    },
    /// It has a tag at most.
    #[error(
        "names the artifact {name:?} without a digest: what a tag means may change, so write registry/repository@sha256:<digest>, as \
         `module push` prints it"
    )]
    NoDigest {
        /// As written.
        name: String,
    },
}

impl PinError {
    /// A name for the case in upper camel case.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "MalformedReference",
            Self::NoDigest { .. } => "NoDigest",
        }
    }
}

/// Place, tag and digest of a name.
fn parts(name: &str) -> Result<(Place, Option<&str>, Option<&str>), &'static str> {
    let (name, digest) = name.split_once('@').map_or((name, None), |(name, digest)| (name, Some(digest)));
    let (registry, rest) = name.split_once('/').ok_or("it has no registry")?;
    let is_host = registry.contains(['.', ':']) || registry == "localhost";
    let fits = |text: &str, more: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
    if !is_host || !fits(registry, ".:-[]") {
        return Err("it does not begin with the host of a registry");
    }
    let (repository, tag) = rest.split_once(':').map_or((rest, None), |(repository, tag)| (repository, Some(tag)));
    // A part that begins with a dot could lead out of the repository.
    let lower = |part: &str| fits(part, "._-") && !part.starts_with('.') && !part.chars().any(|c| c.is_ascii_uppercase());
    if !repository.split('/').all(lower) {
        return Err("its repository has other characters than a-z, 0-9, '.', '_', '-' and '/'");
    }
    if tag.is_some_and(|tag| !fits(tag, "._-") || tag.len() > 128) {
        return Err("its tag has other characters than letters, digits, '.', '_' and '-'");
    }
    Ok((Place { registry: registry.into(), repository: repository.into() }, tag, digest))
}

impl Pinned {
    /// The artifact of a digest (hex) at a place.
    pub(super) fn new(place: &Place, digest: &str) -> Self {
        Self { place: place.clone(), digest: digest.into() }
    }

    /// Host, and port where it has one.
    pub fn registry(&self) -> &str {
        &self.place.registry
    }

    /// SHA-256 of the manifest, in hex.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

impl FromStr for Pinned {
    type Err = PinError;

    fn from_str(name: &str) -> Result<Self, PinError> {
        let name = name.trim();
        let malformed = |message| PinError::Malformed { name: name.into(), message };
        let (place, _, digest) = parts(name).map_err(malformed)?;
        let digest = digest.ok_or_else(|| PinError::NoDigest { name: name.into() })?;
        let hex = digest.strip_prefix("sha256:").ok_or_else(|| malformed("its digest is not a sha256"))?;
        if hex.len() != 64 || !hex.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(malformed("its digest has not 64 hexadecimal digits"));
        }
        Ok(Self::new(&place, hex))
    }
}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@sha256:{}", self.place.registry, self.place.repository, self.digest)
    }
}

impl Target {
    /// Where a name says; without a tag in it, `tag` is taken.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn named(name: &str, tag: &str) -> Result<Self, String> {
        let wrong = |message: &str| format!("{name:?} is not of the form registry/repository:tag: {message}");
        match parts(name).map_err(wrong)? {
            (_, _, Some(_)) => Err(wrong("it has a digest, and that is for the registry to say")),
            (place, found, None) => Ok(Self { place, tag: found.unwrap_or(tag).into() }),
        }
    }

    /// Host, and port where it has one.
    pub fn registry(&self) -> &str {
        &self.place.registry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[rstest::rstest]
    #[case::plain("ghcr.io/team/tenant", "ghcr.io/team/tenant")]
    #[case::port("registry.example:5000/tenant", "registry.example:5000/tenant")]
    #[case::a_tag_beside_it_counts_for_nothing("ghcr.io/team/tenant:1.2", "ghcr.io/team/tenant")]
    fn a_digest_names_an_artifact(#[case] name: &str, #[case] expected: &str) {
        let pinned: Pinned = format!(" {name}@sha256:{DIGEST}\n").parse().unwrap();
        assert_eq!(pinned.to_string(), format!("{expected}@sha256:{DIGEST}"));
        assert_eq!(pinned.digest(), DIGEST);
    }

    #[rstest::rstest]
    #[case::tag("ghcr.io/team/tenant:1.2", "NoDigest", "without a digest: what a tag means may change")]
    #[case::nothing("ghcr.io/team/tenant", "NoDigest", "registry/repository@sha256:<digest>")]
    #[case::short("ghcr.io/team/tenant@sha256:0123", "MalformedReference", "64 hexadecimal digits")]
    #[case::another_digest("ghcr.io/team/tenant@md5:0123", "MalformedReference", "not a sha256")]
    #[case::upper_case("ghcr.io/Team/tenant:1", "MalformedReference", "other characters than a-z")]
    #[case::no_registry("team/tenant:1", "MalformedReference", "does not begin with the host of a registry")]
    #[case::a_way_out("ghcr.io/../../token:1", "MalformedReference", "other characters than a-z")]
    #[case::empty("", "MalformedReference", "\"\"")]
    fn anything_else_is_refused(#[case] name: &str, #[case] reason: &str, #[case] message: &str) {
        let error = name.parse::<Pinned>().unwrap_err();
        assert_eq!(error.reason(), reason);
        assert!(error.to_string().contains(message), "{error}");
    }

    #[test]
    fn without_a_tag_the_version_is_it() {
        let tag = |name: &str| Target::named(name, "1.2.3").map(|target| target.tag);
        assert_eq!((tag("r:5000/a/b").unwrap().as_str(), tag("r:5000/a/b:c").unwrap().as_str()), ("1.2.3", "c"));
        assert!(tag(&format!("r.io/a@sha256:{DIGEST}")).unwrap_err().contains("has a digest"));
        assert!(tag("A b").is_err());
    }
}
