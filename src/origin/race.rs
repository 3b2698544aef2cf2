//! Several attempts at one request, until one of them brings an answer.
//!
//! When to begin another and which outcome to take is `retry`'s to say; here is the clock, and
//! the attempts that did not win are dropped, which ends their connections. Driven by `fetch`.

use super::fetch::status_failure;
use super::retry::{Failure, Judgement, Race};
use super::{OriginError, OriginResponse};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;
use url::Url;

type Outcome = Result<OriginResponse, OriginError>;

/// Runs `attempt` (told whether it is the first) once, and again beside itself after silence,
/// unless silence is what was asked for (`is_patient`).
pub(super) async fn run<F>(url: &Url, is_patient: bool, attempt: impl Fn(bool) -> F) -> Outcome
where
    F: Future<Output = Outcome>,
{
    let began = Instant::now();
    let mut race = Race::new(!is_patient);
    let numbered = |is_first: bool| {
        let running = attempt(is_first);
        async move { (is_first, running.await) }
    };
    let mut running = FuturesUnordered::new();
    running.push(numbered(true));
    loop {
        let next_start = race.next_start();
        let company = async {
            match next_start {
                Some(at) => tokio::time::sleep_until(began + at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some((is_first, outcome)) = running.next() => {
                match race.judge(began.elapsed(), is_first, as_failure(&outcome)) {
                    Judgement::Take => return outcome,
                    Judgement::Wait => {}
                }
            }
            () = company => {
                let host = url.host_str().unwrap_or_default();
                tracing::debug!(host, "the origin is silent, asking on a new connection too");
                race.start(began.elapsed());
                running.push(numbered(false));
            }
        }
    }
}

fn as_failure(outcome: &Outcome) -> Failure {
    match outcome {
        Ok(response) => status_failure(response.status, &response.headers),
        Err(error) => Failure::Error { is_retryable: error.is_retryable() },
    }
}
