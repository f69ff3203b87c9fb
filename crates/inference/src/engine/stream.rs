//! The reading end of one answer; dropping it cancels the rest.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::sync::mpsc;

use super::inbox::Shared;
use crate::{Error, Event};

/// The events of one answer. After `Done` or `Failed` it gives nothing more.
#[derive(Debug)]
pub struct Stream {
    events: mpsc::Receiver<Event>,
    shared: Arc<Shared>,
    ended: bool,
}

impl Stream {
    pub(super) fn new(events: mpsc::Receiver<Event>, shared: Arc<Shared>) -> Self {
        Self { events, shared, ended: false }
    }

    /// The next event.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll(context)).await
    }

    /// The next event, for callers outside any runtime; blocks the thread.
    pub fn blocking_next(&mut self) -> Option<Event> {
        let event = if self.ended { return None } else { self.events.blocking_recv() };
        self.seen(event)
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.events.poll_recv(context).map(|event| self.seen(event))
    }

    /// A stream that closes before its end belongs to an engine that is gone.
    fn seen(&mut self, event: Option<Event>) -> Option<Event> {
        let event = event.unwrap_or(Event::Failed(Error::Stopped));
        self.ended = !matches!(event, Event::Delta { .. });
        Some(event)
    }
}

impl tokio_stream::Stream for Stream {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll(context)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.events.close();
        self.shared.signal();
    }
}
