//! "Segments" of 2 GiB: they go through to the player, and memory stays within a stated bound.

use crate::ask;
use crate::origin::TestOrigin;
use crate::program::Program;
use crate::resource::{GENERATED, Resource};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LEN: u64 = 2 << 30;
/// What a test reads before it has seen enough.
const READ: u64 = 300 << 20;
const MIB: u64 = 1 << 20;
/// A segment that is kept until it proves too large (64 MiB), what the writer may be ahead (4 MiB),
/// buffers of two connections, and the program itself.
const MEMORY_MAX: u64 = 160 * MIB;
/// A segment known to be too large is never kept.
const MEMORY_MAX_TOLD: u64 = 80 * MIB;

const MEDIA: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nbig.ts\n#EXT-X-ENDLIST\n";

/// A stream whose only segment is far too large, and a player that has its first byte.
async fn opened(resource: Resource) -> (TestOrigin, Program, Player) {
    let origin = TestOrigin::start().await;
    origin.put("/m.m3u8", Resource::playlist(MEDIA));
    origin.put("/big.ts", resource);
    let program = Program::start(&[]).await;
    let playlist = ask::get(program.addr(), &ask::path(&origin.url("/m.m3u8"))).await;
    assert_eq!(playlist.status, 200);
    let player = Player::open(&program, &ask::path(&origin.url("/big.ts"))).await;
    (origin, program, player)
}

/// A player that reads as slowly as it likes.
struct Player {
    socket: TcpStream,
    head: String,
}

impl Player {
    async fn open(program: &Program, target: &str) -> Self {
        let mut socket = TcpStream::connect(program.addr()).await.unwrap();
        let request = ask::head(program.addr(), "GET", target, &[]);
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        Self { socket, head: String::from_utf8(head).unwrap().to_ascii_lowercase() }
    }

    /// Reads body bytes as they are on the wire.
    async fn read(&mut self, mut count: u64) {
        let mut buffer = vec![0; 1 << 16];
        while count > 0 {
            let wanted = buffer.len().min(count as usize);
            count -= self.socket.read_exact(&mut buffer[..wanted]).await.unwrap() as u64;
        }
    }

    /// Reads body bytes without chunked coding and compares them.
    async fn compare(&mut self, count: u64) {
        let (mut buffer, mut at) = (vec![0; 1 << 16], 0);
        while at < count {
            self.socket.read_exact(&mut buffer).await.unwrap();
            let from = (at % 251) as usize;
            assert!(buffer[..] == GENERATED[from..from + buffer.len()], "wrong bytes at {at}");
            at += buffer.len() as u64;
        }
    }
}

/// Waits until the origin sends no more although its answer has not ended.
async fn until_held_up(origin: &TestOrigin) -> u64 {
    let (mut sent, mut same) = (0, 0);
    while same < 10 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = origin.sent("/big.ts");
        same = if now == sent && now > 0 { same + 1 } else { 0 };
        sent = now;
    }
    sent
}

#[tokio::test]
async fn a_huge_segment_goes_through_without_being_kept() {
    let (origin, program, mut player) = opened(Resource::generated(LEN)).await;
    assert!(player.head.contains(&format!("content-length: {LEN}")), "{}", player.head);
    player.compare(READ).await;
    drop(player);
    let sent = origin.wait_for_end("/big.ts").await;
    assert!(sent < LEN / 2, "the origin stops when the player has gone: {sent}");
    assert_eq!(origin.requests_for("/big.ts").len(), 1);
    let peak = program.peak_memory();
    assert!(peak < MEMORY_MAX_TOLD, "{} MiB", peak / MIB);
    assert_eq!(ask::get(program.addr(), "/api/v1/stats").await.json()["cache"]["bytes"], 0);
}

#[tokio::test]
async fn a_huge_segment_of_untold_length_goes_through_as_well() {
    let (origin, program, mut player) = opened(Resource::generated(LEN).without_length()).await;
    assert!(player.head.contains("transfer-encoding: chunked"), "{}", player.head);
    player.read(READ).await;
    drop(player);
    let sent = origin.wait_for_end("/big.ts").await;
    assert!(sent < LEN / 2, "the origin stops when the player has gone: {sent}");
    let peak = program.peak_memory();
    assert!(peak < MEMORY_MAX, "{} MiB", peak / MIB);
    assert_eq!(ask::get(program.addr(), "/api/v1/stats").await.json()["cache"]["bytes"], 0);
}

#[tokio::test]
async fn a_player_that_does_not_read_holds_the_origin_up() {
    for (resource, memory_max) in [
        (Resource::generated(LEN), MEMORY_MAX_TOLD),
        (Resource::generated(LEN).without_length(), MEMORY_MAX),
    ] {
        let (origin, program, mut player) = opened(resource).await;
        let before = until_held_up(&origin).await;
        assert!(before < memory_max, "{} MiB have left", before / MIB);
        player.read(READ / 3).await;
        let after = until_held_up(&origin).await;
        assert!(after > before && after < memory_max + READ / 3, "{} MiB", after / MIB);
        let peak = program.peak_memory();
        assert!(peak < memory_max, "{} MiB", peak / MIB);
        drop(player);
        origin.wait_for_end("/big.ts").await;
    }
}
