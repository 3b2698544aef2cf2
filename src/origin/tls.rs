//! The TLS settings of the upstream client: ring, and the machine's own CA certificates.
//!
//! The provider is named here, so nothing has to be installed for the whole process first. A
//! machine without any CA certificates (a bare container) is no reason not to start: `http://`
//! works, and `https://` fails with an error that says why.

use super::OriginError;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// The CA certificates this machine trusts; `SSL_CERT_FILE` and `SSL_CERT_DIR` are obeyed.
pub(super) fn machine_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (_, ignored) = roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        tracing::warn!("no CA certificates on this machine, https origins cannot be checked");
    } else if ignored > 0 {
        tracing::debug!(ignored, "some CA certificates of this machine could not be read");
    }
    roots
}

pub(super) fn client_config(roots: RootCertStore) -> Result<ClientConfig, OriginError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| OriginError::NotSetUp)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
