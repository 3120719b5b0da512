//! `linux.netDevices`: network devices of the host that move into the container, with their
//! addresses.

use crate::fault::{Outcome, Refusal};
use crate::plan::NetDevice;
use crate::sys::netlink::{Netlink, attribute, attributes};
use crate::sys::{Errno, fs, process};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Devices that were moved, to be given back if the container is not made after all.
#[derive(Debug)]
pub(super) struct Moved {
    namespace: OwnedFd,
    devices: Vec<(NetDevice, Vec<Address>)>,
}

const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const IFF_UP: u32 = libc::IFF_UP as u32;

/// `struct ifaddrmsg` and its attributes.
#[derive(Debug, Clone)]
struct Address {
    header: [u8; 8],
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Moved {
    /// Nothing moved yet into `namespace`.
    pub(super) fn into(namespace: OwnedFd) -> Moved {
        Moved { namespace, devices: Vec::new() }
    }

    /// Move a device, rename it, give it back its addresses of global scope that do not expire, and
    /// bring it up.
    pub(super) fn take(&mut self, device: &NetDevice) -> Outcome {
        let failed = |what: &str| {
            let call = format!("{what} {}", device.host);
            move |errno| Refusal::kernel(call, errno)
        };
        let mut outside = Netlink::open().map_err(failed("netlink socket for"))?;
        let index = index_of(&mut outside, &device.host).map_err(failed("find network device"))?;
        let addresses = addresses_of(&mut outside, index).map_err(failed("read addresses of"))?;
        // A device that is up is not renamed.
        change(&mut outside, index, 0, IFF_UP, &[]).map_err(failed("bring down"))?;
        let mut inside = self.inside().map_err(failed("netlink socket in the container for"))?;
        let before = links(&mut inside).map_err(failed("list the container's devices for"))?;
        let to = [(IFLA_NET_NS_FD, number(self.namespace.as_fd())), (IFLA_IFNAME, name(&device.container))];
        let change_of_place = change(&mut outside, index, 0, 0, &to);
        let arrived = links(&mut inside).map_err(failed("find moved network device"))?;
        let arrived = arrived.into_iter().find(|link| !before.contains(link));
        // A device whose new name is taken has moved all the same.
        let to_give_back = arrived.as_ref().map(|(_, name)| name.clone());
        self.devices.extend(
            to_give_back
                .map(|container| (NetDevice { host: device.host.clone(), container }, addresses.clone())),
        );
        if let Err(errno) = change_of_place {
            let _ = change(&mut outside, index, IFF_UP, IFF_UP, &[]);
            return Err(failed(&format!("move to {} network device", device.container))(errno));
        }
        let Some((index, _)) = arrived else {
            return Err(failed("find moved network device")(Errno::ENODEV));
        };
        for address in &addresses {
            add(&mut inside, index, address).map_err(failed("give back an address to"))?;
        }
        change(&mut inside, index, IFF_UP, IFF_UP, &[]).map_err(failed("bring up"))
    }

    /// A socket in the container's network namespace.
    fn inside(&self) -> Result<Netlink, Errno> {
        let home = fs::open("/proc/self/ns/net", fs::O_RDONLY, 0)?;
        process::setns(self.namespace.as_fd(), libc::CLONE_NEWNET)?;
        let socket = Netlink::open();
        process::setns(home.as_fd(), libc::CLONE_NEWNET)?;
        socket
    }

    /// Move everything back under its old name, and tell what could not be.
    pub(super) fn give_back(self) -> Vec<String> {
        let back = |device: &NetDevice, addresses: &[Address]| -> Result<(), Errno> {
            let home = fs::open("/proc/self/ns/net", fs::O_RDONLY, 0)?;
            let mut inside = self.inside()?;
            let index = index_of(&mut inside, &device.container)?;
            change(&mut inside, index, 0, IFF_UP, &[])?;
            let to = [(IFLA_NET_NS_FD, number(home.as_fd())), (IFLA_IFNAME, name(&device.host))];
            change(&mut inside, index, 0, 0, &to)?;
            let mut outside = Netlink::open()?;
            let index = index_of(&mut outside, &device.host)?;
            addresses.iter().try_for_each(|address| add(&mut outside, index, address))?;
            change(&mut outside, index, IFF_UP, IFF_UP, &[])
        };
        let failed = |(device, addresses): &(NetDevice, Vec<Address>)| {
            let errno = back(device, addresses).err()?;
            Some(format!("moving network device {} back: {}", device.host, crate::sys::describe(errno)))
        };
        self.devices.iter().filter_map(failed).collect()
    }
}

fn number(fd: BorrowedFd<'_>) -> Vec<u8> {
    std::os::fd::AsRawFd::as_raw_fd(&fd).to_ne_bytes().to_vec()
}

fn name(name: &str) -> Vec<u8> {
    [name.as_bytes(), b"\0"].concat()
}

/// `struct ifinfomsg` for the device with this index, 0 for one that is named.
fn link(index: i32, flags: u32, mask: u32) -> Vec<u8> {
    let mut body = vec![libc::AF_UNSPEC as u8, 0, 0, 0];
    body.extend(index.to_ne_bytes());
    body.extend(flags.to_ne_bytes());
    body.extend(mask.to_ne_bytes());
    body
}

fn index_of(socket: &mut Netlink, device: &str) -> Result<i32, Errno> {
    let mut body = link(0, 0, 0);
    attribute(&mut body, IFLA_IFNAME, &name(device));
    let answers = socket.ask(libc::RTM_GETLINK, 0, &body)?;
    let index = answers.first().and_then(|answer| answer.get(4..8)?.first_chunk::<4>().copied());
    index.map(i32::from_ne_bytes).ok_or(Errno::ENODEV)
}

/// The devices of a namespace: index and name. The kernel may have numbered a new one, and named
/// one after a template.
fn links(socket: &mut Netlink) -> Result<Vec<(i32, String)>, Errno> {
    let answers = socket.ask(libc::RTM_GETLINK, libc::NLM_F_DUMP, &link(0, 0, 0))?;
    let link = |answer: &Vec<u8>| {
        let index = i32::from_ne_bytes(*answer.get(4..8)?.first_chunk::<4>()?);
        let found = attributes(answer.get(16..)?).into_iter().find(|(kind, _)| *kind == IFLA_IFNAME)?;
        Some((index, String::from_utf8_lossy(found.1).trim_end_matches('\0').to_string()))
    };
    Ok(answers.iter().filter_map(link).collect())
}

fn change(
    socket: &mut Netlink,
    index: i32,
    flags: u32,
    mask: u32,
    set: &[(u16, Vec<u8>)],
) -> Result<(), Errno> {
    let mut body = link(index, flags, mask);
    set.iter().for_each(|(kind, data)| attribute(&mut body, *kind, data));
    socket.ask(libc::RTM_NEWLINK, 0, &body).map(drop)
}

/// The addresses that the specification keeps: global scope, permanent.
fn addresses_of(socket: &mut Netlink, index: i32) -> Result<Vec<Address>, Errno> {
    let answers = socket.ask(libc::RTM_GETADDR, libc::NLM_F_DUMP, &[0; 8])?;
    let address = |answer: &Vec<u8>| -> Option<Address> {
        let header = *answer.first_chunk::<8>()?;
        let of = i32::from_ne_bytes([header[4], header[5], header[6], header[7]]);
        let attributes: Vec<(u16, Vec<u8>)> =
            attributes(&answer[8..]).into_iter().map(|(kind, data)| (kind, data.to_vec())).collect();
        let flags = attributes.iter().find(|(kind, _)| *kind == IFA_FLAGS);
        let flags = flags.and_then(|(_, data)| data.first_chunk::<4>().copied());
        let flags = flags.map_or(u32::from(header[2]), u32::from_ne_bytes);
        let kept = of == index && header[3] == libc::RT_SCOPE_UNIVERSE && flags & libc::IFA_F_PERMANENT != 0;
        kept.then_some(Address { header, attributes })
    };
    Ok(answers.iter().filter_map(address).collect())
}

fn add(socket: &mut Netlink, index: i32, address: &Address) -> Result<(), Errno> {
    let mut body = address.header.to_vec();
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    // Its label holds the old name, and its lifetime is for ever.
    for (kind, data) in &address.attributes {
        if matches!(*kind, IFA_ADDRESS | IFA_LOCAL | IFA_BROADCAST | IFA_FLAGS) {
            attribute(&mut body, *kind, data);
        }
    }
    match socket.ask(libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &body) {
        Err(Errno::EEXIST) => Ok(()),
        added => added.map(drop),
    }
}
