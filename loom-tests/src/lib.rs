//! The truth about bedplate's structures, told once and used by every driver.
//!
//! For each structure there is an *operation* (what can be asked of it, and how to read a sequence
//! of operations from bytes), an *oracle* (the sequential truth, in obvious code), and a function
//! that runs a sequence against both and insists that they agree. Property tests, fuzz targets and
//! the replay of the fuzz corpus are one-line callers of that function.
//!
//! The loom models in `tests/loom_*.rs` use the same types; [`check`] runs a model under loom when
//! that is compiled in, and with plain threads otherwise, so that models cannot rot between loom
//! runs.

mod driver;
pub mod linearize;
pub mod op;
pub mod oracle;
pub mod script;
pub mod subject;

pub use driver::{Lent, check, check_deeply, check_lightly, thread, with_room};

/// How many cases a property test tries: as many as it says, or an eighth of them where the environment has
/// `BEDPLATE_FEWER_CASES`, which is set where each takes many times as long.
#[must_use]
pub fn cases(usual: u32) -> u32 {
    if std::env::var_os("BEDPLATE_FEWER_CASES").is_some() {
        usual.div_ceil(8)
    } else {
        usual
    }
}
