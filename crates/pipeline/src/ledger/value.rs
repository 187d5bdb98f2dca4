//! How values lie in the ledger: zstd behind eight bytes of BLAKE3.

const CHECKSUM: usize = 8;

pub(super) fn pack(value: &[u8]) -> std::io::Result<Vec<u8>> {
    let packed = zstd::bulk::compress(value, 3)?;
    let mut stored = checksum(&packed).to_vec();
    stored.extend(packed);
    Ok(stored)
}

/// The value, or nothing if the checksum does not fit.
pub(super) fn unpack(stored: &[u8]) -> Option<Vec<u8>> {
    let (sum, packed) = stored.split_first_chunk::<CHECKSUM>()?;
    if *sum != checksum(packed) {
        tracing::warn!("a value in the ledger does not fit its checksum; it is worked out again");
        return None;
    }
    zstd::stream::decode_all(packed).ok()
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    *blake3::hash(bytes).as_bytes().first_chunk().expect("a hash has 32 bytes")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_come_back_as_they_were(value: Vec<u8>) {
            prop_assert_eq!(unpack(&pack(&value).unwrap()), Some(value));
        }

        #[test]
        fn a_flipped_bit_is_noticed(value: Vec<u8>, at: prop::sample::Index, bit in 0..8u8) {
            let mut stored = pack(&value).unwrap();
            let at = at.index(stored.len());
            stored[at] ^= 1 << bit;
            prop_assert_eq!(unpack(&stored), None);
        }
    }
}
