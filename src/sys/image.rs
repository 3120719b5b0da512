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

/// Pages of the program's file in memory, whole ones.
struct Area {
    start: usize,
    end: usize,
    protection: i32,
    /// Where they are in the file.
    offset: i64,
}

/// Where the kernel notes that the parts of the program are, by the names of prctl(2),
/// `PR_SET_MM_MAP`.
#[derive(Debug, Default)]
pub struct Layout {
    /// The address of the code, and where it ends.
    pub code: (u64, u64),
    /// The same of the data.
    pub data: (u64, u64),
    /// Where the heap of brk(2) begins.
    pub start_brk: u64,
    /// Where the stack begins.
    pub start_stack: u64,
    /// Where the texts of the arguments begin, and where they end.
    pub args: (u64, u64),
    /// The same of the environment's.
    pub env: (u64, u64),
}

/// Go on as the program in `file`, which must have the same content as the file that this program
/// was executed from: its pages are mapped from there, and /proc/self/exe leads there. `layout` is
/// this process's own.
///
/// An error leaves a program that runs on as it was.
pub fn move_to(file: BorrowedFd<'_>, layout: &Layout) -> Result<()> {
    let relocated = relocated();
    for header in loaded() {
        let area = area(header);
        if header.p_flags & libc::PF_W == 0 {
            map(&area, file)?;
        } else if relocated.start == area.start {
            let middle = relocated.end.min(area.end);
            copy(area.start..middle, libc::PROT_READ)?;
            copy(middle..area.end, area.protection)?;
        } else {
            copy(area.start..area.end, area.protection)?;
        }
    }
    set_exe(file, layout)
}

/// The pages that hold nothing but what is read only once the program is relocated. The linker has
/// them at the beginning of a segment.
fn relocated() -> Range<usize> {
    let header = headers().iter().find(|header| header.p_type == libc::PT_GNU_RELRO);
    let Range { start, end } = header.map_or(0..0, |header| range(header, header.p_memsz));
    start & !(PAGE - 1)..end & !(PAGE - 1)
}

/// The headers of what is loaded.
fn loaded() -> impl Iterator<Item = &'static libc::Elf64_Phdr> {
    headers().iter().filter(|header| header.p_type == libc::PT_LOAD)
}

/// The program's headers.
fn headers() -> &'static [libc::Elf64_Phdr] {
    // SAFETY: getauxval takes an integer. AT_PHDR is the address of AT_PHNUM program headers, which
    // stay mapped for good.
    unsafe {
        let first = libc::getauxval(libc::AT_PHDR) as *const libc::Elf64_Phdr;
        std::slice::from_raw_parts(first, libc::getauxval(libc::AT_PHNUM) as usize)
    }
}

/// The first `length` bytes of a segment.
fn range(header: &libc::Elf64_Phdr, length: u64) -> Range<usize> {
    // A program that may be anywhere is where the table of headers tells.
    let own = headers().iter().find(|header| header.p_type == libc::PT_PHDR);
    let base = own.map_or(0, |own| headers().as_ptr() as usize - own.p_vaddr as usize);
    let start = base + header.p_vaddr as usize;
    start..start + length as usize
}

/// The pages of a segment that the kernel has mapped from the file.
fn area(header: &libc::Elf64_Phdr) -> Area {
    let Range { start, end } = range(header, header.p_filesz);
    let bit = |flag, protection| if header.p_flags & flag != 0 { protection } else { 0 };
    Area {
        start: start & !(PAGE - 1),
        end: end.next_multiple_of(PAGE),
        protection: bit(libc::PF_R, libc::PROT_READ)
            | bit(libc::PF_W, libc::PROT_WRITE)
            | bit(libc::PF_X, libc::PROT_EXEC),
        offset: (header.p_offset as usize & !(PAGE - 1)) as i64,
    }
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
fn copy(area: Range<usize>, protection: i32) -> Result<()> {
    let length = area.len();
    if length == 0 {
        return Ok(());
    }
    // SAFETY: `copied` is new memory of the length that is copied. From the copy to its move into
    // place nothing writes to the area: there is one thread, no signal handler of this program's
    // writes anything, and errno is in the thread's own block. What is only read from now on is
    // what nothing writes once the program is relocated.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let writable = libc::PROT_READ | libc::PROT_WRITE;
        let copied = libc::mmap(std::ptr::null_mut(), length, writable, flags, -1, 0);
        if copied == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        std::ptr::copy_nonoverlapping(area.start as *const u8, copied.cast::<u8>(), length);
        if protection != writable {
            Errno::result(libc::mprotect(copied, length, protection))?;
        }
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        let moved = libc::mremap(copied, length, length, flags, area.start as *mut libc::c_void);
        if moved == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(()) }
    }
}

/// Have /proc/self/exe lead to `file`. The rest of what the kernel notes of the image stays.
fn set_exe(file: BorrowedFd<'_>, layout: &Layout) -> Result<()> {
    let Layout { code, data, start_brk, start_stack, args, env } = *layout;
    // SAFETY: brk(2) with an address that cannot be had only tells where the break is.
    let brk = unsafe { libc::syscall(libc::SYS_brk, 0) } as u64;
    let map = MmMap {
        start_code: code.0,
        end_code: code.1,
        start_data: data.0,
        end_data: data.1,
        start_brk,
        brk,
        start_stack,
        arg_start: args.0,
        arg_end: args.1,
        env_start: env.0,
        env_end: env.1,
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
    for Area { start, end, .. } in loaded().filter(|header| header.p_flags & libc::PF_W == 0).map(area) {
        // SAFETY: a segment that was never writable holds what the file holds, and that is what
        // comes back.
        unsafe { libc::syscall(libc::SYS_madvise, start, end - start, libc::MADV_DONTNEED) };
    }
}
