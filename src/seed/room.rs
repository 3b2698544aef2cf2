//! How much more the cache can take of what is seeded. PURE.
//!
//! What is under way has its place reserved, so that a film is fetched until the cache is full and
//! no further: more would only push out what was fetched before. The cache itself knows nothing of
//! this; renditions ask here before each segment.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes reserved for segments under way, of all renditions.
#[derive(Debug, Default)]
pub struct Room(Mutex<u64>);

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// What is under way may need it, or may not.
    Perhaps,
    /// The cache is full.
    Full,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub struct Place {
    room: Arc<Room>,
    bytes: u64,
}

impl Room {
    /// Reserves a place for a segment in a cache that holds `held` of `capacity` bytes; one of
    /// unknown size may need all there is.
    ///
    /// # Errors
    /// [`NoRoom`] when it would not fit.
    pub fn reserve(
        self: &Arc<Self>,
        held: u64,
        capacity: u64,
        size: Option<u64>,
    ) -> Result<Place, NoRoom> {
        let mut reserved = self.reserved();
        let free = capacity.saturating_sub(held).saturating_sub(*reserved);
        let bytes = size.unwrap_or(free.max(1));
        if bytes <= free {
            *reserved += bytes;
            return Ok(Place { room: self.clone(), bytes });
        }
        Err(if *reserved > 0 { NoRoom::Perhaps } else { NoRoom::Full })
    }

    fn reserved(&self) -> MutexGuard<'_, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.room.reserved() -= self.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_has_its_place() {
        let room = Arc::<Room>::default();
        let first = room.reserve(0, 100, Some(60)).unwrap();
        assert_eq!(room.reserve(0, 100, Some(60)).unwrap_err(), NoRoom::Perhaps);
        drop(first);
        assert!(room.reserve(40, 100, Some(60)).is_ok());
        assert_eq!(room.reserve(41, 100, Some(60)).unwrap_err(), NoRoom::Full);
        assert_eq!(room.reserve(u64::MAX, 100, Some(1)).unwrap_err(), NoRoom::Full);
    }

    #[test]
    fn one_of_unknown_size_is_fetched_alone() {
        let room = Arc::<Room>::default();
        let first = room.reserve(10, 100, None).unwrap();
        assert_eq!(room.reserve(10, 100, None).unwrap_err(), NoRoom::Perhaps);
        assert_eq!(room.reserve(10, 100, Some(1)).unwrap_err(), NoRoom::Perhaps);
        drop(first);
        assert_eq!(room.reserve(100, 100, None).unwrap_err(), NoRoom::Full);
    }
}
