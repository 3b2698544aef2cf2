//! Right bytes only: what proves peers' segments, what that costs, and who lies in vain.

mod blocks;
mod hashes;
mod ladder;
mod liars;
mod pieces;
mod proofs;
mod scene;
mod stage;
