//! The operator's tokens: kept as digests, and compared in constant time.

use std::fmt;

use hookgate_domain::crypto;
use secrecy::{ExposeSecret, SecretString};
use subtle::{Choice, ConstantTimeEq};

/// The shortest token, in bytes: what `openssl rand -hex 16` gives.
const LEAST: usize = 32;

/// One token or several, so that a new one can be given out before the old one is taken back.
#[derive(Clone)]
pub struct Tokens(Vec<[u8; 32]>);

impl Tokens {
    /// Reads them.
    ///
    /// # Errors
    /// What is wrong, without any token.
    pub fn new(tokens: &[SecretString]) -> Result<Self, String> {
        if tokens.is_empty() {
            return Err("at least one; `openssl rand -hex 32` makes one".to_owned());
        }
        let digest_of = |(index, token): (usize, &SecretString)| {
            let token = token.expose_secret();
            // A header can carry nothing else, and blanks around a credential are none of it.
            if token.len() < LEAST || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(format!(
                    "number {}: at least {LEAST} characters of ASCII without blanks; `openssl rand -hex 32` makes one",
                    index + 1
                ));
            }
            Ok(crypto::digest(token.as_bytes()))
        };
        tokens
            .iter()
            .enumerate()
            .map(digest_of)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// What is presented, if it is one of them, by the beginning of its digest: what the audit log names it by.
    pub(crate) fn recognize(&self, presented: &str) -> Option<String> {
        let presented = crypto::digest(presented.as_bytes());
        let none = Choice::from(0);
        let found = self
            .0
            .iter()
            .fold(none, |found, token| found | token.ct_eq(&presented));
        let [a, b, c, d, ..] = presented;
        bool::from(found).then(|| format!("token_{:08x}", u32::from_be_bytes([a, b, c, d])))
    }
}

/// Not even the digests.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(texts: &[&str]) -> Result<Tokens, String> {
        let secrets: Vec<SecretString> = texts.iter().map(|text| SecretString::from(*text)).collect();
        Tokens::new(&secrets)
    }

    #[test]
    fn each_of_several_tokens_works_and_nothing_else() {
        let (old, new) = ("o".repeat(32), "n".repeat(64));
        let tokens = tokens(&[&old, &new]).expect("tokens");
        // As `printf %s "$TOKEN" | sha256sum` begins.
        assert_eq!(tokens.recognize(&old).as_deref(), Some("token_b7bca737"));
        assert_eq!(tokens.recognize(&new).as_deref(), Some("token_ce068a19"));
        for wrong in ["", &old[1..], &format!("{old}o")] {
            assert_eq!(tokens.recognize(wrong), None);
        }
        assert!(!format!("{tokens:?}").contains(&old));
    }

    #[test]
    fn what_could_be_guessed_or_not_be_sent_is_refused() {
        let long = "x".repeat(32);
        for wrong in [
            vec![],
            vec!["x".repeat(31)],
            vec![long.clone(), "short".to_owned()],
            vec![format!("{long} y")],
        ] {
            let texts: Vec<&str> = wrong.iter().map(String::as_str).collect();
            let error = tokens(&texts).expect_err("refused");
            assert!(
                error.contains("openssl") && texts.iter().all(|text| !error.contains(text)),
                "{error}"
            );
        }
    }
}
