//! How values lie in the ledger: zstd behind eight bytes of BLAKE3.

use std::cell::RefCell;
use std::io;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe;

const CHECKSUM: usize = 8;

thread_local! {
    // Making one of these costs more than putting a small value through it.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

pub(super) fn pack(value: &[u8]) -> io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|compressor| {
        let compressor = match compressor {
            Some(compressor) => compressor,
            None => compressor.insert(Compressor::new(3)?),
        };
        let mut stored = vec![0; CHECKSUM];
        let packed = compressor.compress(value)?;
        stored[..CHECKSUM].copy_from_slice(&checksum(&packed));
        stored.extend(packed);
        Ok(stored)
    })
}

/// The value, or nothing if the checksum does not fit.
pub(super) fn unpack(stored: &[u8]) -> Option<Vec<u8>> {
    let (sum, packed) = stored.split_first_chunk::<CHECKSUM>()?;
    if *sum != checksum(packed) {
        tracing::warn!("a value in the ledger does not fit its checksum; it is worked out again");
        return None;
    }
    let length = zstd_safe::get_frame_content_size(packed).ok()??;
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        let decompressor = match decompressor {
            Some(decompressor) => decompressor,
            None => decompressor.insert(Decompressor::new().ok()?),
        };
        decompressor.decompress(packed, length as usize).ok()
    })
}

/// The checksum that a packed value begins with.
pub(super) fn checksum_of(stored: &[u8]) -> &[u8] {
    &stored[..CHECKSUM.min(stored.len())]
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    *blake3::hash(bytes)
        .as_bytes()
        .first_chunk()
        .expect("a hash has 32 bytes")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_come_back_as_they_were(value: Vec<u8>) {
            prop_assert_eq!(unpack(&pack(&value)?), Some(value));
        }

        #[test]
        fn a_flipped_bit_is_noticed(value: Vec<u8>, at: prop::sample::Index, bit in 0..8u8) {
            let mut stored = pack(&value)?;
            let at = at.index(stored.len());
            stored[at] ^= 1 << bit;
            prop_assert_eq!(unpack(&stored), None);
        }

        #[test]
        fn a_cut_value_is_noticed(value: Vec<u8>, at: prop::sample::Index) {
            let stored = pack(&value)?;
            prop_assert_eq!(unpack(&stored[..at.index(stored.len())]), None);
        }
    }
}
