//! Time-based one-time passwords (RFC 6238) as authenticator apps make them: six digits of HMAC-SHA-1 over a step of 30 seconds.

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::Sha1;
use subtle::ConstantTimeEq;

/// Bytes of a secret: as many as the hash has (RFC 4226, section 4, R6).
pub const SECRET_BYTES: usize = 20;
const STEP_SECONDS: i64 = 30;
/// Steps before and after the present one whose codes are taken, for clocks that differ and people who type.
const STEPS_AROUND: i64 = 1;

/// The step that a code is of, if it is one of the present.
pub fn step_of(secret: &[u8], code: &str, now: DateTime<Utc>) -> Option<i64> {
    let present = now.timestamp() / STEP_SECONDS;
    let is_of = |step: &i64| bool::from(code_of(secret, *step).as_bytes().ct_eq(code.as_bytes()));
    (present - STEPS_AROUND..=present + STEPS_AROUND).find(is_of)
}

/// The code of a moment.
pub fn code_at(secret: &[u8], moment: DateTime<Utc>) -> String {
    code_of(secret, moment.timestamp() / STEP_SECONDS)
}

/// RFC 4226, section 5.3.
fn code_of(secret: &[u8], step: i64) -> String {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret) else {
        return String::new();
    };
    mac.update(&step.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let offset = usize::from(hash.last().copied().unwrap_or(0) & 0x0f);
    let bytes = hash
        .get(offset..offset + 4)
        .and_then(|bytes| bytes.try_into().ok());
    let number = u32::from_be_bytes(bytes.unwrap_or_default()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// A secret as people type it into an app: base32 (RFC 4648) without padding.
pub fn secret_text(secret: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bit = |place: usize| {
        secret
            .get(place / 8)
            .is_some_and(|byte| byte >> (7 - place % 8) & 1 == 1)
    };
    (0..(secret.len() * 8).div_ceil(5))
        .map(|group| {
            let index = (0..5).fold(0, |index, place| index << 1 | usize::from(bit(group * 5 + place)));
            char::from(ALPHABET[index])
        })
        .collect()
}

/// What an app reads from a QR code (Google Authenticator's Key Uri Format).
pub fn otpauth_url(secret: &[u8], issuer: &str, account: &str) -> String {
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    format!(
        "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}",
        secret_text(secret),
        issuer = encoded(issuer),
        account = encoded(account),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a time")
    }

    /// RFC 6238, appendix B; the last six of its eight digits.
    #[test]
    fn codes_are_those_of_the_specification() {
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code_at(SECRET, at(seconds)), code);
        }
    }

    #[test]
    fn a_code_is_taken_a_step_early_and_late() {
        let now = at(1_111_111_111);
        let step = now.timestamp() / 30;
        for (seconds, expected) in [
            (-60, None),
            (-30, Some(-1)),
            (0, Some(0)),
            (30, Some(1)),
            (60, None),
        ] {
            let code = code_at(SECRET, now + chrono::TimeDelta::seconds(seconds));
            assert_eq!(step_of(SECRET, &code, now), expected.map(|around| step + around));
        }
        for wrong in ["", "50471", "0504710", "abcdef"] {
            assert_eq!(step_of(SECRET, wrong, now), None);
        }
    }

    /// RFC 4648, section 10.
    #[test]
    fn secrets_are_written_in_base32() {
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
        ] {
            assert_eq!(secret_text(bytes.as_bytes()), text);
        }
        assert_eq!(
            otpauth_url(b"fooba", "Hookgate", "ada@example.com"),
            "otpauth://totp/Hookgate:ada%40example%2Ecom?secret=MZXW6YTB&issuer=Hookgate"
        );
    }
}
