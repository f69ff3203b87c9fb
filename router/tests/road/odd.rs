//! Workers that say what makes no sense: their callers are served all the same.

use proto::v1;
use score::score;

use crate::road::{Road, question};
use crate::worker::{Step, report, short_answer};

#[tokio::test(start_paused = true)]
async fn what_a_worker_says_after_its_end_is_not_passed_on() {
    let script = vec![
        Step::Started,
        Step::Delta("It is ", &[7, 8]),
        Step::Done(10, 0, 2),
        Step::Delta("noon.", &[9]),
        Step::Done(10, 0, 3),
    ];
    let mut road = Road::lay(vec![("slow/a", Some(report("small", 1000.0, 0.05)), script)]).await;
    let answer = road.ask(question()).await.unwrap();
    assert_eq!((answer.text.as_str(), &answer.token_ids[..]), ("It is ", &[7, 8][..]));
    assert_eq!(answer.done.unwrap().usage.unwrap().output_tokens, 2);
    assert_eq!(road.ask(question()).await.unwrap().text, "It is ");
    score!("D1", true, "tokens after the end are not passed on");
}

#[tokio::test(start_paused = true)]
async fn a_report_without_sense_keeps_nobody_from_being_served() {
    for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, f32::MIN_POSITIVE] {
        let odd = v1::Report { running_max: u32::MAX, queued_tokens: u64::MAX, ..report("small", odd, odd) };
        let good = report("large", 10_000.0, 0.001);
        let planned = vec![("slow/a", Some(odd), short_answer()), ("quick/b", Some(good), short_answer())];
        let mut road = Road::lay(planned).await;
        let answer = road.ask(question()).await.unwrap();
        assert_eq!(answer.text, "It is noon.");
    }
}
