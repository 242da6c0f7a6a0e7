//! The contenders, one file each.

mod array;
mod bedplate;
mod dashmap;
mod flurry;
mod hashbrown;
mod leapfrog;
mod left_right;
mod papaya;
mod rw_lock;
mod scc_hash_index;
mod scc_hash_map;

pub use self::array::Array;
pub use self::bedplate::{Bedplate, pid};
pub use self::dashmap::DashMap;
pub use self::flurry::Flurry;
pub use self::hashbrown::Hashbrown;
pub use self::leapfrog::Leapfrog;
pub use self::left_right::LeftRight;
pub use self::papaya::Papaya;
pub use self::rw_lock::ReadWriteLock;
pub use self::scc_hash_index::SccHashIndex;
pub use self::scc_hash_map::SccHashMap;
