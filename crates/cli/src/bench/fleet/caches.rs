//! Workers' caches in a replay, of bounded room, and what the router makes of them: its own index and its own decision.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use anyhow::Result;
use policy::{Candidate, Facts, Kind, Load, Rules};
use proto::v1;
use proto::v1::content_part::Part;
use router::config::PrefixOptions;
use router::predict::{Moment, Predictor, Work};
use router::prefix::{Cache, Held, Matches, Number, Prefixes};

use super::trace::Request;

/// Tokens of a block of the trace.
pub(super) const BLOCK_TOKENS: u32 = 512;
/// Bytes that stand for the text of a block.
const BLOCK_BYTES: usize = 8;
/// Changes of blocks in one report, as a worker is configured by default.
const CHANGES_MAX: usize = 256;

/// What is decided by: one tier, whose cached input costs a tenth.
const POLICY: &str = r#"
schema = "causeway.policy/v1"
[[tier]]
name = "cloud"
kind = "cloud"
input_usd_per_million_tokens = 0.5
cached_input_usd_per_million_tokens = 0.05
output_usd_per_million_tokens = 1.5
context_tokens_max = 1000000
[[class]]
name = "default"
second_usd = 0.001
wrong_answer_usd = 0.01
"#;

/// All caches.
#[derive(Debug)]
pub(super) struct Caches {
    rules: Rules,
    prefixes: Arc<Prefixes>,
    known: Vec<Cache>,
    stores: Vec<Store>,
    held: HashMap<usize, Held>,
    /// Reports on their way.
    reports: Vec<VecDeque<v1::CacheReport>>,
    /// Blocks of all prompts, and those of them that were found.
    pub(super) blocks: u64,
    pub(super) found: u64,
}

/// The cache of one worker: the blocks used least lately go first.
#[derive(Debug)]
struct Store {
    blocks_max: usize,
    used: HashMap<u64, u64>,
    order: BTreeMap<u64, u64>,
    clock: u64,
    changes: VecDeque<v1::BlockChange>,
    told: u64,
}

/// Where a request goes, and what it is taken to find there.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) worker: usize,
    pub(super) cached_tokens: u32,
}

// === impl Caches ===

impl Caches {
    /// Empty ones of `workers` workers, each with room for so many blocks.
    pub(super) fn new(workers: usize, blocks_max: usize, seed: u64) -> Result<Self> {
        let options = PrefixOptions { chunk_bytes: BLOCK_BYTES, ..PrefixOptions::default() };
        let prefixes = Arc::new(Prefixes::new(&options, seed));
        let known =
            (0..).take(workers).map(|number| Cache::new(prefixes.clone(), Number::alone(number))).collect();
        let stores = (0..workers).map(|_| Store::new(blocks_max)).collect();
        Ok(Self {
            rules: Rules::parse("caches.toml", POLICY)?,
            prefixes,
            known,
            stores,
            held: HashMap::new(),
            reports: vec![VecDeque::new(); workers],
            blocks: 0,
            found: 0,
        })
    }

    /// Decides as the router does: who costs least.
    pub(super) fn decide(
        &self,
        (request, number): (&Request, usize),
        predictors: &[Predictor],
        (work, moment): (&Work, &Moment),
    ) -> Option<Chosen> {
        let matches = self.prefixes.find(&self.prefixes.prompt(&said(request), ""));
        let candidate = |(worker, predictor): (usize, &Predictor)| {
            let cached_tokens = self.cached(&matches, worker, work);
            let work = Work { cached_tokens, ..*work };
            let mut candidate = Candidate::new(format!("cloud/{worker}"), "cloud", Kind::Cloud);
            candidate.cached_prompt_tokens = cached_tokens;
            candidate.latency = predictor.predict(&work, moment).map(|prediction| prediction.latency(&work));
            candidate.load = Some(Load::default());
            candidate
        };
        let candidates: Vec<_> = predictors.iter().enumerate().map(candidate).collect();
        let facts = Facts {
            prompt_tokens: work.prompt_tokens,
            output_tokens_p50: work.output_tokens as f32,
            output_tokens_p90: work.output_tokens as f32,
            ..Facts::default()
        };
        let decision = policy::decide(&self.rules, &facts, &candidates, number as u64);
        let worker = decision.place.as_ref()?.index;
        Some(Chosen { worker, cached_tokens: candidates[worker].cached_prompt_tokens })
    }

    /// What a worker is taken to hold of a request.
    pub(super) fn expected(&self, request: &Request, worker: usize, work: &Work) -> u32 {
        let matches = self.prefixes.find(&self.prefixes.prompt(&said(request), ""));
        self.cached(&matches, worker, work)
    }

    fn cached(&self, matches: &Matches, worker: usize, work: &Work) -> u32 {
        self.known[worker].cached_tokens(matches, work.prompt_tokens)
    }

    /// A request is sent to a worker.
    pub(super) fn sent(&mut self, (request, number): (&Request, usize), worker: usize) {
        let prompt = self.prefixes.prompt(&said(request), "");
        if let Some(held) = self.known[worker].sent(prompt, request.input_tokens, false) {
            self.held.insert(number, held);
        }
    }

    /// It has reached the worker: tokens that are found there.
    pub(super) fn reached(&mut self, request: &Request, worker: usize) -> u32 {
        let store = &self.stores[worker];
        let found = request.prefix_blocks.iter().take_while(|block| store.used.contains_key(block)).count();
        self.blocks += request.prefix_blocks.len() as u64;
        self.found += found as u64;
        (found as u32).saturating_mul(BLOCK_TOKENS)
    }

    /// Its prompt was computed: its blocks are kept.
    pub(super) fn began(&mut self, (request, number): (&Request, usize), worker: usize) {
        self.stores[worker].keep(&request.prefix_blocks);
        if let Some(held) = self.held.get_mut(&number) {
            held.begun();
        }
    }

    /// Its answer is complete.
    pub(super) fn ended(&mut self, (request, number): (&Request, usize), worker: usize, cached_tokens: u32) {
        let Some(held) = self.held.remove(&number) else { return };
        let usage = v1::Usage {
            prompt_tokens: request.input_tokens,
            cached_prompt_tokens: cached_tokens,
            output_tokens: request.output_tokens,
        };
        self.known[worker].learn(held.share(), &usage);
        let store = &self.stores[worker];
        let kept = request.prefix_blocks.iter().take_while(|block| store.used.contains_key(block));
        let kept: Vec<u64> = kept.copied().collect();
        held.done(&usage, (&kept, BLOCK_TOKENS));
    }

    /// A worker reports.
    pub(super) fn reports(&mut self, worker: usize) {
        let store = &mut self.stores[worker];
        let changes: Vec<_> = store.changes.drain(..store.changes.len().min(CHANGES_MAX)).collect();
        store.told += changes.len() as u64;
        self.reports[worker].push_back(v1::CacheReport {
            block_tokens: BLOCK_TOKENS,
            changes,
            changes_next: store.told,
            cache_id: 1,
            sharing: v1::CacheSharing::Salt.into(),
            ..v1::CacheReport::default()
        });
    }

    /// Its report has come.
    pub(super) fn heard(&mut self, worker: usize) {
        let room = self.stores[worker].blocks_max as u64 * u64::from(BLOCK_TOKENS);
        let report = self.reports[worker].pop_front();
        self.known[worker].heard(report.as_ref(), room);
    }
}

/// A request as the router sees one: each block is a piece of text.
fn said(request: &Request) -> v1::GenerateRequest {
    let text = request.prefix_blocks.iter().map(|block| format!("{block:08x}")).collect();
    let parts = vec![v1::ContentPart { part: Some(Part::Text(text)) }];
    let turns = vec![v1::Turn { role: v1::Role::User.into(), parts }];
    v1::GenerateRequest { turns, ..v1::GenerateRequest::default() }
}

// === impl Store ===

impl Store {
    fn new(blocks_max: usize) -> Self {
        let (used, order) = (HashMap::new(), BTreeMap::new());
        Self { blocks_max, used, order, clock: 0, changes: VecDeque::new(), told: 0 }
    }

    /// These are used now, the first of them last.
    fn keep(&mut self, blocks: &[u64]) {
        for block in blocks.iter().rev() {
            self.clock += 1;
            match self.used.insert(*block, self.clock) {
                Some(before) => {
                    self.order.remove(&before);
                }
                None => {
                    let stored = v1::BlockStored { block: *block, after: 0 };
                    self.change(v1::block_change::Change::Stored(stored));
                }
            }
            self.order.insert(self.clock, *block);
        }
        while self.used.len() > self.blocks_max
            && let Some((_, block)) = self.order.pop_first()
        {
            self.used.remove(&block);
            self.change(v1::block_change::Change::Removed(block));
        }
    }

    fn change(&mut self, change: v1::block_change::Change) {
        self.changes.push_back(v1::BlockChange { change: Some(change) });
    }
}

/// The share of blocks that one cache without end would find, each prompt after all before it.
pub(super) fn found_without_end(requests: &[Request]) -> f64 {
    let mut kept = std::collections::HashSet::<u64>::new();
    let (mut all, mut found) = (0_u64, 0_u64);
    for request in requests {
        let blocks = &request.prefix_blocks;
        all += blocks.len() as u64;
        found += blocks.iter().take_while(|block| kept.contains(*block)).count() as u64;
        kept.extend(blocks);
    }
    found as f64 / all.max(1) as f64
}

/// How many different blocks there are.
pub(super) fn different(requests: &[Request]) -> usize {
    requests.iter().flat_map(|one| &one.prefix_blocks).collect::<std::collections::HashSet<_>>().len()
}
