//! Crockford's base32 of 128 bits in lower case: 26 characters, the first of which carries only 3 bits.
//! Both TypeIDs and URL tokens are written this way. Source: TypeID specification 0.3, "Base32 encoding".

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The number of characters that 128 bits take.
pub const LENGTH: usize = 26;

const DECODE: [u8; 256] = {
    let mut table = [0xff; 256];
    let mut i = 0;
    while i < 32 {
        table[ALPHABET[i] as usize] = i as u8;
        i += 1;
    }
    table
};

/// Writes 128 bits as 26 characters.
pub fn encode(bits: u128) -> [u8; LENGTH] {
    let mut out = [0; LENGTH];
    let mut rest = bits;
    for place in out.iter_mut().rev() {
        *place = ALPHABET[(rest & 31) as usize];
        rest >>= 5;
    }
    out
}

/// Reads 26 characters back; `None` for any other length, character, case, or a value past 128 bits.
pub fn decode(text: &[u8]) -> Option<u128> {
    let text: &[u8; LENGTH] = text.try_into().ok()?;
    if DECODE[text[0] as usize] > 7 {
        return None;
    }
    let mut bits = 0;
    for &character in text {
        let value = DECODE[character as usize];
        if value == 0xff {
            return None;
        }
        bits = bits << 5 | u128::from(value);
    }
    Some(bits)
}

/// Writes 128 bits as text.
pub fn to_string(bits: u128) -> String {
    encode(bits).iter().map(|&b| char::from(b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back(bits: u128) {
            prop_assert_eq!(decode(&encode(bits)), Some(bits));
        }

        #[test]
        fn any_text_is_read_without_panic(text: Vec<u8>) {
            if let Some(bits) = decode(&text) {
                prop_assert_eq!(&encode(bits)[..], &text[..]);
            }
        }
    }

    #[test]
    fn refuses_what_is_not_128_bits() {
        assert_eq!(decode(b"8zzzzzzzzzzzzzzzzzzzzzzzzz"), None);
        assert_eq!(decode(b"7zzzzzzzzzzzzzzzzzzzzzzzzz"), Some(u128::MAX));
        assert_eq!(decode(b"7ZZZZZZZZZZZZZZZZZZZZZZZZZ"), None);
        assert_eq!(decode(b""), None);
    }
}
