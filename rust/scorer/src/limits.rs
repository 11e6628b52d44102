//! The named limits: beyond them a text is refused with a clear error instead of a crash or a runaway allocation.

/// Nesting of a value, and of a state after an operation. Python's own reader gives up at about the same depth.
pub const MAX_DEPTH: usize = 1000;

/// Digits of one integer. Larger ones are refused, because turning them into a Python `int` takes quadratic time.
pub const MAX_INTEGER_DIGITS: usize = 1_000_000;

/// Segments of one path, and places where a dotted path could be split.
pub const MAX_PATH_SEGMENTS: usize = MAX_DEPTH;

/// Values that the `copy` and `move` operations of one prediction may touch together: repeated copies of the root
/// double the state each time.
pub const MAX_COPIED_NODES: usize = 10_000_000;
