//! Makes one event of two that follow each other, for callers that read more slowly than an answer comes.

use mesh::connect::Joining;
use proto::v1;
use proto::v1::generate_event::Event;

/// What an event costs beside its text and its tokens, bytes.
const EVENT_BYTES: usize = 16;
/// And what is told of one token's likelihood, for each of the likeliest that are named with it.
const TOP_BYTES: usize = 16;

/// How the events of an answer are joined: text goes on where it follows without a gap, all else stays apart.
pub const EVENTS: Joining<v1::GenerateEvent> = Joining { bytes, join };

/// About as many as it holds; what is not text is small and comes once.
fn bytes(event: &v1::GenerateEvent) -> usize {
    let Some(Event::Delta(delta)) = &event.event else { return event_bytes(0, 0) };
    delta_bytes(delta)
}

fn join(earlier: &mut v1::GenerateEvent, mut later: v1::GenerateEvent) -> Option<v1::GenerateEvent> {
    let (Some(Event::Delta(before)), Some(Event::Delta(after))) = (&mut earlier.event, &mut later.event)
    else {
        return Some(later);
    };
    *after = join_deltas(before, std::mem::take(after))?;
    Some(later)
}

/// About as many bytes as an event holds, of so many bytes of text and so many tokens.
#[must_use]
pub fn event_bytes(text_bytes: usize, tokens: usize) -> usize {
    EVENT_BYTES + text_bytes + tokens * size_of::<u32>()
}

/// About as many bytes as a delta's event holds.
#[must_use]
pub fn delta_bytes(delta: &v1::Delta) -> usize {
    let tops: usize = delta.logprobs.iter().map(|token| 1 + token.top.len()).sum();
    event_bytes(delta.text.len(), delta.token_ids.len()) + tops * TOP_BYTES
}

/// Takes the later of two deltas into the earlier one, or gives it back where they cannot be one.
pub fn join_deltas(before: &mut v1::Delta, mut after: v1::Delta) -> Option<v1::Delta> {
    if !follows(before, &after) {
        return Some(after);
    }
    before.text.push_str(&after.text);
    before.token_ids.append(&mut after.token_ids);
    before.logprobs.append(&mut after.logprobs);
    None
}

/// Whether the two say together what they say apart.
fn follows(before: &v1::Delta, after: &v1::Delta) -> bool {
    let next = usize::try_from(before.first_token_index).map(|first| first + before.token_ids.len());
    // Text without ids cannot be gone on after, which its reader must see.
    let named = |delta: &v1::Delta| !delta.token_ids.is_empty();
    let likely = |delta: &v1::Delta| delta.logprobs.len() == delta.token_ids.len();
    next.is_ok_and(|next| usize::try_from(after.first_token_index) == Ok(next))
        && named(before)
        && named(after)
        && (likely(before) && likely(after) || before.logprobs.is_empty() && after.logprobs.is_empty())
}

#[cfg(test)]
mod tests;
