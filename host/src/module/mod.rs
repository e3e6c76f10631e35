//! Modules: whether one may run, its machine code, and which one is active in each slot.
//!
//! [`Admission`] turns bytes into a [`Module`] or says why not; [`Modules`] is the table of what runs. It knows nothing of where modules
//! from outside of the image come from, of what is tried before a promotion, or of what a reconciler does.

mod active;
mod admission;
mod cache;
mod compile;
mod error;
mod pack;
mod permissions;
mod schema;
mod signature;
mod table;

use std::path::PathBuf;

use serde::Serialize;

pub use self::{
    active::{Active, Fared, Tally},
    admission::{Admission, Bytes, Module, Parcel, component, digest, ship_compiled},
    compile::{Compiler, compile_in_this_process},
    error::{CompileError, ModuleError, Refusal, Trouble},
    pack::pack,
    signature::{KeyError, Signed, Signers, sign},
    table::{ModuleReport, Modules, Offered, Seat, Shown},
};

pub(crate) use self::admission::{LONGEST, held_component};

/// Where a module came from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "from")]
pub enum Source {
    /// The folder in the image.
    Folder {
        /// The file.
        file: PathBuf,
    },
    /// An object in the host's namespace.
    ConfigMap {
        /// Its name.
        name: String,
    },
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder { file } => write!(f, "module {}", file.display()),
            Self::ConfigMap { name } => write!(f, "the module of ConfigMap {name}"),
        }
    }
}
