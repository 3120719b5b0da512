//! `linux.resources.devices`, checked and resolved: runtime-spec
//! config-linux.md#allowed-device-list.

use oci_spec::runtime as oci;
use serde::{Deserialize, Serialize};

use super::Invalid;

/// Whether accesses to some devices are allowed. Of two rules for an access the later one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRule {
    pub allow: bool,
    pub kind: DeviceKind,
    /// `None`: any.
    pub major: Option<u32>,
    /// `None`: any.
    pub minor: Option<u32>,
    pub access: Access,
}

/// A kind of node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceKind {
    /// `a`
    Any,
    /// `b`
    Block,
    /// `c`
    Char,
}

/// A set of accesses, as the bits `BPF_DEVCG_ACC_*` of linux/bpf.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access(pub u8);

impl Access {
    /// `m`: make a node
    pub const MKNOD: Access = Access(1);
    /// `r`
    pub const READ: Access = Access(2);
    /// `w`
    pub const WRITE: Access = Access(4);
    /// `rwm`
    pub const ALL: Access = Access(7);

    /// As a text of r, w and m.
    pub fn letters(self) -> String {
        let each = [('r', Access::READ), ('w', Access::WRITE), ('m', Access::MKNOD)];
        each.iter().filter(|(_, bit)| self.0 & bit.0 != 0).map(|(letter, _)| letter).collect()
    }
}

/// Checks `linux.resources.devices` and resolves it.
pub fn resolve(spec: &[oci::LinuxDeviceCgroup]) -> Result<Vec<DeviceRule>, Invalid> {
    spec.iter().enumerate().map(|(i, rule)| device_rule(i, rule)).collect()
}

fn device_rule(i: usize, rule: &oci::LinuxDeviceCgroup) -> Result<DeviceRule, Invalid> {
    let at = |field: &str| format!("linux.resources.devices[{i}].{field}");
    let number = |field: &str, number: Option<i64>| match number {
        // Docker writes `*` as -1.
        None | Some(-1) => Ok(None),
        Some(number) => match u32::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Invalid::new(at(field), format!("{number} is out of range"))),
        },
    };
    let kind = match rule.typ() {
        None | Some(oci::LinuxDeviceType::A) => DeviceKind::Any,
        Some(oci::LinuxDeviceType::B) => DeviceKind::Block,
        Some(oci::LinuxDeviceType::C) => DeviceKind::Char,
        Some(kind) => {
            return Err(Invalid::new(at("type"), format!("\"{}\" is not a, b or c", kind.as_str())));
        }
    };
    let access = match rule.access() {
        None => Access::ALL,
        Some(text) => access(text)
            .ok_or_else(|| Invalid::new(at("access"), format!("{text:?} is not made of r, w and m")))?,
    };
    Ok(DeviceRule {
        allow: rule.allow(),
        kind,
        major: number("major", rule.major())?,
        minor: number("minor", rule.minor())?,
        access,
    })
}

/// The set that a text of r, w and m stands for; none if there is none in it, or anything else.
pub fn access(text: &str) -> Option<Access> {
    let bits = text.chars().try_fold(0, |bits, c| match c {
        'm' => Some(bits | Access::MKNOD.0),
        'r' => Some(bits | Access::READ.0),
        'w' => Some(bits | Access::WRITE.0),
        _ => None,
    });
    bits.filter(|bits| *bits != 0).map(Access)
}
