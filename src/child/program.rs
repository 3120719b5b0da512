//! Why the kernel does not execute a program that is there. It says ENOENT of a file whose
//! interpreter is missing, and ENOEXEC of one that is for another machine.

use crate::sys::{Errno, fs};
use std::os::fd::AsFd;

/// How much of a program is read: its headers, and usually the name of its loader.
const HEAD: usize = 4096;

/// The beginning of a program; none where it cannot be read.
pub(super) fn head(program: &str) -> Option<Vec<u8>> {
    let flags = fs::O_RDONLY | fs::O_NONBLOCK | fs::O_NOCTTY;
    let file = fs::open(program, flags, 0).ok()?;
    if fs::stat_fd(file.as_fd()).ok()?.st_mode & libc::S_IFMT != libc::S_IFREG {
        return None;
    }
    let mut head = vec![0; HEAD];
    let length = nix::unistd::read(&file, &mut head).ok()?;
    head.truncate(length);
    Some(head)
}

/// What more there is to say about `errno` of a program that begins so; nothing where that says it
/// all.
pub(super) fn why(head: &[u8], errno: Errno) -> Option<String> {
    matches!(errno, Errno::ENOENT | Errno::ENOEXEC | Errno::ELIBBAD).then(|| of_head(head, errno))?
}

/// Why the kernel will not execute a program that begins so, as far as that is to be seen before it
/// is tried.
pub(super) fn foreseen(head: &[u8]) -> Option<String> {
    let needs = match (interpreter(head), Elf::of(head)) {
        (Some(interpreter), _) => interpreter.into(),
        (None, Some(elf)) if elf.runs_here()? => elf.loader()?,
        (None, _) => return of_head(head, Errno::ENOEXEC),
    };
    let is_there = fs::executable(&needs).is_ok();
    if is_there { None } else { of_head(head, Errno::ENOENT) }
}

/// The program that a script's first line names.
fn interpreter(head: &[u8]) -> Option<std::borrow::Cow<'_, str>> {
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?.trim_ascii_start();
    let end = line.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
    Some(String::from_utf8_lossy(&line[..end]))
}

fn of_head(head: &[u8], errno: Errno) -> Option<String> {
    if let Some(name) = interpreter(head) {
        return match name.strip_suffix('\r') {
            Some(name) => Some(format!(
                "its first line ends in CR LF, which makes its interpreter {:?}",
                format!("{name}\r")
            )),
            None => Some(format!("its interpreter {name:?} is not there, or cannot be executed")),
        };
    }
    match (Elf::of(head), errno) {
        (Some(elf), Errno::ENOENT) => Some(format!("its loader {:?} is not there", elf.loader()?)),
        (Some(elf), _) => {
            let (machine, own) = (machine(elf.machine()?), std::env::consts::ARCH);
            Some(format!("it is a program for {machine}, and this machine is {own}"))
        }
        (None, Errno::ENOEXEC) if head.is_empty() => Some("it is empty".into()),
        (None, Errno::ENOEXEC) if !head.contains(&0) => {
            Some("a script whose first line does not begin with \"#!\"".into())
        }
        _ => None,
    }
}

/// An ELF file's beginning (elf(5)).
struct Elf<'a> {
    head: &'a [u8],
    wide: bool,
    little: bool,
}

impl Elf<'_> {
    fn of(head: &[u8]) -> Option<Elf<'_>> {
        (head.starts_with(b"\x7fELF")).then_some(())?;
        Some(Elf { head, wide: *head.get(4)? == 2, little: *head.get(5)? == 1 })
    }

    fn number(&self, at: usize, bytes: usize) -> Option<usize> {
        let field = self.head.get(at..at.checked_add(bytes)?)?;
        let fold = |value: usize, byte: &u8| value << 8 | usize::from(*byte);
        Some(if self.little { field.iter().rev().fold(0, fold) } else { field.iter().fold(0, fold) })
    }

    fn machine(&self) -> Option<usize> {
        self.number(18, 2)
    }

    /// Whether it is for this machine, which may run programs of its smaller sister too.
    fn runs_here(&self) -> Option<bool> {
        let pair = (machine(self.machine()?), std::env::consts::ARCH);
        Some(pair.0 == pair.1 || matches!((pair.0.as_str(), pair.1), ("x86", "x86_64") | ("arm", "aarch64")))
    }

    /// The path in its PT_INTERP.
    fn loader(&self) -> Option<String> {
        const PT_INTERP: usize = 3;
        let word = if self.wide { 8 } else { 4 };
        let table = self.number(if self.wide { 32 } else { 28 }, word)?;
        let size = self.number(if self.wide { 54 } else { 42 }, 2)?;
        let count = self.number(if self.wide { 56 } else { 44 }, 2)?;
        let mut headers = (0..count).filter_map(|n| table.checked_add(n.checked_mul(size)?));
        let header = headers.find(|at| self.number(*at, 4) == Some(PT_INTERP))?;
        let offset = self.number(header + word, word)?;
        let length = self.number(header + if self.wide { 32 } else { 16 }, word)?;
        let path = self.head.get(offset..offset.checked_add(length)?)?;
        Some(String::from_utf8_lossy(path.strip_suffix(b"\0").unwrap_or(path)).into_owned())
    }
}

/// The name of a machine in <linux/elf-em.h>, as Rust and uname(1) have it.
fn machine(number: usize) -> String {
    let name = match number {
        3 => "x86",
        8 => "mips",
        20 => "powerpc",
        21 => "powerpc64",
        22 => "s390x",
        40 => "arm",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv64",
        258 => "loongarch64",
        _ => return format!("machine {number} of ELF"),
    };
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_head_is_it_is_read_without_harm() {
        let mut head = b"\x7fELF\x02\x01".to_vec();
        head.resize(80, 0xff);
        for length in 0..head.len() {
            for errno in [Errno::ENOENT, Errno::ENOEXEC] {
                let _ = of_head(&head[..length], errno);
            }
        }
        assert!(foreseen(b"#!/no/such/interpreter\n").unwrap().contains("interpreter"));
        assert_eq!(
            of_head(b"echo x\n", Errno::ENOEXEC).unwrap(),
            "a script whose first line does not begin with \"#!\""
        );
        assert!(of_head(b"#!/bin/sh\r\n", Errno::ENOENT).unwrap().contains("CR LF"));
    }
}
