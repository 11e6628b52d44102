//! The texts of outcomes and failures, as the contract spells them.

use envsim_scorer::{Failure, Outcome};

/// The text of an outcome.
pub fn outcome_text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Scored => "scored",
        Outcome::Unparsed => "unparsed",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
    }
}

/// The text of a failure.
pub fn failure_text(failure: Failure) -> &'static str {
    match failure {
        Failure::Failed => "failed",
        Failure::Unparsed => "unparsed",
        Failure::Refused => "refused",
        Failure::InapplicableOperation => "inapplicable_operation",
        Failure::MissedAll => "missed_all",
        Failure::TypeFlip => "type_flip",
        Failure::WrongValue => "wrong_value",
        Failure::MissedChange => "missed_change",
        Failure::CollateralEdit => "collateral_edit",
        Failure::FeedbackOnly => "feedback_only",
        Failure::None => "none",
    }
}
