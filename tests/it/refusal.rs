//! Bad input gets an error that names the field, at every hop that is asked, and the process serves on.

use causeway_tests::{House, HouseOptions, text_request};
use futures_util::StreamExt as _;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use mesh::connect::Channel;
use proto::v1::generation_client::GenerationClient;
use proto::v1::{Blob, ContentPart, DescribeRequest, GenerateRequest, Role, Sampling, Turn, content_part};
use score::score;
use tonic::body::Body;
use tonic::codegen::{Bytes, Service as _, http};
use tonic::{Code, Status};

/// How a hop refuses: its code, and what its message says of the field.
type Refusal = (Code, &'static str);

struct Case {
    name: &'static str,
    spoil: fn(&mut GenerateRequest),
    agent: Refusal,
    router: Refusal,
    worker: Refusal,
}

fn sampling(request: &mut GenerateRequest) -> &mut Sampling {
    request.sampling.get_or_insert_default()
}

fn text(request: &mut GenerateRequest, text: String) {
    request.turns[0].parts = vec![ContentPart { part: Some(content_part::Part::Text(text)) }];
}

/// A case that agent and router refuse alike, by the wire contract, and the worker in its engine's words.
const fn case(
    name: &'static str,
    spoil: fn(&mut GenerateRequest),
    hops: &'static str,
    worker: &'static str,
) -> Case {
    let (hops, worker) = ((Code::InvalidArgument, hops), (Code::InvalidArgument, worker));
    Case { name, spoil, agent: hops, router: hops, worker }
}

const CASES: [Case; 17] = [
    case("no turns", |r| r.turns.clear(), "`turns` is 0;", "`turns` holds no turn"),
    case(
        "a turn without parts",
        |r| r.turns[0].parts.clear(),
        "`turns[0].parts` has 0;",
        "`turns` ends with an empty turn",
    ),
    case(
        "an empty prompt",
        |r| text(r, String::new()),
        "`turns[0].parts[0]` is empty;",
        "`turns` ends with an empty turn",
    ),
    case(
        "a prompt of blanks",
        |r| text(r, "  \n ".to_owned()),
        "`turns[0].parts[0]` is empty;",
        "`turns` ends with an empty turn",
    ),
    case(
        "an over-long prompt",
        |r| text(r, "word ".repeat(100_000)),
        "`turns` have 500000 bytes of text;",
        "`turns` hold 500000 bytes of text;",
    ),
    case(
        "the assistant's word last",
        |r| r.turns.push(Turn { role: Role::Assistant.into(), ..r.turns[0].clone() }),
        "`turns[1].role` is not the user's;",
        "`turns` ends with the assistant's own turn",
    ),
    case(
        "no tokens",
        |r| sampling(r).max_tokens = Some(0),
        "`sampling.max_tokens` is 0;",
        "`sampling.max_tokens` is 0;",
    ),
    case(
        "too many tokens",
        |r| sampling(r).max_tokens = Some(9_999),
        "`sampling.max_tokens` is 9999;",
        "`sampling.max_tokens` is 9999;",
    ),
    case(
        "NaN",
        |r| sampling(r).temperature = Some(f32::NAN),
        "`sampling.temperature` is NaN;",
        "`sampling.temperature` is NaN;",
    ),
    case(
        "below zero",
        |r| sampling(r).temperature = Some(-1.0),
        "`sampling.temperature` is -1;",
        "`sampling.temperature` is -1;",
    ),
    case("top_p of 2", |r| sampling(r).top_p = Some(2.0), "`sampling.top_p` is 2;", "`sampling.top_p` is 2;"),
    case(
        "no penalty",
        |r| sampling(r).repetition_penalty = Some(0.0),
        "`sampling.repetition_penalty` is 0;",
        "`sampling.repetition_penalty` is 0;",
    ),
    case(
        "a penalty without bounds",
        |r| sampling(r).presence_penalty = Some(f32::NEG_INFINITY),
        "`sampling.presence_penalty` is -inf;",
        "`sampling.presence_penalty` is -inf;",
    ),
    case(
        "a bias beyond all bounds",
        |r| sampling(r).logit_bias = [(3, 1e9)].into(),
        "`sampling.logit_bias[3]` is 1000000000;",
        "`sampling.logit_bias` is 1000000000;",
    ),
    case(
        "an empty stop string",
        |r| sampling(r).stop = vec![String::new()],
        "`sampling.stop[0]` has 0 bytes;",
        "`sampling.stop` holds a string of 0 bytes;",
    ),
    Case {
        name: "an unknown model",
        spoil: |r| r.model = "gpt-nothing".to_owned(),
        // The agent asks upstream for what it has not, and passes on what it is told.
        agent: (Code::NotFound, "no worker serves the model `gpt-nothing`;"),
        router: (Code::NotFound, "no worker serves the model `gpt-nothing`;"),
        worker: (Code::NotFound, "model `gpt-nothing` is not here;"),
    },
    Case {
        name: "an image",
        spoil: |r| {
            let image = Blob { media_type: "image/png".to_owned(), data: vec![0] };
            r.turns[0].parts.push(ContentPart { part: Some(content_part::Part::Image(image)) });
        },
        agent: (Code::FailedPrecondition, "image"),
        router: (Code::FailedPrecondition, "image"),
        // A worker has one model and nothing to choose from: what it cannot read is the request's fault.
        worker: (Code::InvalidArgument, "`turns.parts.image` cannot be read"),
    },
];

async fn refused(channel: &Channel, request: GenerateRequest) -> Result<(), Status> {
    GenerationClient::new(channel.clone()).generate(request).await?.into_inner().message().await?;
    Ok(())
}

/// Asks for a short answer from the hop itself, or from what is below it.
async fn serves_on(hop: &str, channel: &Channel) {
    let only = match hop {
        "edge-agent" => "device",
        "router" => "cloud-fast",
        _ => "",
    };
    let request = text_request("Help me save a short text for later.", only, 4);
    let answer = GenerationClient::new(channel.clone()).generate(request).await;
    let mut answer = answer.unwrap_or_else(|status| panic!("{hop}: {status:?}")).into_inner();
    let mut events = 0;
    while let Some(event) = answer.message().await.unwrap_or_else(|status| panic!("{hop}: {status:?}")) {
        events += usize::from(event.event.is_some());
    }
    assert!(events > 2, "{hop} serves on");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_refused_by_field_and_cost_nobody_else() {
    let house = House::start(HouseOptions::default()).await;
    for (hop, channel) in house.hops() {
        for case in CASES {
            let (code, mark) = match hop {
                "edge-agent" => case.agent,
                "router" => case.router,
                _ => case.worker,
            };
            let mut request = text_request("Help me save a short text for later.", "", 8);
            (case.spoil)(&mut request);
            let status = refused(channel, request).await.expect_err(case.name);
            assert_eq!(status.code(), code, "{hop}, {}: {status:?}", case.name);
            assert!(status.message().contains(mark), "{hop}, {}: {}", case.name, status.message());
        }
        serves_on(hop, channel).await;
    }
    score!("D1", true, "{} bad requests refused by their field at all three hops", CASES.len());
}

/// A call whose one message says that it has 4 GiB, less a byte, of which little comes and the rest never.
fn endless() -> http::Request<Body> {
    let mut frame = vec![0; 5 + 1024];
    frame[1..5].fill(0xff);
    let frames = futures_util::stream::iter([Ok::<_, Status>(Frame::data(Bytes::from(frame)))]);
    let body = StreamBody::new(frames.chain(futures_util::stream::pending()));
    http::Request::post("/causeway.v1.Generation/Generate")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(body))
        .expect("a request")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_of_four_gibibytes_is_refused_before_anything_is_allocated_for_it() {
    const GROWTH_BYTES_MAX: u64 = 1 << 30;
    let house = House::start(HouseOptions::default()).await;
    for ((hop, channel), process) in house.hops().into_iter().zip(&house.processes) {
        let mut client = GenerationClient::new(channel.clone());
        let described = client.describe(DescribeRequest {}).await.expect("it answers").into_inner();
        assert_eq!(described.hop, hop);
        let before = process.memory_peak_bytes();
        for _ in 0..8 {
            let response = channel.clone().call(endless()).await.expect("the connection holds");
            let (head, body) = response.into_parts();
            let status = match Status::from_header_map(&head.headers) {
                Some(status) => status,
                None => {
                    let trailers = body.collect().await.expect("an end").trailers().cloned();
                    Status::from_header_map(&trailers.expect("trailers")).expect("a status")
                }
            };
            let bound = described.request_bytes_max.to_string();
            assert_eq!(status.code(), Code::OutOfRange, "{hop}: {status:?}");
            for said in ["4294967295", &bound] {
                assert!(status.message().contains(said), "{hop} says {said}: {}", status.message());
            }
        }
        let grown = process.memory_peak_bytes().zip(before).map(|(after, before)| after - before);
        assert!(grown.is_none_or(|grown| grown < GROWTH_BYTES_MAX), "{hop} grew by {grown:?} bytes");
        serves_on(hop, channel).await;
    }
}
