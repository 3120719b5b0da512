//! `--net`: what of the network a sandbox has.

use super::facts;
use crate::log::Log;
use crate::parent::proxy::{Outlet, PORT, Proxy};
use anyhow::{Context, Result, bail};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;

/// What of the network a sandbox has.
#[derive(Debug, Clone)]
pub(crate) enum Net {
    /// A loopback device of its own.
    Nothing,
    /// The host's.
    Host,
    /// A loopback device of its own, and a proxy there.
    Proxy(Outlet),
}

impl Net {
    /// From the text of the option.
    pub(crate) fn of(text: Option<&str>) -> Result<Net> {
        let Some(text) = text else { return Ok(Net::Nothing) };
        Net::parse(text).with_context(|| format!("--net {text}"))
    }

    fn parse(text: &str) -> Result<Net> {
        match text.split_once('=') {
            None if text == "none" => Ok(Net::Nothing),
            None if text == "host" => Ok(Net::Host),
            Some(("proxy", path)) => {
                let path = facts::real(path)?;
                if !std::fs::metadata(&path)?.file_type().is_socket() {
                    bail!("not a socket");
                }
                Ok(Net::Proxy(Outlet::Socket(path.into())))
            }
            Some(("allow", hosts)) => {
                let hosts = hosts.split(',').map(str::parse).collect::<Result<_>>()?;
                Ok(Net::Proxy(Outlet::Hosts(hosts)))
            }
            _ => bail!("none, host, proxy=SOCKET or allow=HOST[:PORT],... is meant"),
        }
    }

    /// The port that its init listens on.
    pub(crate) fn port(&self) -> Option<u16> {
        matches!(self, Net::Proxy(_)).then_some(PORT)
    }

    /// Serve who connects to that port, as long as the value lives.
    pub(crate) fn serve(&self, listener: OwnedFd, log: &Log) -> Result<Option<Proxy>> {
        match self {
            Net::Proxy(outlet) => Proxy::start(listener, outlet, log).map(Some),
            Net::Nothing | Net::Host => Ok(None),
        }
    }

    /// The variables that tell programs of the proxy.
    pub(super) fn variables(&self) -> Vec<String> {
        let names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
        let names = names.iter().flat_map(|name| [name.to_string(), name.to_ascii_lowercase()]);
        let entry = |name: String| self.port().map(|port| format!("{name}=http://127.0.0.1:{port}"));
        names.filter_map(entry).collect()
    }
}
