//! A daemon that trouble comes over, and what a player must know of it.

use crate::child::Process;
use crate::random::Random;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep};

/// What may come over a process.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// It is killed without warning, and started again.
    Kill,
    /// It stands still for a while.
    Pause,
    /// It is asked to end, and started again.
    Restart,
}

/// A process that listens at the same address throughout, most of the time.
pub struct Household {
    pub name: String,
    address: SocketAddr,
    process: Mutex<Process>,
    /// Counts beginnings and ends of trouble; odd while there is some.
    turns: AtomicU64,
    well_since: watch::Sender<Instant>,
}

impl Household {
    pub async fn start(name: &str, subcommand: &'static str, settings: &str) -> Self {
        let process = Process::start(name, subcommand, settings).await;
        let address = process.address();
        let (process, well_since) = (Mutex::new(process), watch::Sender::new(Instant::now()));
        Self { name: name.to_owned(), address, process, turns: 0.into(), well_since }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Equal at two moments, and even, if nothing came over it between them.
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::SeqCst)
    }

    /// When the last trouble was over.
    pub fn well_since(&self) -> Instant {
        *self.well_since.borrow()
    }

    /// One trouble from beginning to end; none if it is in trouble already.
    pub async fn suffer(&self, trouble: Trouble, length: Duration) {
        let Ok(mut process) = self.process.try_lock() else { return };
        assert!(!process.has_died(), "{} died by itself", self.name);
        self.turns.fetch_add(1, Ordering::SeqCst);
        match trouble {
            Trouble::Pause => process.signal("STOP").await,
            Trouble::Kill => process.signal("KILL").await,
            Trouble::Restart => process.signal("TERM").await,
        }
        if matches!(trouble, Trouble::Pause) {
            sleep(length).await;
            process.signal("CONT").await;
        } else {
            process.gone().await;
            sleep(length).await;
            process.come_back().await;
        }
        self.well_since.send_replace(Instant::now());
        self.turns.fetch_add(1, Ordering::SeqCst);
    }
}

impl Trouble {
    /// One of them, and for how long.
    pub fn any(random: &mut Random) -> (Self, Duration) {
        let trouble = random.pick(&[Self::Kill, Self::Pause, Self::Pause, Self::Restart]);
        (trouble, random.millis(300..6_000))
    }
}
