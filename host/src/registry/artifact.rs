//! What the manifest of a module looks like. It knows nothing of how one is fetched.

use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::error::RegistryError;

/// The manifest of one artifact.
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The config of an artifact that is a Wasm component.
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// The component.
const LAYER: &str = "application/wasm";

/// What registries and their tools are told of a component.
#[derive(Debug, Clone, Default)]
pub struct Interface {
    /// Names of its imports.
    pub imports: Vec<String>,
    /// Names of its exports.
    pub exports: Vec<String>,
}

/// The blobs of an artifact, in the order in which they are pushed, and its manifest. The same component makes the same artifact.
pub(super) struct Packed {
    pub(super) config: Vec<u8>,
    pub(super) config_digest: String,
    pub(super) layer_digest: String,
    pub(super) manifest: Vec<u8>,
    pub(super) manifest_digest: String,
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

pub(super) fn pack(wasm: &[u8], interface: &Interface) -> Packed {
    let layer_digest = sha256(wasm);
    let config = json!({
        // The artifact of a component is always the same, so it has no time of its own.
        "created": "1970-01-01T00:00:00Z",
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [layer_digest],
        "component": {"exports": interface.exports, "imports": interface.imports},
    })
    .to_string()
    .into_bytes();
    let config_digest = sha256(&config);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": config_digest, "size": config.len()},
        "layers": [{"mediaType": LAYER, "digest": layer_digest, "size": wasm.len()}],
    })
    .to_string()
    .into_bytes();
    let manifest_digest = sha256(&manifest);
    Packed { config, config_digest, layer_digest, manifest, manifest_digest }
}

#[derive(Deserialize)]
struct Manifest {
    config: Blob,
    layers: Vec<Blob>,
}

/// A blob as a manifest names it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Blob {
    media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
}

/// The one layer of a module's manifest.
pub(super) fn layer(manifest: &[u8], longest: u64) -> Result<Blob, RegistryError> {
    let wrong = |message: String| RegistryError::NotAModule(message);
    let manifest: Manifest =
        serde_json::from_slice(manifest).map_err(|error| wrong(format!("its manifest is not that of one artifact: {error}")))?;
    if manifest.config.media_type != CONFIG {
        return Err(wrong(format!("its config is {:?}, not {CONFIG}", manifest.config.media_type)));
    }
    let [layer] = manifest.layers.as_slice() else {
        return Err(wrong(format!("it has {} layers, where exactly one is the component", manifest.layers.len())));
    };
    if layer.media_type != LAYER {
        return Err(wrong(format!("its layer is {:?}, not {LAYER}", layer.media_type)));
    }
    if layer.size > longest {
        return Err(RegistryError::TooLong { limit_mib: longest >> 20 });
    }
    let digits = layer.digest.strip_prefix("sha256:").unwrap_or_default();
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(wrong(format!("its layer has the digest {:?}, which is no sha256", layer.digest)));
    }
    Ok(layer.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: u64 = 1 << 20;

    #[test]
    fn what_is_packed_is_a_module_and_always_the_same() {
        let (one, other) = (pack(b"\0asm", &Interface::default()), pack(b"\0asm", &Interface::default()));
        assert_eq!(one.manifest_digest, other.manifest_digest);
        let layer = layer(&one.manifest, LONGEST).unwrap();
        assert_eq!((layer.digest, layer.size), (sha256(b"\0asm"), 4));
    }

    #[rstest::rstest]
    #[case::an_image(
        "application/vnd.oci.image.config.v1+json",
        LAYER,
        1,
        "NotAModule",
        "its config is \"application/vnd.oci.image.config.v1+json\""
    )]
    #[case::another_layer(CONFIG, "application/octet-stream", 1, "NotAModule", "its layer is \"application/octet-stream\"")]
    #[case::two_layers(CONFIG, LAYER, 2, "NotAModule", "it has 2 layers")]
    #[case::none(CONFIG, LAYER, 0, "NotAModule", "it has 0 layers")]
    fn other_artifacts_are_told(
        #[case] config: &str,
        #[case] layer_type: &str,
        #[case] layers: usize,
        #[case] reason: &str,
        #[case] says: &str,
    ) {
        let blob = |media_type: &str| json!({"mediaType": media_type, "digest": "sha256:00", "size": 3});
        let manifest = json!({"schemaVersion": 2, "config": blob(config), "layers": vec![blob(layer_type); layers]});
        let error = layer(manifest.to_string().as_bytes(), LONGEST).unwrap_err();
        assert_eq!(error.reason(), reason);
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.is_final());
    }

    #[test]
    fn an_index_of_several_platforms_is_no_module_and_a_long_one_is_too_long() {
        let index = json!({"schemaVersion": 2, "manifests": []}).to_string();
        assert_eq!(layer(index.as_bytes(), LONGEST).unwrap_err().reason(), "NotAModule");
        let packed = pack(&vec![0; (1 << 20) + 1], &Interface::default());
        assert_eq!(layer(&packed.manifest, LONGEST).unwrap_err().to_string(), "the module is longer than 1 MiB");
    }
}
