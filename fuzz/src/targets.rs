//! The targets, by name. Each takes any bytes; a panic is a finding, and so is a second in which it does not return.
//!
//! Where a coverage-guided fuzzer is at hand, its target is one line: `fuzz_target!(|bytes: &[u8]| (target.run)(bytes))`.

use std::sync::LazyLock;
use std::time::Duration;

use hop::{Reading, Requests};
use mesh::process::Limits;
use mesh::tls::{Authority, Identity, IdentityFiles, IssuedPem, Peer};
use policy::wire::request::Invalid;
use policy::{DecisionLine, Facts, Outcome, Rules};
use prost::Message;
use proto::v1;
use proto::v1::content_part::Part;

use crate::connection;

/// One function that must return.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its folder in the corpus.
    pub name: &'static str,
    /// Takes any bytes.
    pub run: fn(&[u8]),
    /// Inputs that it takes as they are meant.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const ALL: [Target; 9] = [
    Target { name: "connection", run: connection::send, seeds: || vec![connection::recorded()] },
    Target { name: "message", run: message, seeds: messages },
    Target { name: "passed", run: passed, seeds: passed_on },
    Target { name: "request", run: resumed, seeds: || vec![request().encode_to_vec()] },
    Target { name: "report", run: report, seeds: || vec![reported().encode_to_vec()] },
    Target { name: "policy", run: rules, seeds: policies },
    Target { name: "decision", run: decision, seeds: lines },
    Target { name: "certificate", run: certificate, seeds: certificates },
    Target { name: "deadline", run: deadline, seeds: || vec![b"5S".to_vec(), b"99999999H".to_vec()] },
];

static REQUESTS: LazyLock<Requests> = LazyLock::new(|| Requests::new(&Limits::default(), true, 7));
static PEM: LazyLock<(IssuedPem, Authority)> = LazyLock::new(|| {
    let authority = Authority::ephemeral().expect("an authority can be made");
    (authority.issue("agent/fuzz").expect("a certificate can be issued"), authority)
});

/// A request that is resumed.
pub(crate) fn request() -> v1::GenerateRequest {
    let part = v1::ContentPart { part: Some(Part::Text("What time is it in Lima?".to_owned())) };
    v1::GenerateRequest {
        request_id: "question-1".to_owned(),
        turns: vec![v1::Turn { role: v1::Role::User.into(), parts: vec![part] }],
        sampling: Some(v1::Sampling {
            max_tokens: Some(20),
            temperature: Some(0.5),
            ..v1::Sampling::default()
        }),
        resume: Some(v1::Resume {
            token_ids: vec![7, 8, 9],
            model_hash: "hash".to_owned(),
            ..v1::Resume::default()
        }),
        signals: Some(v1::Signals {
            prompt_tokens: 10,
            requirement: vec![1.0, 0.0],
            ..v1::Signals::default()
        }),
        price_max_usd: Some(0.01),
        residency: "DE".to_owned(),
        ..v1::GenerateRequest::default()
    }
}

/// Takes a request in as a hop does.
pub(crate) fn read(request: v1::GenerateRequest) -> Result<Reading, Invalid> {
    REQUESTS.read(&Peer::default(), request)
}

fn resumed(bytes: &[u8]) {
    let Ok(request) = v1::GenerateRequest::decode(bytes) else { return };
    let Ok(reading) = read(request) else { return };
    let limits = Limits::default();
    let resumed = reading.request.resume.as_ref().map_or(0, |resume| resume.token_ids.len());
    assert!(resumed <= limits.output_tokens_max as usize, "{resumed} token ids are gone on after");
    let facts = policy::wire::request::facts(&reading.request, &reading.signals, reading.tenant.clone());
    let rules = Rules::parse("seed", POLICY).expect("the policy of the corpus is one");
    let decision = policy::decide(&rules, &facts, &rules.described_candidates(), reading.seed);
    let costs = decision.trail.candidates.iter().map(|weighed| weighed.columns.total_usd);
    assert!(costs.into_iter().all(|usd| !usd.is_nan()), "a cost is no number");
}

fn message(bytes: &[u8]) {
    fn twice<M: Message + Default>(bytes: &[u8]) {
        let Ok(message) = M::decode(bytes) else { return };
        let again = message.encode_to_vec();
        let read = M::decode(again.as_slice()).expect("what was written can be read");
        // Not the messages themselves: a number that is none is not itself.
        assert_eq!(read.encode_to_vec(), again, "what was read is what was written");
    }
    twice::<v1::GenerateRequest>(bytes);
    twice::<v1::GenerateEvent>(bytes);
    twice::<v1::Report>(bytes);
    twice::<v1::Outlook>(bytes);
}

fn messages() -> Vec<Vec<u8>> {
    let started = v1::Started { place: "slow/a".to_owned(), attempt: 1, ..v1::Started::default() };
    let event = v1::generate_event::Event::Started(started);
    vec![
        request().encode_to_vec(),
        reported().encode_to_vec(),
        v1::GenerateEvent { event: Some(event) }.encode_to_vec(),
    ]
}

/// What the router passes on is what it would have decoded and encoded again, and is refused where that is.
fn passed(bytes: &[u8]) {
    let decoded = v1::GenerateEvent::decode(bytes);
    let passed = router::relay::Event::read(bytes.to_vec().into()).and_then(router::relay::Event::message);
    match (passed, decoded) {
        // Not the messages themselves: a number that is none is not itself.
        (Ok(passed), Ok(decoded)) => assert_eq!(passed.encode_to_vec(), decoded.encode_to_vec()),
        (passed, decoded) => assert_eq!(passed.is_err(), decoded.is_err(), "one of them was refused"),
    }
}

fn passed_on() -> Vec<Vec<u8>> {
    let delta = v1::Delta {
        text: " word".to_owned(),
        token_ids: vec![7, 70_000],
        first_token_index: 3,
        ..v1::Delta::default()
    };
    let done = v1::Done { place: "slow/a".to_owned(), cache_blocks: vec![1], ..v1::Done::default() };
    let events = [v1::generate_event::Event::Delta(delta), v1::generate_event::Event::Done(done)];
    events.into_iter().map(|event| v1::GenerateEvent { event: Some(event) }.encode_to_vec()).collect()
}

fn report(bytes: &[u8]) {
    if let Ok(report) = v1::Report::decode(bytes) {
        let doubts = router::doubts(report);
        assert!(doubts.iter().all(|doubt| doubt.contains("cannot be true")), "a doubt names its field");
    }
}

fn reported() -> v1::Report {
    v1::Report {
        interval_ms: 200,
        running: 3,
        waiting: 1,
        running_max: 8,
        queued_tokens: 400,
        prefill_tokens_per_second: 1_000.0,
        seconds_per_output_token: 0.02,
        cache_tokens_max: 65_536,
        ..v1::Report::default()
    }
}

const POLICY: &str = include_str!("../corpus/policy/small.toml");

fn rules(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Rules::parse("fuzz.toml", &text) {
        Ok(rules) => {
            let again = Rules::parse("fuzz.toml", &text).expect("what was read once can be read again");
            assert_eq!(rules.hash(), again.hash(), "a policy has one hash");
            policy::check(&rules);
            let sealed = policy::seal("fuzz.toml", &text).expect("a policy can be sealed");
            let sealed = Rules::parse_sealed("fuzz.toml", &sealed).expect("what was sealed is taken");
            assert!(sealed.is_sealed() && policy::diff(&rules, &sealed).is_empty(), "a seal changes nothing");
        }
        Err(error) => assert!(!error.to_string().is_empty(), "an error says something"),
    }
}

fn policies() -> Vec<Vec<u8>> {
    vec![POLICY.as_bytes().to_vec()]
}

fn lines() -> Vec<Vec<u8>> {
    let rules = Rules::parse("seed", POLICY).expect("the policy of the corpus is one");
    let facts = Facts { prompt_tokens: 9, requirement: [1.0, 0.0].into(), ..Facts::default() };
    let decision = policy::decide(&rules, &facts, &rules.described_candidates(), 3);
    let mut line = DecisionLine::new(&decision, 5, "trace", "router");
    line.outcome =
        Some(Outcome { usd: 0.1, seconds: 0.3, ttft_seconds: 0.1, output_tokens: 7, right: Some(true) });
    vec![line.to_json().into_bytes()]
}

fn decision(bytes: &[u8]) {
    if let Ok(line) = DecisionLine::parse(&String::from_utf8_lossy(bytes)) {
        let again = DecisionLine::parse(&line.to_json()).expect("a line that was written can be read");
        assert_eq!(again.to_json(), line.to_json(), "a line is written as it was read");
    }
}

/// The bytes as a certificate in front of a key and an authority that are right, and as a server's name.
fn certificate(bytes: &[u8]) {
    let (issued, _) = &*PEM;
    let text = String::from_utf8_lossy(bytes);
    if let Ok(identity) = Identity::from_pem(&text, &issued.key, &issued.authority) {
        assert!(identity.spiffe().is_none_or(|name| !name.is_empty()), "a name has letters");
    }
    let half = IdentityFiles { certificate: Some(text.as_ref().into()), ..IdentityFiles::default() };
    assert!(!half.invalid("tls").is_empty(), "a certificate without its key is refused");
}

fn certificates() -> Vec<Vec<u8>> {
    vec![PEM.0.certificate.clone().into_bytes()]
}

fn deadline(bytes: &[u8]) {
    let mut headers = http::HeaderMap::new();
    if let Ok(value) = http::HeaderValue::from_bytes(bytes) {
        headers.insert("grpc-timeout", value);
    }
    if let Ok(Some(time)) = mesh::deadline::parse_grpc_timeout(&headers) {
        let within = mesh::deadline::Deadline::within(time);
        assert!(within.remaining() <= time.max(Duration::from_nanos(1)), "a deadline does not grow");
    }
}
