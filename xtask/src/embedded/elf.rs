//! What a program consists of.

use crate::failure::Failure;
use object::{Object, ObjectSection, ObjectSymbol, SectionKind};
use std::fs;
use std::path::{Path, PathBuf};

/// An ELF file of any target.
pub(super) struct Program {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// Bytes of a program by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Code and constants: in flash.
    pub(super) text: u64,
    /// Variables with a value: in flash and in RAM.
    pub(super) data: u64,
    /// Variables that are zero: in RAM.
    pub(super) bss: u64,
}

impl Program {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = fs::read(path)
            .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        let program = Self {
            path: path.to_owned(),
            bytes,
        };
        program.parse()?;
        Ok(program)
    }

    fn parse(&self) -> Result<object::File<'_>, Failure> {
        object::File::parse(&*self.bytes)
            .map_err(|error| Failure::failed(format!("{}: {error}", self.path.display())))
    }

    pub(super) fn sizes(&self) -> Sizes {
        let mut sizes = Sizes::default();
        let Ok(file) = self.parse() else {
            unreachable!("it was parsed when it was read");
        };
        for section in file.sections() {
            match section.kind() {
                SectionKind::Text | SectionKind::ReadOnlyData | SectionKind::ReadOnlyString => {
                    sizes.text += section.size();
                }
                SectionKind::Data => sizes.data += section.size(),
                // Not what a linker script reserves for the stack.
                SectionKind::UninitializedData if section.name() == Ok(".bss") => {
                    sizes.bss += section.size();
                }
                _ => {}
            }
        }
        sizes
    }

    /// The symbols of the crate `of` in this section, as the linker knows them.
    pub(super) fn statics_in(&self, section: &str, of: &str) -> Vec<String> {
        let Ok(file) = self.parse() else {
            unreachable!("it was parsed when it was read");
        };
        let Some(index) = file.section_by_name(section).map(|section| section.index()) else {
            return Vec::new();
        };
        // Both ways of mangling write a name behind its length.
        let mangled = format!("{}{of}", of.len());
        file.symbols()
            .filter(|symbol| symbol.section_index() == Some(index))
            .filter_map(|symbol| symbol.name().ok())
            .filter(|name| name.contains(&mangled))
            .map(str::to_owned)
            .collect()
    }
}
