//! The ChatML layout of a conversation: control ids around text that cannot contain any.

use super::Tokenizer;
use crate::{Error, Role, Turn};

impl Tokenizer {
    /// The ids of a conversation up to where the answer begins. Refuses what cannot fit `tokens_max`.
    pub(crate) fn render(&self, conversation: &[Turn], tokens_max: usize) -> Result<Vec<u32>, Error> {
        // No token has more bytes than the longest, so a text far too long is refused before it is tokenised.
        let bytes: usize = conversation.iter().map(|turn| turn.text.len()).sum();
        let least = bytes.div_ceil(self.token_bytes_max);
        if least > tokens_max {
            return Err(Error::OverLong { prompt_tokens: least, max: tokens_max });
        }
        let line = self.encode("\n")?;
        let mut ids = Vec::new();
        for turn in conversation {
            ids.push(self.turn_start);
            ids.extend(self.encode(&format!("{}\n{}", name(turn.role), turn.text))?);
            ids.push(self.turn_end);
            ids.extend(&line);
        }
        ids.push(self.turn_start);
        ids.extend(self.encode(&format!("{}\n", name(Role::Assistant)))?);
        Ok(ids)
    }
}

fn name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}
