//! The node's own TLS.

use std::{path::Path, sync::Arc};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    config::Config,
    error::{Error, Result},
};

/// From the certificate in the settings; `None`: the node speaks plaintext.
pub fn acceptor(config: &Config) -> Result<Option<TlsAcceptor>> {
    let (Some(certificate), Some(key)) = (&config.tls_certificate, &config.tls_key) else { return Ok(None) };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate)
        .map_err(|error| wrong("tls_certificate", certificate, &error))?
        .collect();
    let chain = chain.map_err(|error| wrong("tls_certificate", certificate, &error))?;
    let key_file = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong("tls_key", key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key_file));
    let mut server = server.map_err(|error| wrong("tls_key", key, &error))?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(server))))
}

fn wrong(setting: &str, path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Internal(format!("{setting}: {}: {error}", path.display()))
}
