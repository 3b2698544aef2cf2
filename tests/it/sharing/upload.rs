//! What a daemon gives to others, and at what pace.

use super::world::{Film, Player, Tracker, config};
use crate::origin::TestOrigin;
use hlswarm::daemon::Daemon;

#[tokio::test]
async fn who_gives_nothing_takes_all_the_same() {
    let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
    let film = Film::new(6, 50);
    let url = film.put(&origin);
    let giving = config(&[&tracker.url()]);
    let mut taking = giving.clone();
    taking.p2p.upload = false;
    let first = Daemon::start(&giving).await.unwrap();
    film.play(&Player::of(&first), &url).await;
    let second = Daemon::start(&taking).await.unwrap();
    film.play(&Player::of(&second), &url).await;
    let totals = second.totals();
    assert!(totals.peer_segments > 0, "{totals:?}");
    let third = Daemon::start(&giving).await.unwrap();
    film.play(&Player::of(&third), &url).await;
    assert_eq!(second.totals().upload_bytes, 0);
}

#[tokio::test]
async fn segments_that_leave_slowly_arrive_whole() {
    let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
    let film = Film::new(4, 700);
    let url = film.put(&origin);
    let mut config = config(&[&tracker.url()]);
    config.p2p.upload_rate_max = 512 << 10;
    config.p2p.upload_rate_on_lan = true;
    let first = Daemon::start(&config).await.unwrap();
    film.play(&Player::of(&first), &url).await;
    let second = Daemon::start(&config).await.unwrap();
    film.play(&Player::of(&second), &url).await;
    assert!(second.totals().peer_bytes > 0, "{:?}", second.totals());
    assert!(first.totals().upload_bytes > 0);
}
