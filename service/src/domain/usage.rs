//! The usage of a tenant: what its requests consumed.

use std::ops::{AddAssign, SubAssign};

use crate::domain::units::Units;

/// The usage of some requests.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// The number of requests.
    pub requests: u64,
    /// The number of responses with a status of 400 or more.
    pub errors: u64,
    /// The bytes of the requests' bodies.
    pub bytes_in: u64,
    /// The bytes of the responses' bodies.
    pub bytes_out: u64,
    /// The capacity units that the requests consumed.
    pub units: Units,
    /// The time that functions worked on the requests, in milliseconds times the functions' memory in MB.
    pub memory_ms: u64,
}

impl Usage {
    /// Returns whether there is nothing to report.
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
    /// Subtracts a part of the usage.
    fn sub_assign(&mut self, part: Self) {
        let Self { requests, errors, bytes_in, bytes_out, units, memory_ms } = part;
        self.requests -= requests;
        self.errors -= errors;
        self.bytes_in -= bytes_in;
        self.bytes_out -= bytes_out;
        // The result is exact, because units are multiples of 0.5.
        self.units.read -= units.read;
        self.units.write -= units.write;
        self.memory_ms -= memory_ms;
    }
}
