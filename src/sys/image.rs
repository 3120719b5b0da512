//! The program's own image in memory: the same program, from another file.

use super::{Errno, Result};
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `PR_SET_MM_MAP` and its argument (prctl(2), linux/prctl.h).
const PR_SET_MM_MAP: libc::c_ulong = 14;

#[repr(C)]
struct MmMap {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: u64,
    auxv_size: u32,
    exe_fd: u32,
}

/// The smallest unit of memory that is mapped; where a page is larger, a multiple of it.
const PAGE: usize = 4096;

/// One line of /proc/self/maps.
struct Area {
    start: usize,
    end: usize,
    protection: i32,
    offset: i64,
}

/// Go on as the program in `file`, which must have the same content as the file that this program,
/// `exe`, was executed from: its pages are mapped from there, and /proc/self/exe leads there.
/// `maps` and `stat` are those of /proc/self.
///
/// An error leaves a program that runs on as it was.
pub fn move_to(file: BorrowedFd<'_>, exe: &str, maps: &str, stat: &str) -> Result<()> {
    // Those that are written at run time, also by relocation only.
    let written = segments(|flags| flags & libc::PF_W != 0);
    for area in maps.lines().filter(|line| line.ends_with(exe)).filter_map(area) {
        if written.iter().any(|range| range.contains(&area.start)) { copy(&area)? } else { map(&area, file)? }
    }
    set_exe(file, stat)
}

/// The addresses of the segments whose flags are such.
fn segments(flags: impl Fn(u32) -> bool) -> Vec<Range<usize>> {
    // SAFETY: getauxval takes an integer. AT_PHDR is the address of AT_PHNUM program headers, which
    // stay mapped for good.
    let headers = unsafe {
        let first = libc::getauxval(libc::AT_PHDR) as *const libc::Elf64_Phdr;
        std::slice::from_raw_parts(first, libc::getauxval(libc::AT_PHNUM) as usize)
    };
    let own = headers.iter().find(|header| header.p_type == libc::PT_PHDR);
    let base = own.map_or(0, |own| headers.as_ptr() as usize - own.p_vaddr as usize);
    let chosen = headers.iter().filter(|h| h.p_type == libc::PT_LOAD && flags(h.p_flags));
    let range = |header: &libc::Elf64_Phdr| {
        let start = base + header.p_vaddr as usize;
        start & !(PAGE - 1)..start + header.p_memsz as usize
    };
    chosen.map(range).collect()
}

fn area(line: &str) -> Option<Area> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let permissions = fields.next()?.as_bytes();
    let bit = |at: usize, letter: u8, bit| if permissions.get(at) == Some(&letter) { bit } else { 0 };
    Some(Area {
        start: usize::from_str_radix(start, 16).ok()?,
        end: usize::from_str_radix(end, 16).ok()?,
        protection: bit(0, b'r', libc::PROT_READ)
            | bit(1, b'w', libc::PROT_WRITE)
            | bit(2, b'x', libc::PROT_EXEC),
        offset: i64::from_str_radix(fields.next()?, 16).ok()?,
    })
}

/// Map the same content from `file`.
fn map(area: &Area, file: BorrowedFd<'_>) -> Result<()> {
    let flags = libc::MAP_PRIVATE | libc::MAP_FIXED;
    let length = area.end - area.start;
    // SAFETY: the area is one that holds unchanged content of the program's file, and what takes
    // its place, at once, is the same content. There is one thread, and it goes on in it.
    let mapped = unsafe {
        libc::mmap(area.start as *mut _, length, area.protection, flags, file.as_raw_fd(), area.offset)
    };
    if mapped == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(()) }
}

/// Put memory of no file with the same content in its place.
fn copy(area: &Area) -> Result<()> {
    let length = area.end - area.start;
    // SAFETY: `copied` is new memory of the length that is copied. From the copy to its move into
    // place nothing writes to the area: there is one thread, no signal handler of this program's
    // writes anything, and errno is in the heap's TLS block.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let writable = libc::PROT_READ | libc::PROT_WRITE;
        let copied = libc::mmap(std::ptr::null_mut(), length, writable, flags, -1, 0);
        if copied == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        std::ptr::copy_nonoverlapping(area.start as *const u8, copied.cast::<u8>(), length);
        if area.protection != writable {
            Errno::result(libc::mprotect(copied, length, area.protection))?;
        }
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        let moved = libc::mremap(copied, length, length, flags, area.start as *mut libc::c_void);
        if moved == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(()) }
    }
}

/// Have /proc/self/exe lead to `file`. The rest of what the kernel notes of the image stays.
fn set_exe(file: BorrowedFd<'_>, stat: &str) -> Result<()> {
    // Fields are counted as in proc_pid_stat(5), from the end of the name in parentheses.
    let fields: Vec<&str> =
        stat.rsplit_once(") ").map(|(_, rest)| rest.split_ascii_whitespace().collect()).unwrap_or_default();
    let field =
        |number: usize| fields.get(number - 3).and_then(|text| text.parse().ok()).ok_or(Errno::EINVAL);
    // SAFETY: brk(2) with an address that cannot be had only tells where the break is.
    let brk = unsafe { libc::syscall(libc::SYS_brk, 0) } as u64;
    let map = MmMap {
        start_code: field(26)?,
        end_code: field(27)?,
        start_data: field(45)?,
        end_data: field(46)?,
        start_brk: field(47)?,
        brk,
        start_stack: field(28)?,
        arg_start: field(48)?,
        arg_end: field(49)?,
        env_start: field(50)?,
        env_end: field(51)?,
        auxv: 0,
        auxv_size: 0,
        exe_fd: file.as_raw_fd() as u32,
    };
    // SAFETY: `map` is live over the call and of the size that is passed; the addresses are those
    // in force.
    Errno::result(unsafe {
        libc::prctl(libc::PR_SET_MM, PR_SET_MM_MAP, &raw const map, size_of::<MmMap>() as libc::c_ulong, 0)
    })
    .map(drop)
}

/// Give back the memory of this program's code and constants, as far as it is not in use: what is
/// needed again comes from the file. For a process that has come to where it will wait.
pub fn forget_code() {
    for Range { start, end } in segments(|flags| flags & libc::PF_W == 0) {
        // SAFETY: a segment that was never writable holds what the file holds, and that is what
        // comes back.
        unsafe { libc::syscall(libc::SYS_madvise, start, end - start, libc::MADV_DONTNEED) };
    }
}
