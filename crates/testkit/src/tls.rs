//! TLS for servers of tests, with a certificate of their own.

use std::io::Write;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempPath;
use tokio_rustls::TlsAcceptor;

/// A certificate of a client and its private key, in PEM.
pub struct ClientIdentity {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub private_key: String,
}

impl ClientIdentity {
    /// Makes one, signed by itself.
    ///
    /// # Panics
    /// Never.
    pub fn generate() -> Self {
        let made = rcgen::generate_simple_self_signed(["client".to_owned()]).expect("a certificate");
        Self {
            certificate: made.cert.pem(),
            private_key: made.signing_key.serialize_pem(),
        }
    }
}

/// What serves as a name, and the file with its certificate in PEM; clients must present this certificate, if there is one.
pub fn server(name: &str, client: Option<&ClientIdentity>) -> (TlsAcceptor, TempPath) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let certificate = CertificateDer::from(made.cert.der().to_vec());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a private key");
    let builder = ServerConfig::builder();
    let builder = match client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let mut roots = RootCertStore::empty();
            let trusted = CertificateDer::from_pem_slice(client.certificate.as_bytes());
            roots
                .add(trusted.expect("a certificate"))
                .expect("a trusted certificate");
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        }
    };
    let config = builder
        .with_single_cert(vec![certificate], key)
        .expect("a server's TLS");
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(made.cert.pem().as_bytes())
        .expect("the certificate is written");
    (TlsAcceptor::from(Arc::new(config)), file.into_temp_path())
}
