//! TLS for servers of tests, with a certificate of their own.

use std::io::Write;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempPath;
use tokio_rustls::TlsAcceptor;

/// What serves as `localhost`, and the file with its certificate in PEM.
pub fn localhost() -> (TlsAcceptor, TempPath) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let certificate = CertificateDer::from(made.cert.der().to_vec());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a private key");
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a server's TLS");
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(made.cert.pem().as_bytes())
        .expect("the certificate is written");
    (TlsAcceptor::from(Arc::new(config)), file.into_temp_path())
}
