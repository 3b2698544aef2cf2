//! Right bytes only: what proves peers' segments, what that costs, who lies in vain, and what a
//! player gets all the same.

mod hashes;
mod ladder;
mod liars;
mod proofs;
mod scene;
mod stage;
