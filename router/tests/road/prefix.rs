//! What a router makes of its workers' caches: who is asked again, what is forgotten, and what one tenant can tell of
//! another.

use std::sync::Arc;
use std::time::Duration;

use mesh::connect::{Channel, ConnectOptions};
use mesh::process::Rim;
use mesh::tls::Authority;
use mesh::transport::Memory;
use proto::v1;
use proto::v1::content_part::Part;
use proto::v1::generation_client::GenerationClient;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use router::Router;
use score::score;
use tokio::time::Instant;

use crate::caching::Caching;
use crate::road::{Answer, POLICY, options, policy_file, question_at};

/// Pairs of probes of the audit.
const PAIRS: usize = 250;

/// A router, two workers of one tier that cache, and whoever calls.
struct Caches {
    workers: [Caching; 2],
    router: mesh::transport::Address,
    authority: Authority,
    transport: Arc<Memory>,
}

impl Caches {
    async fn lay(sharing: v1::CacheSharing, told: bool) -> Self {
        let (authority, transport) = (Authority::ephemeral().unwrap(), Arc::new(Memory::default()));
        let rim = |who: &str, seed| {
            let identity = Some(authority.issue(who).unwrap().identity().unwrap());
            Rim { transport: transport.clone(), identity, seed }
        };
        let worker = async |name: &str, seed| {
            Caching::start(&rim(name, seed), &format!("127.0.0.1:{}", 6000 + seed), (sharing, told)).await
        };
        let workers = [worker("worker/0", 0).await, worker("worker/1", 1).await];
        let policy = policy_file(POLICY);
        let places = [("slow/a", workers[0].address.clone()), ("slow/b", workers[1].address.clone())];
        let options = options(&places, &policy);
        let router = Router::bind(options, rim("router", 7)).await.unwrap();
        let address = router.address().clone();
        tokio::spawn(async move {
            let _policy = policy;
            router.run(std::future::pending()).await
        });
        for worker in &workers {
            worker.reported(2).await;
        }
        Self { workers, router: address, authority, transport }
    }

    fn tenant(&self, name: &str) -> GenerationClient<Channel> {
        let identity = Some(self.authority.issue(name).unwrap().identity().unwrap());
        let connect = ConnectOptions::default().expecting("router.causeway");
        GenerationClient::new(Channel::new(self.router.clone(), self.transport.clone(), identity, connect))
    }
}

/// Turns of so many bytes, which nobody else says.
fn text(random: &mut StdRng, bytes: usize) -> String {
    (0..bytes).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect()
}

fn talk(id: &str, turns: &[&str]) -> v1::GenerateRequest {
    let roles = [v1::Role::User, v1::Role::Assistant].into_iter().cycle();
    let turn = |(role, text): (v1::Role, &&str)| v1::Turn {
        role: role.into(),
        parts: vec![v1::ContentPart { part: Some(Part::Text((*text).to_owned())) }],
    };
    let bytes: usize = turns.iter().map(|turn| turn.len()).sum();
    let mut request = question_at(v1::Priority::Interactive);
    request.turns = roles.zip(turns).map(turn).collect();
    request.conversation_id = id.to_owned();
    request.request_id = String::new();
    request.signals.as_mut().unwrap().prompt_tokens = bytes as u32 / 4;
    request
}

/// Asks; the answer, and the seconds to its first token.
async fn ask(client: &mut GenerationClient<Channel>, request: v1::GenerateRequest) -> (Answer, f64) {
    let before = Instant::now();
    let mut stream = client.generate(request).await.unwrap().into_inner();
    let mut answer = Answer::default();
    let mut first = None;
    while let Some(message) = stream.message().await.unwrap() {
        first.get_or_insert_with(|| before.elapsed().as_secs_f64());
        answer.take(message.event.unwrap());
    }
    (answer, first.unwrap())
}

fn cached(answer: &Answer) -> u32 {
    answer.done.as_ref().unwrap().usage.unwrap().cached_prompt_tokens
}

/// What the router took the place that it chose to cost: price and waiting.
fn expected(answer: &Answer) -> f64 {
    let chosen = answer.candidate(answer.place());
    chosen.price_usd + chosen.waiting_usd
}

#[tokio::test(start_paused = true)]
async fn a_talk_goes_on_where_its_beginning_is_kept() {
    for told in [true, false] {
        let caches = Caches::lay(v1::CacheSharing::Conversation, told).await;
        let mut client = caches.tenant("agent/one");
        let mut random = StdRng::seed_from_u64(1);
        let mut places = Vec::new();
        for id in ["monday", "tuesday", "friday", "sunday"] {
            let [first, second] = [(); 2].map(|()| text(&mut random, 2_000));
            let (begun, _) = ask(&mut client, talk(id, &[&first])).await;
            // Another answer meanwhile, so that no worker looks better than it is for having been asked last.
            ask(&mut client, talk("noise", &[&text(&mut random, 2_000)])).await;
            let (answer, _) = ask(&mut client, talk(id, &[&first, &begun.text, &second])).await;
            assert_eq!(answer.place(), begun.place(), "{id}");
            assert!(cached(&answer) >= 480, "{id}: {}", cached(&answer));
            places.push(begun.place().to_owned());
            assert!(
                begun.done.unwrap().cache_blocks.is_empty(),
                "names of blocks are the worker's and the router's"
            );
        }
        let seen = caches.workers.iter().map(Caching::asked).collect::<Vec<_>>();
        assert!(seen.iter().all(|asked| asked.iter().all(|one| one.blocks_wanted && one.salt.len() == 32)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_gave_up_is_not_counted_on() {
    for missed in [false, true] {
        let caches = Caches::lay(v1::CacheSharing::Salt, true).await;
        let mut client = caches.tenant("agent/one");
        let prompt = text(&mut StdRng::seed_from_u64(2), 4_000);
        let (first, _) = ask(&mut client, talk("", &[&prompt])).await;
        let (again, _) = ask(&mut client, talk("", &[&prompt])).await;
        assert_eq!(first.place(), again.place());
        assert!(expected(&again) < 0.5 * expected(&first), "{} {}", expected(&again), expected(&first));
        for worker in &caches.workers {
            worker.clear(missed);
            worker.reported(3).await;
        }
        let (answer, _) = ask(&mut client, talk("", &[&prompt])).await;
        assert_eq!(cached(&answer), 0);
        assert!(expected(&answer) > 0.9 * expected(&first), "{} {}", expected(&answer), expected(&first));
    }
}

#[tokio::test(start_paused = true)]
async fn caches_of_which_nothing_is_told_are_trusted_as_far_as_they_hold() {
    let caches = Caches::lay(v1::CacheSharing::Salt, false).await;
    caches.workers.iter().for_each(Caching::forgetful);
    let mut client = caches.tenant("agent/one");
    let prompt = text(&mut StdRng::seed_from_u64(2), 4_000);
    let (first, _) = ask(&mut client, talk("", &[&prompt])).await;
    for _ in 0..60 {
        ask(&mut client, talk("", &[&prompt])).await;
    }
    let (last, _) = ask(&mut client, talk("", &[&prompt])).await;
    assert!(expected(&last) > 0.8 * expected(&first), "{} {}", expected(&last), expected(&first));
}

/// The probability that two samples of one distribution lie so far apart or farther (Kolmogorov and Smirnov), by the
/// asymptotic series with Stephens' correction.
fn same(left: &[f64], right: &[f64]) -> f64 {
    let share = |of: &[f64], at: f64| of.iter().filter(|one| **one <= at).count() as f64 / of.len() as f64;
    let apart = |at: &f64| (share(left, *at) - share(right, *at)).abs();
    let distance = left.iter().chain(right).map(apart).fold(0.0, f64::max);
    let size = (left.len() * right.len()) as f64 / (left.len() + right.len()) as f64;
    let lambda = (size.sqrt() + 0.12 + 0.11 / size.sqrt()) * distance;
    if lambda < 0.2 {
        return 1.0;
    }
    let term = |k: i32| f64::from(1 - 2 * ((k + 1) % 2)) * (-2.0 * f64::from(k * k) * lambda * lambda).exp();
    (2.0 * (1..100).map(term).sum::<f64>()).clamp(0.0, 1.0)
}

/// What a caller can see of each probe.
#[derive(Default)]
struct Probes {
    seconds: Vec<f64>,
    expected: Vec<f64>,
    cached: Vec<f64>,
    places: Vec<f64>,
}

impl Probes {
    async fn probe(&mut self, client: &mut GenerationClient<Channel>, prompt: &str) {
        let (answer, seconds) = ask(client, talk("", &[prompt])).await;
        self.seconds.push(seconds);
        self.expected.push(expected(&answer));
        self.cached.push(f64::from(cached(&answer)));
        self.places.push(f64::from(u8::from(answer.place() == "slow/a")));
    }

    fn sames(&self, other: &Self) -> [f64; 4] {
        let pairs = [
            (&self.seconds, &other.seconds),
            (&self.expected, &other.expected),
            (&self.cached, &other.cached),
            (&self.places, &other.places),
        ];
        pairs.map(|(left, right)| same(left, right))
    }
}

/// The audit of Gu et al., "Auditing Prompt Caching in Language Model APIs" (ICML 2025): a prompt that a victim sent is
/// probed beside one that nobody sent. `own`: the victim and the prober are one tenant.
async fn audit(own: bool) -> [f64; 4] {
    let caches = Caches::lay(v1::CacheSharing::Salt, true).await;
    let mut victim = caches.tenant("agent/victim");
    let mut prober = caches.tenant(if own { "agent/victim" } else { "agent/prober" });
    let mut random = StdRng::seed_from_u64(3);
    let [mut sent, mut unsent] = [Probes::default(), Probes::default()];
    for _ in 0..PAIRS {
        let [asked, never] = [(); 2].map(|()| text(&mut random, 2_000));
        ask(&mut victim, talk("", &[&asked])).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(1..400))).await;
        // What is probed first must tell nothing.
        if random.random_range(0..2) == 0 {
            sent.probe(&mut prober, &asked).await;
            unsent.probe(&mut prober, &never).await;
        } else {
            unsent.probe(&mut prober, &never).await;
            sent.probe(&mut prober, &asked).await;
        }
    }
    sent.sames(&unsent)
}

#[tokio::test(start_paused = true)]
async fn no_tenant_can_tell_what_another_asked() {
    let found = audit(false).await;
    let own = audit(true).await;
    let least = found.into_iter().fold(1.0, f64::min);
    let most = own[..3].iter().copied().fold(0.0, f64::max);
    score!(
        "D7",
        least > 0.01 && most < 1e-6,
        "{PAIRS} pairs: p ≥ {least:.2} of times, costs, counts and places; p ≤ {most:.0e} of one's own"
    );
    let [seconds, expected, cached, places] = found;
    for (what, p) in [("times", seconds), ("costs", expected), ("counts", cached), ("places", places)] {
        assert!(p > 0.01, "{what} tell: p = {p}");
    }
    let [seconds, expected, cached, _] = own;
    for (what, p) in [("times", seconds), ("costs", expected), ("counts", cached)] {
        assert!(p < 1e-6, "{what} of one's own tell nothing: p = {p}");
    }
}

#[test]
fn the_test_of_samples_tells_them_apart() {
    let ramp = |from: f64| (0..250).map(|index| from + f64::from(index) / 250.0).collect::<Vec<_>>();
    assert!(same(&ramp(0.0), &ramp(0.0)) > 0.99);
    assert!(same(&ramp(0.0), &ramp(0.05)) > 0.5);
    // 0.1456 apart is the bound of 1 % for two samples of 250.
    assert!((0.008..0.012).contains(&same(&ramp(0.0), &ramp(0.1425))), "{}", same(&ramp(0.0), &ramp(0.1425)));
    assert!(same(&ramp(0.0), &ramp(0.3)) < 1e-8);
}
