//! Signatures of modules: ed25519 over the component's digest. Owns what is signed and how keys are written down; it knows nothing of
//! what a missing signature leads to.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

/// What stands before the digest in what is signed: a signature given for something else is none for a module.
const CONTEXT: &str = "controller:reconciler module sha256:";
/// What comes before the 32 bytes in a public key's DER form (RFC 8410).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// Length of a public key.
const KEY: usize = 32;

/// A key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A public key is none.
    #[error("public key {name} is neither an ed25519 key as PEM nor its 32 bytes as base64")]
    Public {
        /// Its name in the settings.
        name: String,
    },
    /// A private key is none.
    #[error("the private key is not an ed25519 key as PEM (PKCS #8), as `openssl genpkey -algorithm ed25519` makes one")]
    Private,
}

/// Public keys that are trusted, by name.
#[derive(Debug, Clone, Default)]
pub struct Signers {
    keys: BTreeMap<String, Vec<u8>>,
}

impl Signers {
    /// Reads the keys of the settings.
    ///
    /// # Errors
    /// With the name of the first that is none.
    pub fn new(keys: &BTreeMap<String, String>) -> Result<Self, KeyError> {
        let read = |(name, text): (&String, &String)| {
            let key = public_key(text).ok_or_else(|| KeyError::Public { name: name.clone() })?;
            Ok((name.clone(), key))
        };
        Ok(Self { keys: keys.iter().map(read).collect::<Result<_, _>>()? })
    }

    /// The name of the key by which a module of this digest (SHA-256 in hex) was signed.
    pub fn signer(&self, digest: &str, signature: &str) -> Option<&str> {
        let signature = STANDARD.decode(signature.trim()).ok()?;
        let signed = |key: &[u8]| UnparsedPublicKey::new(&ED25519, key).verify(message(digest).as_bytes(), &signature).is_ok();
        self.keys.iter().find(|(_, key)| signed(key)).map(|(name, _)| name.as_str())
    }
}

/// A signature of a module, and the public key by which it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// As base64.
    pub signature: String,
    /// The 32 bytes as base64.
    pub public_key: String,
}

/// Signs a module's digest (SHA-256 in hex) with a private key (PEM, PKCS #8).
///
/// # Errors
/// When the key is none.
pub fn sign(digest: &str, private_key: &str) -> Result<Signed, KeyError> {
    let der = pem(private_key, "PRIVATE KEY").ok_or(KeyError::Private)?;
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| KeyError::Private)?;
    let signature = STANDARD.encode(pair.sign(message(digest).as_bytes()));
    Ok(Signed { signature, public_key: STANDARD.encode(pair.public_key()) })
}

fn message(digest: &str) -> String {
    format!("{CONTEXT}{digest}")
}

fn public_key(text: &str) -> Option<Vec<u8>> {
    let bytes = match pem(text, "PUBLIC KEY") {
        Some(der) => der.strip_prefix(&SPKI)?.to_vec(),
        None => STANDARD.decode(text.trim()).ok()?,
    };
    (bytes.len() == KEY).then_some(bytes)
}

/// The content of a PEM text.
fn pem(text: &str, label: &str) -> Option<Vec<u8>> {
    let body = text.split_once(&format!("-----BEGIN {label}-----"))?.1.split_once(&format!("-----END {label}-----"))?.0;
    STANDARD.decode(body.split_whitespace().collect::<String>()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn armoured(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    }

    /// In the form in which openssl writes it.
    fn private() -> String {
        let head = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
        armoured("PRIVATE KEY", &[head.as_slice(), &[42; 32]].concat())
    }

    fn public() -> String {
        let key = STANDARD.decode(sign("00", &private()).unwrap().public_key).unwrap();
        armoured("PUBLIC KEY", &[SPKI.as_slice(), &key].concat())
    }

    fn signers(key: &str) -> Result<Signers, KeyError> {
        Signers::new(&BTreeMap::from([("release".to_owned(), key.to_owned())]))
    }

    #[test]
    fn what_was_signed_is_verified_by_either_form_of_the_key() {
        let signed = sign("00ff", &private()).unwrap();
        for key in [&public(), &signed.public_key] {
            assert_eq!(signers(key).unwrap().signer("00ff", &signed.signature), Some("release"));
        }
    }

    #[rstest::rstest]
    #[case::another_module("00fe", |s: &str| s.to_owned())]
    #[case::no_base64("00ff", |_: &str| "?".to_owned())]
    #[case::cut("00ff", |s: &str| s[..8].to_owned())]
    fn nothing_else_is(#[case] digest: &str, #[case] change: impl Fn(&str) -> String) {
        let signed = sign("00ff", &private()).unwrap();
        assert_eq!(signers(&public()).unwrap().signer(digest, &change(&signed.signature)), None);
    }

    #[test]
    fn another_key_did_not_sign_it() {
        let other = STANDARD.encode([7; KEY]);
        assert_eq!(signers(&other).unwrap().signer("00ff", &sign("00ff", &private()).unwrap().signature), None);
    }

    #[rstest::rstest]
    #[case("")]
    #[case("AAAA")]
    #[case("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----")]
    fn what_is_no_key_is_named(#[case] key: &str) {
        assert_eq!(signers(key).unwrap_err().to_string(), "public key release is neither an ed25519 key as PEM nor its 32 bytes as base64");
    }

    #[test]
    fn a_public_key_does_not_sign() {
        assert_eq!(sign("00ff", &public()), Err(KeyError::Private));
    }
}
