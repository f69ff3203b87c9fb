//! What is believed of an outlook, and for how long.

use std::time::Duration;

use mesh::connect::ConnectOptions;
use policy::{Candidate, Kind, Name};
use proto::v1;
use tokio::time::advance;

use super::Outlook;
use crate::config::UpstreamOptions;

fn outlook() -> Outlook {
    Outlook::new(
        &UpstreamOptions { stale_after_ms: 1_500, ..UpstreamOptions::default() },
        &ConnectOptions::default(),
    )
}

fn tier() -> v1::TierOutlook {
    v1::TierOutlook {
        tier: "cloud".to_owned(),
        queue_seconds: 0.5,
        prefill_seconds_per_token: 0.25,
        seconds_per_output_token: 0.125,
        input_usd_per_million_tokens: 3.0,
        ability: vec![0.0, 1.0],
        context_tokens_max: 4096,
        regions: vec!["DE".to_owned(), "FR".to_owned()],
        workers: 2,
        ..v1::TierOutlook::default()
    }
}

fn said(tiers: Vec<v1::TierOutlook>) -> v1::Outlook {
    v1::Outlook { interval_ms: 1_000, tiers, pushback_ms: 0 }
}

fn cloud() -> Candidate {
    Candidate::new("cloud", "cloud", Kind::Cloud)
}

#[tokio::test(start_paused = true)]
async fn an_outlook_is_believed_until_it_is_stale() {
    let outlook = outlook();
    assert_eq!(outlook.inform(cloud(), None), cloud());
    outlook.hear(said(vec![tier()]), Duration::from_millis(4));
    let told = outlook.inform(cloud(), None);
    let latency = told.latency.unwrap();
    assert_eq!((latency.queue_seconds, latency.network_seconds), (0.5, 0.004));
    assert_eq!((latency.prefill_seconds_per_token, latency.seconds_per_output_token), (0.25, 0.125));
    assert_eq!(told.price.unwrap().input_usd_per_million_tokens, 3.0);
    assert_eq!((told.healthy, told.context_tokens_max, told.region), (true, Some(4096), None));
    // Twice the interval that was granted, since that is longer than what is configured.
    advance(Duration::from_millis(1_999)).await;
    assert!(outlook.inform(cloud(), None).latency.is_some());
    advance(Duration::from_millis(2)).await;
    assert_eq!(outlook.inform(cloud(), None), cloud());
}

#[tokio::test(start_paused = true)]
async fn a_tier_without_workers_or_unnamed_takes_no_work() {
    let outlook = outlook();
    outlook.hear(said(vec![v1::TierOutlook { workers: 0, ..tier() }]), Duration::ZERO);
    assert!(!outlook.inform(cloud(), None).healthy);
    outlook.hear(said(vec![]), Duration::ZERO);
    assert!(!outlook.inform(cloud(), None).healthy);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_believed_stays_unknown() {
    let outlook = outlook();
    let odd = v1::TierOutlook {
        queue_seconds: f32::NAN,
        output_usd_per_million_tokens: -1.0,
        context_tokens_max: 0,
        ability: vec![],
        ..tier()
    };
    outlook.hear(said(vec![odd]), Duration::ZERO);
    let told = outlook.inform(cloud(), None);
    assert_eq!((told.latency, told.price, told.context_tokens_max, told.ability), (None, None, None, None));
    assert!(told.healthy);
}

#[tokio::test(start_paused = true)]
async fn a_tier_is_of_the_region_that_it_reaches() {
    let outlook = outlook();
    outlook.hear(said(vec![tier()]), Duration::ZERO);
    let region = |wanted: &str| outlook.inform(cloud(), Some(&Name::from(wanted))).region;
    assert_eq!(region("FR"), Some("FR".into()));
    assert_eq!(region("US"), None);
}
