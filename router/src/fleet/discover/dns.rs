//! Workers behind a DNS name, asked for again and again.

use std::collections::BTreeMap;
use std::time::Duration;

use mesh::process::Rim;
use mesh::transport::Address;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::{Instant, sleep_until, timeout};

use super::{Member, Publisher};
use crate::config::DnsOptions;

/// An answer that takes longer is none.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// A name that has more addresses than an answer holds is answered with some of them: one that is missing in so many
/// answers, one after the other, is gone.
const MISSES_MAX: u32 = 2;

/// The addresses of a name.
#[derive(Debug, Default)]
struct Addresses {
    /// With how many answers each has been missing in.
    known: BTreeMap<Address, u32>,
}

/// Asks until dropped.
pub(super) async fn ask(options: DnsOptions, rim: Rim, publisher: Publisher) {
    let mut random = StdRng::seed_from_u64(rim.seed ^ u64::from(u32::from_be_bytes(*b"dns?")));
    let (min, usual) =
        (Duration::from_millis(options.refresh_min_ms), Duration::from_millis(options.refresh_ms));
    let name = options.name.to_string();
    let mut addresses = Addresses::default();
    let mut failures = 0_u32;
    loop {
        let asked_at = Instant::now();
        // Routers that were started together must not ask together.
        let jitter = random.random_range(0.8..1.2);
        match timeout(ANSWER_MAX, rim.transport.resolve(&name)).await {
            Ok(Ok(found)) if !found.is_empty() => {
                failures = 0;
                addresses.answered(found);
                publisher.tell(addresses.members(&options));
            }
            // A name without addresses is a mistake of whoever keeps it more often than the end of all its workers.
            Ok(Ok(_)) => failures = failed(&publisher, "it has no address", failures),
            Ok(Err(error)) => failures = failed(&publisher, &error.to_string(), failures),
            Err(_) => failures = failed(&publisher, "there was no answer in time", failures),
        }
        let again = match failures {
            0 => usual,
            failures => min.saturating_mul(1 << (failures - 1).min(16)).min(usual),
        };
        let (soonest, latest) = (asked_at + min.mul_f64(jitter), asked_at + again.mul_f64(jitter));
        tokio::select! {
            () = sleep_until(latest) => {}
            () = publisher.lost(), if failures == 0 => sleep_until(soonest).await,
        }
    }
}

fn failed(publisher: &Publisher, reason: &str, failures: u32) -> u32 {
    publisher.fail(reason);
    failures.saturating_add(1)
}

// === impl Addresses ===

impl Addresses {
    fn answered(&mut self, found: Vec<Address>) {
        self.known.values_mut().for_each(|misses| *misses += 1);
        self.known.extend(found.into_iter().map(|address| (address, 0)));
        self.known.retain(|_, misses| *misses < MISSES_MAX);
    }

    fn members(&self, options: &DnsOptions) -> Vec<Member> {
        let member = |address: &Address| Member {
            name: named(address),
            tier: options.tier.clone(),
            address: address.clone(),
            server_name: options.server_name.clone(),
            region: options.region.clone(),
            load: options.load,
            leaving: false,
        };
        self.known.keys().map(member).collect()
    }
}

/// A worker's name where it has none but its address: letters, digits, `-` and `.`.
pub(super) fn named(address: &Address) -> String {
    let text = address.to_string();
    let plain = text.chars().filter(|letter| !matches!(letter, '[' | ']'));
    plain.map(|letter| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' }).collect()
}

#[cfg(test)]
mod tests;
