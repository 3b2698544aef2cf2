//! What can go wrong between us and an origin, and whether trying again makes sense.
//!
//! Every message names the host and nothing else of the URL: paths and queries carry tokens. An
//! error *status* of the origin is not an error here, it is an answer. Status codes for the player
//! are chosen in `http::error`.

use super::target::RefusedTarget;
use std::error::Error;
use std::io;
use url::Url;

/// Why there is no (whole) answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// The URL cannot be sent: not http(s), without a host, or with characters HTTP cannot carry.
    #[error("the URL of {host} is not one that can be fetched over HTTP")]
    BadUrl {
        /// Host and port.
        host: String,
    },
    /// The name has no address.
    #[error("the name of {host} could not be resolved")]
    NameNotResolved {
        /// Host and port.
        host: String,
    },
    /// The address is one that the settings do not allow.
    #[error("{host} is at an address that the settings do not allow")]
    Forbidden {
        /// Host and port.
        host: String,
    },
    /// Nothing accepts connections there.
    #[error("{host} could not be reached")]
    Unreachable {
        /// Host and port.
        host: String,
    },
    /// The connection is not secure.
    #[error("no secure connection to {host}: {reason}")]
    TlsFailed {
        /// Host and port.
        host: String,
        /// A constant phrase.
        reason: &'static str,
    },
    /// One redirect after the other, or in a circle.
    #[error("{host} redirects without end")]
    TooManyRedirects {
        /// Host and port of the last one.
        host: String,
    },
    /// A redirect to something that is not an http(s) URL.
    #[error("{host} redirects to something that is not an http(s) URL")]
    BadRedirect {
        /// Host and port.
        host: String,
    },
    /// A redirect to another host, where only this one was to be asked.
    #[error("{host} redirects to another host")]
    Elsewhere {
        /// Host and port.
        host: String,
    },
    /// The origin is too slow.
    #[error("{host} was too slow: {what}")]
    TimedOut {
        /// Host and port.
        host: String,
        /// What was waited for.
        what: Waited,
    },
    /// The connection ended before the answer did.
    #[error("{host} ended its answer early, after {received} bytes")]
    Truncated {
        /// Host and port.
        host: String,
        /// Bytes handed over before the end.
        received: u64,
    },
    /// The origin answered with another range than the one asked for, or with none.
    #[error("{host} answered with another byte range than the one asked for")]
    WrongRange {
        /// Host and port.
        host: String,
    },
    /// What is to be continued is no longer the same at the origin.
    #[error("{host} has changed the resource since its first bytes were fetched")]
    Changed {
        /// Host and port.
        host: String,
    },
    /// The answer is larger than what was asked for can sensibly be.
    #[error("{host} sent more than {limit} bytes")]
    TooLarge {
        /// Host and port.
        host: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The connection broke, or what came over it was not HTTP.
    #[error("{host} broke off or did not speak HTTP")]
    Broken {
        /// Host and port.
        host: String,
    },
    /// The client could not be set up.
    #[error("the HTTP client could not be set up")]
    NotSetUp,
}

/// What an origin was too slow in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// To connect.
    Connect,
    /// To send the head of the answer.
    Head,
    /// To send the next bytes.
    Body,
}

impl std::fmt::Display for Waited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection",
            Self::Head => "no answer",
            Self::Body => "silence in the middle of an answer",
        })
    }
}

impl OriginError {
    /// Whether the same request may well succeed a moment later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Truncated { .. }
            | Self::Broken { .. } => true,
            // A resolver has its own patience; a name that does not exist is told at once.
            Self::NameNotResolved { .. }
            | Self::BadUrl { .. }
            | Self::Forbidden { .. }
            | Self::TlsFailed { .. }
            | Self::TooManyRedirects { .. }
            | Self::BadRedirect { .. }
            | Self::Elsewhere { .. }
            | Self::WrongRange { .. }
            | Self::Changed { .. }
            | Self::TooLarge { .. }
            | Self::NotSetUp => false,
        }
    }

    /// Sorts what reqwest reported while the head was awaited.
    pub(super) fn from_head(host: String, error: &reqwest::Error) -> Self {
        if error.is_builder() {
            return Self::BadUrl { host };
        }
        if find::<RefusedTarget>(error).is_some() {
            return Self::Forbidden { host };
        }
        if let Some(tls) = find::<rustls::Error>(error) {
            return Self::TlsFailed { host, reason: tls_reason(tls) };
        }
        if error.is_timeout() {
            let what = if error.is_connect() { Waited::Connect } else { Waited::Head };
            return Self::TimedOut { host, what };
        }
        if error.is_dns() {
            return Self::NameNotResolved { host };
        }
        if error.is_connect() {
            return Self::Unreachable { host };
        }
        Self::Broken { host }
    }
}

/// Host and port for messages; a URL without a host has a name for that too.
pub(super) fn host_of(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => "a URL without a host".to_owned(),
    }
}

fn tls_reason(error: &rustls::Error) -> &'static str {
    use rustls::CertificateError as Certificate;
    let rustls::Error::InvalidCertificate(certificate) = error else {
        return "the handshake failed";
    };
    match certificate {
        Certificate::UnknownIssuer => "its certificate is not signed by a known authority",
        Certificate::Expired | Certificate::ExpiredContext { .. } => "its certificate has expired",
        Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
            "its certificate is not valid yet"
        }
        Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
            "its certificate is for another name"
        }
        _ => "its certificate is not valid",
    }
}

/// Looks for a `T` among the causes; `io::Error` hides what it wraps from the usual walk.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<T>() {
            return Some(found);
        }
        next = match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => cause.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_without_path_query_or_password() {
        let url: Url = "https://me:secret@cdn.example.com:8443/a?token=x".parse().unwrap();
        assert_eq!(host_of(&url), "cdn.example.com:8443");
    }

    #[test]
    fn a_tls_error_is_found_behind_wrapped_io_errors() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let wrapped = io::Error::other(io::Error::other(tls));
        let found = find::<rustls::Error>(&wrapped).unwrap();
        assert!(tls_reason(found).contains("known authority"));
    }
}
