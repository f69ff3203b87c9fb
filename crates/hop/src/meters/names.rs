//! What the numbers of a hop are called, and their units.

use mesh::telemetry::About;

pub(super) const DECISIONS: About =
    about("causeway.decision.count", "{decision}", "Decisions, by place and class.");
pub(super) const DECISION_SECONDS: About =
    about("causeway.decision.duration", "s", "Time that a decision took.");
pub(super) const EXPECTED_COST: About =
    about("causeway.decision.expected_cost", "{USD}", "Expected cost of the place that was chosen.");
pub(super) const LOG_LINES: About =
    about("causeway.decision.log.lines", "{line}", "Lines of the decision log, written or dropped.");
pub(super) const CAPPED: About = about(
    "causeway.escalation.capped",
    "{decision}",
    "Decisions in which an escalation cap removed a place.",
);
pub(super) const REFUSALS: About = about(
    "causeway.budget.refusals",
    "{decision}",
    "Decisions in which a budget had too little left for a place.",
);
pub(super) const SPENT: About = about(
    "causeway.budget.spent",
    "{USD}",
    "Spent or reserved in the present window, by all who have the budget.",
);
pub(super) const RELOADS: About =
    about("causeway.policy.reload", "{reload}", "Changes of a policy file, taken or refused.");
pub(super) const SHADOWED: About = about(
    "causeway.policy.shadow.decisions",
    "{decision}",
    "Decisions that the shadow policy was asked for.",
);
pub(super) const DIFFERENCES: About = about(
    "causeway.policy.shadow.differences",
    "{decision}",
    "Decisions that the shadow policy would have made otherwise.",
);
pub(super) const ROLLBACKS: About =
    about("causeway.policy.canary.rollbacks", "{rollback}", "Times that a canary policy was taken back.");
pub(super) const CLIENT_SECONDS: About = about(
    "gen_ai.client.operation.duration",
    "s",
    "Time of one attempt, from its decision to its last token.",
);
pub(super) const CLIENT_TOKENS: About =
    about("gen_ai.client.token.usage", "{token}", "Tokens in and out of an answer.");
pub(super) const SERVER_SECONDS: About =
    about("gen_ai.server.request.duration", "s", "Time of a request, from its arrival to its last token.");
pub(super) const FIRST_SECONDS: About =
    about("gen_ai.server.time_to_first_token", "s", "Time from a request's arrival to its first token.");
pub(super) const TOKEN_SECONDS: About =
    about("gen_ai.server.time_per_output_token", "s", "Time for each token after the first.");

const fn about(name: &'static str, unit: &'static str, description: &'static str) -> About {
    About { name, unit, description }
}
