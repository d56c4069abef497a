//! What a tenant's requests took.

use std::ops::{AddAssign, SubAssign};

use crate::domain::units::Units;

/// Figures of some requests.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// How many there were.
    pub requests: u64,
    /// Those of them that were answered with a status of 400 or more.
    pub errors: u64,
    /// Bytes of their bodies.
    pub bytes_in: u64,
    /// Bytes of their answers' bodies.
    pub bytes_out: u64,
    /// What they took of the table.
    pub units: Units,
    /// How long functions worked on them, in milliseconds times the functions' memory in MB.
    pub memory_ms: u64,
}

impl Usage {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, more: Self) {
        let Self { requests, errors, bytes_in, bytes_out, units, memory_ms } = more;
        self.requests += requests;
        self.errors += errors;
        self.bytes_in += bytes_in;
        self.bytes_out += bytes_out;
        self.units += units;
        self.memory_ms += memory_ms;
    }
}

impl SubAssign for Usage {
    /// Takes away what was part of it.
    fn sub_assign(&mut self, part: Self) {
        let Self { requests, errors, bytes_in, bytes_out, units, memory_ms } = part;
        self.requests -= requests;
        self.errors -= errors;
        self.bytes_in -= bytes_in;
        self.bytes_out -= bytes_out;
        // Exact: units are multiples of 0.5.
        self.units.read -= units.read;
        self.units.write -= units.write;
        self.memory_ms -= memory_ms;
    }
}
