//! Through which proxy a host is reached, as the settings say it. PURE.
//!
//! A proxy's URL may carry a password: whatever prints one of these types prints it masked. The
//! environment's proxy variables are not read; the connections are reqwest's affair.

use std::fmt;
use std::str::FromStr;
use url::Url;

/// What stands in for user name and password.
const MASK: &str = "***";

/// What a proxy setting must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a proxy")]
pub struct NotAProxy;

/// A proxy, or none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxy(Option<Url>);

/// A proxy for one host and those below it.
#[derive(Clone, PartialEq, Eq)]
pub struct HostProxy {
    host: String,
    proxy: Proxy,
}

/// Finds the proxy for a URL: the longest host that fits, else the one for all.
pub(super) fn choose<'a>(all: &'a Proxy, hosts: &'a [HostProxy], url: &Url) -> Option<&'a Url> {
    let name = url.host_str().unwrap_or_default();
    let fitting = hosts.iter().filter(|entry| is_within(name, &entry.host));
    let chosen = fitting.max_by_key(|entry| entry.host.len()).map_or(all, |entry| &entry.proxy);
    chosen.0.as_ref()
}

fn is_within(name: &str, host: &str) -> bool {
    name.strip_suffix(host).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

impl FromStr for Proxy {
    type Err = NotAProxy;

    fn from_str(text: &str) -> Result<Self, NotAProxy> {
        if text.is_empty() || text == "direct" {
            return Ok(Self(None));
        }
        let url = Url::parse(text).map_err(|_| NotAProxy)?;
        let is_known = matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h");
        let is_bare = matches!(url.path(), "" | "/") && url.query().is_none();
        if is_known && is_bare && url.has_host() { Ok(Self(Some(url))) } else { Err(NotAProxy) }
    }
}

impl FromStr for HostProxy {
    type Err = NotAProxy;

    fn from_str(text: &str) -> Result<Self, NotAProxy> {
        let (host, proxy) = text.split_once('=').ok_or(NotAProxy)?;
        // As in URLs: lower case, and a name in its ASCII form.
        let host = url::Host::parse(host.trim()).map_err(|_| NotAProxy)?.to_string();
        Ok(Self { host, proxy: proxy.trim().parse()? })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(url) = &self.0 else { return Ok(()) };
        let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let has_user = !url.username().is_empty() || url.password().is_some();
        let user = if has_user { format!("{MASK}@") } else { String::new() };
        write!(f, "{}://{user}{host}", url.scheme())
    }
}

impl fmt::Display for HostProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.proxy.0 {
            Some(_) => write!(f, "{}={}", self.host, self.proxy),
            None => write!(f, "{}=direct", self.host),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for HostProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_host_decides_and_direct_is_a_choice() {
        let all: Proxy = "http://all.test:3128".parse().unwrap();
        let hosts: Vec<HostProxy> =
            ["cdn.test=socks5://one.test:1080", "LIVE.cdn.test = direct", "[::1]=http://six.test"]
                .map(|text| text.parse().unwrap())
                .into();
        for (url, expected) in [
            ("https://x.test/", Some("http://all.test:3128/")),
            ("https://cdn.test/", Some("socks5://one.test:1080")),
            ("https://a.b.cdn.test/", Some("socks5://one.test:1080")),
            ("https://notcdn.test/", Some("http://all.test:3128/")),
            ("http://live.cdn.test/", None),
            ("http://[::1]:80/", Some("http://six.test/")),
        ] {
            let chosen = choose(&all, &hosts, &url.parse().unwrap()).map(Url::as_str);
            assert_eq!(chosen, expected, "{url}");
        }
        assert_eq!(choose(&Proxy::default(), &[], &"http://x.test/".parse().unwrap()), None);
    }

    #[test]
    fn what_is_no_proxy_is_refused() {
        for text in ["x", "host:3128", "ftp://h", "http://", "http://h/path", "http://h?a", "://"] {
            assert_eq!(text.parse::<Proxy>(), Err(NotAProxy), "{text}");
        }
        for text in ["", "http://h", "h=x", "=http://h", "a b=http://h"] {
            assert_eq!(text.parse::<HostProxy>(), Err(NotAProxy), "{text}");
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        let proxy: Proxy = "socks5://me:s3cret@h.test:1080".parse().unwrap();
        assert_eq!(format!("{proxy} {proxy:?}"), ["socks5://***@h.test:1080"; 2].join(" "));
        let host: HostProxy = "cdn.test=http://s3cret@h.test".parse().unwrap();
        assert_eq!(format!("{host} {host:?}"), ["cdn.test=http://***@h.test"; 2].join(" "));
    }
}
