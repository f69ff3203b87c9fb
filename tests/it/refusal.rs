//! Bad input gets an error that names the field, at the first hop, and the process serves on.

use causeway_tests::{House, HouseOptions, text_request};
use proto::v1::generation_client::GenerationClient;
use proto::v1::{Blob, ContentPart, GenerateRequest, Sampling, content_part};
use tonic::Code;

type Case = (&'static str, fn(&mut GenerateRequest), Code, &'static str);

fn sampling(request: &mut GenerateRequest) -> &mut Sampling {
    request.sampling.get_or_insert_default()
}

fn text(request: &mut GenerateRequest, text: String) {
    request.turns[0].parts = vec![ContentPart { part: Some(content_part::Part::Text(text)) }];
}

const CASES: [Case; 11] = [
    ("no turns", |r| r.turns.clear(), Code::InvalidArgument, "turns"),
    ("an empty prompt", |r| text(r, String::new()), Code::InvalidArgument, "turns"),
    ("a prompt of blanks", |r| text(r, "  \n ".to_owned()), Code::InvalidArgument, "turns"),
    ("an over-long prompt", |r| text(r, "word ".repeat(100_000)), Code::InvalidArgument, "prompt"),
    ("no tokens", |r| sampling(r).max_tokens = Some(0), Code::InvalidArgument, "max_tokens"),
    ("NaN", |r| sampling(r).temperature = Some(f32::NAN), Code::InvalidArgument, "temperature"),
    ("below zero", |r| sampling(r).temperature = Some(-1.0), Code::InvalidArgument, "temperature"),
    ("top_p of 2", |r| sampling(r).top_p = Some(2.0), Code::InvalidArgument, "top_p"),
    (
        "no penalty",
        |r| sampling(r).repetition_penalty = Some(0.0),
        Code::InvalidArgument,
        "repetition_penalty",
    ),
    ("an unknown model", |r| r.model = "gpt-nothing".to_owned(), Code::NotFound, "gpt-nothing"),
    (
        "an image",
        |r| {
            let image = Blob { media_type: "image/png".to_owned(), data: vec![0] };
            r.turns[0].parts.push(ContentPart { part: Some(content_part::Part::Image(image)) });
        },
        Code::FailedPrecondition,
        "image",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_refused_by_field_and_cost_nobody_else() {
    let house = House::start(HouseOptions::default()).await;
    for channel in [&house.agent, &house.worker] {
        let at_worker = std::ptr::eq(channel, &raw const house.worker);
        let mut client = GenerationClient::new(channel.clone());
        for (name, spoil, code, mark) in CASES {
            let mut request = text_request("Help me save a short text for later.", "", 8);
            spoil(&mut request);
            let status = match client.generate(request).await {
                Err(status) => status,
                Ok(stream) => match stream.into_inner().message().await {
                    Err(status) => status,
                    Ok(event) => panic!("{name} was answered: {event:?}"),
                },
            };
            // A worker has one model and nothing to choose from: what it cannot read is the request's fault.
            let refused = status.code() == code || (at_worker && status.code() == Code::InvalidArgument);
            assert!(refused, "{name}: {status:?}");
            let field =
                status.message().contains(mark) || (at_worker && status.message().contains("conversation"));
            assert!(
                field || status.message().contains("turns"),
                "{name} names no field: {}",
                status.message()
            );
        }
        let only = if at_worker { "" } else { "device" };
        let fine = client.generate(text_request("Help me save a short text for later.", only, 4)).await;
        fine.expect("it serves on").into_inner().message().await.expect("it serves on").expect("an event");
    }
}
