//! The user that an image asks for, looked up in the image's own /etc/passwd and /etc/group.

use crate::proc::passwd::{self, Account, groups, id};
use anyhow::{Result, bail};

/// Who the process is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub additional_gids: Vec<u32>,
}

/// The user of `USER`, `USER:GROUP`, each a name or a number; nothing is root. Without a group it
/// is that of /etc/passwd, with those of /etc/group that name the user. A number need not be in the
/// files.
pub fn resolve(asked: &str, passwd: &[u8], group: &[u8]) -> Result<User> {
    let (user, wanted_group) = asked.split_once(':').unwrap_or((asked, ""));
    let user = if user.is_empty() { "0" } else { user };
    let number = id(user.as_bytes());
    // A name may consist of digits, so names come first.
    let accounts = || passwd::accounts(passwd).filter_map(|account| Some((account.gid?, account)));
    let account = accounts()
        .find(|(_, account)| account.name == user.as_bytes())
        .or_else(|| accounts().find(|(_, account)| Some(account.uid) == number));
    let uid = match (&account, number) {
        (Some((_, account)), _) => account.uid,
        (None, Some(number)) => number,
        (None, None) => bail!("user {user:?} is not in the image's /etc/passwd"),
    };
    if !wanted_group.is_empty() {
        let found = groups(group).find(|(name, ..)| *name == wanted_group.as_bytes()).map(|(_, gid, _)| gid);
        return match found.or_else(|| id(wanted_group.as_bytes())) {
            Some(gid) => Ok(User { uid, gid, additional_gids: Vec::new() }),
            None => bail!("group {wanted_group:?} is not in the image's /etc/group"),
        };
    }
    let Some((gid, Account { name, .. })) = account else {
        return Ok(User { uid, gid: 0, additional_gids: Vec::new() });
    };
    let mut additional_gids: Vec<u32> = groups(group)
        .filter(|(_, other, members)| *other != gid && members.contains(&name))
        .map(|(_, gid, _)| gid)
        .collect();
    additional_gids.sort_unstable();
    additional_gids.dedup();
    Ok(User { uid, gid, additional_gids })
}
