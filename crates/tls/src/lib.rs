//! TLS for the services' listeners: TLS 1.2 and 1.3, HTTP/1.1, and a certificate that is read again when its files change.
//!
//! A new certificate holds for connections that begin after it was read; those that there are go on. Files that cannot be
//! read, or do not fit together, change nothing: a tool may be in the middle of writing them.

mod stream;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

pub use stream::Stream;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Where a certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificate in PEM, then those between it and a root that clients know.
    pub certificate: PathBuf,
    /// Its private key in PEM.
    pub key: PathBuf,
}

impl Files {
    /// From two settings, of which both or none are set.
    ///
    /// # Errors
    /// A sentence, when one of them is missing.
    pub fn of(certificate: Option<&Path>, key: Option<&Path>) -> Result<Option<Self>, &'static str> {
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some(Self {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
            })),
            (None, None) => Ok(None),
            _ => Err("tls_certificate and tls_key belong together: set both, or none"),
        }
    }

    fn read(&self, provider: &CryptoProvider) -> io::Result<CertifiedKey> {
        let wrong = |path: &Path, reason: &dyn std::fmt::Display| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{}: {reason}", path.display()),
            )
        };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect)
            .map_err(|error| wrong(&self.certificate, &error))?;
        if chain.is_empty() {
            return Err(wrong(&self.certificate, &"it has no certificate in PEM"));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| wrong(&self.key, &error))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| wrong(&self.key, &error))
    }

    /// What changes when the files do, also when they are links to others.
    fn stamp(&self) -> Option<[(SystemTime, u64); 2]> {
        let of = |path: &Path| {
            let data = std::fs::metadata(path).ok()?;
            Some((data.modified().ok()?, data.len()))
        };
        Some([of(&self.certificate)?, of(&self.key)?])
    }
}

/// The certificate in use.
#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Makes streams of connections.
#[derive(Clone)]
pub struct Acceptor(Option<TlsAcceptor>);

impl Acceptor {
    /// Without TLS, if there are no files; else with it, and the files are looked at as long as this is there. Runs on tokio.
    ///
    /// # Errors
    /// When the files cannot be read, or the key is not the certificate's.
    pub fn new(files: Option<Files>) -> io::Result<Self> {
        let Some(files) = files else {
            return Ok(Self(None));
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let current = Arc::new(Current(ArcSwap::from_pointee(files.read(&provider)?)));
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let resolver: Arc<Current> = Arc::clone(&current);
        let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        tokio::spawn(watch(files, provider, Arc::downgrade(&current)));
        Ok(Self(Some(TlsAcceptor::from(Arc::new(config)))))
    }

    /// Shakes hands, if there is TLS.
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<Stream> {
        match &self.0 {
            None => Ok(Stream::Plain(stream)),
            Some(acceptor) => Ok(Stream::Tls(Box::new(acceptor.accept(stream).await?))),
        }
    }
}

/// Reads the files again when they changed, until the certificate is no longer used.
async fn watch(files: Files, provider: Arc<CryptoProvider>, current: Weak<Current>) {
    let mut seen = files.stamp();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(current) = current.upgrade() else { return };
        reload(&files, &provider, &current, &mut seen);
    }
}

fn reload(
    files: &Files,
    provider: &CryptoProvider,
    current: &Current,
    seen: &mut Option<[(SystemTime, u64); 2]>,
) {
    let stamp = files.stamp();
    if stamp == *seen {
        return;
    }
    match files.read(provider) {
        Ok(read) => {
            current.0.store(Arc::new(read));
            *seen = stamp;
            tracing::info!(certificate = %files.certificate.display(), "a new certificate is in use");
        }
        Err(error) => {
            tracing::warn!(%error, "the certificate's files changed and cannot be used; the old one stays")
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
mod tests {
    use super::*;

    fn write(files: &Files, name: &str) -> Vec<u8> {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    }

    #[test]
    fn files_that_fit_are_taken_over_and_others_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let files = Files {
            certificate: path("cert.pem"),
            key: path("key.pem"),
        };
        let provider = rustls::crypto::ring::default_provider();
        assert!(files.read(&provider).is_err(), "there are none");
        let first = write(&files, "first.example");
        let current = Current(ArcSwap::from_pointee(files.read(&provider).unwrap()));
        let mut seen = files.stamp();
        let shown = |current: &Current| current.0.load().cert[0].to_vec();

        std::fs::write(&files.key, "half of a ke").unwrap();
        reload(&files, &provider, &current, &mut seen);
        assert_eq!(shown(&current), first);
        let other = rcgen::generate_simple_self_signed(["other.example".to_owned()]).unwrap();
        std::fs::write(&files.key, other.signing_key.serialize_pem()).unwrap();
        reload(&files, &provider, &current, &mut seen);
        assert_eq!(shown(&current), first, "the key is another certificate's");
        let second = write(&files, "a-longer-name.second.example");
        reload(&files, &provider, &current, &mut seen);
        assert_eq!(shown(&current), second);
    }

    #[test]
    fn one_setting_without_the_other_is_refused() {
        let path = Path::new("x");
        assert!(Files::of(Some(path), None).is_err() && Files::of(None, Some(path)).is_err());
        assert_eq!(Files::of(None, None), Ok(None));
        assert!(Files::of(Some(path), Some(path)).is_ok_and(|files| files.is_some()));
    }
}
