//! What a client of the proxy asks for: the head of an HTTP request (RFC 9112), to a proxy.

use anyhow::{Context, Result, bail};
use std::fmt::{self, Display, Formatter};
use std::io::Read;
use std::str::FromStr;

/// The longest head, in bytes.
const LIMIT: usize = 64 << 10;

/// A host and port that may be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    host: String,
    /// None: those of HTTP and HTTPS.
    port: Option<u16>,
}

/// What a client wants to be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// In small letters, without brackets.
    pub host: String,
    pub port: u16,
}

/// The head of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub target: Target,
    /// What the host is told; none for CONNECT.
    pub request: Option<Vec<u8>>,
    /// What came after the head.
    pub rest: Vec<u8>,
}

impl FromStr for Allowed {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Allowed> {
        let (host, port) = split(text)?;
        Ok(Allowed { host, port })
    }
}

impl Allowed {
    pub(super) fn covers(&self, target: &Target) -> bool {
        let is_port = match self.port {
            Some(port) => port == target.port,
            None => [80, 443].contains(&target.port),
        };
        is_port && self.host == target.host
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// `HOST[:PORT]`, where an IPv6 address stands in brackets.
fn split(text: &str) -> Result<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').context("a bracket is missing")?;
            let port =
                if port.is_empty() { None } else { port.strip_prefix(':').map(Some).context("no port")? };
            (host, port)
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_host = match text.starts_with('[') {
        true => host.parse::<std::net::Ipv6Addr>().is_ok(),
        false => !host.is_empty() && host.chars().all(is_plain),
    };
    if !is_host {
        bail!("{text:?} is no host");
    }
    let port = port.map(|port| {
        port.parse().ok().filter(|port| *port != 0).with_context(|| format!("{port:?} is no port"))
    });
    Ok((host.trim_end_matches('.').to_ascii_lowercase(), port.transpose()?))
}

/// Read the head of a request, and what came with it.
pub(super) fn read(mut from: impl Read) -> Result<Head> {
    let mut data = Vec::new();
    loop {
        if let Some(end) = data.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let rest = data.split_off(end + 4);
            return parse(&data, rest);
        }
        if data.len() > LIMIT {
            bail!("the head of the request is too long");
        }
        let mut buffer = [0; 4096];
        match from.read(&mut buffer).context("read")? {
            0 => bail!("the connection ended before the request"),
            n => data.extend_from_slice(&buffer[..n]),
        }
    }
}

fn parse(head: &[u8], rest: Vec<u8>) -> Result<Head> {
    let text = std::str::from_utf8(head).context("the request is no text")?;
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let words: Vec<&str> = line.split(' ').collect();
    let [method, target, "HTTP/1.0" | "HTTP/1.1"] = words[..] else { bail!("{line:?} is no request") };
    if method == "CONNECT" {
        let (host, port) = split(target)?;
        let port = port.context("CONNECT wants a port")?;
        return Ok(Head { target: Target { host, port }, request: None, rest });
    }
    let address = target.strip_prefix("http://").context("only CONNECT and http: are for a proxy")?;
    let at = address.find(['/', '?']).unwrap_or(address.len());
    let (authority, path) = address.split_at(at);
    let (host, port) = split(authority)?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut request =
        format!("{method} {slash}{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n");
    for header in lines.filter(|line| !line.is_empty()) {
        let name = header.split(':').next().unwrap_or_default().to_ascii_lowercase();
        // One connection is for one host, as allowed.
        if !["host", "connection", "proxy-connection", "proxy-authorization", "keep-alive"]
            .contains(&name.as_str())
        {
            request.push_str(&format!("{header}\r\n"));
        }
    }
    request.push_str("\r\n");
    let target = Target { host, port: port.unwrap_or(80) };
    Ok(Head { target, request: Some(request.into_bytes()), rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Head> {
        read(text.as_bytes())
    }

    fn target(host: &str, port: u16) -> Target {
        Target { host: host.into(), port }
    }

    #[test]
    fn connect_names_a_host_and_a_port() {
        let found = head("CONNECT Example.org.:443 HTTP/1.1\r\nHost: x\r\n\r\nrest").unwrap();
        assert_eq!(found, Head { target: target("example.org", 443), request: None, rest: b"rest".to_vec() });
        let found = head("CONNECT [::1]:8443 HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(found.target.to_string(), "[::1]:8443");
    }

    #[test]
    fn a_whole_address_is_asked_for_as_at_its_host() {
        let found =
            head("GET http://h:81/a?b HTTP/1.1\r\nHost: other\r\nProxy-Connection: x\r\nAccept: *\r\n\r\n")
                .unwrap();
        assert_eq!(found.target, target("h", 81));
        let request = String::from_utf8(found.request.unwrap()).unwrap();
        assert_eq!(request, "GET /a?b HTTP/1.1\r\nHost: h:81\r\nConnection: close\r\nAccept: *\r\n\r\n");
        assert_eq!(head("GET http://h?b HTTP/1.0\r\n\r\n").unwrap().target, target("h", 80));
    }

    #[test]
    fn what_is_no_request_to_a_proxy_is_refused() {
        for text in [
            "GET / HTTP/1.1\r\n\r\n",
            "CONNECT h HTTP/1.1\r\n\r\n",
            "CONNECT h:0 HTTP/1.1\r\n\r\n",
            "CONNECT a@h:1 HTTP/1.1\r\n\r\n",
            "GET http://u:p@h/ HTTP/1.1\r\n\r\n",
            "GET ftp://h/ HTTP/1.1\r\n\r\n",
            "GET http://h/ HTTP/1.1 x\r\n\r\n",
            "GET http://h/ HTTP/1.1\r\n",
        ] {
            assert!(head(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_what_is_named_is_covered() {
        let allowed = |text: &str| text.parse::<Allowed>().unwrap();
        assert!(allowed("Example.org").covers(&target("example.org", 443)));
        assert!(!allowed("example.org").covers(&target("example.org", 22)));
        assert!(allowed("example.org:22").covers(&target("example.org", 22)));
        assert!(!allowed("example.org:22").covers(&target("example.org", 443)));
        assert!(!allowed("example.org").covers(&target("a.example.org", 443)));
        assert!(allowed("[::1]:5").covers(&target("::1", 5)));
        for text in ["", ":1", "a b", "h:x", "[::1", "h/path", "[h]"] {
            assert!(text.parse::<Allowed>().is_err(), "{text}");
        }
    }
}
