//! Callers that ask and then do not read, over a real connection.

use http_body_util::BodyExt as _;
use tokio::time::Instant;
use tonic::Code;

use super::*;
use crate::rig;

/// Longer than any unread answer is kept.
const LONG: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_takes_is_cut_off_and_costs_no_other() {
    let (running, channel) = rig::memory_server(rig::service()).await;
    // Two read neither, and the second has everything in its own buffer already.
    let mut frozen =
        tower::Service::call(&mut channel.clone(), rig::request("/tiny/100000", &[])).await.unwrap();
    let small = tower::Service::call(&mut channel.clone(), rig::request("/tiny/100", &[])).await.unwrap();
    let began = Instant::now();
    while running.counters.of(Fault::UnreadAnswer) == 0 {
        let reply = rig::call(&channel, rig::request("/tiny/1", &[])).await;
        assert_eq!(reply.code, Code::Ok, "{}", reply.message);
        sleep(Duration::from_millis(100)).await;
    }
    assert!(began.elapsed() >= Duration::from_secs(29), "{:?}", began.elapsed());
    assert!(began.elapsed() <= Duration::from_secs(31), "{:?}", began.elapsed());
    sleep(LONG).await;
    let reply = rig::read(small).await;
    assert_eq!((reply.code, reply.text.len()), (Code::Ok, 4000), "{}", reply.message);
    let mut seen = 0;
    let error = loop {
        match frozen.body_mut().frame().await.expect("it does not end well") {
            Ok(frame) => seen += frame.into_data().map_or(0, |data| data.len()),
            Err(status) => break status,
        }
    };
    assert!((1..100 * 1024).contains(&seen), "{seen} bytes");
    assert_eq!(error.code(), Code::Cancelled, "{error}");
    let served = running.counters.read();
    assert_eq!((served.accepted, running.counters.of(Fault::UnreadAnswer)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn who_reads_slowly_but_reads_is_served_to_the_end() {
    let (running, channel) = rig::memory_server(rig::service()).await;
    let mut response =
        tower::Service::call(&mut channel.clone(), rig::request("/tiny/5000", &[])).await.unwrap();
    let mut seen = 0;
    while let Some(frame) = response.body_mut().frame().await {
        seen += frame.unwrap().into_data().map_or(0, |data| data.len());
        if seen % 20_000 == 0 {
            sleep(Duration::from_secs(20)).await;
        }
    }
    assert_eq!((seen, running.counters.of(Fault::UnreadAnswer)), (200_000, 0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_waits_for_its_maker_is_not_unread() {
    let (running, channel) = rig::memory_server(rig::service()).await;
    let pause = LONG.as_millis();
    let path = format!("/drip/{pause}");
    let mut response = tower::Service::call(&mut channel.clone(), rig::request(&path, &[])).await.unwrap();
    for _ in 0..2 {
        assert!(response.body_mut().frame().await.unwrap().is_ok());
    }
    assert_eq!(running.counters.of(Fault::UnreadAnswer), 0);
}
