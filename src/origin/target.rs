//! Which addresses may be asked at all.
//!
//! A playlist is a stranger's text: it can name the router, or the metadata service of a cloud.
//! The check is on the resolved address that is then connected to, so that a name cannot be
//! checked as one address and used as another.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use url::{Host, Url};

/// Why a name has no usable address although it resolves.
#[derive(Debug, thiserror::Error)]
#[error("all addresses of the name are refused")]
pub(super) struct RefusedTarget;

/// Looks names up and drops the addresses that may not be asked.
pub(super) struct Resolver {
    pub allow_private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let is_known = !found.is_empty();
            let allowed: Vec<SocketAddr> =
                found.into_iter().filter(|addr| is_allowed(addr.ip(), allow_private)).collect();
            if allowed.is_empty() && is_known {
                return Err(RefusedTarget.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Whether a URL leads to who listens at `own`, by its name or address alone.
pub(super) fn is_at(url: &Url, own: SocketAddr) -> bool {
    let is_own_ip = |ip: IpAddr| ip == own.ip() || ip.is_loopback() || ip.is_unspecified();
    let is_host = match url.host() {
        Some(Host::Ipv4(ip)) => is_own_ip(ip.into()),
        Some(Host::Ipv6(ip)) => is_own_ip(ip.to_canonical()),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    };
    is_host && url.port_or_known_default() == Some(own.port())
}

/// Whether a URL whose host is an address may be asked; a name is judged when it is resolved.
pub(super) fn is_literal_allowed(url: &Url, allow_private: bool) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => is_allowed(ip.into(), allow_private),
        Some(Host::Ipv6(ip)) => is_allowed(ip.into(), allow_private),
        Some(Host::Domain(_)) | None => true,
    }
}

fn is_allowed(ip: IpAddr, allow_private: bool) -> bool {
    match embedded_v4(ip) {
        Ok(v4) => {
            !v4.is_link_local()
                && !v4.is_multicast()
                && !v4.is_broadcast()
                && (allow_private || !is_private_v4(v4))
        }
        Err(v6) => {
            !v6.is_unicast_link_local()
                && !v6.is_multicast()
                && (allow_private || !is_private_v6(v6))
        }
    }
}

/// The IPv4 address that is really connected to, if it is one: mapped and translated (NAT64)
/// forms lead to the same machine as the plain one.
fn embedded_v4(ip: IpAddr) -> Result<Ipv4Addr, Ipv6Addr> {
    match ip.to_canonical() {
        IpAddr::V4(v4) => Ok(v4),
        IpAddr::V6(v6) => match v6.octets() {
            [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => {
                Ok(Ipv4Addr::new(a, b, c, d))
            }
            _ => Err(v6),
        },
    }
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    let is_carrier_grade_nat = a == 100 && (64..128).contains(&b);
    ip.is_private() || ip.is_loopback() || a == 0 || is_carrier_grade_nat
}

fn is_private_v6(ip: Ipv6Addr) -> bool {
    ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_leads_to_ourselves_is_known() {
        let own: SocketAddr = "192.168.1.5:4570".parse().unwrap();
        for (url, expected) in [
            ("http://127.0.0.1:4570/http/a/", true),
            ("http://[::1]:4570/", true),
            ("http://[::ffff:127.0.0.1]:4570/", true),
            ("http://LOCALHOST:4570/", true),
            ("http://192.168.1.5:4570/", true),
            ("http://192.168.1.6:4570/", false),
            ("http://127.0.0.1:8080/", false),
            ("http://example.com:4570/", false),
        ] {
            assert_eq!(is_at(&url.parse().unwrap(), own), expected, "{url}");
        }
    }

    #[test]
    fn every_spelling_of_a_refused_address_is_refused() {
        for (url, private_ok, public_only_ok) in [
            ("http://93.184.216.34/", true, true),
            ("http://[2606:2800:220:1::1]/", true, true),
            ("http://127.0.0.1/", true, false),
            ("http://2130706433/", true, false),
            ("http://0x7f.1/", true, false),
            ("http://0177.0.0.1/", true, false),
            ("http://127.1/", true, false),
            ("http://0/", true, false),
            ("http://[::1]/", true, false),
            ("http://[::]/", true, false),
            ("http://[::ffff:127.0.0.1]/", true, false),
            ("http://[::ffff:7f00:1]/", true, false),
            ("http://[64:ff9b::10.0.0.1]/", true, false),
            ("http://10.1.2.3/", true, false),
            ("http://172.31.0.1/", true, false),
            ("http://172.32.0.1/", true, true),
            ("http://192.168.1.1:8080/", true, false),
            ("http://100.64.0.1/", true, false),
            ("http://[fd00:ec2::254]/", true, false),
            ("http://169.254.169.254/latest/meta-data/", false, false),
            ("http://0xa9fea9fe/", false, false),
            ("http://2852039166/", false, false),
            ("http://[::ffff:169.254.169.254]/", false, false),
            ("http://[64:ff9b::a9fe:a9fe]/", false, false),
            ("http://[fe80::1]/", false, false),
            ("http://224.0.0.1/", false, false),
            ("http://255.255.255.255/", false, false),
            ("http://[ff02::1]/", false, false),
        ] {
            let parsed: Url = url.parse().unwrap();
            assert_eq!(is_literal_allowed(&parsed, true), private_ok, "{url}");
            assert_eq!(is_literal_allowed(&parsed, false), public_only_ok, "{url}");
        }
    }

    #[test]
    fn a_name_is_judged_by_what_it_resolves_to() {
        let url: Url = "http://localhost/".parse().unwrap();
        assert!(is_literal_allowed(&url, false));
        assert!(!is_allowed("127.0.0.1".parse().unwrap(), false));
    }
}
