//! Hashes and HMACs.

use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use minijinja::value::{Kwargs, Value as Variable};
use minijinja::{Environment, Error};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::encoding::{BASE64, BASE64_URL, bytes};
use super::{own, wrong};

pub(super) fn register(environment: &mut Environment<'static>) {
    environment.add_filter("sha1", own(digest::<Sha1>));
    environment.add_filter("sha256", own(digest::<Sha256>));
    environment.add_filter("sha512", own(digest::<Sha512>));
    environment.add_filter("hmac", own(hmac));
}

fn digest<D: Digest>(value: Variable, options: Kwargs) -> Result<String, Error> {
    let encoding = options.get::<Option<&str>>("encoding")?;
    options.assert_all_used()?;
    encode(&D::digest(bytes(&value)?), encoding)
}

fn encode(bytes: &[u8], encoding: Option<&str>) -> Result<String, Error> {
    match encoding.unwrap_or("hex") {
        "hex" => Ok(base16ct::lower::encode_string(bytes)),
        "base64" => Ok(BASE64.encode(bytes)),
        "base64url" => Ok(BASE64_URL.encode(bytes)),
        other => Err(wrong(format!(
            "there is no encoding {other:?}; there are hex, base64 and base64url"
        ))),
    }
}

fn hmac(value: Variable, key: Variable, options: Kwargs) -> Result<String, Error> {
    let algorithm = options.get::<Option<&str>>("algorithm")?.unwrap_or("sha256");
    let encoding = options.get::<Option<&str>>("encoding")?;
    options.assert_all_used()?;
    let (value, key) = (bytes(&value)?, bytes(&key)?);
    let mac = match algorithm {
        "sha1" => mac::<Hmac<Sha1>>(&key, &value),
        "sha256" => mac::<Hmac<Sha256>>(&key, &value),
        "sha512" => mac::<Hmac<Sha512>>(&key, &value),
        other => {
            return Err(wrong(format!(
                "there is no algorithm {other:?}; there are sha1, sha256 and sha512"
            )));
        }
    };
    encode(&mac?, encoding)
}

fn mac<M: Mac + KeyInit>(key: &[u8], value: &[u8]) -> Result<Vec<u8>, Error> {
    let mut mac = <M as KeyInit>::new_from_slice(key).map_err(|error| wrong(error.to_string()))?;
    mac.update(value);
    Ok(mac.finalize().into_bytes().to_vec())
}
