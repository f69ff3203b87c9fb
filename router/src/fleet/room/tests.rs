//! When a worker has room, and what its lane is told of it.

use std::sync::Arc;

use super::Room;
use crate::fleet::limit::Limit;
use crate::flow::{FlowOptions, Lane, LimitOptions};

fn room(initial: u32) -> Room {
    let lane = Arc::new(Lane::new("tier".into(), &FlowOptions::default()));
    let limit = Limit::new(LimitOptions { initial, ..LimitOptions::default() });
    let mut room = Room::new(lane, limit);
    room.reckon(true, 0);
    room
}

#[tokio::test]
async fn a_worker_has_room_for_so_many_requests_and_again_when_one_has_left() {
    let mut room = room(2);
    let taken = [100, 200].map(|tokens| {
        assert!(room.is_free());
        let taken = room.enter(tokens, Some(1.0));
        room.reckon(true, 0);
        taken
    });
    assert_eq!((room.is_free(), room.full_at(), room.lane().is_full()), (false, Some(2), true));
    for taken in taken {
        room.left(taken);
        room.reckon(true, 0);
        assert!(room.is_free() && !room.lane().is_full());
    }
}

#[tokio::test]
async fn a_worker_that_says_how_many_tokens_it_holds_is_sent_no_more() {
    let mut room = room(16);
    let taken = room.enter(900, None);
    room.reckon(true, 1000);
    assert!(room.is_free(), "what it holds may be passed by one request");
    room.enter(900, None);
    room.reckon(true, 1000);
    assert_eq!((room.is_free(), room.full_at()), (false, Some(16)));
    room.left(taken);
    room.reckon(true, 1000);
    assert!(room.is_free());
}

#[tokio::test]
async fn a_worker_that_takes_no_work_has_no_room_and_its_lane_no_worker() {
    let mut room = room(16);
    assert!(room.lane().is_alive());
    room.reckon(false, 0);
    assert!(!room.is_free() && !room.lane().is_alive());
    room.reckon(true, 0);
    let lane = room.lane().clone();
    drop(room);
    assert!(!lane.is_alive(), "whoever leaves the fleet takes its room with it");
}
