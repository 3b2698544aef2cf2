//! Right bytes only: what proves peers' segments, what that costs, and who lies in vain.

mod ladder;
mod proofs;
mod stage;
