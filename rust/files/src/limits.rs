//! The named limits of files.

/// Bytes of one row. A longer one is refused, so that a file without line ends cannot fill the memory.
pub const MAX_LINE_BYTES: usize = 1 << 30;

/// Bytes of each text about the first mismatch in a table; longer ones are cut and end in `…`.
pub const MAX_MISMATCH_BYTES: usize = 1000;

/// Rows of one row group of a verdict file, and so what an interrupted run may lose.
pub const ROW_GROUP_ROWS: usize = 4096;

/// Rows that are joined and encoded at a time; a row group is a whole number of these.
pub(crate) const SLICE_ROWS: usize = 512;

/// A batch ends at the first row that reaches one of these two.
pub(crate) const BATCH_BYTES: usize = 1 << 19;
pub(crate) const BATCH_ROWS: usize = 512;

/// How far the workers may run ahead of the first batch that is not yet done, in batches per thread.
pub(crate) const BATCHES_AHEAD: usize = 4;

/// Stack of a worker: reading and comparing recurse as deep as a value is nested.
pub(crate) const STACK_BYTES: usize = 16 << 20;
