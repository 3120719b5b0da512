//! What was not granted, in the one shape that every room gives it: a [`Refusal`], and a [`Fault`]
//! once it is known which field of config.json asked.
//!
//! Who calls the kernel names the call, by [`Call::call`]. Whoever takes a step of the plan adds
//! the field, by [`Refusal::of`]. `Display` is what users read, and log.rs takes `field` and
//! `errno` from here.

use crate::sys::{self, Errno};
use std::fmt::{self, Display, Formatter};

/// What was tried, and the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The call with its object, as `open /nonexistent`; the whole message where the kernel was not
    /// asked.
    pub call: String,
    pub errno: Option<Errno>,
    /// What the kernel said beside it, or what its answer means here. Empty for most calls.
    pub text: String,
}

/// The result of what the kernel may refuse.
pub type Outcome<T = ()> = std::result::Result<T, Refusal>;

impl Refusal {
    /// The kernel refused `call`.
    pub fn kernel(call: impl Into<String>, errno: Errno) -> Refusal {
        Refusal { call: call.into(), errno: Some(errno), text: String::new() }
    }

    /// This program found something wrong by itself.
    pub fn message(text: impl Into<String>) -> Refusal {
        Refusal { call: text.into(), errno: None, text: String::new() }
    }

    /// With what the kernel said beside its answer, or what that means here.
    pub fn with_text(self, text: impl Into<String>) -> Refusal {
        Refusal { text: text.into(), ..self }
    }

    /// The fault of the step that `field` asked for; empty where nothing in config.json did.
    pub fn of(self, field: impl Into<String>) -> Fault {
        Fault { field: field.into(), refusal: self }
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Refusal { call, errno, text } = self;
        match (errno, text.as_str()) {
            (None, "") => write!(f, "{call}"),
            (None, text) => write!(f, "{call}: {text}"),
            (Some(errno), "") => write!(f, "{call}: {}", sys::describe(*errno)),
            (Some(errno), text) => write!(f, "{call}: {text} ({errno:?})"),
        }
    }
}

impl std::error::Error for Refusal {}

/// Names the call that failed.
pub trait Call<T> {
    /// `self`, with `name` as the call that failed.
    fn call(self, name: impl FnOnce() -> String) -> Outcome<T>;
}

impl<T> Call<T> for sys::Result<T> {
    fn call(self, name: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|errno| Refusal::kernel(name(), errno))
    }
}

/// A step of the plan that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The field of config.json that asked for the step; empty where nothing there did.
    pub field: String,
    pub refusal: Refusal,
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // A hook's message names its own field.
        if !self.field.is_empty() && !self.refusal.call.starts_with(&self.field) {
            write!(f, "{}: ", self.field)?;
        }
        write!(f, "{}", self.refusal)
    }
}

impl std::error::Error for Fault {}
