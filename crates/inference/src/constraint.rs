//! Which tokens may come next, where an answer must have a form: grammars compiled for one vocabulary, and their state.

mod compile;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, OnceLock, PoisonError},
};

use llguidance::{Matcher, ParserFactory, TokenParser, toktrie::SimpleVob};

use crate::{Constraint, Error, text::Tokenizer};

/// Compiled grammars kept for the next request that has the same one.
const KEPT: usize = 16;

/// Compiles constraints for the vocabulary of one tokenizer. Nothing is built before the first constrained request.
#[derive(Default)]
pub(crate) struct Grammars {
    factory: OnceLock<Result<ParserFactory, String>>,
    /// The one used last at the back.
    compiled: Mutex<VecDeque<(Constraint, TokenParser)>>,
}

/// How far one answer has followed its grammar.
pub(crate) struct Following {
    matcher: Matcher,
    /// Tokens followed.
    tokens: usize,
}

/// The ids that may come next, a bit each.
#[derive(Debug)]
pub(crate) struct Allowed(SimpleVob);

impl Allowed {
    /// Bits of ids, 32 to a word, the least first.
    pub(crate) fn bits(&self) -> &[u32] {
        self.0.as_slice()
    }
}

impl Grammars {
    /// The start of `constraint`. Compiles it where it is not kept from before, which takes up to tens of milliseconds.
    pub(crate) fn start(&self, constraint: &Constraint, tokenizer: &Tokenizer) -> Result<Following, Error> {
        let kept = self.kept(constraint);
        let parser = match kept {
            Some(parser) => parser,
            None => {
                let factory = self.factory.get_or_init(|| compile::factory(tokenizer));
                let refused = |problem: String| Error::bad_request(constraint.field(), problem);
                let factory = factory.as_ref().map_err(|problem| refused(problem.clone()))?;
                let parser = compile::parser(factory, constraint).map_err(refused)?;
                self.keep(constraint, &parser);
                parser
            }
        };
        Ok(Following { matcher: Matcher::new(Ok(parser)), tokens: 0 })
    }

    /// A copy with a lexer of its own: what one answer made the lexer learn must not count towards another's limits.
    fn kept(&self, constraint: &Constraint) -> Option<TokenParser> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        let at = compiled.iter().position(|(known, _)| known == constraint)?;
        let found = compiled.remove(at)?;
        let parser = found.1.deep_clone();
        compiled.push_back(found);
        Some(parser)
    }

    fn keep(&self, constraint: &Constraint, parser: &TokenParser) {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        while compiled.len() >= KEPT {
            compiled.pop_front();
        }
        compiled.push_back((constraint.clone(), parser.deep_clone()));
    }
}

impl Following {
    /// What may come next. Fails where finding out exceeds the bounds or no token fits.
    pub(crate) fn allowed(&mut self) -> Result<Allowed, Error> {
        let index = self.tokens;
        self.matcher.compute_mask().map(Allowed).map_err(|error| {
            let problem = compile::first_words(&error.to_string());
            let problem = if problem.is_empty() { "no token fits".to_owned() } else { problem };
            Error::Constraint { index, problem }
        })
    }

    /// Follows a token that is allowed.
    pub(crate) fn follow(&mut self, id: u32) -> Result<(), Error> {
        let index = self.tokens;
        self.tokens += 1;
        let refused = |error: String| Error::Constraint { index, problem: compile::first_words(&error) };
        self.matcher.consume_token(id).map_err(|error| refused(error.to_string()))
    }

    /// Whether the grammar allows nothing more.
    pub(crate) fn is_complete(&self) -> bool {
        self.matcher.is_stopped() && !self.matcher.is_error()
    }
}

impl fmt::Debug for Grammars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grammars").field("built", &self.factory.get().is_some()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Following").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}
