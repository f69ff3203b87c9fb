//! Phrases merged by their beginnings, so that one walk over the words tries all of them.

use std::collections::HashMap;

use super::phrase::{Slot, Step};

/// Sequences of words and slots, each with what it stands for.
#[derive(Debug)]
pub(crate) struct Trie<T> {
    nodes: Vec<Node<T>>,
}

#[derive(Debug)]
struct Node<T> {
    words: HashMap<String, usize>,
    slots: Vec<(Slot, usize)>,
    ends: Vec<T>,
}

/// What fills slots: from the word at `at`, each end that it can reach with what it found on the way.
pub(crate) trait Fill<B> {
    fn fill(&self, slot: Slot, words: &[String], at: usize) -> Vec<(usize, B)>;
}

/// A sequence found: where it ends, what it stands for, what its slots hold.
#[derive(Clone, Debug)]
pub(crate) struct Found<'t, T, B> {
    pub(crate) end: usize,
    pub(crate) value: &'t T,
    pub(crate) bound: Vec<B>,
}

/// Fills no slot, for tries that have none.
pub(crate) struct Nothing;

impl Fill<()> for Nothing {
    fn fill(&self, _: Slot, _: &[String], _: usize) -> Vec<(usize, ())> {
        Vec::new()
    }
}

// === impl Trie ===

impl<T> Default for Trie<T> {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { words: HashMap::new(), slots: Vec::new(), ends: Vec::new() }
    }
}

impl<T: PartialEq> Trie<T> {
    /// Adds a sequence.
    pub(crate) fn insert(&mut self, steps: &[Step], value: T) {
        let mut at = 0;
        for step in steps {
            at = match self.next(at, step) {
                Some(next) => next,
                None => self.grow(at, step),
            };
        }
        if !self.nodes[at].ends.contains(&value) {
            self.nodes[at].ends.push(value);
        }
    }

    /// Adds a sequence of words.
    pub(crate) fn insert_words(&mut self, words: Vec<String>, value: T) {
        let steps: Vec<Step> = words.into_iter().map(Step::Word).collect();
        self.insert(&steps, value);
    }

    fn next(&self, at: usize, step: &Step) -> Option<usize> {
        match step {
            Step::Word(word) => self.nodes[at].words.get(word).copied(),
            Step::Slot(slot) => {
                self.nodes[at].slots.iter().find(|(other, _)| other == slot).map(|(_, next)| *next)
            }
        }
    }

    fn grow(&mut self, at: usize, step: &Step) -> usize {
        let next = self.nodes.len();
        self.nodes.push(Node::default());
        match step {
            Step::Word(word) => {
                self.nodes[at].words.insert(word.clone(), next);
            }
            Step::Slot(slot) => self.nodes[at].slots.push((*slot, next)),
        }
        next
    }
}

impl<T> Trie<T> {
    /// Every sequence that begins at the word `from`.
    pub(crate) fn walk<B: Clone>(
        &self,
        words: &[String],
        from: usize,
        fill: &impl Fill<B>,
    ) -> Vec<Found<'_, T, B>> {
        let mut found = Vec::new();
        let mut open = vec![(0, from, Vec::new())];
        while let Some((node, at, bound)) = open.pop() {
            let node = &self.nodes[node];
            found.extend(node.ends.iter().map(|value| Found { end: at, value, bound: bound.clone() }));
            if at >= words.len() {
                continue;
            }
            for (slot, next) in &node.slots {
                for (end, filled) in fill.fill(*slot, words, at) {
                    let mut bound = bound.clone();
                    bound.push(filled);
                    open.push((*next, end, bound));
                }
            }
            if let Some(next) = node.words.get(&words[at]) {
                open.push((*next, at + 1, bound));
            }
        }
        found
    }
}
