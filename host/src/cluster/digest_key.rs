//! The key with which digests of Secrets are made. With it, equal values have equal digests; without it, a digest says nothing of a value and no
//! guess can be tried on it, so digests may stand where others read them.
//!
//! It is kept in a Secret of the host's own, made once and never shown. Whoever loses it gets other digests for the same values: what was
//! remembered by digests counts as changed once.

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use sha2::{Digest, Sha256};

use crate::settings::DigestKey as Place;

/// The key of the Secret's data.
const KEY: &str = "key";
/// Length of the key, in bytes.
const BYTES: usize = 32;
/// Length of a digest, in bytes.
const DIGEST_BYTES: usize = 16;
/// Length of what SHA-256 takes at once, in bytes.
const BLOCK_BYTES: usize = 64;

/// Makes digests. It has neither `Debug` nor `Display`.
#[derive(Clone)]
pub struct DigestKey([u8; BYTES]);

/// There is no key.
#[derive(Debug, thiserror::Error)]
pub enum DigestKeyError {
    /// The Secret can be neither read nor made.
    #[error("the key for digests, secret {namespace}/{name}: {source}")]
    Api {
        /// Where the Secret is.
        namespace: String,
        /// Its name.
        name: String,
        /// Why.
        source: Box<kube::Error>,
    },
    /// The Secret holds something else.
    #[error("the key for digests, secret {namespace}/{name}: data.{KEY} is not {BYTES} bytes; delete the secret and a new one is made")]
    Wrong {
        /// Where the Secret is.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The system has no random bytes.
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

impl DigestKey {
    /// A key for as long as this process lives.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn random() -> Result<Self, DigestKeyError> {
        let mut key = [0; BYTES];
        getrandom::fill(&mut key)?;
        Ok(Self(key))
    }

    /// The key in its Secret, which is made where there is none.
    ///
    /// # Errors
    /// When the Secret can be neither read nor made, or holds something else.
    pub async fn kept(client: Client, place: &Place) -> Result<Self, DigestKeyError> {
        let Place { namespace, name } = place;
        let secrets: Api<Secret> = Api::namespaced(client, namespace);
        let failed = |source| DigestKeyError::Api { namespace: namespace.clone(), name: name.clone(), source: Box::new(source) };
        if let Some(secret) = secrets.get_opt(name).await.map_err(failed)? {
            return Self::read(secret, place);
        }
        let key = Self::random()?;
        let secret = Secret {
            metadata: ObjectMeta { name: Some(name.clone()), namespace: Some(namespace.clone()), ..ObjectMeta::default() },
            data: Some([(KEY.to_owned(), ByteString(key.0.to_vec()))].into()),
            immutable: Some(true),
            ..Secret::default()
        };
        match secrets.create(&PostParams::default(), &secret).await {
            Ok(_) => Ok(key),
            // Another replica was first.
            Err(kube::Error::Api(status)) if status.is_already_exists() => Self::read(secrets.get(name).await.map_err(failed)?, place),
            Err(error) => Err(failed(error)),
        }
    }

    fn read(secret: Secret, place: &Place) -> Result<Self, DigestKeyError> {
        let key = secret.data.and_then(|mut data| data.remove(KEY)).and_then(|key| key.0.try_into().ok());
        key.map(Self).ok_or_else(|| DigestKeyError::Wrong { namespace: place.namespace.clone(), name: place.name.clone() })
    }

    /// A digest of a text, in hexadecimal.
    pub(super) fn digest(&self, text: &str) -> String {
        hex::encode(&hmac(&self.0, text.as_bytes())[..DIGEST_BYTES])
    }
}

/// HMAC-SHA256 (RFC 2104), for keys that are no longer than a block.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let padded = |with: u8| {
        let mut block = [with; BLOCK_BYTES];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        Sha256::new_with_prefix(block)
    };
    let inner = padded(0x36).chain_update(message).finalize();
    padded(0x5c).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { namespace: "ns".into(), name: "k".into() }
    }

    #[test]
    fn a_digest_hangs_on_the_key_and_on_the_text() {
        let (key, other) = (DigestKey([1; BYTES]), DigestKey([2; BYTES]));
        assert_eq!(key.digest("a"), key.digest("a"));
        assert_ne!(key.digest("a"), key.digest("b"));
        assert_ne!(key.digest("a"), other.digest("a"));
        assert_eq!(key.digest("a").len(), 2 * DIGEST_BYTES);
    }

    /// Test cases 1 to 4 of RFC 4231.
    #[rstest::rstest]
    #[case(&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")]
    #[case(b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")]
    #[case(&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe")]
    #[case(&(1..=25).collect::<Vec<u8>>(), &[0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b")]
    fn it_is_hmac(#[case] key: &[u8], #[case] message: &[u8], #[case] expected: &str) {
        assert_eq!(hex::encode(hmac(key, message)), expected);
    }

    #[rstest::rstest]
    #[case::whole(Some(vec![7; BYTES]), true)]
    #[case::short(Some(vec![7; 3]), false)]
    #[case::absent(None, false)]
    fn only_a_whole_key_is_one(#[case] data: Option<Vec<u8>>, #[case] fine: bool) {
        let data = data.map(|key| [(KEY.to_owned(), ByteString(key))].into());
        let read = DigestKey::read(Secret { data, ..Secret::default() }, &place());
        assert_eq!(read.is_ok(), fine);
        assert!(read.err().is_none_or(|error| error.to_string().contains("secret ns/k: data.key is not 32 bytes")));
    }
}
