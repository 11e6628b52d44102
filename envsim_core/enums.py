"""The closed sets of words in a verdict. Each member equals its text."""

from enum import StrEnum


class Outcome(StrEnum):
    """What became of a sample. Source: scoring contract, section 4."""

    SCORED = "scored"
    UNPARSED = "unparsed"
    REFUSED = "refused"
    FAILED = "failed"


class Failure(StrEnum):
    """The first thing that went wrong, in the order of precedence. Source: scoring contract, section 4."""

    FAILED = "failed"
    UNPARSED = "unparsed"
    REFUSED = "refused"
    INAPPLICABLE_OPERATION = "inapplicable_operation"
    MISSED_ALL = "missed_all"
    TYPE_FLIP = "type_flip"
    WRONG_VALUE = "wrong_value"
    MISSED_CHANGE = "missed_change"
    COLLATERAL_EDIT = "collateral_edit"
    FEEDBACK_ONLY = "feedback_only"
    NONE = "none"


class Strategy(StrEnum):
    """How a prediction was found in a completion. Source: scoring contract, section 6."""

    WHOLE_JSON = "whole_json"
    FENCED_JSON = "fenced_json"
    FENCED_LITERAL = "fenced_literal"
    FENCED_JSON_COMMAS = "fenced_json_commas"
    FENCED_LITERAL_COMMAS = "fenced_literal_commas"
    BARE_JSON = "bare_json"
    BARE_LITERAL = "bare_literal"
    BARE_JSON_COMMAS = "bare_json_commas"
    BARE_LITERAL_COMMAS = "bare_literal_commas"


class ChangeType(StrEnum):
    """What happened at a path. Source: scoring contract, section 2."""

    ADD = "add"
    MODIFY = "modify"
    DELETE = "delete"


class UnparsedReason(StrEnum):
    """Why a completion holds no readable prediction. Source: scoring contract, section 6."""

    NO_CANDIDATE = "no_candidate"
    TRUNCATED = "truncated"
    CHANGES_NOT_A_LIST = "changes_not_a_list"
