//! The program's own memory.
//!
//! A command lives for milliseconds, so the first 768 kB are handed out front to back and
//! never taken back: malloc(3) costs more than all that it could save here. What is asked for after
//! that is the C library's, so a command that stays, as `events`, keeps no more than that much in
//! vain.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicU8, AtomicU32};

/// How much is handed out front to back. A `run` takes 0.2 MB of it, a sandbox 0.5.
const LENGTH: usize = 768 << 10;

/// That of malloc(3), which code relies on that asks for less: nix has buffers of bytes for
/// `cmsghdr`.
const ALIGNMENT: usize = 16;

#[repr(align(4096))]
struct Region {
    bytes: UnsafeCell<[u8; LENGTH]>,
    /// How many of them are handed out.
    used: UnsafeCell<usize>,
}

// SAFETY: only `Front` reaches it, and this program has one thread (clippy.toml forbids others).
unsafe impl Sync for Region {}

static REGION: Region = Region { bytes: UnsafeCell::new([0; LENGTH]), used: UnsafeCell::new(0) };

/// Memory from the front of a region, for a program with one thread.
#[derive(Debug)]
pub struct Front;

impl Front {
    /// Where the region begins.
    fn start() -> *mut u8 {
        REGION.bytes.get().cast()
    }

    fn is_of_region(address: *mut u8) -> bool {
        (address as usize).wrapping_sub(Self::start() as usize) < LENGTH
    }

    /// `used` bytes are handed out; where this one is the last of them, its place in the region.
    fn place_of_last(used: usize, address: *mut u8, layout: Layout) -> Option<usize> {
        let place = (address as usize).wrapping_sub(Self::start() as usize);
        (place < LENGTH && place + layout.size() == used).then_some(place)
    }
}

// SAFETY: `alloc` hands out each byte of the region to one caller, aligned as asked, or what the C
// library hands out. What is of the region is never given to the C library, and the other way
// round. Bytes are handed out again only where the last caller gives them back.
unsafe impl GlobalAlloc for Front {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: there is one thread, and nothing here calls back.
        let used = unsafe { &mut *REGION.used.get() };
        let place = used.next_multiple_of(layout.align().max(ALIGNMENT));
        if layout.size() > LENGTH - place.min(LENGTH) {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc(layout) };
        }
        *used = place + layout.size();
        // SAFETY: the place is in the region.
        unsafe { Self::start().add(place) }
    }

    unsafe fn dealloc(&self, address: *mut u8, layout: Layout) {
        if !Self::is_of_region(address) {
            // SAFETY: so it is of the C library, with this layout.
            return unsafe { System.dealloc(address, layout) };
        }
        // SAFETY: as above.
        let used = unsafe { &mut *REGION.used.get() };
        if let Some(place) = Self::place_of_last(*used, address, layout) {
            *used = place;
        }
    }

    // SAFETY: for the caller to see to, as GlobalAlloc says.
    unsafe fn realloc(&self, address: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !Self::is_of_region(address) {
            // SAFETY: so it is of the C library, with this layout.
            return unsafe { System.realloc(address, layout, size) };
        }
        // SAFETY: as above.
        let used = unsafe { &mut *REGION.used.get() };
        if let Some(place) = Self::place_of_last(*used, address, layout)
            && size <= LENGTH - place
        {
            *used = place + size;
            return address;
        }
        if size <= layout.size() {
            return address;
        }
        // SAFETY: the caller promises that the new size is a valid one of this alignment. Both are
        // live, do not overlap, and have the bytes that are copied.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                ptr::copy_nonoverlapping(address, new, layout.size());
            }
            new
        }
    }
}

/// Memory that is shared with the processes that come of this one.
#[derive(Debug)]
pub struct Shared {
    pub flags: &'static AtomicU8,
    pub length: &'static AtomicU32,
    pub text: &'static [AtomicU8],
}

/// mmap(2) of such memory, with `size` bytes of text; it stays for good.
pub fn shared(size: usize) -> super::Result<Shared> {
    const TEXT: usize = 8;
    let whole = TEXT + size;
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
    let start = unsafe { libc::mmap(ptr::null_mut(), whole, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(super::Errno::last());
    }
    let start = start.cast::<u8>();
    // SAFETY: the memory is never unmapped, aligned, and all zero, a value of each type; the three
    // parts do not overlap, and are reached through atomics alone, by whichever process.
    unsafe {
        Ok(Shared {
            flags: &*start.cast::<AtomicU8>(),
            length: &*start.add(4).cast::<AtomicU32>(),
            text: std::slice::from_raw_parts(start.add(TEXT).cast::<AtomicU8>(), size),
        })
    }
}

/// Have the C library hand out all from here on: for a process that stays, which takes back what it
/// no longer needs.
pub fn stay() {
    // SAFETY: there is one thread, and nothing here calls back. No byte is handed out twice.
    unsafe { *REGION.used.get() = LENGTH };
}

/// Have the first `length` bytes of the region writable at once, in place of a page fault for each
/// of their pages. Before Linux 5.14 each has its own.
pub fn populate(length: usize) {
    let length = length.min(LENGTH);
    // SAFETY: the region is this program's own and writable; what it holds stays.
    unsafe { libc::madvise(Front::start().cast(), length, libc::MADV_POPULATE_WRITE) };
}
