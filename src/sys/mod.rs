//! The only unsafe code: one function a system call, owned and borrowed fds in and out, no policy.
#![allow(unsafe_code)]
