//! How a module is carried: as it is, or packed as zstd. Unpacking is bounded: some hundred bytes can stand for gigabytes.
//! It knows nothing of what is inside.

use std::{
    borrow::Cow,
    io::{self, Read},
};

/// How a zstd frame begins.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Base-2 logarithm of the window that a frame may ask for, in bytes: what the decoder allocates at once.
const WINDOW: u32 = 24;

/// A packed module cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnpackError {
    /// It is longer than allowed.
    #[error("longer than {limit_mib} MiB")]
    TooLong {
        /// The limit.
        limit_mib: u64,
    },
    /// It is damaged.
    #[error("damaged: {0}")]
    Damaged(io::Error),
}

/// The bytes as they were packed, of which there may be `limit`.
pub(super) fn unpack(bytes: &[u8], limit: u64) -> Result<Cow<'_, [u8]>, UnpackError> {
    let too_long = || UnpackError::TooLong { limit_mib: limit >> 20 };
    if !bytes.starts_with(&ZSTD) {
        return if bytes.len() as u64 > limit { Err(too_long()) } else { Ok(Cow::Borrowed(bytes)) };
    }
    let mut decoder = zstd::Decoder::with_buffer(bytes).map_err(UnpackError::Damaged)?;
    decoder.window_log_max(WINDOW).map_err(UnpackError::Damaged)?;
    let mut unpacked = Vec::new();
    decoder.take(limit + 1).read_to_end(&mut unpacked).map_err(UnpackError::Damaged)?;
    if unpacked.len() as u64 > limit { Err(too_long()) } else { Ok(Cow::Owned(unpacked)) }
}

/// Packs a module for a ConfigMap.
///
/// # Errors
/// When there is no memory for it.
pub fn pack(wasm: &[u8]) -> io::Result<Vec<u8>> {
    zstd::encode_all(wasm, 19)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 1 << 20;

    #[test]
    fn packed_or_not_it_is_the_same() {
        let wasm = b"\0asm and so on".repeat(50);
        assert_eq!(unpack(&wasm, LIMIT).unwrap(), wasm);
        assert_eq!(unpack(&pack(&wasm).unwrap(), LIMIT).unwrap(), wasm);
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let bomb = pack(&vec![0; 64 << 20]).unwrap();
        assert!(bomb.len() < 1 << 14, "it is small: {}", bomb.len());
        assert_eq!(unpack(&bomb, LIMIT).unwrap_err().to_string(), "longer than 1 MiB");
        assert_eq!(unpack(&vec![0; (1 << 20) + 1], LIMIT).unwrap_err().to_string(), "longer than 1 MiB");
    }

    #[test]
    fn damage_is_told() {
        let mut packed = pack(&[7; 4096]).unwrap();
        packed.truncate(packed.len() - 3);
        assert!(unpack(&packed, LIMIT).unwrap_err().to_string().starts_with("damaged: "));
    }
}
